//! The manifests of a configuration: read as kubectl reads them, and checked for what would only show on the cluster.

use super::problem::{shown, Place, Problem, Problems};
use super::settings::{ManifestSettings, Settings};
use super::validate::resolved;
use super::yaml::Yaml;
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

mod classes;
mod fields;
mod hosts;
mod images;
mod inward;
mod judge;
pub(super) mod kinds;
pub(super) mod namespaces;
mod pods;
mod ports;
mod provided;
mod references;
mod traefik;
mod written;

use written::Written;

/// One Kubernetes object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file it stands in.
    pub file: PathBuf,
    /// The line it begins at, from 1.
    pub line: u32,
    /// The object as the API has it.
    pub object: Value,
}

/// Manifests that were read once. No setting itself: all are equal, and a clone, which may be changed, reads anew.
#[derive(Default)]
pub struct ReadOnce(OnceLock<Result<Vec<Manifest>, Problems>>);

impl Clone for ReadOnce {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for ReadOnce {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for ReadOnce {}

impl fmt::Debug for ReadOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadOnce")
    }
}

impl Settings {
    /// The manifests as [`manifests`] reads them, but only at the first call: every step of a run sees the same objects, whatever
    /// is edited meanwhile, and looking does not cost a parse.
    pub fn objects(&self) -> Result<&[Manifest], Problems> {
        match self.manifests.read.0.get_or_init(|| manifests(self)) {
            Ok(all) => Ok(all),
            Err(problems) => Err(problems.clone()),
        }
    }
}

/// An object with the places of everything in it.
#[derive(Debug)]
pub(super) struct Document {
    pub file: PathBuf,
    pub yaml: Yaml,
}

/// Reads every manifest that the settings name, in the order of the paths, and checks them together: each object is named,
/// none stands twice, images are pinned, and all of it is what Kubernetes would take and what would work there. Traefik's file
/// is checked too, though it is not among the manifests.
///
/// Within a file the first malformed document ends the reading. What cannot be read is reported first, for all files together:
/// only a whole set of manifests tells what is missing in it. Then everything else, together.
pub fn manifests(settings: &Settings) -> Result<Vec<Manifest>, Problems> {
    let documents =
        read(&settings.base, &settings.manifests, settings.k3s.traefik.as_ref().map(|file| file.path.as_path()))?;
    let mut problems = Problems::default();
    twice(&documents, &mut problems);
    for document in &documents {
        images::check(document, &mut problems);
    }
    let written: Vec<Written<'_>> = documents.iter().map(Written::of).collect();
    judge::check(&documents, &written, settings, &mut problems);
    traefik::check(settings, &mut problems);
    let of =
        |(d, w): (&Document, Written<'_>)| Manifest { file: d.file.clone(), line: d.yaml.place.line, object: w.object };
    let manifests = documents.iter().zip(written).map(of).collect();
    let manifests = problems.or(manifests)?;
    Ok(match &settings.manifests.inward {
        Some(held) => hosts::named(inward::inward(manifests, held), &settings.manifests.names),
        None => manifests,
    })
}

/// Reads the files without comparing what is in them.
pub(super) fn read(
    base: &Path,
    settings: &ManifestSettings,
    traefik: Option<&Path>,
) -> Result<Vec<Document>, Problems> {
    let mut problems = Problems::default();
    let mut documents = Vec::new();
    let left_out = traefik.and_then(|file| std::fs::canonicalize(base.join(file)).ok());
    for path in &settings.paths {
        for file in files(&resolved(base, &path.to_string_lossy()), &mut problems) {
            if left_out.is_some() && std::fs::canonicalize(&file).ok() == left_out {
                continue;
            }
            read_file(&shown(&file), &file, &mut documents, &mut problems);
        }
    }
    problems.or(documents)
}

/// The file, or the manifests in the directory by name.
fn files(path: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let listed = std::fs::read_dir(path).and_then(std::iter::Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = match listed {
        Ok(entries) => entries,
        Err(why) => {
            let what = format!("manifests cannot be read ({why})");
            problems.add(&shown(path), Place::START, what, "correct manifests.paths or the directory's rights");
            return Vec::new();
        }
    };
    let known = |p: &Path| p.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
    let mut files: Vec<PathBuf> =
        entries.iter().map(std::fs::DirEntry::path).filter(|p| known(p) && p.is_file()).collect();
    files.sort();
    files
}

fn read_file(file: &Path, path: &Path, documents: &mut Vec<Document>, problems: &mut Problems) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(why) => {
            return problems.add(file, Place::START, format!("cannot be read ({why})"), "make it a readable UTF-8 text")
        }
    };
    match Yaml::documents(file, &text) {
        Ok(read) => read.into_iter().for_each(|yaml| expand(file, yaml, documents, problems)),
        Err(Problem { line, column, what, .. }) => {
            let remedy = "mend the YAML here or just before; what follows in this file was not read";
            problems.add(file, Place { line, column }, what, remedy);
        }
    }
}

/// One object, or those in a `List`.
fn expand(file: &Path, yaml: Yaml, documents: &mut Vec<Document>, problems: &mut Problems) {
    let text = |path: &[&str]| yaml.at(path).and_then(Yaml::text).filter(|t| !t.is_empty()).map(str::to_owned);
    let (version, kind, name) = (text(&["apiVersion"]), text(&["kind"]), text(&["metadata", "name"]));
    let is_list = kind.as_deref().is_some_and(|k| k.ends_with("List")) && yaml.get("items").is_some();
    if is_list {
        let items = yaml.get("items").map(Yaml::items).unwrap_or_default().to_vec();
        return items.into_iter().for_each(|item| expand(file, item, documents, problems));
    }
    let required = [(version.is_none(), "apiVersion"), (kind.is_none(), "kind"), (name.is_none(), "metadata.name")];
    let missing: Vec<&str> = required.into_iter().filter(|(m, _)| *m).map(|(_, field)| field).collect();
    if missing.is_empty() {
        return documents.push(Document { file: file.to_owned(), yaml });
    }
    let what = format!("an object without {}", missing.join(" and "));
    problems.add(file, yaml.place, what, "write it as a text: every applied object has these three");
}

fn twice(documents: &[Document], problems: &mut Problems) {
    let mut seen = std::collections::BTreeMap::new();
    for document in documents {
        let group = document.text(&["apiVersion"]).rsplit_once('/').map_or("", |(group, _)| group);
        let name = (group, document.kind(), document.namespace(), document.name());
        if let Some(first) = seen.insert(name, document) {
            let what = format!("{document} stands twice");
            let remedy = format!("keep one; the other is in {}:{}", first.file.display(), first.yaml.place.line);
            problems.add(&document.file, document.yaml.place, what, remedy);
        }
    }
}

/// Names of everything that has pods and stays.
pub(super) fn workload_names(documents: &[Document]) -> Vec<&str> {
    let stays = |d: &&Document| matches!(d.kind(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job");
    documents.iter().filter(stays).map(Document::name).collect()
}

impl Document {
    fn text(&self, path: &[&str]) -> &str {
        self.yaml.at(path).and_then(Yaml::text).unwrap_or_default()
    }
    fn kind(&self) -> &str {
        self.text(&["kind"])
    }
    fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }
    /// As kubectl has it: `default` where none is written.
    fn namespace(&self) -> &str {
        self.yaml.at(&["metadata", "namespace"]).and_then(Yaml::text).unwrap_or("default")
    }
    /// The pods that this object makes.
    fn pod(&self) -> Option<&Yaml> {
        match self.kind() {
            "Pod" => self.yaml.get("spec"),
            "CronJob" => self.yaml.at(&["spec", "jobTemplate", "spec", "template", "spec"]),
            _ => self.yaml.at(&["spec", "template", "spec"]),
        }
    }
    /// Containers of its pods, those that run first included.
    fn containers(&self) -> impl Iterator<Item = &Yaml> {
        let lists = ["initContainers", "containers"].into_iter().filter_map(|key| self.pod()?.get(key));
        lists.flat_map(Yaml::items)
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.yaml.at(&["metadata", "namespace"]).and_then(Yaml::text) {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind(), self.name()),
            None => write!(f, "{} {}", self.kind(), self.name()),
        }
    }
}

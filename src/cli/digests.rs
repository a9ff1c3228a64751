//! What a run is made of, by digests: so that a proof says of what, and `relight status` what has changed since.

use super::args::Global;
use super::binary;
use super::prepare::{self, Prepared};
use crate::actions::Mode;
use crate::config::Settings;
use crate::world::sha256_hex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The digests for the journal's first record. What cannot be read has none: the run's own steps will say so.
pub fn of(state: &Path, prepared: &Prepared) -> BTreeMap<String, String> {
    let settings = &prepared.settings;
    let mut all = files(prepared);
    all.extend(binary::digest(state).map(|digest| ("binary".to_owned(), digest)));
    all.insert("configuration".to_owned(), sha256_hex(configuration(&settings.record()).to_string().as_bytes()));
    all.insert("k3s".to_owned(), k3s(settings));
    all
}

/// The digests of the playbook, the scripts and the manifests.
pub fn files(prepared: &Prepared) -> BTreeMap<String, String> {
    let scripts = prepared.scripts.iter().map(|(name, text)| (format!("script {name}"), sha256_hex(text.as_bytes())));
    let mut all: BTreeMap<String, String> = scripts.collect();
    all.insert("playbook".to_owned(), prepared.plan.digest.clone());
    all.extend(manifests(&prepared.settings));
    all
}

/// A record of settings without what only tells how a rehearsal's differ: that follows from the rest of it, and holds paths
/// of this machine.
pub fn configuration(record: &Value) -> Value {
    let mut record = record.clone();
    if let Some(all) = record.as_object_mut() {
        all.remove("spare");
        all.remove("taken_down");
    }
    record
}

/// Each file of manifests as it is written, by its path below the configuration.
fn manifests(settings: &Settings) -> BTreeMap<String, String> {
    let objects = settings.objects().unwrap_or_default();
    let of = |file: &Path| {
        let whole = std::path::absolute(file).ok()?;
        let name = whole.strip_prefix(&settings.base).unwrap_or(file).display().to_string();
        Some((format!("manifest {name}"), sha256_hex(&std::fs::read(&whole).ok()?)))
    };
    let files: BTreeSet<&Path> = objects.iter().map(|manifest| manifest.file.as_path()).collect();
    files.into_iter().filter_map(of).collect()
}

/// `v1.34.6+k3s1`, and the digest where the configuration pins one.
fn k3s(settings: &Settings) -> String {
    let version = &settings.k3s.version;
    settings.k3s.sha256.as_ref().map_or_else(|| version.clone(), |digest| format!("{version} sha256:{digest}"))
}

/// The steps that a live run by this playbook has, and a rehearsal by it has not.
pub fn left_out(global: &Global, prepared: &Prepared, mode: Mode) -> Vec<String> {
    if mode == Mode::Live {
        return Vec::new();
    }
    let plan = || prepare::plan(&prepare::source(global)?, &prepared.plan.name, &prepared.settings, Mode::Live);
    let steps = plan().map(|plan| plan.steps).unwrap_or_default();
    let here = |id: &String| prepared.plan.steps.iter().any(|step| step.id == *id);
    steps.into_iter().map(|step| step.id).filter(|id| !here(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::history::Outlook;

    fn prepared(config: &Path) -> Prepared {
        let settings = crate::config::load(config).unwrap();
        let source = crate::playbook::Source::embedded();
        let plan = prepare::plan(&source, "rebuild", &settings, Mode::Live).unwrap();
        Prepared { plan, scripts: prepare::scripts(&source).unwrap(), settings, outlook: Outlook::default() }
    }

    #[test]
    fn everything_that_a_run_is_made_of_has_a_digest_by_its_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let prepared = prepared(&root.join("relight.yaml"));
        let home = tempfile::tempdir().unwrap();
        let all = of(home.path(), &prepared);
        let binary = sha256_hex(&std::fs::read(std::env::current_exe().unwrap()).unwrap());
        let manifest = sha256_hex(&std::fs::read(root.join("manifests/api.yaml")).unwrap());
        let has = |name: &str, digest: &str| assert_eq!(all.get(name).map(String::as_str), Some(digest), "{name}");
        has("binary", &binary);
        has("manifest manifests/api.yaml", &manifest);
        // As it goes to a node: with what it is put together from.
        has("script harden.sh", &sha256_hex(prepared.scripts["harden.sh"].as_bytes()));
        assert!(all["k3s"].starts_with('v') && all["playbook"].len() == 64, "{all:#?}");
    }

    #[test]
    fn how_a_rehearsal_differs_is_no_part_of_the_configurations_digest() {
        let live = crate::config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).unwrap();
        let record = configuration(&live.rehearsed().unwrap().record());
        assert!(record.get("spare").is_none() && record.get("rehearsal").is_some());
    }
}

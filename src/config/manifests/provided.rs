//! Every Secret and ConfigMap that an object wants is made by a manifest or by relight, or declared to be made elsewhere.

use super::super::problem::{known, nearest, Place, Problems};
use super::super::settings::{SecretContent, Settings};
use super::super::yaml::Yaml;
use super::Document;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is there: kind, `namespace/name`, and the keys where they are known.
type Provided = BTreeMap<(&'static str, String), Option<BTreeSet<String>>>;

/// One wish of an object.
struct Wanted<'a> {
    kind: &'static str,
    name: &'a str,
    key: Option<&'a Yaml>,
    place: Place,
}

pub(super) fn check(documents: &[Document], settings: &Settings, problems: &mut Problems) {
    let provided = provided(documents, settings);
    for document in documents {
        for wanted in wanted(document) {
            let full = format!("{}/{}", document.namespace(), wanted.name);
            // Kubernetes itself puts this one into every namespace.
            if (wanted.kind, wanted.name) == ("ConfigMap", "kube-root-ca.crt") {
                continue;
            }
            match (provided.get(&(wanted.kind, full.clone())), wanted.key) {
                (None, _) => {
                    let what = format!("{document} wants {} {full}, which nothing provides", wanted.kind);
                    problems.add(&document.file, wanted.place, what, remedy(&provided, wanted.kind, &full));
                }
                (Some(Some(keys)), Some(key)) if !keys.contains(key.text().unwrap_or_default()) => {
                    let text = key.text().unwrap_or_default();
                    let what =
                        format!("{document} wants key \"{text}\" of {} {full}, which has none such", wanted.kind);
                    let remedy = known(text, keys.iter().map(String::as_str), "it has no keys");
                    problems.add(&document.file, key.place, what, remedy);
                }
                _ => {}
            }
        }
    }
}

fn remedy(provided: &Provided, kind: &str, full: &str) -> String {
    let names = provided.keys().filter(|(k, _)| *k == kind).map(|(_, name)| name.as_str());
    match nearest(full, names) {
        Some(name) => format!("did you mean {name}?"),
        None if kind == "Secret" => format!("add {full} to secrets, or \"{kind} {full}\" to manifests.external"),
        None => format!("add a manifest for it, or \"{kind} {full}\" to manifests.external"),
    }
}

fn provided(documents: &[Document], settings: &Settings) -> Provided {
    let mut provided = Provided::new();
    for document in documents {
        let kind = match document.kind() {
            "Secret" => "Secret",
            "ConfigMap" => "ConfigMap",
            _ => continue,
        };
        let maps = ["data", "stringData", "binaryData"].into_iter().filter_map(|field| document.yaml.get(field));
        let keys = maps.flat_map(Yaml::entries).map(|(key, _)| key.name.clone()).collect();
        provided.insert((kind, format!("{}/{}", document.namespace(), document.name())), Some(keys));
    }
    for secret in &settings.secrets {
        let keys = match &secret.content {
            SecretContent::Keys { keys, .. } => keys.keys().cloned().collect(),
            SecretContent::Registry { .. } => BTreeSet::from([".dockerconfigjson".to_owned()]),
        };
        provided.insert(("Secret", format!("{}/{}", secret.namespace, secret.name)), Some(keys));
    }
    for external in &settings.manifests.external {
        match external.split_once(' ') {
            Some(("Secret", name)) => provided.insert(("Secret", name.to_owned()), None),
            Some(("ConfigMap", name)) => provided.insert(("ConfigMap", name.to_owned()), None),
            _ => None,
        };
    }
    provided
}

/// Everything that an object wants and cannot do without.
fn wanted(document: &Document) -> Vec<Wanted<'_>> {
    let mut wishes = Wishes(Vec::new());
    for container in document.containers() {
        for from in list(container, &["envFrom"]) {
            wishes.add("Secret", from.get("secretRef"), "name");
            wishes.add("ConfigMap", from.get("configMapRef"), "name");
        }
        for variable in list(container, &["env"]) {
            wishes.add("Secret", variable.at(&["valueFrom", "secretKeyRef"]), "name");
            wishes.add("ConfigMap", variable.at(&["valueFrom", "configMapKeyRef"]), "name");
        }
    }
    if let Some(pod) = document.pod() {
        for volume in list(pod, &["volumes"]) {
            wishes.add("Secret", volume.get("secret"), "secretName");
            wishes.add("ConfigMap", volume.get("configMap"), "name");
            for source in list(volume, &["projected", "sources"]) {
                wishes.add("Secret", source.get("secret"), "name");
                wishes.add("ConfigMap", source.get("configMap"), "name");
            }
        }
        for pull in list(pod, &["imagePullSecrets"]) {
            wishes.add("Secret", Some(pull), "name");
        }
    }
    let (path, field): (&[&str], &str) = match document.kind() {
        "ServiceAccount" => (&["imagePullSecrets"], "name"),
        "Ingress" => (&["spec", "tls"], "secretName"),
        _ => return wishes.0,
    };
    for reference in list(&document.yaml, path) {
        wishes.add("Secret", Some(reference), field);
    }
    wishes.0
}

/// The items of the list at the end of a path; none where there is no list.
fn list<'a>(yaml: &'a Yaml, path: &[&str]) -> &'a [Yaml] {
    yaml.at(path).map(Yaml::items).unwrap_or_default()
}

struct Wishes<'a>(Vec<Wanted<'a>>);

impl<'a> Wishes<'a> {
    /// Notes a reference, unless the object can do without.
    fn add(&mut self, kind: &'static str, reference: Option<&'a Yaml>, field: &str) {
        let Some(reference) = reference else { return };
        let optional = reference.get("optional").is_some_and(|o| o.to_json() == Value::Bool(true));
        let named = reference.get(field).and_then(|n| Some((n.text()?, n.place)));
        if let (Some((name, place)), false) = (named, optional) {
            self.0.push(Wanted { kind, name, key: reference.get("key"), place });
        }
    }
}

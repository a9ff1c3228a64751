//! A rebuilt cluster has only the namespaces that Kubernetes makes itself and those that the manifests make.

use super::super::problem::{known, Problems};
use super::Document;
use std::collections::BTreeSet;

/// Made by Kubernetes.
/// Source: Kubernetes, "Namespaces", initial namespaces.
const BUILT_IN: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Namespaces that will be there.
pub(in super::super) fn made(documents: &[Document]) -> BTreeSet<&str> {
    let own = documents.iter().filter(|d| d.kind() == "Namespace").map(Document::name);
    own.chain(BUILT_IN).collect()
}

/// What to do where a namespace is missing.
pub(in super::super) fn remedy(namespace: &str, made: &BTreeSet<&str>) -> String {
    let meant = known(namespace, made.iter().copied(), "");
    if meant.starts_with("did you mean") {
        meant
    } else {
        format!("add a manifest with the Namespace {namespace}")
    }
}

pub(super) fn check(documents: &[Document], problems: &mut Problems) {
    let made = made(documents);
    for document in documents {
        let Some(namespace) = document.yaml.at(&["metadata", "namespace"]) else { continue };
        let name = namespace.text().unwrap_or_default();
        if !made.contains(name) {
            let what = format!("{document}: nothing makes the namespace \"{name}\"");
            problems.add(&document.file, namespace.place, what, remedy(name, &made));
        }
    }
}

//! Every kind is one that the cluster will serve: Kubernetes' own, one that K3s brings, or one that a CustomResourceDefinition of
//! the manifests makes.

use super::super::kubernetes::{split_api_version, standing, Meant, Standing, MINOR};
use super::super::problem::{nearest, Place, Problem};
use super::super::yaml::Yaml;
use super::Document;
use serde_json::Value;

/// A kind that a CustomResourceDefinition makes.
struct Defined<'a> {
    group: &'a str,
    kind: &'a str,
    versions: Vec<&'a str>,
}

/// Every kind that nothing serves, with this release of K3s and what `manifests.external` declares.
pub(in super::super) fn check(documents: &[Document], external: &[String], k3s: &str) -> Vec<Problem> {
    let external = external.iter().filter_map(|e| e.strip_prefix("CustomResourceDefinition "));
    let external: Vec<&str> = external.filter_map(|name| name.split_once('.')).map(|(_, group)| group).collect();
    let defined: Vec<Defined<'_>> = documents.iter().filter_map(defined).collect();
    documents.iter().filter_map(|document| judged(document, &defined, &external, k3s)).collect()
}

fn defined(document: &Document) -> Option<Defined<'_>> {
    if document.kind() != "CustomResourceDefinition" {
        return None;
    }
    let served = |version: &&Yaml| version.get("served").is_none_or(|s| s.to_json() != Value::Bool(false));
    let versions = document.yaml.at(&["spec", "versions"]).map(Yaml::items).unwrap_or_default();
    Some(Defined {
        group: document.text(&["spec", "group"]),
        kind: document.text(&["spec", "names", "kind"]),
        versions: versions.iter().filter(served).filter_map(|v| v.get("name")?.text()).collect(),
    })
}

fn judged(document: &Document, defined: &[Defined<'_>], external: &[&str], k3s: &str) -> Option<Problem> {
    let (api_version, kind) = (document.text(&["apiVersion"]), document.kind());
    let (group, version) = split_api_version(api_version);
    let at_version = |what: String, remedy: String| problem(document, "apiVersion", &what, remedy);
    let at_kind = |what: String, remedy: String| problem(document, "kind", &what, remedy);
    let of_group: Vec<&Defined<'_>> = defined.iter().filter(|d| d.group == group).collect();
    if of_group.iter().any(|d| d.kind == kind && d.versions.contains(&version)) || external.contains(&group) {
        return None;
    }
    match standing(api_version, kind) {
        Standing::Served => None,
        // Another minor may serve what this one does not: then only what looks misspelt is told.
        Standing::NoKind(None) | Standing::NoVersion(_) if !same_minor(k3s) && group.contains('.') => None,
        Standing::NoKind(Some(Meant::Version(near, same))) if same == kind => {
            Some(at_version(format!("{api_version} has no kind \"{kind}\""), format!("did you mean \"{near}\"?")))
        }
        Standing::NoKind(meant) => {
            let remedy = match meant {
                Some(Meant::Kind(near)) => format!("did you mean \"{near}\"?"),
                Some(Meant::Version(near, other)) => format!("did you mean \"{other}\" of {near}?"),
                None => "look at `kubectl api-resources`".to_owned(),
            };
            Some(at_kind(format!("{api_version} has no kind \"{kind}\""), remedy))
        }
        Standing::NoVersion(near) => {
            let remedy = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "look at `kubectl api-versions`".to_owned(),
            };
            Some(at_version(format!("Kubernetes v1.{MINOR} does not serve \"{api_version}\""), remedy))
        }
        Standing::Custom(near) => {
            if let Some(same) = of_group.iter().find(|d| d.kind == kind) {
                let what = format!("its CustomResourceDefinition does not serve \"{version}\"");
                return Some(at_version(what, format!("versions it serves: {}", same.versions.join(", "))));
            }
            if let Some(near) = nearest(kind, of_group.iter().map(|d| d.kind)) {
                let what = format!("no CustomResourceDefinition makes the kind \"{kind}\" of {group}");
                return Some(at_kind(what, format!("did you mean \"{near}\"?")));
            }
            let remedy = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!(
                    "add its CustomResourceDefinition to the manifests, or, where a chart brings it, \
                     \"CustomResourceDefinition <plural>.{group}\" to manifests.external"
                ),
            };
            Some(at_version(format!("nothing makes the kind \"{kind}\" of {api_version}"), remedy))
        }
    }
}

/// Whether a release of K3s is of the Kubernetes that the tables are of.
fn same_minor(k3s: &str) -> bool {
    k3s.strip_prefix("v1.").and_then(|rest| rest.split_once('.')).is_some_and(|(minor, _)| minor == MINOR.to_string())
}

fn problem(document: &Document, key: &str, what: &str, remedy: String) -> Problem {
    let Place { line, column } = document.yaml.get(key).map_or(document.yaml.place, |value| value.place);
    Problem { file: document.file.clone(), line, column, what: format!("{document}: {what}"), remedy }
}

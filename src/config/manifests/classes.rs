//! What the objects name of the whole cluster: roles, and classes of storage, of ingresses and of priority. With one that nobody
//! makes a claim waits for ever, an ingress leads nowhere, and the API server refuses the pods.

use super::super::kubernetes::pod_path;
use super::super::problem::{nearest, Problem};
use super::super::settings::Settings;
use super::{pods, Written};
use serde_json::Value;

/// What a K3s cluster has of its own.
/// Sources: Kubernetes, "Using RBAC Authorization", user-facing roles, and "Pod Priority and Preemption"; K3s, "Volumes and
/// Storage" and "Networking Services", Traefik.
const OWN: [(&str, &[&str]); 4] = [
    ("ClusterRole", &["admin", "cluster-admin", "edit", "view"]),
    ("StorageClass", &["local-path"]),
    ("IngressClass", &["traefik"]),
    ("PriorityClass", &["system-cluster-critical", "system-node-critical"]),
];

/// How the names of roles begin that Kubernetes and K3s make for themselves.
const SYSTEM: [&str; 2] = ["system:", "k3s-"];

/// Every class and role that is there, by kind.
struct There<'a>(Vec<(&'a str, &'a str)>);

pub(super) fn check(all: &[Written<'_>], settings: &Settings, problems: &mut Vec<Problem>) {
    let own = OWN.iter().flat_map(|(kind, names)| names.iter().map(|name| (*kind, *name)));
    let external = settings.manifests.external.iter().filter_map(|e| e.split_once(' '));
    let made = all.iter().map(|w| (w.kind(), w.name()));
    // A claim and a volume made by hand find each other by the name of a class that nobody needs to make.
    let by_hand = all.iter().filter(|w| w.kind() == "PersistentVolume");
    let by_hand = by_hand.filter_map(|w| Some(("StorageClass", w.object.pointer("/spec/storageClassName")?.as_str()?)));
    let there = There(own.chain(external).chain(made).chain(by_hand).collect());
    for written in all {
        for (path, kind) in named(written) {
            there.find(written, &path, kind, problems);
        }
    }
}

/// The paths of the names in an object, and of which kind.
fn named(written: &Written<'_>) -> Vec<(String, &'static str)> {
    let one = |path: &str, kind| vec![(path.to_owned(), kind)];
    let mut all = match written.kind() {
        "Ingress" => one("spec.ingressClassName", "IngressClass"),
        "PersistentVolumeClaim" => one("spec.storageClassName", "StorageClass"),
        "StatefulSet" => (0..count(&written.object, "spec.volumeClaimTemplates"))
            .map(|i| (format!("spec.volumeClaimTemplates[{i}].spec.storageClassName"), "StorageClass"))
            .collect(),
        "RoleBinding" | "ClusterRoleBinding"
            if pods::at(&written.object, "roleRef.kind").and_then(Value::as_str) == Some("ClusterRole") =>
        {
            one("roleRef.name", "ClusterRole")
        }
        _ => Vec::new(),
    };
    if let Some(path) = pod_path(written.kind()) {
        all.push((format!("{path}.priorityClassName"), "PriorityClass"));
        for i in 0..count(&written.object, &format!("{path}.volumes")) {
            let claim = format!("{path}.volumes[{i}].ephemeral.volumeClaimTemplate.spec.storageClassName");
            all.push((claim, "StorageClass"));
        }
    }
    all
}

fn count(object: &Value, path: &str) -> usize {
    pods::at(object, path).and_then(Value::as_array).map_or(0, Vec::len)
}

impl There<'_> {
    fn find(&self, by: &Written<'_>, path: &str, kind: &str, problems: &mut Vec<Problem>) {
        // An empty name means that there shall be no class.
        let Some(name) = by.text(path).filter(|name| !name.is_empty()) else { return };
        let system = kind == "ClusterRole" && SYSTEM.iter().any(|begin| name.starts_with(begin));
        if system || self.0.contains(&(kind, name)) {
            return;
        }
        let remedy = match nearest(name, self.0.iter().filter(|(k, _)| *k == kind).map(|(_, name)| *name)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("add a manifest for it, or \"{kind} {name}\" to manifests.external"),
        };
        problems.push(by.problem(path, format!("wants {kind} \"{name}\", which nothing provides"), remedy));
    }
}

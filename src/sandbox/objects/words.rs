//! What lies in a cluster, in lines that do not depend on uids, times, addresses or generated names.

use super::read::{list, name, namespace, remove, text};
use super::store::Objects;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What others make of what is told here, or what lives for minutes: its names and contents are chance.
const PASSING: [&str; 7] = [
    "events",
    "events.events.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "leases.coordination.k8s.io",
    "pods",
    "replicasets.apps",
];
/// Given out by the cluster: another one each time.
const GIVEN: [(&str, &str); 9] = [
    ("/metadata", "uid"),
    ("/metadata", "resourceVersion"),
    ("/metadata", "creationTimestamp"),
    ("/metadata", "managedFields"),
    ("/spec", "clusterIP"),
    ("/spec", "clusterIPs"),
    ("/spec", "claimRef"),
    ("/spec", "volumeName"),
    ("", "status"),
];

fn digest(value: &Value) -> String {
    hex::encode(Sha256::digest(value.to_string().as_bytes())).chars().take(16).collect()
}

/// Every secret's values as digests: the same value has the same, and none is told.
fn concealed(object: &mut Value) {
    for part in ["data", "stringData"] {
        for value in object.get_mut(part).and_then(Value::as_object_mut).into_iter().flat_map(|m| m.values_mut()) {
            *value = digest(value).into();
        }
    }
}

/// Names that carry a uid, and references by uid, say only what they refer to.
fn without_uids(object: &mut Value) {
    if text(object, "/kind") == "PersistentVolume" {
        if let Some(name) = object.pointer_mut("/metadata/name") {
            *name = "pvc-...".into();
        }
        remove(object, "/spec", "local");
        remove(object, "/spec", "hostPath");
    }
    let owners = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    for owner in owners.into_iter().flatten() {
        remove(owner, "", "uid");
    }
}

/// Who owns which fields, but for when.
fn owners(object: &Value) -> String {
    let one = |entry: &Value| {
        let fields = digest(entry.get("fieldsV1").unwrap_or(&Value::Null));
        let (manager, how, part) = (text(entry, "/manager"), text(entry, "/operation"), text(entry, "/subresource"));
        format!("{manager} {how} {part} {fields}")
    };
    let mut all: Vec<String> = list(object, "/metadata/managedFields").iter().map(one).collect();
    all.sort();
    all.join("; ")
}

fn conditions(object: &Value) -> String {
    let one = |c: &Value| format!("{}={}", text(c, "/type"), text(c, "/status"));
    let mut all: Vec<String> = list(object, "/status/conditions").iter().map(one).collect();
    all.sort();
    all.join(" ")
}

impl Objects {
    /// Every object that lasts: kind, name, specification, labels, owners of its fields, conditions; secrets by their digests;
    /// and how many pods each owner has, in which phase.
    pub fn in_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for resource in self.resources().into_iter().filter(|r| !PASSING.contains(&r.as_str())) {
            for object in self.all(&resource) {
                let mut told = (*object).clone();
                for (at, field) in GIVEN {
                    remove(&mut told, at, field);
                }
                // The addresses of its pods and of itself are its server's business.
                if resource == "nodes" {
                    remove(&mut told, "/metadata", "annotations");
                }
                if resource == "secrets" {
                    concealed(&mut told);
                }
                without_uids(&mut told);
                lines.push(format!("{resource} {told} owned by [{}] [{}]", owners(&object), conditions(&object)));
            }
        }
        let mut pods: BTreeMap<String, usize> = BTreeMap::new();
        for pod in self.all("pods") {
            let owner = text(&pod, "/metadata/ownerReferences/0/kind");
            let of = match text(&pod, "/metadata/ownerReferences/0/name") {
                "" => name(&pod),
                owner => owner,
            };
            let images: Vec<&str> = list(&pod, "/spec/containers").iter().map(|c| text(c, "/image")).collect();
            let phase = text(&pod, "/status/phase");
            *pods.entry(format!("{} {owner} {of} {phase} {images:?}", namespace(&pod))).or_default() += 1;
        }
        lines.extend(pods.into_iter().map(|(pod, count)| format!("{count} pods of {pod}")));
        lines.sort();
        lines
    }
}

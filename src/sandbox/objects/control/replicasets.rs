//! ReplicaSets: as many pods as wanted. And what all owners of pods share.

use crate::sandbox::objects::read::{
    controller_uid, has_condition, is_leaving, map, name, namespace, number, set, text, uid,
};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A hash of a pod template in the alphabet of Kubernetes' names.
pub(super) fn template_hash(template: &Value) -> String {
    let digest = Sha256::digest(template.to_string().as_bytes());
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    digest
        .iter()
        .take(10)
        .map(|b| char::from(LETTERS.get(usize::from(*b) % LETTERS.len()).copied().unwrap_or(b'x')))
        .collect()
}

/// Whether a pod counts as ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    has_condition(pod, "Ready", "True") && !is_leaving(pod)
}

/// The reference by which `owner` manages something.
pub(super) fn owned_by(owner: &Value) -> Value {
    json!([{"apiVersion": owner.get("apiVersion"), "kind": owner.get("kind"), "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true}])
}

/// A pod made from an owner's template.
pub(super) fn pod_from(owner: &Value, template: &Value, pod_name: &str, labels: &[(&str, &str)]) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": template.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({}))});
    set(&mut pod, &["metadata", "name"], pod_name);
    set(&mut pod, &["metadata", "namespace"], namespace(owner));
    set(&mut pod, &["metadata", "ownerReferences"], owned_by(owner));
    for (key, value) in labels {
        set(&mut pod, &["metadata", "labels", key], *value);
    }
    pod
}

impl Objects {
    /// The pods that an owner manages.
    pub(super) fn pods_of(&self, owner: &Value) -> Vec<Arc<Value>> {
        self.within("pods", namespace(owner)).into_iter().filter(|p| controller_uid(p) == uid(owner)).collect()
    }
    /// The pods that still count: neither leaving nor ended.
    pub(super) fn live_pods_of(&self, owner: &Value) -> Vec<Arc<Value>> {
        let ended = |p: &Value| matches!(text(p, "/status/phase"), "Succeeded" | "Failed");
        self.pods_of(owner).into_iter().filter(|p| !is_leaving(p) && !ended(p)).collect()
    }
    pub(super) fn keep_replica_sets(&mut self) {
        for set in self.all("replicasets.apps").into_iter().filter(|s| !is_leaving(s)) {
            self.keep_replica_set(&set);
        }
    }
    fn keep_replica_set(&mut self, owner: &Value) {
        let wanted = usize::try_from(number(owner, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
        let template = owner.pointer("/spec/template").cloned().unwrap_or_default();
        let mut pods = self.live_pods_of(owner);
        for _ in pods.len()..wanted {
            let pod_name = format!("{}-{}", name(owner), self.suffix());
            let mut pod = pod_from(owner, &template, &pod_name, &[]);
            set(&mut pod, &["metadata", "generateName"], format!("{}-", name(owner)));
            self.make(pod);
            self.event(owner, false, "SuccessfulCreate", &format!("Created pod: {pod_name}"));
        }
        // The least useful go first: unscheduled, then not ready, then the youngest.
        pods.sort_by_key(|p| {
            (
                !text(p, "/spec/nodeName").is_empty(),
                is_ready(p),
                std::cmp::Reverse(text(p, "/metadata/resourceVersion").len()),
            )
        });
        for pod in pods.iter().take(pods.len().saturating_sub(wanted)) {
            self.event(owner, false, "SuccessfulDelete", &format!("Deleted pod: {}", name(pod)));
            self.discard("pods", namespace(pod), name(pod));
        }
        let pods = self.live_pods_of(owner);
        let ready = pods.iter().filter(|p| is_ready(p)).count();
        let generation = number(owner, "/metadata/generation");
        self.edit("replicasets.apps", namespace(owner), name(owner), |o| {
            let labels = map(owner, "/spec/template/metadata/labels").map_or(0, serde_json::Map::len);
            set(o, &["status", "replicas"], pods.len());
            set(o, &["status", "fullyLabeledReplicas"], if labels == 0 { 0 } else { pods.len() });
            set(o, &["status", "readyReplicas"], ready);
            set(o, &["status", "availableReplicas"], ready);
            set(o, &["status", "observedGeneration"], generation);
        });
    }
}

//! What stands inside one object's pods: names that are told apart by, and volumes that are mounted.

use super::judge::{list, text, Findings};
use crate::config::nearest;
use serde_json::Value;
use std::collections::BTreeSet;

/// The path of the pods' specification in an object of a kind that makes pods.
pub fn pod_path(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("spec"),
        "CronJob" => Some("spec.jobTemplate.spec.template.spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some("spec.template.spec")
        }
        _ => None,
    }
}

/// Source: `ValidatePodSpec` of k8s.io/kubernetes v1.34. It leaves a StatefulSet's mounts to its controller, which knows the
/// claims' volumes: here they are counted among the volumes.
pub(super) fn check(object: &Value, found: &mut Findings) {
    let Some(path) = pod_path(text(object, "kind")) else { return };
    let Some(pod) = path.split('.').try_fold(object, |here, key| here.get(key)) else { return };
    let claims = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten();
    let claims: Vec<&str> = claims.filter_map(|claim| claim.pointer("/metadata/name")?.as_str()).collect();
    let volumes: Vec<&str> = list(pod, "volumes").iter().map(|v| text(v, "name")).chain(claims).collect();
    once(list(pod, "volumes"), "name", &format!("{path}.volumes"), found);
    let mut names = BTreeSet::new();
    for of in ["initContainers", "containers"] {
        for (i, container) in list(pod, of).iter().enumerate() {
            let path = format!("{path}.{of}[{i}]");
            let name = text(container, "name");
            if !name.is_empty() && !names.insert(name) {
                found.add(format!("{path}.name"), format!("a container \"{name}\" stands twice"), "name it otherwise");
            }
            once(list(container, "ports"), "name", &format!("{path}.ports"), found);
            once(list(container, "volumeMounts"), "mountPath", &format!("{path}.volumeMounts"), found);
            mounts(container, &path, &volumes, found);
        }
    }
    if list(pod, "containers").is_empty() && pod.get("containers").is_some() {
        found.add(format!("{path}.containers"), "it is empty", "write at least one");
    }
}

fn once(items: &[Value], field: &str, path: &str, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (i, item) in items.iter().enumerate() {
        let name = text(item, field);
        if !name.is_empty() && !seen.insert(name) {
            let what = format!("{field} \"{name}\" stands twice");
            found.add(format!("{path}[{i}].{field}"), what, "keep one of the two, or name it otherwise");
        }
    }
}

fn mounts(container: &Value, path: &str, volumes: &[&str], found: &mut Findings) {
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let Some(name) = mount.get("name").and_then(Value::as_str).filter(|name| !volumes.contains(name)) else {
            continue;
        };
        let remedy = match nearest(name, volumes.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "add it to the pod's volumes, or correct it".to_owned(),
        };
        found.add(
            format!("{path}.volumeMounts[{i}].name"),
            format!("it mounts a volume \"{name}\" that the pod has not"),
            remedy,
        );
    }
}

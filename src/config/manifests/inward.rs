//! Manifests of a cluster that must not act on the outside: what is named is held at zero, and so is all that writes into
//! others' DNS, orders certificates, or works by the clock.

use super::Manifest;
use serde_json::{json, Value};

/// API groups whose objects make a controller act on the outside: orders of certificates, records in DNS.
/// Sources: cert-manager's and external-dns' custom resources.
const OUTWARD_GROUPS: [&str; 3] = ["cert-manager.io", "acme.cert-manager.io", "externaldns.k8s.io"];

/// Images of controllers that do so: the last part of their path begins with one of these.
const OUTWARD_IMAGES: [&str; 2] = ["external-dns", "cert-manager"];

/// The manifests with these workloads held at zero, and without what acts on the outside.
pub(super) fn inward(manifests: Vec<Manifest>, held: &[String]) -> Vec<Manifest> {
    manifests
        .into_iter()
        .filter(|m| !OUTWARD_GROUPS.contains(&group(&m.object)))
        .map(|mut m| {
            let name = m.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let named = held.iter().any(|h| h == name);
            hold(&mut m.object, named);
            m
        })
        .collect()
}

fn group(object: &Value) -> &str {
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group)
}

fn hold(object: &mut Value, named: bool) {
    let held = named || outward(object);
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match kind.as_str() {
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" if held => {
            spec.insert("replicas".to_owned(), json!(0));
        }
        "Job" if held => {
            spec.insert("suspend".to_owned(), json!(true));
        }
        // Whatever works by the clock works on the outside's data sooner or later: none does in a rehearsal.
        "CronJob" => {
            spec.insert("suspend".to_owned(), json!(true));
        }
        // A DaemonSet has no count: no node has this label.
        "DaemonSet" if held => {
            let path = "/template/spec";
            let mut whole = Value::Object(std::mem::take(spec));
            if let Some(pod) = whole.pointer_mut(path).and_then(Value::as_object_mut) {
                pod.insert("nodeSelector".to_owned(), json!({ "relight/held": "true" }));
            }
            if let Value::Object(map) = whole {
                *spec = map;
            }
        }
        _ => {}
    }
}

fn outward(object: &Value) -> bool {
    let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let mut images = containers.into_iter().flatten().filter_map(|c| c.get("image").and_then(Value::as_str));
    images.any(|image| {
        let last = image.rsplit('/').next().unwrap_or_default();
        OUTWARD_IMAGES.iter().any(|begin| last.starts_with(begin))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(object: Value) -> Manifest {
        Manifest { file: "m.yaml".into(), line: 1, object }
    }

    fn objects(all: Vec<Value>, held: &[&str]) -> Vec<Value> {
        let held: Vec<String> = held.iter().map(|h| (*h).to_owned()).collect();
        inward(all.into_iter().map(manifest).collect(), &held).into_iter().map(|m| m.object).collect()
    }

    #[test]
    fn what_is_named_is_held_and_nothing_else_changes() {
        let web = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": { "replicas": 2 } });
        let worker =
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "worker" }, "spec": {} });
        let agent = json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "agent" }, "spec": { "template": { "spec": {} } } });
        let job = json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "nightly" }, "spec": { "schedule": "0 0 * * *" } });
        let end = objects(vec![web.clone(), worker, agent, job], &["worker", "agent"]);
        assert_eq!(end[0], web);
        assert_eq!(end[1]["spec"]["replicas"], 0);
        assert_eq!(end[2].pointer("/spec/template/spec/nodeSelector"), Some(&json!({ "relight/held": "true" })));
        assert_eq!(end[3]["spec"], json!({ "schedule": "0 0 * * *", "suspend": true }));
    }

    #[test]
    fn what_orders_certificates_or_writes_dns_is_left_out_or_held() {
        let issuer = json!({ "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": { "name": "le" }, "spec": {} });
        let spec = json!({ "replicas": 1, "template": { "spec": { "containers": [{ "image": "registry.k8s.io/external-dns/external-dns:v0.19.0" }] } } });
        let dns = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "dns" }, "spec": spec });
        let end = objects(vec![issuer, dns], &[]);
        assert_eq!(end.len(), 1);
        assert_eq!(end[0]["spec"]["replicas"], 0);
    }
}

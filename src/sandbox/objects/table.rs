//! Tables, as `kubectl get` asks for them. Columns are those of kubernetes' `pkg/printers/internalversion/printers.go`.

use super::kinds::Served;
use super::read::{list, map, name, number, text, unstamp};
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

/// A column's name, whether only `-o wide` shows it, and its cell.
type Column = (&'static str, bool, fn(&Value, Duration) -> Value);

fn joined(items: impl Iterator<Item = String>) -> Value {
    let all: Vec<_> = items.collect();
    if all.is_empty() {
        json!("<none>")
    } else {
        json!(all.join(","))
    }
}
fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { "<none>" } else { text })
}
fn age(object: &Value, now: Duration) -> Value {
    let seconds = now.saturating_sub(unstamp(text(object, "/metadata/creationTimestamp"))).as_secs();
    json!(match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    })
}
fn count(object: &Value, pointer: &str) -> Value {
    json!(number(object, pointer).unwrap_or(0))
}

fn node_status(node: &Value, _: Duration) -> Value {
    let ready =
        list(node, "/status/conditions").iter().any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
    let cordoned = node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true);
    json!(format!("{}{}", if ready { "Ready" } else { "NotReady" }, if cordoned { ",SchedulingDisabled" } else { "" }))
}
fn node_roles(node: &Value, _: Duration) -> Value {
    joined(
        map(node, "/metadata/labels")
            .into_iter()
            .flat_map(|l| l.keys())
            .filter_map(|k| k.strip_prefix("node-role.kubernetes.io/"))
            .map(str::to_owned),
    )
}
fn pod_status(pod: &Value, _: Duration) -> Value {
    if super::read::is_leaving(pod) {
        return json!("Terminating");
    }
    let state = |word: &str| text(pod, &format!("/status/containerStatuses/0/state/{word}/reason")).to_owned();
    let waiting = [state("waiting"), state("terminated")].into_iter().find(|r| !r.is_empty());
    json!(waiting.unwrap_or_else(|| text(pod, "/status/phase").to_owned()))
}
fn pod_ready(pod: &Value, _: Duration) -> Value {
    let ready =
        list(pod, "/status/containerStatuses").iter().filter(|c| c.get("ready") == Some(&Value::Bool(true))).count();
    json!(format!("{ready}/{}", list(pod, "/spec/containers").len()))
}
fn restarts(pod: &Value, _: Duration) -> Value {
    json!(list(pod, "/status/containerStatuses")
        .iter()
        .filter_map(|c| number(c, "/restartCount"))
        .sum::<i64>()
        .to_string())
}
fn ports(service: &Value, _: Duration) -> Value {
    joined(
        list(service, "/spec/ports")
            .iter()
            .map(|p| format!("{}/{}", number(p, "/port").unwrap_or(0), text(p, "/protocol"))),
    )
}
fn hosts(ingress: &Value, _: Duration) -> Value {
    joined(list(ingress, "/spec/rules").iter().map(|r| {
        if text(r, "/host").is_empty() {
            "*".into()
        } else {
            text(r, "/host").to_owned()
        }
    }))
}
fn addresses(object: &Value, _: Duration) -> Value {
    json!(list(object, "/status/loadBalancer/ingress").iter().map(|i| text(i, "/ip")).collect::<Vec<_>>().join(","))
}
fn address_of(node: &Value, kind: &str) -> Value {
    or_none(
        list(node, "/status/addresses").iter().find(|a| text(a, "/type") == kind).map_or("", |a| text(a, "/address")),
    )
}
fn ready_of(object: &Value, _: Duration) -> Value {
    json!(format!("{}/{}", count(object, "/status/readyReplicas"), count(object, "/spec/replicas")))
}
fn job_status(job: &Value, _: Duration) -> Value {
    let done = |kind: &str| super::read::has_condition(job, kind, "True");
    json!(if done("Complete") {
        "Complete"
    } else if done("Failed") {
        "Failed"
    } else {
        "Running"
    })
}

const NAME: Column = ("Name", false, |o, _| json!(name(o)));
const AGE: Column = ("Age", false, age);

fn columns(served: &Served) -> Vec<Column> {
    let middle: &[Column] = match (served.group.as_str(), served.kind.as_str()) {
        ("", "Node") => &[
            ("Status", false, node_status),
            ("Roles", false, node_roles),
            AGE,
            ("Version", false, |o, _| json!(text(o, "/status/nodeInfo/kubeletVersion"))),
            ("Internal-IP", true, |o, _| address_of(o, "InternalIP")),
            ("External-IP", true, |o, _| address_of(o, "ExternalIP")),
            ("OS-Image", true, |o, _| json!(text(o, "/status/nodeInfo/osImage"))),
        ],
        ("", "Pod") => &[
            ("Ready", false, pod_ready),
            ("Status", false, pod_status),
            ("Restarts", false, restarts),
            AGE,
            ("IP", true, |o, _| or_none(text(o, "/status/podIP"))),
            ("Node", true, |o, _| or_none(text(o, "/spec/nodeName"))),
        ],
        ("", "Namespace") => &[("Status", false, |o, _| json!(text(o, "/status/phase"))), AGE],
        ("", "Service") => &[
            ("Type", false, |o, _| json!(text(o, "/spec/type"))),
            ("Cluster-IP", false, |o, _| or_none(text(o, "/spec/clusterIP"))),
            ("External-IP", false, |o, _| or_none(addresses(o, Duration::ZERO).as_str().unwrap_or_default())),
            ("Port(s)", false, ports),
            AGE,
        ],
        ("", "Secret") => &[
            ("Type", false, |o, _| json!(text(o, "/type"))),
            ("Data", false, |o, _| json!(map(o, "/data").map_or(0, serde_json::Map::len))),
            AGE,
        ],
        ("", "ConfigMap") => &[("Data", false, |o, _| json!(map(o, "/data").map_or(0, serde_json::Map::len))), AGE],
        ("", "PersistentVolumeClaim") => &[
            ("Status", false, |o, _| json!(text(o, "/status/phase"))),
            ("Volume", false, |o, _| json!(text(o, "/spec/volumeName"))),
            ("Capacity", false, |o, _| json!(text(o, "/status/capacity/storage"))),
            ("StorageClass", false, |o, _| json!(text(o, "/spec/storageClassName"))),
            AGE,
        ],
        ("", "Event") => &[
            ("Last Seen", false, age),
            ("Type", false, |o, _| json!(text(o, "/type"))),
            ("Reason", false, |o, _| json!(text(o, "/reason"))),
            ("Object", false, |o, _| {
                json!(format!("{}/{}", text(o, "/involvedObject/kind").to_lowercase(), text(o, "/involvedObject/name")))
            }),
            ("Message", false, |o, _| json!(text(o, "/message"))),
        ],
        ("apps", "Deployment") => &[
            ("Ready", false, ready_of),
            ("Up-to-date", false, |o, _| count(o, "/status/updatedReplicas")),
            ("Available", false, |o, _| count(o, "/status/availableReplicas")),
            AGE,
        ],
        ("apps", "StatefulSet") => &[("Ready", false, ready_of), AGE],
        ("apps", "ReplicaSet") => &[
            ("Desired", false, |o, _| count(o, "/spec/replicas")),
            ("Current", false, |o, _| count(o, "/status/replicas")),
            ("Ready", false, |o, _| count(o, "/status/readyReplicas")),
            AGE,
        ],
        ("apps", "DaemonSet") => &[
            ("Desired", false, |o, _| count(o, "/status/desiredNumberScheduled")),
            ("Current", false, |o, _| count(o, "/status/currentNumberScheduled")),
            ("Ready", false, |o, _| count(o, "/status/numberReady")),
            ("Up-to-date", false, |o, _| count(o, "/status/updatedNumberScheduled")),
            ("Available", false, |o, _| count(o, "/status/numberAvailable")),
            AGE,
        ],
        ("batch", "Job") => &[
            ("Status", false, job_status),
            ("Completions", false, |o, _| {
                json!(format!("{}/{}", count(o, "/status/succeeded"), count(o, "/spec/completions")))
            }),
            AGE,
        ],
        ("networking.k8s.io", "Ingress") => &[
            ("Class", false, |o, _| or_none(text(o, "/spec/ingressClassName"))),
            ("Hosts", false, hosts),
            ("Address", false, addresses),
            ("Ports", false, |o, _| json!(if list(o, "/spec/tls").is_empty() { "80" } else { "80, 443" })),
            AGE,
        ],
        _ => &[("Created At", false, |o, _| json!(text(o, "/metadata/creationTimestamp")))],
    };
    if served.kind == "Event" {
        return middle.to_vec();
    }
    [&[NAME], middle].concat()
}

/// A `Table` of objects.
pub fn of(served: &Served, objects: &[Arc<Value>], revision: u64, now: Duration) -> Value {
    let columns = columns(served);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|(title, wide, _)| {
            json!({"name": title, "type": "string", "format": if *title == "Name" { "name" } else { "" }, "description": "", "priority": i32::from(*wide)})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|o| {
            let cells: Vec<Value> = columns.iter().map(|(_, _, cell)| cell(o, now)).collect();
            let metadata =
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o.get("metadata")});
            json!({"cells": cells, "object": metadata})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision.to_string()},
        "columnDefinitions": definitions, "rows": rows})
}

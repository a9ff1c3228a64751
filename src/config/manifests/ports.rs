//! Probes and hooks name ports of their own container: one that it has not is never asked, and the pod never ready.

use super::super::kubernetes::pod_path;
use super::super::problem::{nearest, Problem};
use super::Written;
use serde_json::Value;

/// Where a container names one of its ports.
/// Source: Kubernetes API reference v1.34, `HTTPGetAction.port` and `TCPSocketAction.port`.
const NAMED: [&str; 5] =
    ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop"];

pub(super) fn check(written: &Written<'_>, problems: &mut Vec<Problem>) {
    let Some(path) = pod_path(written.kind()) else { return };
    let Some(pod) = at(&written.object, path) else { return };
    for of in ["initContainers", "containers"] {
        for (i, container) in items(pod, of).iter().enumerate() {
            for (named, by) in NAMED.iter().flat_map(|named| [(named, "httpGet"), (named, "tcpSocket")]) {
                let Some(name) = at(container, &format!("{named}.{by}.port")).and_then(Value::as_str) else { continue };
                let has: Vec<&str> = items(container, "ports").iter().filter_map(|p| p.get("name")?.as_str()).collect();
                if has.contains(&name) {
                    continue;
                }
                let remedy = match nearest(name, has) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "name one of the container's ports so, or write a number".to_owned(),
                };
                let what = format!("{named} asks port \"{name}\", which the container has not");
                problems.push(written.problem(&format!("{path}.{of}[{i}].{named}.{by}.port"), what, remedy));
            }
        }
    }
}

/// The value at a path of plain keys.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |here, key| here.get(key))
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

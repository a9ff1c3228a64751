//! What a workload says of its pods: that it finds them again, and that there is a node for them.

use super::super::kubernetes::{pod_path, selects};
use super::super::problem::Problem;
use super::super::settings::Settings;
use super::Written;
use serde_json::Value;

/// Domains of labels that Kubernetes, K3s and the cloud put on nodes themselves.
/// Source: Kubernetes, "Well-Known Labels, Annotations and Taints".
const WELL_KNOWN: [&str; 3] = ["kubernetes.io", "k8s.io", "cattle.io"];

/// The value at a path of plain keys.
pub(super) fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |here, key| here.get(key))
}

pub(super) fn check(written: &Written<'_>, settings: &Settings, problems: &mut Vec<Problem>) {
    selector(written, problems);
    spread(written, settings, problems);
    let Some(path) = pod_path(written.kind()) else { return };
    let Some(Value::Object(wanted)) = at(&written.object, path).and_then(|pod| pod.get("nodeSelector")) else { return };
    // Another type than a text is told by its type.
    let own = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    let own: Vec<(String, String)> = wanted.iter().filter_map(own).filter(|(key, _)| !well_known(key)).collect();
    let has = |labels: &std::collections::BTreeMap<String, String>, (key, value): &(String, String)| {
        labels.get(key) == Some(value)
    };
    if settings.nodes.iter().any(|node| own.iter().all(|label| has(&node.labels, label))) {
        return;
    }
    // One that no node has at all is the likeliest mistake.
    let missing = own.iter().find(|label| !settings.nodes.iter().any(|node| has(&node.labels, label)));
    let Some((key, value)) = missing.or(own.first()) else { return };
    let what = format!("no node has what nodeSelector wants (\"{key}: {value}\"): its pods would wait for ever");
    let place = format!("{path}.nodeSelector.{key}");
    problems.push(written.problem_at_key(&place, what, "add the label to a node in `nodes`, or correct it here"));
}

fn well_known(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    WELL_KNOWN.iter().any(|known| domain.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Where there are fewer domains than `minDomains`, the emptiest of them counts as holding none: each takes `maxSkew` pods and no
/// more, and with `DoNotSchedule` the rest wait for ever.
/// Source: Kubernetes, "Pod Topology Spread Constraints".
fn spread(written: &Written<'_>, settings: &Settings, problems: &mut Vec<Problem>) {
    if !matches!(written.kind(), "Deployment" | "StatefulSet" | "ReplicaSet") {
        return;
    }
    let path = "spec.template.spec.topologySpreadConstraints";
    let replicas = at(&written.object, "spec.replicas").map_or(Some(1), Value::as_u64).unwrap_or_default();
    let nodes = u64::try_from(settings.nodes.len()).unwrap_or(u64::MAX);
    let all = at(&written.object, path).and_then(Value::as_array);
    for (place, constraint) in all.into_iter().flatten().enumerate() {
        let is = |key: &str, word: &str| constraint.get(key).and_then(Value::as_str) == Some(word);
        let number = |key: &str| constraint.get(key).and_then(Value::as_u64);
        let (Some(domains), Some(skew)) = (number("minDomains"), number("maxSkew").filter(|skew| *skew > 0)) else {
            continue;
        };
        let room = nodes.saturating_mul(skew);
        let strict = is("whenUnsatisfiable", "DoNotSchedule") && is("topologyKey", "kubernetes.io/hostname");
        if strict && domains > nodes && replicas > room {
            let of = if nodes == 1 { "node" } else { "nodes" };
            let what = format!(
                "minDomains {domains} on {nodes} {of}: only {room} of {replicas} pods would ever have a place, and the rest wait for \
                 ever"
            );
            let remedy = format!("write replicas: {room}, no minDomains above {nodes}, or more nodes in `nodes`");
            problems.push(written.problem_at_key(&format!("{path}[{place}].minDomains"), what, remedy));
        }
    }
}

/// The API server refuses a workload whose selector does not select its own pods.
fn selector(written: &Written<'_>, problems: &mut Vec<Problem>) {
    if !matches!(written.kind(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") {
        return;
    }
    let part = |path| at(&written.object, path);
    let (Some(selector), Some(template)) = (part("spec.selector"), part("spec.template")) else { return };
    if !selects(selector, template) {
        let what = "spec.selector does not match the labels of spec.template";
        let remedy = "write the same labels in spec.selector.matchLabels and spec.template.metadata.labels";
        problems.push(written.problem_at_key("spec.selector", what, remedy));
    }
}

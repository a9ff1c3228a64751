//! The scheduler: which node a pod goes to, or why none.

use crate::sandbox::objects::read::{
    condition, controller_uid, has_condition, is_leaving, list, map, name, namespace, set, text,
};
use crate::sandbox::objects::selector::Labels;
use crate::sandbox::objects::store::Objects;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a pod tolerates a taint.
fn tolerates(pod: &Value, taint: &Value) -> bool {
    list(pod, "/spec/tolerations").iter().any(|t| {
        let key = text(t, "/key");
        let same_key = key.is_empty() || key == text(taint, "/key");
        let same_value = text(t, "/operator") == "Exists" || text(t, "/value") == text(taint, "/value");
        let same_effect = matches!(text(t, "/effect"), "") || text(t, "/effect") == text(taint, "/effect");
        same_key && same_value && same_effect
    })
}

/// Whether a node's labels satisfy the terms of a node selector, one of which is enough.
fn terms_match(terms: &[Value], node: &Value) -> bool {
    terms.iter().any(|term| {
        let names = list(term, "/matchFields")
            .iter()
            .all(|f| list(f, "/values").iter().any(|v| v.as_str() == Some(name(node))));
        names && Labels::of(term).matches(node)
    })
}

/// Whether a pod may be on a node, apart from other pods and volumes; the reason in the scheduler's words where not.
pub(super) fn fits_node(pod: &Value, node: &Value, daemon: bool) -> Result<(), String> {
    for taint in list(node, "/spec/taints").iter().filter(|t| text(t, "/effect") != "PreferNoSchedule") {
        // A DaemonSet's pods stay on, and come to, nodes that are not ready.
        let of_readiness =
            daemon && matches!(text(taint, "/key"), "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable");
        if !of_readiness && !tolerates(pod, taint) {
            return Err(format!(
                "node(s) had untolerated taint {{{}: {}}}",
                text(taint, "/key"),
                text(taint, "/value")
            ));
        }
    }
    if !daemon && node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
        return Err("node(s) were unschedulable".into());
    }
    let labels = map(node, "/metadata/labels");
    let selected =
        map(pod, "/spec/nodeSelector").is_none_or(|s| s.iter().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v)));
    let terms =
        list(pod, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    if !selected || (!terms.is_empty() && !terms_match(terms, node)) {
        return Err("node(s) didn't match Pod's node affinity/selector".into());
    }
    Ok(())
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    map(object, "/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str).unwrap_or_default()
}

impl Objects {
    pub(super) fn schedule(&mut self) {
        let waiting: Vec<_> =
            self.all("pods").into_iter().filter(|p| text(p, "/spec/nodeName").is_empty() && !is_leaving(p)).collect();
        for pod in waiting {
            match self.place_for(&pod) {
                Ok(node) => {
                    let now = self.now;
                    self.edit("pods", namespace(&pod), name(&pod), |p| {
                        set(p, &["spec", "nodeName"], node.clone());
                        condition(p, now, "PodScheduled", "True", "", "");
                    });
                    self.event(
                        &pod,
                        false,
                        "Scheduled",
                        &format!("Successfully assigned {}/{} to {node}", namespace(&pod), name(&pod)),
                    );
                }
                Err(why) => {
                    let now = self.now;
                    self.edit("pods", namespace(&pod), name(&pod), |p| {
                        condition(p, now, "PodScheduled", "False", "Unschedulable", &why);
                    });
                    if !has_condition(&pod, "PodScheduled", "False") {
                        self.event(&pod, true, "FailedScheduling", &why);
                    }
                }
            }
        }
    }
    fn place_for(&self, pod: &Value) -> Result<String, String> {
        let nodes = self.all("nodes");
        let others: Vec<_> = self.all("pods").into_iter().filter(|p| !text(p, "/spec/nodeName").is_empty()).collect();
        if let Some(claim) = self.missing_claim(pod) {
            return Err(format!("0/{} nodes are available: persistentvolumeclaim \"{claim}\" not found.", nodes.len()));
        }
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut best: Option<((usize, usize, String), String)> = None;
        for node in &nodes {
            let fits = fits_node(pod, node, false)
                .and_then(|()| self.volumes_fit(pod, node))
                .and_then(|()| neighbours_fit(pod, node, &nodes, &others));
            if let Err(why) = fits {
                *reasons.entry(why).or_default() += 1;
                continue;
            }
            let here = |p: &&Arc<Value>| text(p, "/spec/nodeName") == name(node) && !is_leaving(p);
            let siblings = others.iter().filter(here).filter(|p| controller_uid(p) == controller_uid(pod)).count();
            let rank = (siblings, others.iter().filter(here).count(), name(node).to_owned());
            if best.as_ref().is_none_or(|(b, _)| rank < *b) {
                best = Some((rank, name(node).to_owned()));
            }
        }
        let words: Vec<_> = reasons.iter().map(|(why, count)| format!("{count} {why}")).collect();
        best.map(|(_, node)| node).ok_or_else(|| {
            if nodes.is_empty() {
                "no nodes available to schedule pods".to_owned()
            } else {
                format!("0/{} nodes are available: {}.", nodes.len(), words.join(", "))
            }
        })
    }
}

/// Spread constraints, anti-affinity and host ports: what depends on the pods that are there.
fn neighbours_fit(pod: &Value, node: &Value, nodes: &[Arc<Value>], others: &[Arc<Value>]) -> Result<(), String> {
    let home = |p: &Value| nodes.iter().find(|n| name(n) == text(p, "/spec/nodeName"));
    let counted = |selector: &Labels, key: &str, value: &str| {
        let near = |p: &&Arc<Value>| {
            namespace(p) == namespace(pod)
                && !is_leaving(p)
                && selector.matches(p)
                && home(p).is_some_and(|n| label(n, key) == value)
        };
        others.iter().filter(near).count()
    };
    for term in list(pod, "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution") {
        let key = text(term, "/topologyKey");
        let selector = Labels::of(term.get("labelSelector").unwrap_or(&Value::Null));
        if counted(&selector, key, label(node, key)) > 0 {
            return Err("node(s) didn't match pod anti-affinity rules".into());
        }
    }
    for spread in
        list(pod, "/spec/topologySpreadConstraints").iter().filter(|s| text(s, "/whenUnsatisfiable") == "DoNotSchedule")
    {
        let key = text(spread, "/topologyKey");
        let selector = Labels::of(spread.get("labelSelector").unwrap_or(&Value::Null));
        let eligible = nodes.iter().filter(|n| fits_node(pod, n, false).is_ok() || !list(n, "/spec/taints").is_empty());
        let domains: BTreeMap<&str, usize> =
            eligible.map(|n| (label(n, key), counted(&selector, key, label(n, key)))).collect();
        // Fewer domains than there must be count as if an empty one were there. Source: kubernetes.io, "Pod Topology Spread
        // Constraints", minDomains.
        let wanted =
            spread.get("minDomains").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        let least = if domains.len() < wanted { 0 } else { domains.values().copied().min().unwrap_or(0) };
        let most = spread.get("maxSkew").and_then(Value::as_u64).and_then(|s| usize::try_from(s).ok()).unwrap_or(1);
        if counted(&selector, key, label(node, key)) + 1 > least + most {
            return Err("node(s) didn't match pod topology spread constraints".into());
        }
    }
    let ports = host_ports(pod);
    let taken = others
        .iter()
        .filter(|p| text(p, "/spec/nodeName") == name(node))
        .any(|p| host_ports(p).iter().any(|h| ports.contains(h)));
    if taken {
        return Err("node(s) didn't have free ports for the requested pod ports".into());
    }
    Ok(())
}

fn host_ports(pod: &Value) -> Vec<i64> {
    let ports = list(pod, "/spec/containers").iter().flat_map(|c| list(c, "/ports"));
    ports.filter_map(|p| p.get("hostPort").and_then(Value::as_i64)).collect()
}

//! Workloads that must never run twice: two living clusters that run the same one break a promise.

use super::model::ClusterView;
use super::objects::Objects;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `namespace/name` of every Deployment that must never run twice (strategy `Recreate`, one replica) and has a pod running on
/// a node that is alive.
fn running_singletons(objects: &Objects, cluster: &ClusterView) -> BTreeSet<String> {
    let alive: BTreeSet<&str> = cluster.nodes.iter().filter(|n| n.ready).map(|n| n.name.as_str()).collect();
    let runs = |p: &&Arc<Value>| text(p, "/status/phase") == "Running" && alive.contains(text(p, "/spec/nodeName"));
    let pods = objects.all("pods");
    let owner = |p: &Arc<Value>| {
        let (deployment, _) = text(p, "/metadata/ownerReferences/0/name").rsplit_once('-')?;
        Some(format!("{}/{deployment}", text(p, "/metadata/namespace")))
    };
    let running: BTreeSet<String> = pods.iter().filter(runs).filter_map(owner).collect();
    let singleton = |d: &&Arc<Value>| {
        let one = d.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1) <= 1;
        one && text(d, "/spec/strategy/type") == "Recreate"
    };
    let deployments = objects.all("deployments.apps");
    let name = |d: &Arc<Value>| format!("{}/{}", text(d, "/metadata/namespace"), text(d, "/metadata/name"));
    deployments.iter().filter(singleton).map(name).filter(|name| running.contains(name)).collect()
}

/// Which singletons were seen in two clusters at once.
#[derive(Debug, Default)]
pub(super) struct Twins {
    seen: BTreeSet<String>,
    new: Vec<String>,
}

impl Twins {
    /// Looks at all clusters; each finding is kept once.
    pub fn look(&mut self, clusters: &[ClusterView], objects: &BTreeMap<String, Objects>) {
        let alive: Vec<_> = clusters.iter().filter(|c| c.nodes.iter().any(|n| n.ready)).collect();
        if alive.len() < 2 {
            return;
        }
        let running = alive.into_iter().filter_map(|c| Some(running_singletons(objects.get(&c.uid)?, c)));
        let mut once = BTreeSet::new();
        for name in running.flatten() {
            if !once.insert(name.clone()) && self.seen.insert(name.clone()) {
                self.new.push(format!("two clusters run {name}"));
            }
        }
    }
    /// What was found since it was last asked.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.new)
    }
}

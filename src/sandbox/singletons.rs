//! Workloads that must never run twice: two pods of one at the same time, in one cluster or in two, break a promise.

use super::model::{ClusterView, Reaches};
use super::objects::Objects;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn home(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// `namespace/name` of every Deployment that must never run twice: strategy `Recreate`, one replica.
fn singletons(objects: &Objects) -> BTreeSet<String> {
    let singleton = |d: &&Arc<Value>| {
        let one = d.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1) <= 1;
        one && text(d, "/spec/strategy/type") == "Recreate"
    };
    objects.all("deployments.apps").iter().filter(singleton).map(|d| home(d)).collect()
}

/// For each running pod the Deployment it is of, as `namespace/name`. Pods run where the node is alive; on one that is cut off
/// they reach nobody, and count as fenced.
fn running(objects: &Objects, cluster: &ClusterView) -> Vec<String> {
    let alive = cluster.nodes.iter().filter(|n| n.ready && n.reaches != Reaches::Nobody);
    let alive: BTreeSet<&str> = alive.map(|n| n.name.as_str()).collect();
    let runs = |p: &&Arc<Value>| text(p, "/status/phase") == "Running" && alive.contains(text(p, "/spec/nodeName"));
    let owner = |p: &Arc<Value>| {
        let (deployment, _) = text(p, "/metadata/ownerReferences/0/name").rsplit_once('-')?;
        Some(format!("{}/{deployment}", text(p, "/metadata/namespace")))
    };
    objects.all("pods").iter().filter(runs).filter_map(owner).collect()
}

/// Which singletons were seen with two pods at once, over all clusters.
#[derive(Debug, Default)]
pub(super) struct Twins {
    seen: BTreeSet<String>,
    new: Vec<String>,
    /// What the last look was at: most calls change nothing.
    last: Vec<u64>,
}

impl Twins {
    /// Looks at all clusters, unless nothing has changed; `news` says that their nodes have. Each finding is kept once.
    pub fn look(&mut self, news: bool, clusters: &[ClusterView], objects: &BTreeMap<String, Objects>) {
        let revisions: Vec<u64> = objects.values().map(Objects::revision).collect();
        if !news && revisions == self.last {
            return;
        }
        self.last = revisions;
        let all = || clusters.iter().filter_map(|c| Some((c, objects.get(&c.uid)?)));
        let never_twice: BTreeSet<String> = all().flat_map(|(_, objects)| singletons(objects)).collect();
        let mut once = BTreeSet::new();
        for name in all().flat_map(|(cluster, objects)| running(objects, cluster)) {
            if never_twice.contains(&name) && !once.insert(name.clone()) && self.seen.insert(name.clone()) {
                self.new.push(format!("two pods of {name} run at once"));
            }
        }
    }
    /// What was found since it was last asked.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.new)
    }
}

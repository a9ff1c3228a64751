//! The boundary to the model of Kubernetes' objects: what it is told about clusters and nodes, and what it is asked.

use super::faults::Stage;
use super::{Caller, Entry, FaultKind, LedgerOutcome, Model};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A node of a K3s cluster, as Kubernetes sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is another thing that may be so or not")]
pub struct NodeView {
    /// The Kubernetes node's name.
    pub name: String,
    /// `node-ip`: the address towards its peers.
    pub internal: Ipv4Addr,
    /// Public address.
    pub external: Option<Ipv4Addr>,
    /// Whether kubelet and containers run.
    pub ready: bool,
    /// Whom what runs there reaches.
    pub reaches: Reaches,
    /// Whether its etcd member votes.
    pub voter: bool,
    /// `node-label` of its configuration.
    pub labels: BTreeMap<String, String>,
    /// `v1.34.6+k3s1`.
    pub version: String,
    /// Clock time at which it registered.
    pub registered: Duration,
    /// Another value after every boot: its containers start anew.
    pub boot_id: String,
}

/// Whom the pods of a node reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaches {
    /// Everybody.
    All,
    /// Not the API server of every server, at the address that it advertises.
    NotEveryApi,
    /// Nobody: the cloud's firewalls let nothing in and nothing out.
    Nobody,
}

/// A K3s cluster whose API server has been up at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// Tells one cluster from another, over all restarts.
    pub uid: String,
    /// `v1.34.6+k3s1`.
    pub version: String,
    /// Whether etcd can agree: without it nothing changes, and what runs goes on.
    pub quorum: bool,
    /// Text of the HelmChartConfig that lay on the first server's disk, empty for none.
    pub traefik: String,
    /// Clock time at which it first answered.
    pub since: Duration,
    /// Registered nodes, by name.
    pub nodes: Vec<NodeView>,
}

/// A model of Kubernetes' objects and controllers.
pub trait Workloads: Send {
    /// Lets everything happen until `now`. Called after every change of the outside and at least at every call to the model.
    fn advance(&mut self, now: Duration, clusters: &[ClusterView]);
    /// Promises it has seen broken since it was last asked, such as a singleton that runs in two clusters; they go into the
    /// ledger.
    fn broken(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// What port 80 of this node answers for the host and path (Traefik and what is behind it); `None` where nothing listens.
    fn serving(&mut self, now: Duration, cluster: &str, node: &str, host: &str, path: &str) -> Option<(u16, String)>;
}

/// No objects: nothing ever listens on port 80.
pub(super) struct Nothing;

impl Workloads for Nothing {
    fn advance(&mut self, _now: Duration, _clusters: &[ClusterView]) {}
    fn serving(
        &mut self,
        _now: Duration,
        _cluster: &str,
        _node: &str,
        _host: &str,
        _path: &str,
    ) -> Option<(u16, String)> {
        None
    }
}

impl Model {
    /// The fault planned for a request to the API server on this node (`kube.read`, `kube.write`), before it is carried out or
    /// `after`.
    pub fn api_fault(&mut self, node: Ipv4Addr, writes: bool, after: bool) -> Option<FaultKind> {
        let op = if writes { "kube.write" } else { "kube.read" };
        let stage = if after { Stage::After } else { Stage::Before };
        self.faults.take(stage, op, &node.to_string())
    }
    /// Writes an effect on Kubernetes' objects into the ledger; `why` it did not happen, or `unsure` whether it did.
    pub fn note_objects(&mut self, who: &Caller, what: &str, why: Option<String>, unsure: bool) {
        let outcome = match why {
            Some(why) if !unsure => LedgerOutcome::Refused(why),
            _ => LedgerOutcome::Applied,
        };
        self.ledger.entries.push(Entry {
            at: self.now,
            who: who.clone(),
            op: "kube.write".to_owned(),
            target: what.to_owned(),
            id: None,
            labels: BTreeMap::new(),
            project: None,
            names: Vec::new(),
            outcome,
            reply_lost: unsure,
        });
    }
    /// All K3s clusters as Kubernetes' objects are told of them.
    pub fn cluster_views(&self) -> Vec<ClusterView> {
        self.clusters.values().map(|cluster| self.cluster_view(cluster)).collect()
    }
    pub(super) fn tell_workloads(&mut self) {
        if self.clusters.is_empty() {
            return;
        }
        let views = self.cluster_views();
        self.workloads.advance(self.now, &views);
        self.ledger.broken.extend(self.workloads.broken());
    }
}

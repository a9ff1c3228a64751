//! What lies outside the datastore: kubelets, running containers, alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A node as its kubelet is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// The server's name, which is the Kubernetes node's.
    pub name: String,
    /// InternalIP: the address of `node-ip`.
    pub address: String,
    /// Whether K3s runs there and reports.
    pub ready: bool,
    /// Whether its pods reach the API servers.
    pub api: bool,
    /// Labels that the kubelet registers with (`node-label`).
    pub labels: BTreeMap<String, String>,
    /// `v1.34.6+k3s1`.
    pub version: String,
    /// Whether its etcd member votes.
    pub voter: bool,
    /// Another value after a reboot: its containers start anew.
    pub boot: String,
}

/// A kubelet as the control plane knows it.
#[derive(Debug, Clone)]
pub(super) struct Kubelet {
    pub view: NodeView,
    /// Since when it reports, or no longer does.
    pub since: Duration,
    /// Whether it has registered its node since it began to report.
    pub registered: bool,
}

/// Where a pod's containers are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Volumes are awaited or images pulled until then.
    Creating(Duration),
    /// Not startable: reason and message.
    Blocked(String, String),
    /// Running, and ready from then on.
    Running { since: Duration, ready: Duration },
    /// Running, and will end badly then.
    Failing { since: Duration, ends: Duration },
    /// Ended badly, and started again then.
    Crashed { ended: Duration, again: Duration },
    /// Running to its end then.
    Working { since: Duration, ends: Duration },
    /// Ended well (or, `false`, badly for good).
    Ended(Duration, bool),
}

/// A pod's containers.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub stage: Stage,
    pub restarts: u32,
    pub boot: String,
    pub ip: String,
    /// The pod's revision after its status was last written, and whether it was ready then.
    pub shown: (String, bool),
}

/// Everything outside the datastore.
#[derive(Debug, Clone)]
pub(super) struct Machines {
    pub kubelets: BTreeMap<String, Kubelet>,
    pub runs: BTreeMap<String, Run>,
    /// When which controller looks again, by its place among them.
    pub alarms: BTreeSet<(Duration, usize)>,
    pub pulled: BTreeSet<(String, String)>,
    /// Until when the slow starters of each one-at-a-time rule are busy.
    pub busy: BTreeMap<String, Duration>,
    pub quorum: bool,
}

impl Default for Machines {
    fn default() -> Self {
        Self {
            kubelets: BTreeMap::new(),
            runs: BTreeMap::new(),
            alarms: BTreeSet::new(),
            pulled: BTreeSet::new(),
            busy: BTreeMap::new(),
            quorum: true,
        }
    }
}

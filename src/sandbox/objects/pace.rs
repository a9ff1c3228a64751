//! How long things take in the sandbox's cluster, and what goes wrong in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long containers of an image take from their start until the application answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Startup {
    /// Containers whose image contains this text.
    pub image: String,
    /// Start until the application answers.
    pub takes: Duration,
    /// One at a time in the whole cluster, as database migrations behind a lock are.
    pub one_at_a_time: bool,
}

/// Latencies in clock time, and faults. All of it may be changed while the cluster lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// A node's registration until its network plugin is up.
    pub node_ready: Duration,
    /// Image pull, once for each image on each node.
    pub pull: Duration,
    /// Creation of a pod's sandbox and containers.
    pub start: Duration,
    /// Start until ready, where no [`Startup`] says otherwise.
    pub ready: Duration,
    /// Deletion until a pod is gone.
    pub terminate: Duration,
    /// Run of a job's pod.
    pub job: Duration,
    /// Binding of a volume.
    pub bind: Duration,
    /// Start until a crashing container ends.
    pub crash: Duration,
    /// Silence of a kubelet until its node is NotReady (kube-controller-manager `--node-monitor-grace-period`; 40 s until
    /// Kubernetes 1.31).
    pub grace: Duration,
    /// Slow starters.
    pub startup: Vec<Startup>,
    /// Images that cannot be pulled (the name contains it).
    pub broken_images: BTreeSet<String>,
    /// Images whose containers crash (the name contains it).
    pub crashing: BTreeSet<String>,
    /// Registries that want a pull secret, by host.
    pub private_registries: BTreeSet<String>,
    /// What the application behind an Ingress host answers on a path, by `host/path`; the longest that fits counts.
    pub bodies: BTreeMap<String, (u16, String)>,
    /// A container's log by text that its image contains.
    pub logs: BTreeMap<String, String>,
}

impl Pace {
    /// As on small cloud servers. The values are estimates from use, not measurements.
    pub fn real() -> Self {
        let ms = Duration::from_millis;
        Self {
            node_ready: ms(8_000),
            pull: ms(6_000),
            start: ms(1_500),
            ready: ms(3_000),
            terminate: ms(3_000),
            job: ms(7_000),
            bind: ms(3_000),
            crash: ms(2_000),
            grace: ms(40_000),
            startup: Vec::new(),
            broken_images: BTreeSet::new(),
            crashing: BTreeSet::new(),
            private_registries: BTreeSet::new(),
            bodies: BTreeMap::new(),
            logs: BTreeMap::new(),
        }
    }
    /// Everything at once, but for the time until a silent node is NotReady.
    pub fn instant() -> Self {
        let zero = Duration::ZERO;
        Self {
            node_ready: zero,
            pull: zero,
            start: zero,
            ready: zero,
            terminate: zero,
            job: zero,
            bind: zero,
            crash: zero,
            ..Self::real()
        }
    }
}

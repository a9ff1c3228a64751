//! The model as a whole, and how time passes in it.

use super::{
    cloud::Project, dns::Zones, etcd::K3sCluster, machine::Machine, workloads::Nothing, AddressPool, Faults, Latency,
    Ledger, Offer, Seeded, Workloads,
};
use crate::world::KnownHostKeys;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is due at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// An action of a project ends.
    ActionEnds { project: usize, action: i64 },
    /// A unit on a server's machine ends.
    UnitEnds { server: i64, unit: String, turn: u64 },
    /// The timed revert of a machine's hardening.
    Revert { server: i64, turn: u64 },
    /// The time at which a machine powers itself off.
    Expires { server: i64, turn: u64 },
    /// K3s on a machine goes on: first server serves, another asks to join, a restarted one serves again.
    K3s { server: i64, turn: u64 },
    /// A cluster's leader looks for learners.
    Tick { cluster: String },
}

/// The emulated outside: cloud projects, DNS, machines, K3s clusters, with a ledger and planned faults.
///
/// Deterministic: the same seed and the same calls at the same times give the same world. Every public call that takes `now`
/// first lets happen what was due until then; a `now` before the last one counts as the last one.
pub struct Model {
    /// Faults planned for the outside.
    pub faults: Faults,
    /// Every attempted effect.
    pub ledger: Ledger,
    /// How long things take.
    pub latency: Latency,
    /// What the cloud sells.
    pub offer: Offer,
    /// The address from which relight and other clients reach the cloud: what firewalls judge.
    pub operator: Ipv4Addr,
    /// Public SSH keys that the operator has: what relight offers where it logs in as them.
    pub operators_keys: Vec<String>,
    /// What the operator's SSH client knows, by address.
    pub known_hosts: BTreeMap<Ipv4Addr, KnownHostKeys>,
    /// SHA-256 of the K3s binary by version and architecture (`v1.34.6+k3s1/amd64`), where it is not the model's own.
    pub releases: BTreeMap<String, String>,
    pub(super) uid: String,
    pub(super) now: Duration,
    pub(super) random: Seeded,
    pub(super) last_id: i64,
    pub(super) turn: u64,
    pub(super) queue: BTreeMap<(Duration, u64), Due>,
    pub(super) projects: Vec<Project>,
    pub(super) addresses: AddressPool,
    pub(super) machines: BTreeMap<i64, Machine>,
    pub(super) clusters: BTreeMap<String, K3sCluster>,
    pub(super) zones: Zones,
    pub(super) edge_turn: u64,
    pub(super) workloads: Box<dyn Workloads>,
    pub(super) kubeconfigs: Box<dyn KubeconfigIssuer>,
}

/// Makes the admin kubeconfig of a new K3s cluster. A network door puts one here that issues real certificates.
pub trait KubeconfigIssuer: Send {
    /// The kubeconfig as K3s writes it: server `https://127.0.0.1:6443`, everything named `default`.
    fn issue(&mut self, cluster: &str) -> String;
}

/// Credentials that only the model itself accepts: enough where no TLS is spoken.
struct OwnKubeconfigs;

impl KubeconfigIssuer for OwnKubeconfigs {
    fn issue(&mut self, cluster: &str) -> String {
        let data = |what: &str| data_encoding::BASE64.encode(format!("sandbox {what} of cluster {cluster}").as_bytes());
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://127.0.0.1:6443\n  \
             name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\n\
             current-context: default\nkind: Config\nusers:\n- name: default\n  user:\n    client-certificate-data: {}\n    \
             client-key-data: {}\n",
            data("authority"),
            data("client"),
            data("key"),
        )
    }
}

/// The model as doors share it.
pub type Shared = Arc<Mutex<Model>>;

/// The model behind its lock, even after a panic elsewhere: a test's panic must not hide the world from the next look.
pub fn lock(model: &Shared) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Model {
    /// An empty outside: no project, no zone, at this clock time. Public addresses come from `base`'s /24.
    pub fn new(seed: u64, base: Ipv4Addr, latency: Latency, now: Duration) -> Self {
        let mut random = Seeded::new(seed);
        Self {
            faults: Faults::default(),
            ledger: Ledger::default(),
            latency,
            offer: Offer::default(),
            operator: Ipv4Addr::new(198, 51, 100, 1),
            operators_keys: Vec::new(),
            known_hosts: BTreeMap::new(),
            releases: BTreeMap::new(),
            uid: random.hex(8),
            now,
            random,
            last_id: 1000,
            turn: 0,
            queue: BTreeMap::new(),
            projects: Vec::new(),
            addresses: AddressPool::new(base),
            machines: BTreeMap::new(),
            clusters: BTreeMap::new(),
            zones: Zones::default(),
            edge_turn: 0,
            workloads: Box::new(Nothing),
            kubeconfigs: Box::new(OwnKubeconfigs),
        }
    }
    /// For sharing between doors.
    pub fn shared(self) -> Shared {
        Arc::new(Mutex::new(self))
    }
    /// Puts a model of Kubernetes' objects behind the nodes.
    pub fn set_workloads(&mut self, workloads: Box<dyn Workloads>) {
        self.workloads = workloads;
    }
    /// Puts another issuer of kubeconfigs here; concerns clusters that start later.
    pub fn set_kubeconfigs(&mut self, issuer: Box<dyn KubeconfigIssuer>) {
        self.kubeconfigs = issuer;
    }
    /// Tells this sandbox from another.
    pub fn uid(&self) -> &str {
        &self.uid
    }
    /// The time of the last call.
    pub fn now(&self) -> Duration {
        self.now
    }
    /// Lets everything happen that is due until `now`, in order.
    pub fn advance(&mut self, now: Duration) {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            let due = entry.remove();
            self.now = self.now.max(at);
            self.happen(due);
            self.tell_workloads();
        }
        self.now = self.now.max(now);
        self.tell_workloads();
    }
    /// When the next thing is due, for a door that wants to wait exactly that long.
    pub fn next_due(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::ActionEnds { project, action } => self.action_ends(project, action),
            Due::UnitEnds { server, unit, turn } => self.unit_ends(server, &unit, turn),
            Due::Revert { server, turn } => self.revert(server, turn),
            Due::Expires { server, turn } => self.expires(server, turn),
            Due::K3s { server, turn } => self.k3s_goes_on(server, turn),
            Due::Tick { cluster } => self.promote(&cluster),
        }
    }
    pub(super) fn plan(&mut self, after: Duration, due: Due) {
        let turn = self.next_turn();
        self.queue.insert((self.now + after, turn), due);
    }
    pub(super) fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
    pub(super) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

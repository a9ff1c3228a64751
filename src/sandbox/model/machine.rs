//! The machine behind a server: power, boot, cloud-init, users, host keys, firewall, what scripts have set.

use super::expiry::Expiry;
use super::k3s::K3sNode;
use super::state::Due;
use super::things::bare_key;
use super::units::Unit;
use super::{CloudConfig, CloudServer, Model, Seeded};
use russh::keys::ssh_key::{private::Ed25519Keypair, LineEnding, PrivateKey};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// An SSH host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// `ssh-ed25519 AAAA...`.
    pub public: String,
    /// In OpenSSH's form, for a door that really speaks SSH.
    pub private: String,
}

impl HostKey {
    /// A key made of the model's own randomness: nobody else's secret.
    pub(super) fn make(random: &mut Seeded) -> Self {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
        Self {
            public: key.public_key().to_openssh().map(|k| bare_key(&k)).unwrap_or_default(),
            private: key.to_openssh(LineEnding::LF).map(|k| k.to_string()).unwrap_or_default(),
        }
    }
}

/// What `harden.sh` has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hardened {
    pub user: String,
    pub keys: BTreeSet<String>,
    pub pod_cidr: String,
    pub service_cidr: String,
    pub api_access: BTreeSet<String>,
}

impl Hardened {
    pub fn of(input: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| input.get(key).cloned().unwrap_or_default();
        let keys = text("AUTHORIZED_KEYS").lines().map(bare_key).filter(|k| !k.is_empty()).collect();
        Self {
            user: text("DEPLOY_USER"),
            keys,
            pod_cidr: text("POD_CIDR"),
            service_cidr: text("SERVICE_CIDR"),
            api_access: text("API_ACCESS").split_whitespace().map(str::to_owned).collect(),
        }
    }
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(format!("{self:?}").as_bytes()))
    }
}

/// What a hardening changes, so that a revert can put it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub hardened: Option<Hardened>,
    pub users: BTreeMap<String, BTreeSet<String>>,
    pub root_login: bool,
}

/// The machine behind a server.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub project: usize,
    pub server: i64,
    pub hostname: String,
    pub os: String,
    pub public: Option<Ipv4Addr>,
    pub private: Vec<Ipv4Addr>,
    pub on_since: Option<Duration>,
    pub boot_id: String,
    pub fresh: bool,
    pub cloud_init_error: bool,
    image_keys: Vec<String>,
    user_data: String,
    pub host_key: HostKey,
    pub next_host_key: Option<HostKey>,
    pub access: Access,
    /// What to go back to, and which revert is planned, until it is confirmed.
    pub armed: Option<(Access, u64)>,
    pub peers: BTreeSet<Ipv4Addr>,
    pub late: bool,
    pub units: BTreeMap<String, Unit>,
    pub k3s: K3sNode,
    pub expiry: Option<Expiry>,
}

impl Machine {
    pub fn new(project: usize, server: &CloudServer, keys: &[String], random: &mut Seeded) -> Self {
        Self {
            project,
            server: server.id,
            hostname: server.name.clone(),
            os: server.image.name.clone(),
            public: server.public.as_ref().map(|p| p.address),
            private: server.private.iter().map(|p| p.address).collect(),
            on_since: None,
            boot_id: String::new(),
            fresh: true,
            cloud_init_error: false,
            image_keys: keys.to_vec(),
            user_data: server.user_data.clone(),
            host_key: HostKey::make(random),
            next_host_key: None,
            access: Access { hardened: None, users: BTreeMap::new(), root_login: true },
            armed: None,
            peers: BTreeSet::new(),
            late: false,
            units: BTreeMap::new(),
            k3s: K3sNode::default(),
            expiry: None,
        }
    }
    /// What cloud-init does at the first boot, before sshd starts.
    fn first_boot(&mut self) {
        self.fresh = false;
        let root: BTreeSet<String> = self.image_keys.iter().map(|k| bare_key(k)).collect();
        self.access.users.insert("root".to_owned(), root);
        let Ok(config) = CloudConfig::parse(&self.user_data) else {
            self.cloud_init_error = true;
            return;
        };
        for (user, keys) in config.users {
            self.access.users.entry(user).or_default().extend(keys.iter().map(|k| bare_key(k)));
        }
        self.expiry = config.powers_off.map(Expiry::at);
        if let (Some(private), Some(public)) = (config.host_private, config.host_public) {
            self.host_key = HostKey { public: bare_key(&public), private };
        }
    }
    pub fn admits_user(&self, user: &str, public_key: &str) -> bool {
        let may = user != "root" || self.access.root_login;
        may && self.access.users.get(user).is_some_and(|keys| keys.contains(&bare_key(public_key)))
    }
    pub fn is(&self, address: Ipv4Addr) -> bool {
        self.public == Some(address) || self.private.contains(&address)
    }
}

/// A node as a test or `sandbox status` may look at it: never through SSH, always the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineView {
    /// The server's id.
    pub server: i64,
    /// The host name: the server's name when it was made.
    pub hostname: String,
    /// Public address.
    pub public: Option<Ipv4Addr>,
    /// Private addresses.
    pub private: Vec<Ipv4Addr>,
    /// Powered on.
    pub on: bool,
    /// Changes with every boot.
    pub boot_id: String,
    /// The host key that sshd serves.
    pub host_key: HostKey,
    /// Digest of the hardening that is set, where it is.
    pub hardened: Option<String>,
    /// A revert of the hardening is armed.
    pub armed: bool,
    /// Addresses that the firewall lets in as peers.
    pub peers: Vec<Ipv4Addr>,
    /// Public keys that may log in, by user.
    pub users: BTreeMap<String, BTreeSet<String>>,
    /// Whether root may log in.
    pub root_login: bool,
    /// K3s: `absent`, `installed`, `starting`, `running`, `failed`.
    pub k3s: &'static str,
    /// What is in `config.yaml` of K3s; null where it is not installed.
    pub k3s_config: Value,
    /// The K3s cluster it belongs to.
    pub cluster: Option<String>,
    /// When it powers itself off, where it still will.
    pub powers_off: Option<Duration>,
}

impl Model {
    /// Every machine, powered on or not.
    pub fn machines(&self) -> Vec<MachineView> {
        let view = |m: &Machine| MachineView {
            server: m.server,
            hostname: m.hostname.clone(),
            public: m.public,
            private: m.private.clone(),
            on: m.on_since.is_some(),
            boot_id: m.boot_id.clone(),
            host_key: m.host_key.clone(),
            hardened: m.access.hardened.as_ref().map(Hardened::digest),
            armed: m.armed.is_some(),
            peers: m.peers.iter().copied().collect(),
            users: m.access.users.clone(),
            root_login: m.access.root_login,
            k3s: m.k3s.word(),
            k3s_config: m.k3s.installed.as_ref().map(|i| i.config.clone()).unwrap_or_default(),
            cluster: m.k3s.cluster.clone(),
            powers_off: m.expiry.map(|expiry| expiry.at),
        };
        self.machines.values().map(view).collect()
    }
    pub(super) fn machine_on(&mut self, server: i64) {
        let boot_id = self.random.uuid();
        let now = self.now;
        let Some(machine) = self.machines.get_mut(&server) else { return };
        machine.on_since = Some(now);
        machine.boot_id = boot_id;
        let first = machine.fresh;
        if first {
            machine.first_boot();
        }
        self.wait_for_expiry(server, first);
        // The timer of an unconfirmed hardening lies on disk and starts anew.
        self.wind_up(server);
        self.k3s_boots(server);
    }
    /// The power goes: what ran is gone, and `/run` with the units' results is forgotten.
    pub(super) fn machine_off(&mut self, server: i64) {
        let Some(machine) = self.machines.get_mut(&server) else { return };
        machine.on_since = None;
        machine.units.clear();
        machine.k3s.stop();
    }
    /// A rebuild: a clean disk, and everything of the first boot anew.
    pub(super) fn machine_wiped(&mut self, project: usize, server: i64) {
        self.machine_off(server);
        let Some(old) = self.machines.remove(&server) else { return };
        let Ok(shape) = self.find_server(project, server).cloned() else { return };
        let machine = Machine::new(project, &shape, &old.image_keys, &mut self.random);
        self.machines.insert(server, machine);
    }
    /// Gives an armed revert its whole time (again).
    pub(super) fn wind_up(&mut self, server: i64) {
        let turn = self.next_turn();
        let Some(armed) = self.machines.get_mut(&server).and_then(|m| m.armed.as_mut()) else { return };
        armed.1 = turn;
        self.plan(self.latency.revert, Due::Revert { server, turn });
    }
    /// Takes back a hardening that was never confirmed.
    pub(super) fn revert(&mut self, server: i64, turn: u64) {
        let Some(machine) = self.machines.get_mut(&server) else { return };
        if machine.armed.as_ref().is_some_and(|(_, planned)| *planned == turn) {
            if let Some((before, _)) = machine.armed.take() {
                machine.access = before;
            }
        }
    }
    pub(super) fn machine_at(&self, address: Ipv4Addr) -> Option<&Machine> {
        // Private addresses of different networks may be the same: whoever asks for one knows its project.
        self.machines.values().find(|m| m.public == Some(address))
    }
}

//! K3s on machines: installed, started, restarted, and what others see of it. Joins and etcd members are in `etcd.rs`.

use super::etcd::{K3sCluster, Member};
use super::machine::Machine;
use super::state::Due;
use super::workloads::{ClusterView, NodeView};
use super::Model;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// What `k3s.sh install` put onto a machine's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub version: String,
    pub sha256: String,
    pub config: Value,
    pub traefik: String,
    pub role: String,
}

/// How far K3s on a machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Stopped,
    Starting(String),
    Running,
    Failed(String),
}

/// K3s on one machine.
#[derive(Debug, Clone, Default)]
pub(super) struct K3sNode {
    pub installed: Option<Installed>,
    /// `systemctl enable`: it starts at boot.
    pub enabled: bool,
    pub phase: Phase,
    /// The cluster whose etcd data lies on the disk.
    pub cluster: Option<String>,
    /// How often in a row it has ended.
    failures: u32,
    turn: u64,
}

/// What the API server on a node is able to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiState {
    /// It serves this cluster.
    Serving(String),
    /// It listens, and hangs: etcd has no quorum, or this member is not yet a voter.
    Hanging(String),
    /// Nothing listens.
    Refused,
    /// The node is off or gone.
    Silent,
}

/// From this many ends in a row on a look says `failed`.
const MANY_FAILURES: u32 = 5;

pub(super) fn text<'a>(config: &'a Value, key: &str) -> &'a str {
    config.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl K3sNode {
    pub fn word(&self) -> &'static str {
        match (&self.phase, &self.installed) {
            (Phase::Running, _) => "running",
            (Phase::Starting(_), _) => "starting",
            (Phase::Failed(_), _) => "failed",
            (Phase::Stopped, Some(_)) => "installed",
            (Phase::Stopped, None) => "absent",
        }
    }
    pub fn listens(&self) -> bool {
        self.phase == Phase::Running
    }
    pub fn stop(&mut self) {
        self.phase = Phase::Stopped;
        self.turn = 0;
    }
    pub fn config(&self, key: &str) -> String {
        self.installed.as_ref().map_or("", |i| text(&i.config, key)).to_owned()
    }
}

/// The Kubernetes node's name: as configured, else the host name.
pub(super) fn node_name(machine: &Machine) -> String {
    match machine.k3s.config("node-name") {
        name if name.is_empty() => machine.hostname.clone(),
        name => name,
    }
}

/// `node-ip`, else the first private address, else the public one.
pub(super) fn node_ip(machine: &Machine) -> Option<Ipv4Addr> {
    let given = machine.k3s.config("node-ip");
    given.parse().ok().or_else(|| machine.private.first().copied()).or(machine.public)
}

/// Where pods of any node find this server's API: `kubernetes.default` leads there. The external address goes before the peers'.
/// Source: k3s `pkg/cli/server/server.go`, "if not set, try setting advertise-ip from agent node-external-ip".
pub(super) fn advertised(machine: &Machine) -> Option<Ipv4Addr> {
    let given = |key: &str| machine.k3s.config(key).parse().ok();
    given("advertise-address").or_else(|| given("node-external-ip")).or_else(|| node_ip(machine))
}

fn node_labels(machine: &Machine) -> BTreeMap<String, String> {
    let config = machine.k3s.installed.as_ref().map(|i| &i.config);
    let listed = config.and_then(|c| c.get("node-label")).and_then(Value::as_array);
    let pairs = listed.into_iter().flatten().filter_map(Value::as_str).filter_map(|l| l.split_once('='));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

impl Model {
    /// `systemctl start --no-block k3s`; nothing happens where it already starts or runs.
    pub(super) fn k3s_start(&mut self, server: i64) {
        let Some(machine) = self.machines.get(&server) else { return };
        if matches!(machine.k3s.phase, Phase::Starting(_) | Phase::Running) {
            return;
        }
        let Some(installed) = &machine.k3s.installed else { return };
        let (after, why) = match (&machine.k3s.cluster, installed.role.as_str()) {
            (Some(_), _) => (self.latency.restart, "restarting"),
            (None, "first") => (self.latency.first_ready, "starting a new cluster"),
            (None, _) => (self.latency.join, "waiting for the container runtime"),
        };
        self.k3s_wait(server, after, why);
        if let Some(machine) = self.machines.get_mut(&server) {
            machine.k3s.enabled = true;
            machine.k3s.failures = 0;
        }
    }
    fn k3s_wait(&mut self, server: i64, after: Duration, why: &str) {
        let turn = self.next_turn();
        if let Some(machine) = self.machines.get_mut(&server) {
            machine.k3s.phase = Phase::Starting(why.to_owned());
            machine.k3s.turn = turn;
        }
        self.plan(after, Due::K3s { server, turn });
    }
    /// At boot an enabled K3s starts by itself.
    pub(super) fn k3s_boots(&mut self, server: i64) {
        if self.machines.get(&server).is_some_and(|m| m.k3s.enabled) {
            self.k3s_start(server);
        }
    }
    pub(super) fn k3s_goes_on(&mut self, server: i64, turn: u64) {
        let Some(machine) = self.machines.get(&server) else { return };
        if machine.k3s.turn != turn || machine.on_since.is_none() {
            return;
        }
        match (machine.k3s.cluster.clone(), machine.k3s.installed.clone()) {
            (Some(cluster), _) => self.k3s_serves(server, &cluster),
            (None, Some(installed)) if installed.role == "first" => self.k3s_first(server, installed),
            (None, Some(installed)) => self.k3s_joins(server, &installed),
            (None, None) => {}
        }
    }
    fn k3s_serves(&mut self, server: i64, cluster: &str) {
        let learner = self.clusters.get(cluster).and_then(|c| c.members.get(&server)).is_none_or(|m| m.learner);
        if learner {
            self.plan_tick(cluster);
        } else if let Some(machine) = self.machines.get_mut(&server) {
            machine.k3s.phase = Phase::Running;
        }
    }
    /// The first server: a new cluster.
    fn k3s_first(&mut self, server: i64, first: Installed) {
        let uid = self.random.uuid();
        let kubeconfig = self.kubeconfigs.issue(&uid);
        let Some(member) = self.new_member(server, false, Duration::ZERO) else { return };
        let Some(machine) = self.machines.get_mut(&server) else { return };
        machine.k3s.cluster = Some(uid.clone());
        machine.k3s.phase = Phase::Running;
        let token = text(&first.config, "token").to_owned();
        // A node of a cluster that lives on without it: whoever starts another one for it splits what people use.
        let of_it = |c: &&K3sCluster| c.members.values().any(|m| m.name == member.name) && self.has_quorum(&c.uid);
        if let Some(living) = self.clusters.values().find(of_it).map(|c| c.uid.clone()) {
            self.ledger.broken.push(format!("a second cluster was started beside the living {living}"));
        }
        let members = BTreeMap::from([(server, member)]);
        let since = self.now;
        let cluster = K3sCluster { uid: uid.clone(), token, first, members, kubeconfig, since, tick_planned: false };
        self.clusters.insert(uid, cluster);
    }
    /// Another server asks to join, and asks again until it may.
    fn k3s_joins(&mut self, server: i64, installed: &Installed) {
        match self.may_join(server, installed) {
            Ok(uid) => {
                let Some(member) = self.new_member(server, true, self.latency.catch_up) else { return };
                let Some(machine) = self.machines.get_mut(&server) else { return };
                machine.k3s.cluster = Some(uid.clone());
                if let Some(cluster) = self.clusters.get_mut(&uid) {
                    cluster.members.insert(server, member);
                }
                self.plan_tick(&uid);
                self.k3s_wait(server, self.latency.catch_up, "is a learner, not yet promoted");
            }
            Err((why, false)) => self.k3s_wait(server, self.latency.join_poll, &why),
            Err((why, true)) => {
                // systemd starts it again after five seconds, for ever; `k3s.sh check` calls it failed after five times.
                self.k3s_wait(server, self.latency.join_poll * 5, &why);
                let Some(machine) = self.machines.get_mut(&server) else { return };
                machine.k3s.failures += 1;
                if machine.k3s.failures >= MANY_FAILURES {
                    machine.k3s.phase = Phase::Failed(why);
                }
            }
        }
    }
    /// What the API server on 127.0.0.1:6443 of the node at this public address does.
    pub fn api_at(&mut self, now: Duration, address: Ipv4Addr) -> ApiState {
        self.advance(now);
        let Some(machine) = self.machine_at(address).filter(|m| m.on_since.is_some()) else { return ApiState::Silent };
        match (&machine.k3s.phase, &machine.k3s.cluster) {
            (Phase::Running, Some(uid)) if self.has_quorum(uid) => ApiState::Serving(uid.clone()),
            (Phase::Running, Some(uid)) => ApiState::Hanging(uid.clone()),
            _ => ApiState::Refused,
        }
    }
    /// The admin kubeconfig of a cluster, by its uid.
    pub fn kubeconfig(&self, cluster: &str) -> Option<&str> {
        self.clusters.get(cluster).map(|c| c.kubeconfig.as_str())
    }
    pub(super) fn cluster_view(&self, cluster: &K3sCluster) -> ClusterView {
        let node = |(server, member): (&i64, &Member)| {
            let machine = self.machines.get(server)?;
            let alive = machine.on_since.is_some() && !matches!(machine.k3s.phase, Phase::Stopped | Phase::Failed(_));
            (member.caught_up <= self.now).then_some(NodeView {
                name: member.name.clone(),
                internal: node_ip(machine)?,
                external: machine.public,
                ready: alive,
                reaches: self.reached_from(machine, cluster),
                voter: !member.learner,
                labels: node_labels(machine),
                version: machine.k3s.installed.as_ref()?.version.clone(),
                registered: member.caught_up,
                boot_id: machine.boot_id.clone(),
            })
        };
        ClusterView {
            uid: cluster.uid.clone(),
            version: cluster.first.version.clone(),
            quorum: self.has_quorum(&cluster.uid),
            traefik: cluster.first.traefik.clone(),
            since: cluster.since,
            nodes: cluster.members.iter().filter_map(node).collect(),
        }
    }
}

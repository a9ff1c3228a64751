//! K3s on machines: start, join, etcd members as learners and voters, quorum.
//!
//! Sources: k3s `pkg/etcd/etcd.go` (one learner at a time, a joiner asks every second, the leader promotes on a ticker of 15
//! seconds), docs.k3s.io "High Availability Embedded etcd" (same token, same critical settings), k3s issues 2533 and 7428 (no
//! member is added while a listed one is dead).

use super::machine::Machine;
use super::state::Due;
use super::workloads::{ClusterView, NodeView};
use super::{Model, Reach};
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

/// One etcd member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub name: String,
    /// The node's name and eight hexadecimal digits. Source: k3s `pkg/etcd`.
    pub etcd_name: String,
    pub learner: bool,
    /// When it has caught up; its Kubernetes node is then registered.
    pub caught_up: Duration,
}

/// A K3s cluster that has come up.
#[derive(Debug, Clone)]
pub(super) struct K3sCluster {
    pub uid: String,
    pub token: String,
    pub first: Installed,
    /// By server id.
    pub members: BTreeMap<i64, Member>,
    pub kubeconfig: String,
    pub since: Duration,
    tick_planned: bool,
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

/// Settings that must be the same on all servers. Source: docs.k3s.io, "Critical configuration values".
const CRITICAL: [&str; 6] =
    ["cluster-cidr", "service-cidr", "secrets-encryption", "flannel-backend", "disable-network-policy", "cluster-dns"];

/// From this many ends in a row on a look says `failed`.
const MANY_FAILURES: u32 = 5;

fn text<'a>(config: &'a Value, key: &str) -> &'a str {
    config.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The password in a token, which may be given in its long form `K10<hash>::server:<password>`.
fn password(token: &str) -> &str {
    token.split_once("::").and_then(|(_, rest)| rest.split_once(':')).map_or(token, |(_, password)| password)
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
    fn config(&self, key: &str) -> String {
        self.installed.as_ref().map_or("", |i| text(&i.config, key)).to_owned()
    }
}

/// The Kubernetes node's name: as configured, else the host name.
fn node_name(machine: &Machine) -> String {
    match machine.k3s.config("node-name") {
        name if name.is_empty() => machine.hostname.clone(),
        name => name,
    }
}

/// `node-ip`, else the first private address, else the public one.
fn node_ip(machine: &Machine) -> Option<Ipv4Addr> {
    let given = machine.k3s.config("node-ip");
    given.parse().ok().or_else(|| machine.private.first().copied()).or(machine.public)
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
    /// A cluster that has been running for long, one voter on each of these machines.
    pub(super) fn place_cluster(&mut self, servers: &[i64], version: &str, sha256: &str) {
        let uid = self.random.uuid();
        let kubeconfig = self.kubeconfigs.issue(&uid);
        let installed = |role: &str| Installed {
            version: version.to_owned(),
            sha256: sha256.to_owned(),
            config: serde_json::json!({ "token": "of an earlier time" }),
            traefik: String::new(),
            role: role.to_owned(),
        };
        let mut members = BTreeMap::new();
        for server in servers {
            members.extend(self.new_member(*server, false, Duration::ZERO).map(|member| (*server, member)));
            let role = if members.len() == 1 { "first" } else { "join" };
            let Some(machine) = self.machines.get_mut(server) else { continue };
            machine.k3s.installed = Some(installed(role));
            machine.k3s.cluster = Some(uid.clone());
            (machine.k3s.enabled, machine.k3s.phase) = (true, Phase::Running);
        }
        let first = installed("first");
        let token = text(&first.config, "token").to_owned();
        let since = self.now;
        let cluster = K3sCluster { uid: uid.clone(), token, first, members, kubeconfig, since, tick_planned: false };
        self.clusters.insert(uid, cluster);
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
        let members = BTreeMap::from([(server, member)]);
        let since = self.now;
        let cluster = K3sCluster { uid: uid.clone(), token, first, members, kubeconfig, since, tick_planned: false };
        self.clusters.insert(uid, cluster);
    }
    fn new_member(&mut self, server: i64, learner: bool, after: Duration) -> Option<Member> {
        let name = node_name(self.machines.get(&server)?);
        let etcd_name = format!("{name}-{}", self.random.hex(4));
        Some(Member { name, etcd_name, learner, caught_up: self.now + after })
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
    /// The cluster that this machine may join now, or why not, and whether K3s ends over it.
    fn may_join(&self, server: i64, installed: &Installed) -> Result<String, (String, bool)> {
        let wait = |why: &str| (why.to_owned(), false);
        let fail = |why: String| (why, true);
        let joiner = self.machines.get(&server).ok_or_else(|| wait("gone"))?;
        let url = text(&installed.config, "server");
        let host =
            url.strip_prefix("https://").and_then(|u| u.split(':').next()).and_then(|h| h.parse::<Ipv4Addr>().ok());
        let host = host.ok_or_else(|| fail(format!("server URL cannot be read: {url}")))?;
        let target = self.machines.values().find(|m| m.project == joiner.project && m.is(host));
        let target = target.ok_or_else(|| wait("server does not answer"))?;
        if self.node_reaches(joiner, target, host, 6443) != Reach::Open {
            return Err((format!("{host}:6443 does not answer"), false));
        }
        let uid = target.k3s.cluster.clone().ok_or_else(|| wait("server does not serve yet"))?;
        let cluster = self.clusters.get(&uid).ok_or_else(|| wait("server does not serve yet"))?;
        if password(text(&installed.config, "token")) != password(&cluster.token) {
            return Err(fail("failed to validate token: the server does not know it".to_owned()));
        }
        let differs = CRITICAL.iter().find(|key| installed.config.get(**key) != cluster.first.config.get(**key));
        if let Some(key) = differs {
            return Err(fail(format!("critical configuration value mismatch: {key}")));
        }
        if cluster.members.values().any(|m| m.name == node_name(joiner)) {
            return Err(fail("duplicate node name found, please use a unique name for this node".to_owned()));
        }
        if cluster.members.values().any(|m| m.learner) {
            return Err(wait("waiting for other members to finish joining etcd cluster: too many learners"));
        }
        for member in cluster.members.keys() {
            self.members_meet(joiner, *member)?;
        }
        Ok(uid)
    }
    /// etcd members talk both ways on 2379 and 2380.
    fn members_meet(&self, joiner: &Machine, member: i64) -> Result<(), (String, bool)> {
        let dead = || ("etcdserver: unhealthy cluster".to_owned(), false);
        let other = self.machines.get(&member).ok_or_else(dead)?;
        let (there, here) = node_ip(other).zip(node_ip(joiner)).ok_or_else(dead)?;
        if !self.member_alive(member) {
            return Err(dead());
        }
        for port in [2379, 2380] {
            // Nothing listens on the joiner yet: refused is as good as open, silence is a firewall.
            let there_ok = self.node_reaches(joiner, other, there, port) == Reach::Open;
            let back_ok = self.node_reaches(other, joiner, here, port) != Reach::Silent;
            if !there_ok || !back_ok {
                return Err((format!("no way between {here} and {there} on port {port}"), false));
            }
        }
        Ok(())
    }
    fn plan_tick(&mut self, uid: &str) {
        let (now, tick) = (self.now, self.latency.tick);
        let Some(cluster) = self.clusters.get_mut(uid).filter(|c| !c.tick_planned) else { return };
        cluster.tick_planned = true;
        let since = now.saturating_sub(cluster.since).as_nanos();
        let into = since % tick.as_nanos().max(1);
        let left = tick.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)));
        self.plan(left, Due::Tick { cluster: uid.to_owned() });
    }
    /// The leader promotes a learner that has caught up.
    pub(super) fn promote(&mut self, uid: &str) {
        let quorum = self.has_quorum(uid);
        let now = self.now;
        let Some(cluster) = self.clusters.get_mut(uid) else { return };
        cluster.tick_planned = false;
        let ready = cluster.members.iter_mut().find(|(_, m)| m.learner && m.caught_up <= now);
        let promoted = match ready {
            Some((server, member)) if quorum => {
                member.learner = false;
                Some(*server)
            }
            _ => None,
        };
        let more = cluster.members.values().any(|m| m.learner);
        if let Some(machine) = promoted.and_then(|server| self.machines.get_mut(&server)) {
            if machine.on_since.is_some() {
                machine.k3s.phase = Phase::Running;
            }
        }
        if more {
            self.plan_tick(uid);
        }
    }
    pub(super) fn member_alive(&self, server: i64) -> bool {
        self.machines.get(&server).is_some_and(|m| m.on_since.is_some() && m.k3s.phase == Phase::Running)
    }
    /// Whether more than half of the voters are alive.
    pub(super) fn has_quorum(&self, uid: &str) -> bool {
        let Some(cluster) = self.clusters.get(uid) else { return false };
        let voters: Vec<i64> = cluster.members.iter().filter(|(_, m)| !m.learner).map(|(id, _)| *id).collect();
        voters.iter().filter(|id| self.member_alive(**id)).count() * 2 > voters.len()
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
            config: cluster.first.config.clone(),
            since: cluster.since,
            nodes: cluster.members.iter().filter_map(node).collect(),
        }
    }
}

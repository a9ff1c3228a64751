//! K3s clusters: joins, etcd members as learners and voters, quorum.
//!
//! Sources: k3s `pkg/etcd/etcd.go` (one learner at a time, a joiner asks every second, the leader promotes on a ticker of 15
//! seconds), docs.k3s.io "High Availability Embedded etcd" (same token, same critical settings), k3s issues 2533 and 7428 (no
//! member is added while a listed one is dead).

use super::k3s::{node_ip, node_name, text, Installed, Phase};
use super::machine::Machine;
use super::state::Due;
use super::{Model, Reach};
use crate::config::{NodeSettings, Settings};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// One etcd member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub name: String,
    /// The node's name and eight hexadecimal digits. Source: k3s `pkg/etcd`.
    pub etcd_name: String,
    pub learner: bool,
    /// When it has caught up; its Kubernetes node is then registered.
    pub caught_up: Duration,
    /// Since which look of the leader a learner makes no progress.
    pub stalled: Option<Duration>,
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
    pub tick_planned: bool,
}

/// A learner without progress for longer than this is removed. Source: k3s `pkg/etcd/etcd.go`, `learnerMaxStallTime`.
const STALLED: Duration = Duration::from_secs(300);

/// Settings that must be the same on all servers. Source: docs.k3s.io, "Critical configuration values".
const CRITICAL: [&str; 6] =
    ["cluster-cidr", "service-cidr", "secrets-encryption", "flannel-backend", "disable-network-policy", "cluster-dns"];

/// The password in a token, which may be given in its long form `K10<hash>::server:<password>`.
fn password(token: &str) -> &str {
    token.split_once("::").and_then(|(_, rest)| rest.split_once(':')).map_or(token, |(_, password)| password)
}

/// The configuration of a server that was there before, as far as the configuration at hand tells it.
fn placed_config(settings: &Settings, node: &NodeSettings) -> Value {
    let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "token": "of an earlier time",
        "cluster-cidr": settings.k3s.pod_cidr,
        "service-cidr": settings.k3s.service_cidr,
        "secrets-encryption": settings.k3s.secrets_encryption,
        "node-label": labels,
    })
}

impl Model {
    pub(super) fn new_member(&mut self, server: i64, learner: bool, after: Duration) -> Option<Member> {
        let name = node_name(self.machines.get(&server)?);
        let etcd_name = format!("{name}-{}", self.random.hex(4));
        Some(Member { name, etcd_name, learner, caught_up: self.now + after, stalled: None })
    }
    /// A cluster that has been running for long, one voter on each of these machines, which are the settings' nodes in order.
    pub(super) fn place_cluster(&mut self, servers: &[i64], settings: &Settings) {
        let uid = self.random.uuid();
        let kubeconfig = self.kubeconfigs.issue(&uid);
        let k3s = &settings.k3s;
        let sha256 = self.release_digest(&k3s.version, "amd64");
        let installed = |role: &str, node: &NodeSettings| Installed {
            version: k3s.version.clone(),
            sha256: sha256.clone(),
            config: placed_config(settings, node),
            traefik: k3s.traefik.as_ref().map(|file| file.text.clone()).unwrap_or_default(),
            role: role.to_owned(),
        };
        let mut members = BTreeMap::new();
        let mut first = None;
        for (server, node) in servers.iter().zip(&settings.nodes) {
            let role = if first.is_none() { "first" } else { "join" };
            let here = installed(role, node);
            first.get_or_insert_with(|| here.clone());
            members.extend(self.new_member(*server, false, Duration::ZERO).map(|member| (*server, member)));
            let Some(machine) = self.machines.get_mut(server) else { continue };
            machine.k3s.installed = Some(here);
            machine.k3s.cluster = Some(uid.clone());
            (machine.k3s.enabled, machine.k3s.phase) = (true, Phase::Running);
        }
        let Some(first) = first else { return };
        let token = text(&first.config, "token").to_owned();
        let since = self.now;
        let cluster = K3sCluster { uid: uid.clone(), token, first, members, kubeconfig, since, tick_planned: false };
        self.clusters.insert(uid, cluster);
    }
    /// The cluster that this machine may join now, or why not, and whether K3s ends over it.
    pub(super) fn may_join(&self, server: i64, installed: &Installed) -> Result<String, (String, bool)> {
        let wait = |why: &str| (why.to_owned(), false);
        let fail = |why: String| (why, true);
        let joiner = self.machines.get(&server).ok_or_else(|| wait("gone"))?;
        let url = text(&installed.config, "server");
        let host =
            url.strip_prefix("https://").and_then(|u| u.split(':').next()).and_then(|h| h.parse::<Ipv4Addr>().ok());
        let host = host.ok_or_else(|| fail(format!("server URL cannot be read: {url}")))?;
        let target = self.machines.values().find(|m| m.project == joiner.project && self.is_to(joiner, m, host));
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
    pub(super) fn plan_tick(&mut self, uid: &str) {
        let (now, tick) = (self.now, self.latency.tick);
        let Some(cluster) = self.clusters.get_mut(uid).filter(|c| !c.tick_planned) else { return };
        cluster.tick_planned = true;
        let since = now.saturating_sub(cluster.since).as_nanos();
        let into = since % tick.as_nanos().max(1);
        let left = tick.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)));
        self.plan(left, Due::Tick { cluster: uid.to_owned() });
    }
    /// The leader promotes a learner that has caught up, and gives up one that makes no progress.
    pub(super) fn promote(&mut self, uid: &str) {
        let quorum = self.has_quorum(uid);
        let now = self.now;
        let on: Vec<i64> = self.machines.values().filter(|m| m.on_since.is_some()).map(|m| m.server).collect();
        let Some(cluster) = self.clusters.get_mut(uid) else { return };
        cluster.tick_planned = false;
        for (server, member) in cluster.members.iter_mut().filter(|(_, m)| quorum && m.learner) {
            member.stalled = if on.contains(server) { None } else { member.stalled.or(Some(now)) };
        }
        cluster.members.retain(|_, m| m.stalled.is_none_or(|since| now.saturating_sub(since) <= STALLED));
        let ready = cluster.members.iter_mut().find(|(_, m)| m.learner && m.caught_up <= now && m.stalled.is_none());
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
    /// A Kubernetes node was deleted: its etcd member is removed with it. Source: k3s `pkg/etcd/member_controller.go`.
    pub fn node_deleted(&mut self, uid: &str, name: &str) {
        let Some(cluster) = self.clusters.get_mut(uid) else { return };
        let removed: Vec<i64> = cluster.members.iter().filter(|(_, m)| m.name == name).map(|(id, _)| *id).collect();
        cluster.members.retain(|_, m| m.name != name);
        for (_, machine) in self.machines.iter_mut().filter(|(server, _)| removed.contains(server)) {
            machine.k3s.phase = Phase::Failed("this server has been removed from the cluster".to_owned());
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
}

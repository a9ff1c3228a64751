//! `old_cluster.dead`, `server.protect`: whether an earlier life is over, and that nobody ends ours by mistake.

use super::fence::wall_id;
use super::node::node_name;
use super::patience::patiently;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::HealthSettings;
use crate::world::{self, Class, Error, Get, Record, Result, Server, ServerStatus, Target};
use async_trait::async_trait;
use futures::future::{join3, join_all};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Is the old cluster really dead? Any node that serves, a majority that still answers or that runs unheard, or a running server
/// that the cluster's names point at though it has no labels, is evidence against a rebuild.
pub(super) struct Dead;

/// Ports of etcd and of the API: open to whoever is let through to them.
const CONTROL_PLANE: [u16; 2] = [2379, 6443];

/// Servers that may be of an earlier life, and addresses that DNS names and that no server of the project holds.
struct Suspects {
    servers: Vec<Server>,
    elsewhere: Vec<IpAddr>,
    /// Where nobody can say what DNS names: servers of the project that run and that nothing marks as somebody's.
    unknown: Vec<Server>,
}

/// What speaks against a rebuild, a sentence each, and the servers without labels that are then taken for the old cluster's.
#[derive(Default)]
struct Against {
    sentences: Vec<String>,
    by_hand: Vec<i64>,
}

/// The old nodes' signs of life, by name.
#[derive(Default)]
struct Alive<'a> {
    /// They answer the health check.
    serving: Vec<&'a str>,
    /// Their SSH, etcd or API answers.
    answering: Vec<&'a str>,
    /// They run, says the cloud, and nothing is heard of them from here.
    silent: Vec<&'a str>,
}

impl Alive<'_> {
    /// What they say against a rebuild of a cluster of so many nodes. That nothing is heard from here is no death: a firewall
    /// that is closed to the operator looks the same, so that what is silent counts for the quorum.
    fn against(&self, nodes: usize) -> Option<String> {
        let (serving, answering, silent) = (self.serving.join(", "), self.answering.join(", "), self.silent.join(", "));
        let majority = |of: usize| of * 2 > nodes;
        if !self.serving.is_empty() {
            return Some(format!("the old cluster still serves: {serving} answer the health check"));
        }
        if majority(self.answering.len()) {
            return Some(format!("the old cluster may still have its quorum: {answering} answer (SSH, etcd or API)"));
        }
        if !majority(self.answering.len() + self.silent.len()) {
            return None;
        }
        let others = match self.answering.is_empty() {
            true => String::new(),
            false => format!(", {answering} answer (SSH, etcd or API)"),
        };
        Some(format!(
            "the old cluster may still have its quorum where nobody sees it: {silent} run, says the cloud, and answer nothing \
             from here{others}: accepted, all of them are powered off"
        ))
    }
}

/// Records of the cluster's names; none where Cloudflare cannot be asked, which is told.
async fn records(cx: &StepContext<'_>) -> Result<Option<Vec<Record>>> {
    let dns = &cx.settings().dns;
    let asked = patiently(cx, || async {
        match cx.world.dns.zone(&dns.zone).await? {
            Some(zone) => cx.world.dns.records(&zone, &dns.hosts).await,
            None => Ok(Vec::new()),
        }
    });
    match asked.await {
        Err(error) if matches!(error.class, Class::Transient | Class::Unknown) => {
            cx.effects.note(&format!(
                "Cloudflare cannot be asked now ({}): only servers with this cluster's labels were looked at",
                error.what
            ));
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Whether any health check is answered there, or through the edge, asked at once.
pub(super) async fn serves(cx: &StepContext<'_>, node: Option<IpAddr>) -> Result<bool> {
    let ask = |health: &HealthSettings| {
        let get = Get { url: health.url.clone(), node, timeout: cx.settings().timeouts.probe };
        let (status, contains) = (health.status, health.contains.clone());
        async move {
            match cx.world.http.get(&get).await {
                Ok(reply) => Ok(reply.status == status
                    && contains.is_none_or(|text| String::from_utf8_lossy(&reply.body).contains(&text))),
                Err(error) if error.class == Class::Transient => Ok(false),
                Err(error) => Err(error),
            }
        }
    };
    let answers = join_all(cx.settings().health.iter().map(ask)).await;
    answers.into_iter().try_fold(false, |any, answer| Ok(any || answer?))
}

impl Dead {
    /// Old servers by label, and whatever DNS points at.
    async fn suspects(cx: &StepContext<'_>) -> Result<Suspects> {
        let records = records(cx).await?;
        let named: BTreeSet<Ipv4Addr> = records.iter().flatten().filter_map(|r| r.content.parse().ok()).collect();
        let cluster = &cx.settings().cluster;
        let all = cx.world.cloud.servers("").await?;
        let wall = wall_id(cx).await?;
        let held: BTreeSet<Ipv4Addr> = all.iter().filter_map(|s| s.public_ip).collect();
        let suspect = |s: &Server| {
            let in_dns = s.public_ip.is_some_and(|ip| named.contains(&ip));
            let ours = world::of_run(&s.labels, cluster, &cx.place.run.id);
            !ours && !s.is_fenced(wall) && (world::of_cluster(&s.labels, cluster) || in_dns)
        };
        let elsewhere = named.difference(&held).map(|ip| IpAddr::V4(*ip)).collect();
        let nobodys = |s: &&Server| !s.labels.contains_key(world::MANAGED_BY) && s.status != ServerStatus::Off;
        let unknown = all.iter().filter(|_| records.is_none()).filter(nobodys).cloned().collect();
        Ok(Suspects { servers: all.into_iter().filter(suspect).collect(), elsewhere, unknown })
    }

    /// Whether a server serves, and whether it is alive: sshd, etcd or the API answer. One that is off does neither.
    async fn evidence(cx: &StepContext<'_>, server: &Server) -> Result<(bool, bool)> {
        let Some(address) = server.public_ip.map(IpAddr::V4) else { return Ok((false, false)) };
        if server.status == ServerStatus::Off {
            return Ok((false, false));
        }
        let ports = join_all(CONTROL_PLANE.map(|port| cx.world.shell.listens(address, port)));
        let asked = join3(serves(cx, Some(address)), cx.world.shell.seen_host_key(address), ports).await;
        let (serves, key, ports) = asked;
        let listens = ports.into_iter().try_fold(false, |any, port| Ok::<_, Error>(any || port?))?;
        Ok((serves?, key?.is_some() || listens))
    }

    /// Whether the site answers a visitor though this run has made no server yet: whoever answers, it is not this run. That is
    /// seen where the old nodes let nobody but the edge in, and where nobody can say what DNS names.
    async fn edge_serves(cx: &StepContext<'_>) -> Result<bool> {
        let own = cx.world.cloud.servers(&world::selector(&cx.settings().cluster, Some(&cx.place.run.id))).await?;
        Ok(own.is_empty() && serves(cx, None).await?)
    }

    /// What speaks against a rebuild.
    async fn against(cx: &StepContext<'_>) -> Result<Against> {
        let Suspects { servers, elsewhere, unknown } = Self::suspects(cx).await?;
        // All at once: one that hangs must not keep the others waiting.
        let found = join_all(servers.iter().map(|server| Self::evidence(cx, server)));
        let strangers = join_all(elsewhere.iter().map(|address| serves(cx, Some(*address))));
        let (found, strangers, edge) = join3(found, strangers, Self::edge_serves(cx)).await;
        let (mut alive, mut against) = (Alive::default(), Against::default());
        for (server, evidence) in servers.iter().zip(found) {
            let (serves, answers) = evidence?;
            alive.serving.extend(serves.then_some(server.name.as_str()));
            alive.answering.extend(answers.then_some(server.name.as_str()));
            let silent = !serves && !answers && server.status != ServerStatus::Off;
            alive.silent.extend(silent.then_some(server.name.as_str()));
        }
        let edge = edge?;
        against.sentences.extend(alive.against(cx.settings().nodes.len()));
        if against.sentences.is_empty() {
            for name in &alive.silent {
                cx.effects.note(&format!("{name} runs, says the cloud, and answers nothing from here: taken for dead"));
            }
        }
        if edge && alive.serving.is_empty() {
            let what = "the site answers the health check through the edge, though no server that is known here does: something \
                        serves it, and it cannot be fenced from here";
            against.sentences.push(what.to_owned());
        }
        for server in unknown {
            against.sentences.push(format!(
                "server {} (id {}) runs without any label, and without Cloudflare nobody can say whether it is of the old \
                 cluster: accepted, it is left as it is",
                server.name, server.id
            ));
        }
        let unlabelled = |s: &&Server| !world::of_cluster(&s.labels, &cx.settings().cluster);
        for server in servers.iter().filter(unlabelled).filter(|s| s.status != ServerStatus::Off) {
            against.by_hand.push(server.id);
            against.sentences.push(format!(
                "server {} (id {}) has no label of this cluster, runs, and the cluster's names point at it: accepted, it is \
                 taken for one of the old cluster's, labelled and powered off",
                server.name, server.id
            ));
        }
        for (address, serves) in elsewhere.iter().zip(strangers) {
            match serves? {
                true => against.sentences.push(format!(
                    "{address}, which the cluster's names point at, answers the health check, and no server of this project \
                     has it: is HCLOUD_TOKEN of another project? What is there cannot be powered off from here"
                )),
                false => cx.effects.note(&format!("DNS names {address}, which no server of this project has")),
            }
        }
        Ok(against)
    }
}

#[async_trait]
impl Action for Dead {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("make sure that the old cluster {} is dead", place.settings.cluster)
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::OldServers]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let Against { sentences, by_hand } = Self::against(cx).await?;
        let ids: Vec<String> = by_hand.iter().map(ToString::to_string).collect();
        let facts = Facts::none().with(FactKind::OldServers, ids.join(" "));
        Ok(match sentences.is_empty() {
            true => Check::Done(facts),
            false => Check::Against(sentences.join("\n"), facts),
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Running servers of the project that the cluster's names point at and that carry no label of it: made by hand.
pub(super) async fn made_by_hand(cx: &StepContext<'_>) -> Result<Vec<Server>> {
    let Suspects { servers, .. } = Dead::suspects(cx).await?;
    let cluster = &cx.settings().cluster;
    let unlabelled = |s: &Server| !world::of_cluster(&s.labels, cluster) && s.status != ServerStatus::Off;
    Ok(servers.into_iter().filter(unlabelled).collect())
}

/// Protects the step's server against deletion and rebuild.
pub(super) struct Protect;

#[async_trait]
impl Action for Protect {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("protect server {} against deletion", node_name(place))
    }
    fn inputs(&self, _place: &Place<'_>) -> Value {
        json!({})
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::ServerId]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let id = cx.facts.id(FactKind::ServerId, Some(&cx.node()?.key))?;
        match cx.world.cloud.server(id).await? {
            Some(server) if server.delete_protected && server.rebuild_protected => Ok(Check::Done(Facts::none())),
            Some(_) => Ok(Check::Needed("its protection".to_owned())),
            None => Err(Error::transient(format!("server {id} is not listed"))),
        }
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let id = cx.facts.id(FactKind::ServerId, Some(&cx.node()?.key))?;
        let permit = cx.effects.permit(Target::Cloud { kind: "server", id }, "protect it").await?;
        cx.world.cloud.protect_server(&permit, id, true).await
    }
}

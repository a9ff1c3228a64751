//! `old_cluster.dead`, `server.protect`: whether an earlier life is over, and that nobody ends ours by mistake.

use super::fence::wall_id;
use super::node::node_name;
use super::patience::patiently;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::HealthSettings;
use crate::world::{self, Class, Error, Get, Record, Result, Server, ServerStatus, Target};
use async_trait::async_trait;
use futures::future::{join, join3, join_all};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Is the old cluster really dead? Any node that serves, a majority that still answers, or a running server that the cluster's
/// names point at though it has no labels, is evidence against a rebuild.
pub(super) struct Dead;

/// Ports of etcd and of the API: open to whoever is let through to them.
const CONTROL_PLANE: [u16; 2] = [2379, 6443];

/// Servers that may be of an earlier life, and addresses that DNS names and that no server of the project holds.
struct Suspects {
    servers: Vec<Server>,
    elsewhere: Vec<IpAddr>,
}

/// Records of the cluster's names; none where Cloudflare cannot be asked, which is told.
async fn records(cx: &StepContext<'_>) -> Result<Vec<Record>> {
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
            Ok(Vec::new())
        }
        answer => answer,
    }
}

impl Dead {
    /// Old servers by label, and whatever DNS points at.
    async fn suspects(cx: &StepContext<'_>) -> Result<Suspects> {
        let named: BTreeSet<Ipv4Addr> = records(cx).await?.iter().filter_map(|r| r.content.parse().ok()).collect();
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
        Ok(Suspects { servers: all.into_iter().filter(suspect).collect(), elsewhere })
    }

    /// Whether any health check is answered there, asked at once.
    async fn serves(cx: &StepContext<'_>, address: IpAddr) -> Result<bool> {
        let ask = |health: &HealthSettings| {
            let get = Get { url: health.url.clone(), node: Some(address), timeout: cx.settings().timeouts.probe };
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

    /// Whether a server serves, and whether it is alive: sshd, etcd or the API answer. One that is off does neither.
    async fn evidence(cx: &StepContext<'_>, server: &Server) -> Result<(bool, bool)> {
        let Some(address) = server.public_ip.map(IpAddr::V4) else { return Ok((false, false)) };
        if server.status == ServerStatus::Off {
            return Ok((false, false));
        }
        let ports = join_all(CONTROL_PLANE.map(|port| cx.world.shell.listens(address, port)));
        let asked = join3(Self::serves(cx, address), cx.world.shell.seen_host_key(address), ports).await;
        let (serves, key, ports) = asked;
        let listens = ports.into_iter().try_fold(false, |any, port| Ok::<_, Error>(any || port?))?;
        Ok((serves?, key?.is_some() || listens))
    }

    /// What speaks against a rebuild, a sentence each.
    async fn against(cx: &StepContext<'_>) -> Result<Vec<String>> {
        let Suspects { servers, elsewhere } = Self::suspects(cx).await?;
        // All at once: one that hangs must not keep the others waiting.
        let found = join_all(servers.iter().map(|server| Self::evidence(cx, server)));
        let strangers = join_all(elsewhere.iter().map(|address| Self::serves(cx, *address)));
        let (found, strangers) = join(found, strangers).await;
        let (mut serving, mut answering, mut against) = (Vec::new(), Vec::new(), Vec::new());
        for (server, evidence) in servers.iter().zip(found) {
            let (serves, answers) = evidence?;
            serving.extend(serves.then_some(server.name.as_str()));
            answering.extend(answers.then_some(server.name.as_str()));
        }
        if !serving.is_empty() {
            against.push(format!("the old cluster still serves: {} answer the health check", serving.join(", ")));
        } else if answering.len() * 2 > cx.settings().nodes.len() {
            let names = answering.join(", ");
            against.push(format!("the old cluster may still have its quorum: {names} answer (SSH, etcd or API)"));
        }
        let unlabelled = |s: &&Server| !world::of_cluster(&s.labels, &cx.settings().cluster);
        for server in servers.iter().filter(unlabelled).filter(|s| s.status != ServerStatus::Off) {
            against.push(format!(
                "server {} (id {}) has no label of this cluster, runs, and the cluster's names point at it: accepted, it is \
                 taken for one of the old cluster's, labelled and powered off",
                server.name, server.id
            ));
        }
        for (address, serves) in elsewhere.iter().zip(strangers) {
            match serves? {
                true => against.push(format!(
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
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let against = Self::against(cx).await?;
        Ok(match against.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Refused(against.join("\n")),
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Running servers of the project that the cluster's names point at and that carry no label of it: made by hand. Whoever comes
/// to fence them was asked about each before.
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

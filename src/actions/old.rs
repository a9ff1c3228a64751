//! `old_cluster.dead`, `old_cluster.fence`, `server.protect`: what happens to servers of an earlier life, and to ours at the end.

use super::node::node_name;
use super::patience::patiently;
use super::{Action, Check, FactKind, Facts, Mode, Place, StepContext};
use crate::world::{self, Class, Error, Get, Result, Server, ServerStatus, Target, ThingSpec};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Value of the state label of a fenced server.
const FENCED: &str = "fenced";

fn fenced(server: &Server) -> bool {
    server.labels.get(world::STATE).is_some_and(|s| s == FENCED)
}

/// Servers of this cluster that this run did not make.
async fn old_servers(cx: &StepContext<'_>) -> Result<Vec<Server>> {
    let cluster = &cx.settings().cluster;
    let servers = cx.world.cloud.servers(&world::selector(cluster, None)).await?;
    Ok(servers.into_iter().filter(|s| !world::of_run(&s.labels, cluster, &cx.place.run.id)).collect())
}

/// Is the old cluster really dead? Any node that serves, or a majority that still answers, is evidence against a rebuild.
pub(super) struct Dead;

impl Dead {
    /// Old servers by label, and servers of the project that DNS points at, whatever their labels.
    async fn suspects(cx: &StepContext<'_>) -> Result<Vec<Server>> {
        let dns = &cx.settings().dns;
        let asked = patiently(cx, || async {
            match cx.world.dns.zone(&dns.zone).await? {
                Some(zone) => cx.world.dns.records(&zone, &dns.hosts).await,
                None => Ok(Vec::new()),
            }
        });
        let records = match asked.await {
            Ok(records) => records,
            Err(error) if matches!(error.class, Class::Transient | Class::Unknown) => {
                cx.effects.note(&format!(
                    "Cloudflare cannot be asked now ({}): only servers with this cluster's labels were looked at",
                    error.what
                ));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let pointed: BTreeSet<String> = records.into_iter().map(|r| r.content).collect();
        let cluster = &cx.settings().cluster;
        let all = cx.world.cloud.servers("").await?;
        let suspect = |s: &Server| {
            let in_dns = s.public_ip.is_some_and(|ip| pointed.contains(&ip.to_string()));
            let ours = world::of_run(&s.labels, cluster, &cx.place.run.id);
            !ours && !fenced(s) && (world::of_cluster(&s.labels, cluster) || in_dns)
        };
        Ok(all.into_iter().filter(suspect).collect())
    }

    async fn evidence(cx: &StepContext<'_>, server: &Server) -> Result<(bool, bool)> {
        let Some(address) = server.public_ip.map(IpAddr::V4) else { return Ok((false, false)) };
        if server.status == ServerStatus::Off {
            return Ok((false, false));
        }
        let mut serves = false;
        for health in &cx.settings().health {
            let get = Get { url: health.url.clone(), node: Some(address), timeout: cx.settings().timeouts.probe };
            match cx.world.http.get(&get).await {
                Ok(reply) => serves |= reply.status == health.status,
                Err(error) if error.class == Class::Transient => {}
                Err(error) => return Err(error),
            }
        }
        Ok((serves, cx.world.shell.seen_host_key(address).await?.is_some()))
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
        if cx.place.run.mode == Mode::Rehearsal {
            return Ok(Check::Done(Facts::none()));
        }
        let suspects = Self::suspects(cx).await?;
        let (mut serving, mut answering) = (Vec::new(), Vec::new());
        for server in &suspects {
            let (serves, answers) = Self::evidence(cx, server).await?;
            if serves {
                serving.push(server.name.clone());
            }
            if answers {
                answering.push(server.name.clone());
            }
        }
        if !serving.is_empty() {
            return Ok(Check::Refused(format!(
                "the old cluster still serves: {} answer the health check",
                serving.join(", ")
            )));
        }
        if answering.len() * 2 > cx.settings().nodes.len() {
            let text = format!("the old cluster may still have its quorum: {} answer by SSH", answering.join(", "));
            return Ok(Check::Refused(text));
        }
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Puts old servers out of action: powered off and seen off, or cut off by a firewall; renamed and labelled, never deleted.
pub(super) struct Fence;

impl Fence {
    async fn one(cx: &StepContext<'_>, server: &Server) -> Result<()> {
        let id = server.id;
        if server.status != ServerStatus::Off {
            let permit = cx.effects.permit(Target::Cloud { kind: "server", id }, "power it off").await?;
            match cx.world.cloud.power_off(&permit, id).await {
                Ok(()) => Self::seen_off(cx, server).await?,
                Err(error) if matches!(error.class, Class::Fatal | Class::Refused) => {
                    cx.effects
                        .progress(&format!("{} cannot be powered off ({}); cutting it off", server.name, error.what));
                    Self::cut_off(cx, server).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let mut labels = server.labels.clone();
        labels.insert(world::STATE.to_owned(), FENCED.to_owned());
        let name: String = server.name.chars().take(45).collect();
        let name = format!("{name}-old-{}", cx.place.run.id);
        let permit = cx.effects.permit(Target::Cloud { kind: "server", id }, &format!("rename it {name}")).await?;
        cx.world.cloud.update_server(&permit, id, &name, &labels).await
    }

    async fn seen_off(cx: &StepContext<'_>, server: &Server) -> Result<()> {
        match cx.world.cloud.server(server.id).await? {
            Some(now) if now.status != ServerStatus::Off => {
                Err(Error::transient(format!("{} is not off yet", now.name)))
            }
            _ => Ok(()),
        }
    }

    /// A firewall without incoming rules lets nothing in; one outgoing rule to nowhere lets nothing out.
    async fn cut_off(cx: &StepContext<'_>, server: &Server) -> Result<()> {
        let name = cx.place.name("fence");
        let existing =
            cx.world.cloud.things(world::ThingKind::Firewall, "").await?.into_iter().find(|f| f.name == name);
        let firewall = match existing {
            Some(firewall) => firewall,
            None => {
                let nowhere = world::FirewallRule {
                    direction: "out".to_owned(),
                    protocol: "icmp".to_owned(),
                    port: None,
                    // TEST-NET-1 (RFC 5737): routed nowhere.
                    addresses: vec!["192.0.2.1/32".to_owned()],
                    description: "nowhere".to_owned(),
                };
                let target = Target::CloudNew { kind: "firewall", name: name.clone() };
                let permit = cx.effects.permit(target, "make a firewall that lets nothing through").await?;
                let labels = cx.place.labels(&json!("fence"));
                cx.world.cloud.create_thing(&permit, &name, &ThingSpec::Firewall(vec![nowhere]), &labels).await?
            }
        };
        let target = Target::Cloud { kind: "server", id: server.id };
        let permit = cx.effects.permit(target, "cut it off by the firewall").await?;
        cx.world.cloud.attach_firewall(&permit, firewall.id, server.id).await
    }
}

#[async_trait]
impl Action for Fence {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("fence old servers of {}: power off, rename, keep", place.settings.cluster)
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        if cx.place.run.mode == Mode::Rehearsal {
            return Ok(Check::Done(Facts::none()));
        }
        let open: Vec<_> = old_servers(cx).await?.into_iter().filter(|s| !fenced(s)).map(|s| s.name).collect();
        Ok(match open.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("old servers {}", open.join(", "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        for server in old_servers(cx).await?.iter().filter(|s| !fenced(s)) {
            Self::one(cx, server).await?;
        }
        Ok(())
    }
}

/// Protects the step's server against deletion and rebuild, live only.
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
        if cx.place.run.mode == Mode::Rehearsal {
            return Ok(Check::Done(Facts::none()));
        }
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

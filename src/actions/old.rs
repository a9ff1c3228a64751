//! `old_cluster.dead`, `server.protect`: whether an earlier life is over, and that nobody ends ours by mistake.

use super::fence::wall_id;
use super::node::node_name;
use super::patience::patiently;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{self, Class, Error, Get, Result, Server, ServerStatus, Target};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::net::IpAddr;

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
        let wall = wall_id(cx).await?;
        let suspect = |s: &Server| {
            let in_dns = s.public_ip.is_some_and(|ip| pointed.contains(&ip.to_string()));
            let ours = world::of_run(&s.labels, cluster, &cx.place.run.id);
            !ours && !s.is_fenced(wall) && (world::of_cluster(&s.labels, cluster) || in_dns)
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

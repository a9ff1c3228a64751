//! `address.free`, `address.keep`: where the configuration keeps addresses, a node's public address outlives its server and goes
//! to the next one. Whoever knows it outside (a database, a mail server, a webhook) need not be told of another.

use super::node::node_name;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{self, Class, Error, Labels, PrimaryIp, Result, Server, ServerStatus, Target};
use async_trait::async_trait;
use serde_json::{json, Value};

/// The labels of a node's kept address. No run is named: it outlives them.
pub(super) fn labels(cluster: &str, node: &str) -> Labels {
    let mut labels = world::adopted(cluster);
    labels.insert(world::NODE.to_owned(), world::label_value(node));
    labels
}

/// The addresses that were kept for a node, the newest first: that is the one it had last.
pub(super) fn of_node<'a>(all: &'a [PrimaryIp], cluster: &str, node: &str) -> Vec<&'a PrimaryIp> {
    let wanted = labels(cluster, node);
    let node = wanted.get(world::NODE);
    let kept = |ip: &&PrimaryIp| world::of_living(&ip.labels, cluster) && ip.labels.get(world::NODE) == node;
    let mut kept: Vec<&PrimaryIp> = all.iter().filter(kept).collect();
    kept.sort_by_key(|ip| std::cmp::Reverse(ip.id));
    kept
}

/// Those of the step's node that a server can be made with: a place that the configuration lists no more is none.
async fn usable(cx: &StepContext<'_>) -> Result<Vec<PrimaryIp>> {
    let all = cx.world.cloud.primary_ips().await?;
    let kept = of_node(&all, &cx.settings().cluster, &cx.node()?.key);
    Ok(kept.into_iter().filter(|ip| cx.settings().cloud.locations.contains(&ip.location)).cloned().collect())
}

/// The address that the step's node takes up now: kept for it, and on no server.
pub(super) async fn free(cx: &StepContext<'_>) -> Result<Option<PrimaryIp>> {
    if !cx.settings().cloud.keep_addresses {
        return Ok(None);
    }
    Ok(usable(cx).await?.into_iter().find(|ip| ip.assignee.is_none()))
}

/// An error of a create with a kept address: where another server has got it meanwhile, or it is gone, it is looked for again.
pub(super) fn another_now(error: Error) -> Error {
    let gone = ["primary_ip_assigned", "primary_ip_datacenter_mismatch", "not_found"];
    match gone.iter().any(|code| error.is(code)) {
        true => Error { class: Class::Transient, ..error },
        false => error,
    }
}

/// Takes the node's kept address off the fenced server that has it.
pub(super) struct Free;

impl Free {
    /// The address, and the server of an earlier life that has it; none where this run has made the node's server.
    async fn held(cx: &StepContext<'_>) -> Result<Option<(PrimaryIp, Server)>> {
        let Some(ip) = usable(cx).await?.into_iter().next() else { return Ok(None) };
        let servers = cx.world.cloud.servers("").await?;
        let own = |s: &Server| world::of_run(&s.labels, &cx.settings().cluster, &cx.place.run.id);
        let name = cx.place.server_name(&cx.node()?.key);
        if servers.iter().any(|s| own(s) && s.name == name) {
            return Ok(None);
        }
        let holder = servers.into_iter().find(|s| ip.assignee == Some(s.id) && !own(s));
        Ok(holder.map(|server| (ip, server)))
    }

    /// Source: Hetzner Cloud API, "Unassign a Primary IP from a resource": the server must be off.
    fn can_go(cx: &StepContext<'_>, server: &Server) -> bool {
        world::of_cluster(&server.labels, &cx.settings().cluster) && server.status == ServerStatus::Off
    }
}

#[async_trait]
impl Action for Free {
    fn describe(&self, place: &Place<'_>) -> String {
        match place.settings.cloud.keep_addresses {
            true => format!("free the kept address of {}", node_name(place)),
            false => "free no address: `cloud.keep_addresses` is off".to_owned(),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "keep_addresses": place.settings.cloud.keep_addresses })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        if !cx.settings().cloud.keep_addresses {
            return Ok(Check::Done(Facts::none()));
        }
        let Some((ip, server)) = Self::held(cx).await? else { return Ok(Check::Done(Facts::none())) };
        if Self::can_go(cx, &server) {
            return Ok(Check::Needed(format!("address {} is on {}", ip.address, server.name)));
        }
        let why = match world::of_cluster(&server.labels, &cx.settings().cluster) {
            true => "which is not off, and an address cannot be taken off such a server",
            false => "which is not this cluster's",
        };
        cx.effects.note(&format!(
            "the kept address {} is on server {} (id {}), {why}: {} gets a new one",
            ip.address,
            server.name,
            server.id,
            node_name(&cx.place)
        ));
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let Some((ip, server)) = Self::held(cx).await?.filter(|(_, server)| Self::can_go(cx, server)) else {
            return Ok(());
        };
        let what = format!("take address {} off server {}", ip.address, server.name);
        let permit = cx.effects.permit(Target::Cloud { kind: "primary_ip", id: ip.id }, &what).await?;
        match cx.world.cloud.unassign_primary_ip(&permit, ip.id).await {
            // Somebody powered it on meanwhile.
            Err(error) if error.is("server_not_stopped") => Err(Error { class: Class::Transient, ..error }),
            end => end,
        }
    }
}

/// Makes the address of the node's server one of our own: named, labelled, and not deleted with the server.
pub(super) struct Keep;

impl Keep {
    /// All addresses of the project, and the one that is on the node's server.
    async fn own(cx: &StepContext<'_>) -> Result<(Vec<PrimaryIp>, PrimaryIp)> {
        let id = cx.facts.id(FactKind::ServerId, Some(&cx.node()?.key))?;
        let all = cx.world.cloud.primary_ips().await?;
        let own = all.iter().find(|ip| ip.assignee == Some(id)).cloned();
        let own = own.ok_or_else(|| Error::transient(format!("no address is on server {id}")))?;
        Ok((all, own))
    }

    fn is_kept(cx: &StepContext<'_>, ip: &PrimaryIp) -> Result<bool> {
        let wanted = labels(&cx.settings().cluster, &cx.node()?.key);
        Ok(!ip.auto_delete && wanted.iter().all(|(key, value)| ip.labels.get(key) == Some(value)))
    }

    /// `<cluster>-<node>`, with the address's id behind it where another one has that name.
    fn name(cx: &StepContext<'_>, all: &[PrimaryIp], ip: &PrimaryIp) -> Result<String> {
        let name = cx.place.name(&cx.node()?.key);
        Ok(match all.iter().any(|other| other.id != ip.id && other.name == name) {
            true => format!("{name}-{}", ip.id),
            false => name,
        })
    }
}

#[async_trait]
impl Action for Keep {
    fn describe(&self, place: &Place<'_>) -> String {
        match place.settings.cloud.keep_addresses {
            true => format!("keep the address of {} when its server goes", node_name(place)),
            false => "keep no address: `cloud.keep_addresses` is off".to_owned(),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "keep_addresses": place.settings.cloud.keep_addresses })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::ServerId]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        if !cx.settings().cloud.keep_addresses {
            return Ok(Check::Done(Facts::none()));
        }
        let (all, own) = Self::own(cx).await?;
        let left = of_node(&all, &cx.settings().cluster, &cx.node()?.key).into_iter().filter(|ip| ip.id != own.id);
        let left: Vec<String> = left.map(|ip| format!("{} in {} (id {})", ip.address, ip.location, ip.id)).collect();
        if !left.is_empty() {
            cx.effects.note(&format!(
                "not taken up: {}, kept for {} earlier, which has {} in {} now. It still costs: delete it in the console when \
                 nobody needs it",
                left.join(", "),
                node_name(&cx.place),
                own.address,
                own.location
            ));
        }
        Ok(match Self::is_kept(cx, &own)? {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("address {} would go with its server", own.address)),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let (all, own) = Self::own(cx).await?;
        if Self::is_kept(cx, &own)? {
            return Ok(());
        }
        let (cluster, name) = (&cx.settings().cluster, Self::name(cx, &all, &own)?);
        let mut wanted = own.labels.clone();
        wanted.extend(labels(cluster, &cx.node()?.key));
        let target = match world::of_living(&own.labels, cluster) {
            true => Target::Cloud { kind: "primary_ip", id: own.id },
            false => Target::OwnAddress { id: own.id },
        };
        let permit = cx.effects.permit(target, &format!("keep address {} as {name}", own.address)).await?;
        cx.world.cloud.keep_primary_ip(&permit, own.id, &name, &wanted).await
    }
}

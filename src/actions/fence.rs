//! `old_cluster.fence`: puts servers of an earlier life out of action. Powered off and seen off, or cut off by a firewall;
//! renamed and labelled, never deleted.

use super::old::made_by_hand;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{
    self, Class, Error, FirewallRule, Permit, Result, Server, ServerStatus, Target, Thing, ThingKind, ThingSpec,
};
use async_trait::async_trait;
use futures::future::{join_all, select, Either};
use serde_json::{json, Value};
use std::time::Duration;

/// Value of the state label of a fenced server.
const FENCED: &str = "fenced";
/// How long a power-off may take, and how long the server may then take to be seen off. Cutting the power takes seconds; twice
/// both, for all servers at once, is well inside the step's deadline.
const GOES_OFF: Duration = Duration::from_secs(30);
/// Between two looks whether it is off.
const LOOK: Duration = Duration::from_secs(2);
/// How often the power is cut before a server counts as one that cannot be powered off.
const TRIES: usize = 2;

/// The code of the error where a firewall cannot be taken off a server, for a label selector puts it there: the labels are
/// somebody's, who may select by them what else lives in the project.
/// Source: Hetzner Cloud API, "Remove from Resources".
const BY_SELECTOR: &str = "firewall_managed_by_label_selector";

/// The id of the cluster's firewall that lets nothing through, where there is one.
pub(super) async fn wall_id(cx: &StepContext<'_>) -> Result<Option<i64>> {
    let cluster = &cx.settings().cluster;
    let all = cx.world.cloud.things(ThingKind::Firewall, &world::selector(cluster, None)).await?;
    Ok(all.into_iter().find(|f| f.name == world::wall_name(cluster)).map(|f| f.id))
}

/// Servers of this cluster that this run did not make and that are not out of action, whatever their labels say.
async fn loose_servers(cx: &StepContext<'_>) -> Result<Vec<Server>> {
    let cluster = &cx.settings().cluster;
    let servers = cx.world.cloud.servers(&world::selector(cluster, None)).await?;
    let wall = wall_id(cx).await?;
    let loose = |s: &Server| !world::of_run(&s.labels, cluster, &cx.place.run.id) && !s.is_fenced(wall);
    Ok(servers.into_iter().filter(loose).collect())
}

async fn permit(cx: &StepContext<'_>, server: &Server, what: &str) -> Result<Permit> {
    cx.effects.permit(Target::Cloud { kind: "server", id: server.id }, what).await
}

/// Puts old servers out of action.
pub(super) struct Fence;

impl Fence {
    /// Cuts the power and sees it off; `false` where it cannot be: refused, or an action that hangs or fails.
    async fn powered_off(cx: &StepContext<'_>, server: &Server) -> Result<bool> {
        if server.status == ServerStatus::Off {
            return Ok(true);
        }
        for _ in 0..TRIES {
            let permit = permit(cx, server, "power it off").await?;
            let cut = cx.world.cloud.power_off(&permit, server.id);
            let error = match select(cut, cx.world.clock.sleep(GOES_OFF)).await {
                Either::Left((end, _)) => end.err(),
                Either::Right(_) => Some(Error::unknown("the power-off does not end")),
            };
            // Whatever the reply was, a look decides. A lock is another action's: it may be one that never ends.
            let patience = match &error {
                None => GOES_OFF,
                Some(error) if error.class == Class::Unknown || error.is("locked") => GOES_OFF,
                Some(error) if error.class == Class::Transient => return Err(error.clone()),
                Some(_) => Duration::ZERO,
            };
            if Self::seen_off(cx, server, patience).await? {
                return Ok(true);
            }
            let why = error.map_or_else(|| "it stays on".to_owned(), |error| error.what);
            cx.effects.progress(&format!("{} is not off: {why}", server.name));
        }
        Ok(false)
    }

    async fn seen_off(cx: &StepContext<'_>, server: &Server, patience: Duration) -> Result<bool> {
        let until = cx.world.clock.now() + patience;
        loop {
            match cx.world.cloud.server(server.id).await? {
                Some(now) if now.status != ServerStatus::Off => {}
                _ => return Ok(true),
            }
            if cx.world.clock.now() >= until {
                return Ok(false);
            }
            cx.world.clock.sleep(LOOK).await;
        }
    }

    /// Nothing comes in where there is no incoming rule. One outgoing rule, to nowhere, lets nothing else out.
    /// Source: Hetzner Cloud API, "Firewalls".
    fn deny_all() -> Vec<FirewallRule> {
        vec![FirewallRule {
            direction: "out".to_owned(),
            protocol: "icmp".to_owned(),
            port: None,
            // TEST-NET-1 (RFC 5737): routed nowhere.
            addresses: vec!["192.0.2.1/32".to_owned()],
            description: "nowhere".to_owned(),
        }]
    }

    /// The firewall that lets nothing through, made where it is missing.
    async fn wall(cx: &StepContext<'_>) -> Result<Thing> {
        let name = world::wall_name(&cx.settings().cluster);
        let all = cx.world.cloud.things(ThingKind::Firewall, "").await?;
        let Some(found) = all.into_iter().find(|f| f.name == name) else {
            let target = Target::CloudNew { kind: "firewall", name: name.clone() };
            let permit = cx.effects.permit(target, "make a firewall that lets nothing through").await?;
            let (spec, labels) = (ThingSpec::Firewall(Self::deny_all()), cx.place.labels(&json!("fence")));
            return cx.world.cloud.create_thing(&permit, &name, &spec, &labels).await;
        };
        if !world::of_cluster(&found.labels, &cx.settings().cluster) {
            return Err(Error::refused(format!("firewall {name} exists and does not carry this cluster's labels"))
                .remedy("rename or delete it: relight needs one of that name that lets nothing through"));
        }
        if found.spec != ThingSpec::Firewall(Self::deny_all()) {
            let target = Target::Cloud { kind: "firewall", id: found.id };
            let permit = cx.effects.permit(target, "let nothing through it").await?;
            cx.world.cloud.set_firewall_rules(&permit, found.id, &Self::deny_all()).await?;
        }
        Ok(found)
    }

    /// Only the deny-all firewall on it, seen so: what any other firewall on it admits would be admitted.
    async fn cut_off(cx: &StepContext<'_>, server: &Server) -> Result<()> {
        let wall = Self::wall(cx).await?.id;
        let on = |server: &Server| server.firewalls.clone();
        if !on(server).contains(&wall) {
            let permit = permit(cx, server, "cut it off by the firewall").await?;
            cx.world.cloud.attach_firewall(&permit, wall, server.id).await?;
        }
        let mut selected = Vec::new();
        for other in on(server).into_iter().filter(|id| *id != wall) {
            let permit = permit(cx, server, &format!("take firewall {other} off it, which lets something in")).await?;
            match cx.world.cloud.detach_firewall(&permit, other, server.id).await {
                Err(error) if error.is(BY_SELECTOR) => selected.push(other.to_string()),
                end => end?,
            }
        }
        if !selected.is_empty() {
            return Err(Error::refused(format!(
                "{} cannot be powered off, and not be cut off: firewall {} is on it by a label selector, and what that lets in \
                 would come in",
                server.name,
                selected.join(", ")
            ))
            .remedy(
                "in the console, take the label that the selector selects off the server, or the selector off the firewall, or \
                 power the server off; then `relight resume`",
            ));
        }
        match cx.world.cloud.server(server.id).await? {
            Some(now) if on(&now) != [wall] => Err(Error::transient(format!("{} is not cut off yet", now.name))),
            _ => Ok(()),
        }
    }

    /// Labels what was made by hand: from then on it is this cluster's, and fenced as the others are.
    async fn adopt(cx: &StepContext<'_>) -> Result<()> {
        for server in made_by_hand(cx).await?.into_iter().filter(|s| cx.facts.accepted().contains(&s.id)) {
            let target = Target::Adopted { kind: "server", id: server.id };
            let permit = cx.effects.permit(target, &format!("label {} as this cluster's", server.name)).await?;
            let mut labels = server.labels.clone();
            labels.extend(world::adopted(&cx.settings().cluster));
            cx.world.cloud.update_server(&permit, server.id, &server.name, &labels).await?;
        }
        Ok(())
    }

    async fn mark(cx: &StepContext<'_>, server: &Server) -> Result<()> {
        if server.labels.contains_key(world::STATE) {
            return Ok(());
        }
        let mut labels = server.labels.clone();
        labels.insert(world::STATE.to_owned(), FENCED.to_owned());
        let name: String = server.name.chars().take(45).collect();
        let name = format!("{name}-old-{}", cx.place.run.id);
        let permit = permit(cx, server, &format!("rename it {name}")).await?;
        cx.world.cloud.update_server(&permit, server.id, &name, &labels).await
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
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::OldServers]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let mut loose: Vec<_> = loose_servers(cx).await?.into_iter().map(|s| s.name).collect();
        let (accepted, new): (Vec<_>, Vec<_>) =
            made_by_hand(cx).await?.into_iter().partition(|s| cx.facts.accepted().contains(&s.id));
        if let Some(server) = new.first() {
            return Ok(Check::Refused(format!(
                "server {} (id {}) runs without a label, the cluster's names point at it, and nobody was asked about it: \
                 `relight resume` asks",
                server.name, server.id
            )));
        }
        loose.extend(accepted.into_iter().map(|s| s.name));
        Ok(match loose.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("old servers {}", loose.join(", "))),
        })
    }
    /// All powers are cut at once: one that hangs keeps no other one running. A server is marked only when it is out of action.
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        Self::adopt(cx).await?;
        let loose = loose_servers(cx).await?;
        let ends = join_all(loose.iter().map(|server| Self::powered_off(cx, server))).await;
        let mut trouble = None;
        for (server, off) in loose.iter().zip(ends) {
            let fenced = match off {
                Ok(true) => Self::mark(cx, server).await,
                Ok(false) => match Self::cut_off(cx, server).await {
                    Ok(()) => Self::mark(cx, server).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            trouble = trouble.or(fenced.err());
        }
        trouble.map_or(Ok(()), Err)
    }
}

//! `ssh_key.ensure`, `network.ensure`, `firewall.ensure`, `placement_group.ensure`: what servers are given when they are created.

use super::access::{self, IDENTITY};
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::NetworkSettings;
use crate::world::{self, Error, FirewallRule, Result, Target, Thing, ThingKind, ThingSpec};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeSet;

/// What describes the rules that let peers in.
pub(super) const PEER: &str = "relight-peer";

/// Makes one thing of the cloud, or finds that it is there.
pub(super) struct Ensure(pub(super) ThingKind);

impl Ensure {
    fn suffix(&self, place: &Place<'_>) -> String {
        match self.0 {
            // Hetzner refuses a public key that the project already has, so every run has a key of its own.
            ThingKind::SshKey => format!("run-{}", place.run.id),
            ThingKind::Network => "net".to_owned(),
            ThingKind::Firewall => "nodes".to_owned(),
            ThingKind::PlacementGroup => "spread".to_owned(),
        }
    }

    fn spec(&self, place: &Place<'_>, public_key: Option<String>) -> Option<ThingSpec> {
        Some(match (self.0, &place.settings.cloud.network) {
            (ThingKind::SshKey, _) => ThingSpec::SshKey(public_key?),
            (ThingKind::Network, NetworkSettings::Private { range, zone }) => {
                ThingSpec::Network { range: range.clone(), zone: zone.clone() }
            }
            (ThingKind::Network, NetworkSettings::Public) => return None,
            (ThingKind::Firewall, _) => ThingSpec::Firewall(base_rules(place)),
            (ThingKind::PlacementGroup, _) => ThingSpec::PlacementGroup,
        })
    }

    fn fact(&self) -> FactKind {
        match self.0 {
            ThingKind::SshKey => FactKind::SshKeyId,
            ThingKind::Network => FactKind::NetworkId,
            ThingKind::Firewall => FactKind::FirewallId,
            ThingKind::PlacementGroup => FactKind::PlacementGroupId,
        }
    }

    async fn wanted(&self, cx: &StepContext<'_>, make_key: bool) -> Result<Option<ThingSpec>> {
        let public = match self.0 {
            ThingKind::SshKey if make_key => {
                let key = access::kept_or(cx, IDENTITY, || access::new_key(cx, "relight")).await?;
                Some(world::public_key(&key)?)
            }
            ThingKind::SshKey => access::kept(cx, IDENTITY).await?.map(|key| world::public_key(&key)).transpose()?,
            _ => None,
        };
        Ok(self.spec(&cx.place, public))
    }

    async fn existing(&self, cx: &StepContext<'_>) -> Result<Option<Thing>> {
        let name = cx.place.name(&self.suffix(&cx.place));
        Ok(cx.world.cloud.things(self.0, "").await?.into_iter().find(|t| t.name == name))
    }
}

fn of_this_run(cx: &StepContext<'_>, thing: &Thing) -> bool {
    world::of_run(&thing.labels, &cx.settings().cluster, &cx.place.run.id)
}

/// What the cloud firewall lets in before the nodes are known: SSH, HTTP and HTTPS from anywhere, pings, and the API for the
/// configured addresses.
pub(super) fn base_rules(place: &Place<'_>) -> Vec<FirewallRule> {
    let anywhere = || vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let rule = |protocol: &str, port: Option<&str>, addresses: Vec<String>, description: &str| FirewallRule {
        direction: "in".to_owned(),
        protocol: protocol.to_owned(),
        port: port.map(str::to_owned),
        addresses,
        description: description.to_owned(),
    };
    let mut rules = vec![
        rule("icmp", None, anywhere(), "ping"),
        rule("tcp", Some("22"), anywhere(), "ssh"),
        rule("tcp", Some("80"), anywhere(), "http"),
        rule("tcp", Some("443"), anywhere(), "https"),
    ];
    let mut api = place.settings.cloud.api_access.clone();
    if !api.is_empty() {
        api.sort();
        rules.push(rule("tcp", Some("6443"), api, "kubernetes api"));
    }
    if let Some(spare) = &place.settings.spare {
        rules.extend(ways_out(&spare.closed_ports));
    }
    rules
}

/// Outgoing rules that leave everything open but these TCP ports. Where a firewall has an outgoing rule, all that none admits is
/// dropped. Source: Hetzner Cloud API, Firewalls.
fn ways_out(closed: &[u16]) -> Vec<FirewallRule> {
    let rule = |protocol: &str, port: Option<String>| FirewallRule {
        direction: "out".to_owned(),
        protocol: protocol.to_owned(),
        port,
        addresses: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        description: "all but the closed ports".to_owned(),
    };
    let mut closed: Vec<u16> = closed.to_vec();
    closed.sort_unstable();
    let mut rules = vec![rule("icmp", None), rule("udp", Some("1-65535".to_owned()))];
    let mut from = 1u16;
    for port in closed.into_iter().map(Some).chain([None]) {
        let to = port.map_or(u16::MAX, |p| p.saturating_sub(1));
        if from <= to {
            rules.push(rule("tcp", Some(if from == to { from.to_string() } else { format!("{from}-{to}") })));
        }
        from = port.map_or(u16::MAX, |p| p.saturating_add(1));
    }
    rules
}

/// The rules that an existing firewall should have: these, and of its peers' rules what names addresses that servers of the
/// project have. Those of an earlier life may be a stranger's by now.
async fn with_peers(
    cx: &StepContext<'_>,
    existing: &[FirewallRule],
    wanted: &[FirewallRule],
) -> Result<Vec<FirewallRule>> {
    let mut rules = wanted.to_vec();
    let peers: Vec<&FirewallRule> = existing.iter().filter(|rule| rule.description == PEER).collect();
    if !peers.is_empty() {
        let servers = cx.world.cloud.servers("").await?;
        let held: BTreeSet<String> = servers.iter().filter_map(|s| Some(format!("{}/32", s.public_ip?))).collect();
        for rule in peers {
            let addresses: Vec<String> = rule.addresses.iter().filter(|a| held.contains(*a)).cloned().collect();
            if !addresses.is_empty() {
                rules.push(FirewallRule { addresses, ..rule.clone() });
            }
        }
    }
    Ok(rules)
}

/// The same rules, in whatever order.
fn same_rules(a: &[FirewallRule], b: &[FirewallRule]) -> bool {
    let sorted = |rules: &[FirewallRule]| {
        let mut rules = rules.to_vec();
        rules.sort();
        rules
    };
    sorted(a) == sorted(b)
}

#[async_trait]
impl Action for Ensure {
    fn describe(&self, place: &Place<'_>) -> String {
        let kind = self.0.word().replace('_', " ");
        match (self.0, &place.settings.cloud.network) {
            (ThingKind::Network, NetworkSettings::Public) => {
                "no private network: nodes use public addresses".to_owned()
            }
            _ => format!("make {kind} {}", place.name(&self.suffix(place))),
        }
    }

    fn inputs(&self, place: &Place<'_>) -> Value {
        let spec = self.spec(place, None).map(|s| format!("{s:?}"));
        json!({ "kind": self.0.word(), "spec": spec })
    }

    fn made_from(&self, place: &Place<'_>) -> Option<Value> {
        Some(self.inputs(place))
    }

    fn provides(&self) -> &'static [FactKind] {
        match self.0 {
            ThingKind::SshKey => &[FactKind::SshKeyId],
            ThingKind::Network => &[FactKind::NetworkId],
            ThingKind::Firewall => &[FactKind::FirewallId],
            ThingKind::PlacementGroup => &[FactKind::PlacementGroupId],
        }
    }

    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let name = cx.place.name(&self.suffix(&cx.place));
        let kind = self.0.word().replace('_', " ");
        let Some(wanted) = self.wanted(cx, false).await? else {
            return Ok(match self.0 {
                ThingKind::SshKey => Check::Needed(format!("{kind} {name}")),
                _ => Check::Done(Facts::none().with(self.fact(), 0)),
            });
        };
        let Some(thing) = self.existing(cx).await? else { return Ok(Check::Needed(format!("{kind} {name}"))) };
        if !world::of_cluster(&thing.labels, &cx.settings().cluster) {
            let text = format!("{kind} {name} (id {}) exists and does not carry this cluster's labels", thing.id);
            return Ok(Check::Refused(text));
        }
        let same = match (&thing.spec, &wanted) {
            (ThingSpec::Firewall(existing), ThingSpec::Firewall(wanted)) => {
                same_rules(existing, &with_peers(cx, existing, wanted).await?)
            }
            (existing, wanted) => existing == wanted,
        };
        Ok(match (same, self.0) {
            (true, _) => Check::Done(Facts::none().with(self.fact(), thing.id)),
            (false, ThingKind::Firewall) => Check::Needed(format!("rules of {kind} {name}")),
            // Its private half is lost.
            (false, ThingKind::SshKey) if of_this_run(cx, &thing) => {
                Check::Needed(format!("{kind} {name} in the place of the lost one"))
            }
            (false, _) => Check::Refused(format!("{kind} {name} (id {}) exists and is not as configured", thing.id)),
        })
    }

    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let name = cx.place.name(&self.suffix(&cx.place));
        let missing = || Error::fatal(format!("nothing to make for {name}"));
        let wanted = self.wanted(cx, true).await?.ok_or_else(missing)?;
        if let (Some(thing), ThingSpec::Firewall(rules)) = (self.existing(cx).await?, &wanted) {
            let ThingSpec::Firewall(existing) = &thing.spec else { return Err(missing()) };
            let rules = with_peers(cx, existing, rules).await?;
            let permit = cx.effects.permit(Target::Cloud { kind: "firewall", id: thing.id }, "set its rules").await?;
            return cx.world.cloud.set_firewall_rules(&permit, thing.id, &rules).await;
        }
        if let (Some(lost), ThingSpec::SshKey(_)) = (self.existing(cx).await?, &wanted) {
            if lost.spec != wanted && of_this_run(cx, &lost) {
                let target = Target::Cloud { kind: self.0.word(), id: lost.id };
                let permit = cx.effects.permit(target, "delete it: its private half is lost").await?;
                cx.world.cloud.delete_thing(&permit, self.0, lost.id).await?;
            }
        }
        let labels = cx.labels(&self.made_from(&cx.place).unwrap_or_default());
        let target = Target::CloudNew { kind: self.0.word(), name: name.clone() };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        let made = cx.world.cloud.create_thing(&permit, &name, &wanted, &labels).await;
        made.map(|_| ()).map_err(exists_by_now)
    }
}

/// The cloud keeps names unique: a create that it refuses for that reason is settled by another look, not by a person.
pub(super) fn exists_by_now(error: Error) -> Error {
    if error.is("uniqueness_error") {
        return Error { class: crate::world::Class::Unknown, ..error };
    }
    error
}

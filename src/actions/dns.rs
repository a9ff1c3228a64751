//! `dns.point`: the names of the cluster point at a node, and at nothing that is not ours.

use super::dns_undo::EarlierRecord;
use super::living;
use super::node::node_name;
use super::{access, Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::Settings;
use crate::world::{Batch, Class, Error, NewRecord, Permit, Record, Result, Target, World, Zone};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

/// Where the records as they were before the run's first change are kept, for an undo.
pub(super) const BEFORE: &str = "dns-before.json";

/// Puts the step's node into every name. Records of addresses that are not this run's nodes are changed in place, or removed
/// in the same transaction; so a name is never empty and never points at a stranger.
pub(super) struct Point;

/// What is there, and what has to change.
struct Difference {
    zone: Zone,
    names: Vec<String>,
    earlier: Vec<Record>,
    batch: Batch,
}

impl Point {
    async fn difference(cx: &StepContext<'_>) -> Result<Difference> {
        let dns = &cx.settings().dns;
        let zone = zone(cx).await?;
        let earlier = cx.world.dns.records(&zone, &dns.hosts).await?;
        let this = cx.facts.address(FactKind::NodeAddress, &cx.node()?.key)?;
        let living = living::addresses(cx).await?;
        if !living.contains(&this) {
            return Err(living::lost(&node_name(&cx.place), this));
        }
        let mut batch = Batch::default();
        for host in &dns.hosts {
            let wanted = Self::wanted(cx, host, &this.to_string());
            Self::host(&mut batch, &earlier, &wanted, &living);
        }
        let mut names = dns.hosts.clone();
        names.sort();
        Ok(Difference { zone, names, earlier, batch })
    }

    fn wanted(cx: &StepContext<'_>, host: &str, address: &str) -> NewRecord {
        NewRecord {
            kind: "A".to_owned(),
            name: host.to_owned(),
            content: address.to_owned(),
            proxied: cx.settings().dns.proxied,
            ttl: 1,
            comment: format!("{}{}", mark(&cx.settings().cluster), cx.place.run.id),
        }
    }

    fn host(batch: &mut Batch, earlier: &[Record], wanted: &NewRecord, living: &BTreeSet<IpAddr>) {
        let address = |r: &&Record| r.name == wanted.name && matches!(r.kind.as_str(), "A" | "AAAA");
        let mut stale: Vec<&Record> = Vec::new();
        let mut here = false;
        for record in earlier.iter().filter(address) {
            if record.kind == "A" && record.content == wanted.content {
                if record.proxied != wanted.proxied {
                    batch.patches.push((record.id.clone(), wanted.clone()));
                }
                here = true;
            } else if record.kind != "A" || !lives(living, &record.content) {
                stale.push(record);
            }
        }
        if !here {
            match stale.iter().position(|r| r.kind == "A") {
                Some(i) => batch.patches.push((stale.swap_remove(i).id.clone(), wanted.clone())),
                None => batch.posts.push(wanted.clone()),
            }
        }
        batch.deletes.extend(stale.iter().map(|r| r.id.clone()));
    }
}

/// How the comment begins of each record that relight makes for a cluster; the run's id follows.
pub(super) fn mark(cluster: &str) -> String {
    format!("relight {cluster} ")
}

/// Whether relight made the record for this cluster.
pub(super) fn is_marked(record: &Record, cluster: &str) -> bool {
    record.comment.as_deref().is_some_and(|comment| comment.starts_with(&mark(cluster)))
}

/// The zone of the configuration.
pub(super) async fn zone(cx: &StepContext<'_>) -> Result<Zone> {
    zone_of(cx.world, cx.settings()).await
}

/// The same before there is a step.
pub(super) async fn zone_of(world: &World, settings: &Settings) -> Result<Zone> {
    let name = &settings.dns.zone;
    let invisible = || Error::fatal(format!("zone {name} is not visible")).remedy("check CLOUDFLARE_API_TOKEN");
    world.dns.zone(name).await?.ok_or_else(invisible)
}

/// Keeps the records as they are before the run's first change.
pub(super) async fn save(cx: &StepContext<'_>, earlier: &[Record]) -> Result<()> {
    if access::kept(cx, BEFORE).await?.is_some() {
        return Ok(());
    }
    let text = json!(earlier.iter().map(EarlierRecord::of).collect::<Vec<_>>()).to_string();
    let written = cx.world.files.write(BEFORE, text.as_bytes()).await;
    written.map_err(|e| access::unwritten(cx, BEFORE, &e))
}

/// Makes the changes. Two that enter at once may have met: what one read, the other has changed, and it is looked at again.
pub(super) async fn change(permit: &Permit, cx: &StepContext<'_>, zone: &Zone, batch: &Batch) -> Result<()> {
    match cx.world.dns.change(permit, zone, batch).await {
        Err(error) if ["81044", "81057", "81058"].iter().any(|code| error.is(code)) => {
            Err(Error { class: Class::Transient, ..error })
        }
        other => other,
    }
}

/// Whether the content of an A record is among these.
fn lives(living: &BTreeSet<IpAddr>, content: &str) -> bool {
    content.parse().is_ok_and(|address: IpAddr| living.contains(&address))
}

/// The exact records wanted, so that a person can make them by hand when Cloudflare's API is down. Where the cloud answers, of
/// servers that are still there.
async fn by_hand(cx: &StepContext<'_>) -> String {
    let (dns, living) = (&cx.settings().dns, living::addresses(cx).await.ok());
    let mut text = String::from("records wanted:");
    for host in &dns.hosts {
        for node in &cx.settings().nodes {
            let address = cx.facts.find(FactKind::NodeAddress, Some(&node.key));
            let lost = |address: &str| living.as_ref().is_some_and(|living| !lives(living, address));
            if let Some(address) = address.filter(|address| !lost(address)) {
                let _ = write!(text, " {host} A {address} {};", if dns.proxied { "proxied" } else { "not proxied" });
            }
        }
    }
    text
}

async fn with_records(cx: &StepContext<'_>, error: Error) -> Error {
    match error.is(living::LOST) {
        true => error,
        false => Error { what: format!("{}; {}", error.what, by_hand(cx).await), ..error },
    }
}

#[async_trait]
impl Action for Point {
    fn describe(&self, place: &Place<'_>) -> String {
        if place.settings.dns.hosts.is_empty() {
            return format!("leave zone {} alone: there are no names to point", place.settings.dns.zone);
        }
        format!("point {} at {}", place.settings.dns.hosts.join(", "), node_name(place))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        let dns = &place.settings.dns;
        json!({ "zone": dns.zone, "hosts": dns.hosts, "proxied": dns.proxied })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        if cx.settings().dns.hosts.is_empty() {
            return Ok(Check::Done(Facts::none()));
        }
        let difference = match Self::difference(cx).await {
            Ok(difference) => difference,
            Err(error) => return Err(with_records(cx, error).await),
        };
        if difference.batch.is_empty() {
            return Ok(Check::Done(Facts::none()));
        }
        let batch = &difference.batch;
        let counts = [("changed", batch.patches.len()), ("made", batch.posts.len()), ("removed", batch.deletes.len())];
        let words: Vec<_> = counts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}")).collect();
        Ok(Check::Needed(format!("records to be {}", words.join(", "))))
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let difference = match Self::difference(cx).await {
            Ok(difference) => difference,
            Err(error) => return Err(with_records(cx, error).await),
        };
        if difference.batch.is_empty() {
            return Ok(());
        }
        save(cx, &difference.earlier).await?;
        let target = Target::Dns { zone: difference.zone.name.clone(), names: difference.names };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        match change(&permit, cx, &difference.zone, &difference.batch).await {
            Ok(()) => Ok(()),
            Err(error) => Err(with_records(cx, error).await),
        }
    }
}

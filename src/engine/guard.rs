//! The guard: the one place that decides what a run may touch, and the only one that issues permits.
//!
//! It trusts nothing that it is told: before every permit it looks at the target itself. A playbook cannot switch it off.

use super::lease;
use crate::actions::{Facts, Mode, Place};
use crate::world::{
    expired, of_cluster, of_living, of_run, rehearsal_of, Error, Labels, Permit, Result, Server, Target, ThingKind,
    World, MANAGED_BY,
};
use futures::future::try_join;
use std::net::IpAddr;
use std::time::Duration;

/// Looks at the target, and says whether this run may touch it. The caller issues the permit after the intent is on disk.
pub(super) async fn look(world: &World, place: &Place<'_>, facts: &Facts, target: &Target) -> Result<()> {
    // At once: nobody waits longer for the second look than for the first.
    try_join(lease::look(world, place, facts, target), aimed(world, place, facts, target)).await?;
    Ok(())
}

async fn aimed(world: &World, place: &Place<'_>, facts: &Facts, target: &Target) -> Result<()> {
    if place.settings.taken_down.is_some() && !takes_down(target) && !lease::is_new(place, target) {
        return Err(stopped(place, &format!("{target}: a run that takes down makes nothing, and changes no node")));
    }
    if facts.take_over() && !takes_over(target) && !lease::is_new(place, target) {
        return Err(stopped(
            place,
            &format!("{target}: a run that takes over what was made by hand labels and marks it alone"),
        ));
    }
    match target {
        Target::CloudNew { kind, name } => new_thing(world, place, kind, name).await,
        Target::Cloud { kind, id } => thing(world, place, kind, *id).await,
        Target::Adopted { kind, id } => made_by_hand(world, place, facts, kind, *id).await,
        Target::OwnAddress { id } => own_address(world, place, *id).await,
        Target::GivenUp { id } => given_up(world, place, facts, *id).await,
        Target::Node { address } | Target::Objects { address, .. } => node(world, place, *address).await,
        Target::Dns { zone, names } => dns(place, zone, names),
        Target::LocalFile { .. } => Ok(()),
    }
}

/// Issues the permit for a target that was looked at and whose intent is on disk.
pub(super) fn issue(place: &Place<'_>, target: Target, intent: u64) -> Permit {
    Permit::issue(target, place.step, &place.run.id, intent)
}

fn stopped(place: &Place<'_>, why: &str) -> Error {
    Error::refused(format!("the guard stopped step {}: {why}", place.step))
        .remedy("nothing was sent; look at what carries that name or label, and at the playbook")
        .code("guard")
}

/// Whether a run that takes down may have anything to do with this.
fn takes_down(target: &Target) -> bool {
    matches!(target, Target::Cloud { .. } | Target::Dns { .. })
}

/// Whether a run that takes over what was made by hand may have anything to do with this: the one group is the lease, at which the
/// guard looks beside this.
fn takes_over(target: &Target) -> bool {
    let a_group = matches!(target, Target::Cloud { kind, .. } if *kind == ThingKind::PlacementGroup.word());
    a_group || matches!(target, Target::Adopted { .. } | Target::Dns { .. })
}

/// Whether the labels let this run touch the thing: made by this run, or (live) of its cluster.
fn ours(place: &Place<'_>, labels: &Labels, now: Duration) -> bool {
    let (cluster, run) = (&place.settings.cluster, &place.run.id);
    match (place.run.mode, &place.settings.taken_down) {
        (Mode::Live, None) => of_cluster(labels, cluster),
        (Mode::Live, Some(_)) => of_living(labels, cluster),
        (Mode::Rehearsal, None) => of_run(labels, cluster, run),
        // Whatever the list says: what a live run made is of no rehearsal.
        (Mode::Rehearsal, Some(down)) => {
            let of = rehearsal_of(labels, cluster);
            let named = of.is_some_and(|of| down.rehearsals().iter().any(|run| run == of));
            named && (!down.only_expired() || expired(labels, now))
        }
    }
}

/// A rehearsal's things are known by their names too: labels that say more than they should, or a reply about another project,
/// must not be enough to touch what production has.
fn named(place: &Place<'_>, name: &str) -> bool {
    let of = |run: &String| name.starts_with(&format!("{}-r-{run}-", place.settings.cluster));
    match (place.run.mode, &place.settings.taken_down) {
        (Mode::Live, _) => true,
        (Mode::Rehearsal, None) => name.starts_with(&place.name("")),
        (Mode::Rehearsal, Some(down)) => down.rehearsals().iter().any(of),
    }
}

async fn all(world: &World, kind: &str) -> Result<Vec<(i64, String, Labels)>> {
    let kind = match kind {
        "server" => {
            let servers = world.cloud.servers("").await?;
            return Ok(servers.into_iter().map(|s| (s.id, s.name, s.labels)).collect());
        }
        "primary_ip" => {
            let addresses = world.cloud.primary_ips().await?;
            return Ok(addresses.into_iter().map(|ip| (ip.id, ip.name, ip.labels)).collect());
        }
        "ssh_key" => ThingKind::SshKey,
        "network" => ThingKind::Network,
        "firewall" => ThingKind::Firewall,
        "placement_group" => ThingKind::PlacementGroup,
        other => return Err(Error::fatal(format!("the guard knows no kind {other}"))),
    };
    Ok(world.cloud.things(kind, "").await?.into_iter().map(|t| (t.id, t.name, t.labels)).collect())
}

async fn new_thing(world: &World, place: &Place<'_>, kind: &str, name: &str) -> Result<()> {
    if !name.starts_with(&place.name("")) {
        return Err(stopped(place, &format!("{kind} {name} is no name of this run")));
    }
    match all(world, kind).await?.into_iter().find(|(_, n, _)| n == name) {
        None => Ok(()),
        Some((id, _, labels)) if ours(place, &labels, world.clock.now()) => {
            Err(Error::transient(format!("{kind} {name} exists by now (id {id}); looking again")))
        }
        Some((id, ..)) => Err(stopped(place, &format!("{kind} {name} (id {id}) exists and is not this cluster's"))),
    }
}

async fn thing(world: &World, place: &Place<'_>, kind: &str, id: i64) -> Result<()> {
    let found = match kind {
        "server" => world.cloud.server(id).await?.map(|s| (s.id, s.name, s.labels)),
        _ => all(world, kind).await?.into_iter().find(|(i, ..)| *i == id),
    };
    match found {
        None => Err(Error::transient(format!("{kind} {id} does not exist any more; looking again"))),
        Some((_, name, labels)) if ours(place, &labels, world.clock.now()) && named(place, &name) => Ok(()),
        Some((_, name, _)) => Err(stopped(place, &format!("{kind} {name} (id {id}) is not this cluster's"))),
    }
}

/// What carries no label is the cluster's only if a person accepted it as that, in a live run; and if the cluster's own names
/// still point at it (a server), or everything that has it is the cluster's or was accepted with it (an address, a firewall).
/// What carries the cluster's labels is taken over already, and may lack some.
async fn made_by_hand(world: &World, place: &Place<'_>, facts: &Facts, kind: &str, id: i64) -> Result<()> {
    let found = all(world, kind).await?.into_iter().find(|(i, ..)| *i == id);
    let gone = || Error::transient(format!("{kind} {id} does not exist any more; looking again"));
    let (_, name, labels) = found.ok_or_else(gone)?;
    let (live, free) = (place.run.mode == Mode::Live, !labels.contains_key(MANAGED_BY));
    let taken = of_living(&labels, &place.settings.cluster);
    if live && (taken || (free && facts.accepts(kind, id) && of_accepted(world, place, facts, kind, id).await?)) {
        return Ok(());
    }
    Err(stopped(place, &format!("{kind} {name} (id {id}) is not this cluster's")))
}

async fn of_accepted(world: &World, place: &Place<'_>, facts: &Facts, kind: &str, id: i64) -> Result<bool> {
    let servers = world.cloud.servers("").await?;
    let owners: Vec<_> = match kind {
        "server" => servers.iter().filter(|s| s.id == id).collect(),
        "firewall" => servers.iter().filter(|s| s.firewalls.contains(&id)).collect(),
        "primary_ip" => {
            let owner = world.cloud.primary_ips().await?.into_iter().find(|ip| ip.id == id).and_then(|ip| ip.assignee);
            servers.iter().filter(|s| Some(s.id) == owner).collect()
        }
        _ => return Ok(false),
    };
    for server in &owners {
        let accepted = !server.labels.contains_key(MANAGED_BY) && facts.accepts("server", server.id);
        let taken = of_living(&server.labels, &place.settings.cluster);
        let named = taken || (accepted && in_dns(world, place, server).await?);
        if !named {
            return Ok(false);
        }
    }
    Ok(!owners.is_empty())
}

/// An address without labels is this run's where it is on a server of this run, and of nobody else's.
async fn own_address(world: &World, place: &Place<'_>, id: i64) -> Result<()> {
    let ip = world.cloud.primary_ips().await?.into_iter().find(|ip| ip.id == id);
    let ip = ip.ok_or_else(|| Error::transient(format!("primary_ip {id} does not exist any more; looking again")))?;
    let server = match ip.assignee {
        Some(server) => world.cloud.server(server).await?,
        None => None,
    };
    let own =
        server.is_some_and(|s| of_run(&s.labels, &place.settings.cluster, &place.run.id) && named(place, &s.name));
    match place.run.mode == Mode::Live && own && !ip.labels.contains_key(MANAGED_BY) {
        true => Ok(()),
        false => Err(stopped(place, &format!("primary_ip {} (id {id}) is not on a server of this run", ip.name))),
    }
}

/// A server of this very run goes only where a person gave it up, and while none of the cluster's names points at it.
async fn given_up(world: &World, place: &Place<'_>, facts: &Facts, id: i64) -> Result<()> {
    let server = server(world, id).await?;
    let own = of_run(&server.labels, &place.settings.cluster, &place.run.id) && facts.given_up().contains(&id);
    match place.run.mode == Mode::Live && own && !in_dns(world, place, &server).await? {
        true => Ok(()),
        false => Err(stopped(place, &format!("server {} (id {id}) is none that this run may end", server.name))),
    }
}

async fn server(world: &World, id: i64) -> Result<Server> {
    let found = world.cloud.server(id).await?;
    found.ok_or_else(|| Error::transient(format!("server {id} does not exist any more; looking again")))
}

/// Whether any of the cluster's own names points at the server.
async fn in_dns(world: &World, place: &Place<'_>, server: &Server) -> Result<bool> {
    let dns = &place.settings.dns;
    if dns.hosts.is_empty() {
        return Ok(false);
    }
    let zone = world.dns.zone(&dns.zone).await?.ok_or_else(|| stopped(place, "the cluster's zone is not visible"))?;
    let records = world.dns.records(&zone, &dns.hosts).await?;
    Ok(server.public_ip.is_some_and(|ip| records.iter().any(|r| r.content == ip.to_string())))
}

async fn node(world: &World, place: &Place<'_>, address: IpAddr) -> Result<()> {
    let servers = world.cloud.servers("").await?;
    let here = servers.iter().find(|s| s.public_ip.map(IpAddr::V4) == Some(address));
    match here {
        Some(server) if ours(place, &server.labels, world.clock.now()) && named(place, &server.name) => Ok(()),
        Some(server) => {
            Err(stopped(place, &format!("{address} is server {}, which is not this cluster's", server.name)))
        }
        None => Err(Error::transient(format!("no server of the project has address {address} now; looking again"))),
    }
}

fn dns(place: &Place<'_>, zone: &str, names: &[String]) -> Result<()> {
    let dns = &place.settings.dns;
    let runs = match &place.settings.taken_down {
        Some(down) => down.rehearsals(),
        None => std::slice::from_ref(&place.run.id),
    };
    let test = |name: &String| runs.iter().any(|run| place.settings.is_test_name(zone, name, run));
    if place.run.mode == Mode::Rehearsal && (names.is_empty() || !names.iter().all(test)) {
        return Err(stopped(place, &format!("a rehearsal does not touch {} in zone {zone}", names.join(", "))));
    }
    if zone != dns.zone {
        return Err(stopped(place, &format!("zone {zone} is not the configured {}", dns.zone)));
    }
    match names.iter().find(|n| !dns.hosts.contains(n)) {
        Some(name) => Err(stopped(place, &format!("{name} is not among dns.hosts"))),
        None => Ok(()),
    }
}

//! What rehearsals have left in their project: whose it is, and whether its time is over.

use super::args::Global;
use super::card::{self, Card};
use super::exit::Stop;
use super::worlds::{self, Environment, Project};
use crate::config::{Settings, TakenDown};
use crate::world::{expires, rehearsal_of, rfc3339, selector, Cloud, Labels, ThingKind, WorldKind};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What one rehearsal has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spares {
    /// The rehearsal's id.
    pub run: String,
    /// In which world.
    pub world: WorldKind,
    /// How many servers.
    pub servers: usize,
    /// How many other things.
    pub things: usize,
    /// When the last of them may go; `None` where nothing says so.
    pub until: Option<Duration>,
}

/// What is left of each rehearsal of the cluster, in the order of their ids.
pub async fn left(cloud: &dyn Cloud, cluster: &str, world: WorldKind) -> crate::world::Result<Vec<Spares>> {
    let (of_cluster, mut all) = (selector(cluster, None), BTreeMap::<String, Spares>::new());
    let mut add = |labels: &Labels, server: bool| {
        let Some(run) = rehearsal_of(labels, cluster) else { return };
        let none = || Spares { run: run.to_owned(), world, servers: 0, things: 0, until: None };
        let spares = all.entry(run.to_owned()).or_insert_with(none);
        *(if server { &mut spares.servers } else { &mut spares.things }) += 1;
        spares.until = spares.until.max(expires(labels));
    };
    cloud.servers(&of_cluster).await?.iter().for_each(|server| add(&server.labels, true));
    for kind in [ThingKind::SshKey, ThingKind::Network, ThingKind::Firewall, ThingKind::PlacementGroup] {
        cloud.things(kind, &of_cluster).await?.iter().for_each(|thing| add(&thing.labels, false));
    }
    cloud.primary_ips().await?.iter().for_each(|ip| add(&ip.labels, false));
    Ok(all.into_values().collect())
}

/// Those whose time is over: of one that was made later, nothing goes before that.
pub fn over(all: Vec<Spares>, now: Duration) -> Vec<Spares> {
    all.into_iter().filter(|spares| spares.until.is_some_and(|until| until <= now)).collect()
}

async fn look(settings: &Settings, environment: &Environment, card: Option<&Card>) -> Result<Vec<Spares>, Stop> {
    let settings = settings.taking_down(TakenDown::Rehearsals(Vec::new()));
    let Project { cloud, clock } = worlds::project(&settings, environment, card)?;
    let world = if card.is_some() { WorldKind::Sandbox } else { WorldKind::Real };
    Ok(over(left(&*cloud, &settings.cluster, world).await?, clock.now()))
}

/// What has expired: in the real world where there is a token, in the sandbox where one runs. A cloud that does not answer is
/// no reason not to say the rest.
pub async fn expired(global: &Global, environment: &Environment, settings: &Settings) -> Vec<Spares> {
    let mut all = Vec::new();
    let card = card::read(&global.state, &settings.cluster).ok().flatten();
    let sandbox = card.is_some().then_some(card.as_ref());
    let real = (!global.sandbox && worlds::has_rehearsal_token(environment)).then_some(None);
    for card in [real, sandbox].into_iter().flatten() {
        let limit = settings.timeouts.probe;
        match tokio::time::timeout(limit, look(settings, environment, card)).await {
            Ok(Ok(found)) => all.extend(found),
            Ok(Err(stop)) => eprintln!("what has expired of rehearsals cannot be looked at now: {}", stop.what),
            Err(_) => eprintln!("what has expired of rehearsals cannot be looked at now: no answer within {limit:?}"),
        }
    }
    all
}

/// The same in words; empty where nothing has.
pub async fn expired_text(global: &Global, environment: &Environment, settings: &Settings) -> String {
    text(&expired(global, environment, settings).await)
}

/// A line for each.
pub fn text(all: &[Spares]) -> String {
    let mut text = String::new();
    for Spares { run, world, servers, things, until } in all {
        let since = until.map(rfc3339).unwrap_or_default();
        let (sandbox, flag) = match world {
            WorldKind::Sandbox => (" in the sandbox", " --sandbox"),
            _ => ("", ""),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "expired: {servers} servers and {things} other things of rehearsal {run}{sandbox}, since {since}: they cost until \
             `relight sweep{flag}` deletes them"
        );
    }
    text
}

/// For programs.
pub fn json(all: &[Spares]) -> Value {
    let one = |spares: &Spares| {
        let Spares { run, world, servers, things, until } = spares;
        json!({
            "run": run, "world": world.word(), "servers": servers, "things": things,
            "since": until.map(|until| until.as_secs()),
        })
    };
    all.iter().map(one).collect()
}

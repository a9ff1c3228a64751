//! What a run takes down, by labels and ids: what its settings name, else what it made itself.

use super::dns::{is_marked, zone_of, BEFORE};
use super::teardown::KINDS;
use super::{access, Place, StepContext};
use crate::config::{Settings, TakenDown};
use crate::world::{
    self, Class, Labels, PrimaryIp, Record, Result, Server, ServerStatus, Thing, ThingKind, World, STATE,
};
use std::time::Duration;

/// Whether this run takes down what has these labels.
pub(super) fn goes(settings: &Settings, run: &str, labels: &Labels, now: Duration) -> bool {
    let cluster = &settings.cluster;
    let of = |runs: &[String]| world::rehearsal_of(labels, cluster).is_some_and(|of| runs.iter().any(|run| run == of));
    match &settings.taken_down {
        None => world::of_run(labels, cluster, run),
        Some(TakenDown::Living) => world::of_living(labels, cluster),
        Some(TakenDown::Rehearsals(runs)) => of(runs),
        Some(TakenDown::Expired(runs)) => of(runs) && world::expired(labels, now),
    }
}

/// The servers that go.
pub(super) async fn servers(cx: &StepContext<'_>) -> Result<Vec<Server>> {
    servers_of(cx.world, cx.settings(), &cx.place.run.id).await
}

async fn servers_of(world: &World, settings: &Settings, run: &str) -> Result<Vec<Server>> {
    let now = world.clock.now();
    let all = world.cloud.servers(&world::selector(&settings.cluster, None)).await?;
    Ok(all.into_iter().filter(|s| goes(settings, run, &s.labels, now)).collect())
}

/// Something that goes and is no server.
pub(super) struct Rest {
    /// The word in targets: `firewall`.
    pub word: &'static str,
    /// `None` for an address.
    pub kind: Option<ThingKind>,
    /// The cloud's id.
    pub id: i64,
    /// Its name.
    pub name: String,
}

impl Rest {
    fn thing(kind: ThingKind, thing: Thing) -> Self {
        Self { word: kind.word(), kind: Some(kind), id: thing.id, name: thing.name }
    }
    fn address(ip: PrimaryIp) -> Self {
        Self { word: "primary_ip", kind: None, id: ip.id, name: ip.name }
    }
    /// `firewall honeydue-nodes`.
    pub fn words(&self) -> String {
        format!("{} {}", self.word.replace('_', " "), self.name)
    }
}

/// Everything else that goes.
pub(super) async fn rest(cx: &StepContext<'_>) -> Result<Vec<Rest>> {
    rest_of(cx.world, cx.settings(), &cx.place.run.id).await
}

async fn rest_of(world: &World, settings: &Settings, run: &str) -> Result<Vec<Rest>> {
    let (now, selector) = (world.clock.now(), world::selector(&settings.cluster, None));
    let mut all = Vec::new();
    for kind in KINDS {
        let things = world.cloud.things(kind, &selector).await?;
        // The lease is given back by whoever holds it.
        let mine = things.into_iter().filter(|t| t.name != world::lease_name(&settings.cluster));
        let gone = mine.filter(|t| goes(settings, run, &t.labels, now));
        all.extend(gone.map(|thing| Rest::thing(kind, thing)));
    }
    // One that came with a server has no labels, and goes with it.
    let addresses = world.cloud.primary_ips().await?;
    all.extend(addresses.into_iter().filter(|ip| goes(settings, run, &ip.labels, now)).map(Rest::address));
    Ok(all)
}

/// The records that go: of the configured names, with relight's mark. A rehearsal's settings have its own names, if any.
pub(super) async fn records(world: &World, settings: &Settings) -> Result<Vec<Record>> {
    let all = named(world, settings).await?;
    Ok(all.into_iter().filter(|record| is_marked(record, &settings.cluster)).collect())
}

/// The same for a step. A run that has changed no record has none to be removed, whatever its token may see: it was stopped before
/// it came to that.
pub(super) async fn own_records(cx: &StepContext<'_>) -> Result<Vec<Record>> {
    match records(cx.world, cx.settings()).await {
        Err(error) if matches!(error.class, Class::Fatal | Class::Refused) && cx.settings().taken_down.is_none() => {
            match access::kept(cx, BEFORE).await? {
                None => Ok(Vec::new()),
                Some(_) => Err(error),
            }
        }
        found => found,
    }
}

/// All records of the configured names.
pub(super) async fn named(world: &World, settings: &Settings) -> Result<Vec<Record>> {
    let dns = &settings.dns;
    if dns.hosts.is_empty() {
        return Ok(Vec::new());
    }
    world.dns.records(&zone_of(world, settings).await?, &dns.hosts).await
}

/// Why the living cluster must not be taken down as things are, and what to do: a name would be left pointing at what a stranger
/// gets next, or the servers that the names point at are elsewhere.
pub(super) fn in_the_way(settings: &Settings, servers: &[Server], named: &[Record]) -> Option<(String, String)> {
    let cluster = &settings.cluster;
    let held = |r: &Record| servers.iter().find(|s| s.public_ip.is_some_and(|ip| ip.to_string() == r.content));
    let (ours, foreign): (Vec<_>, Vec<_>) = named.iter().partition(|r| is_marked(r, cluster));
    let words = |r: &Record, server: &Server| format!("{} {} {} ({})", r.name, r.kind, r.content, server.name);
    let stay: Vec<String> = foreign.iter().filter_map(|r| Some(words(r, held(r)?))).collect();
    if !stay.is_empty() {
        return Some((
            format!("records without relight's comment point at servers that go: {}", stay.join(", ")),
            "remove these records in Cloudflare's dashboard first: whoever gets such an address next would get the traffic"
                .to_owned(),
        ));
    }
    let addresses: Vec<&str> = ours.iter().map(|r| r.content.as_str()).collect();
    let living = settings.taken_down == Some(TakenDown::Living);
    (living && servers.is_empty() && !addresses.is_empty()).then(|| {
        (
            format!("the names point at {}, and no server of {cluster} is in this project", addresses.join(", ")),
            "give HCLOUD_TOKEN of the project that it lives in; where its servers are gone for good, remove the records in \
             Cloudflare's dashboard first"
                .to_owned(),
        )
    })
}

/// What a run would take down now, for a person to see before it begins.
pub struct Going {
    /// What goes, a line each, by id.
    pub lines: Vec<String>,
    /// What has such a name, is not this cluster's, and is left.
    pub left: Vec<String>,
    /// Why none of it may go as things are, and what to do.
    pub refused: Option<(String, String)>,
}

impl Going {
    /// Looks at everything.
    ///
    /// # Errors
    /// Those of the cloud and of DNS.
    pub async fn look(world: &World, settings: &Settings) -> Result<Self> {
        let (servers, named) = (servers_of(world, settings, "").await?, named(world, settings).await?);
        let mut lines = Vec::new();
        for record in named.iter().filter(|r| is_marked(r, &settings.cluster)) {
            lines.push(format!("record {} {} {} (id {})", record.name, record.kind, record.content, record.id));
        }
        lines.extend(servers.iter().map(server));
        lines.extend(rest_of(world, settings, "").await?.iter().map(|r| format!("{} (id {})", r.words(), r.id)));
        let refused = in_the_way(settings, &servers, &named);
        Ok(Self { lines, left: left(world, settings, &named).await?, refused })
    }
}

fn server(server: &Server) -> String {
    let address = server.public_ip.map(|ip| format!(", {ip}")).unwrap_or_default();
    let mut notes = String::new();
    for (is, note) in [
        (server.status == ServerStatus::Off, ", off"),
        (server.labels.contains_key(STATE), ", fenced"),
        (server.delete_protected, ", protected against deletion"),
    ] {
        notes.push_str(if is { note } else { "" });
    }
    let Server { name, id, server_type, location, .. } = server;
    format!("server {name} (id {id}){address}, {server_type} in {location}{notes}")
}

/// What has a name as this cluster's things have and is not its own: a name alone is no proof.
async fn left(world: &World, settings: &Settings, named: &[Record]) -> Result<Vec<String>> {
    if settings.taken_down != Some(TakenDown::Living) {
        return Ok(Vec::new());
    }
    let cluster = &settings.cluster;
    let foreign =
        |name: &str, labels: &Labels| name.starts_with(&format!("{cluster}-")) && !world::of_cluster(labels, cluster);
    let mut left = Vec::new();
    for server in world.cloud.servers("").await?.into_iter().filter(|s| foreign(&s.name, &s.labels)) {
        left.push(format!("server {} (id {}) does not carry this cluster's labels", server.name, server.id));
    }
    for kind in KINDS {
        for thing in world.cloud.things(kind, "").await?.into_iter().filter(|t| foreign(&t.name, &t.labels)) {
            let rest = Rest::thing(kind, thing);
            left.push(format!("{} (id {}) does not carry this cluster's labels", rest.words(), rest.id));
        }
    }
    for record in named.iter().filter(|r| !is_marked(r, cluster)) {
        let Record { name, kind, content, .. } = record;
        left.push(format!("record {name} {kind} {content} carries no comment of relight's"));
    }
    Ok(left)
}

/// What goes, in words for a plan.
pub(super) fn whose(place: &Place<'_>) -> String {
    match &place.settings.taken_down {
        None => "that this run made".to_owned(),
        Some(what) => format!("of {}", what.words(&place.settings.cluster)),
    }
}

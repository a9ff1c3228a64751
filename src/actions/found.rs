//! A cluster that was made by hand, as far as `relight.yaml` names it: the servers that its hosts' records point at, their
//! addresses and firewalls, and those records. What of it can be relight's, and why it cannot.

use super::dns::{is_marked, mark};
use super::going::named;
use super::piece::{self, Piece};
use super::shown_key;
use super::{FactKind, Facts};
use crate::config::Settings;
use crate::world::{self, Labels, Record, Result, Server, ServerStatus, ThingKind, World, MANAGED_BY};
use futures::future::join_all;
use std::net::IpAddr;

/// The longest comment that Cloudflare keeps on its free plan.
const COMMENT: usize = 100;

/// A server, and which node it is taken for.
pub(super) struct Taken {
    /// The configuration's key.
    pub node: String,
    /// It.
    pub server: Server,
    /// What it shows.
    pub host_key: String,
    /// What speaks for the host key, in words.
    pub known: String,
}

/// What was found.
pub struct Found {
    pub(super) nodes: Vec<Taken>,
    pub(super) pieces: Vec<Piece>,
    /// Records, and the comment of each.
    pub(super) marks: Vec<(Record, String)>,
    /// What belongs to it and is left as it is, a line each.
    pub left: Vec<String>,
}

/// Why it cannot be adopted, a sentence each with what to do.
pub type Hindrances = Vec<String>;

/// The comment that a record gets: relight's mark, and behind it what a person had written.
pub(super) fn marked(record: &Record, cluster: &str, run: &str) -> String {
    let mark = format!("{}{run}", mark(cluster));
    match record.comment.as_deref().map(str::trim).unwrap_or_default() {
        "" => mark,
        theirs => format!("{mark}; {theirs}").chars().take(COMMENT).collect(),
    }
}

/// The hosts' address records that point at one of these addresses and are not marked yet, in an order that stays.
pub(super) fn to_mark(records: &[Record], cluster: &str, addresses: &[String]) -> Vec<Record> {
    let here = |r: &&Record| r.kind == "A" && addresses.contains(&r.content) && !is_marked(r, cluster);
    let mut all: Vec<Record> = records.iter().filter(here).cloned().collect();
    all.sort_by(|a, b| (&a.name, &a.content, &a.id).cmp(&(&b.name, &b.content, &b.id)));
    all
}

fn address(server: &Server) -> String {
    server.public_ip.map(|ip| ip.to_string()).unwrap_or_default()
}

/// Whose the labels say that something is, where they say that it is not this cluster's to take.
pub(super) fn anothers(labels: &Labels, cluster: &str) -> Option<String> {
    let shown = |key: &str| labels.get(key).map(|value| format!("{key}={value}"));
    let theirs = labels.contains_key(MANAGED_BY) && !world::of_living(labels, cluster);
    theirs.then(|| {
        [MANAGED_BY, world::CLUSTER, world::MODE].iter().filter_map(|key| shown(key)).collect::<Vec<_>>().join(", ")
    })
}

/// The servers that the records point at, and what is wrong with them or with the records.
fn named_servers(settings: &Settings, servers: &[Server], records: &[Record], wrong: &mut Hindrances) -> Vec<Server> {
    let cluster = &settings.cluster;
    let points = |r: &&Record| r.kind == "A";
    let mut found: Vec<Server> = Vec::new();
    for record in records.iter().filter(points) {
        match servers.iter().find(|s| address(s) == record.content) {
            Some(server) if found.iter().any(|f| f.id == server.id) => {}
            Some(server) => found.push(server.clone()),
            None => wrong.push(format!(
                "{} points at {}, which no server of this project has: give HCLOUD_TOKEN of the project that the cluster lives \
                 in, or remove the record",
                record.name, record.content
            )),
        }
    }
    if !records.iter().any(|r| points(&r)) {
        wrong.push(format!("no address record of {} is in zone {}", settings.dns.hosts.join(", "), settings.dns.zone));
    }
    for server in &found {
        let Server { name, id, .. } = server;
        if let Some(whose) = anothers(&server.labels, cluster) {
            wrong.push(format!(
                "server {name} (id {id}), which the names point at, is another's ({whose}): it is not taken; correct `cluster` \
                 or `dns.hosts` in relight.yaml, or the records"
            ));
        }
        if server.status != ServerStatus::Running {
            wrong
                .push(format!("server {name} (id {id}) does not run: power it on, or remove the records that name it"));
        }
    }
    // A name is no proof: nothing says that such a server is the cluster's, and a rebuild would stumble over it.
    let ours = |s: &&Server| settings.nodes.iter().any(|n| s.name == format!("{cluster}-{}", n.key));
    let strange = |s: &&Server| !found.iter().any(|f| f.id == s.id) && !world::of_cluster(&s.labels, cluster);
    for Server { name, id, .. } in servers.iter().filter(ours).filter(strange) {
        wrong.push(format!(
            "server {name} (id {id}) has the name of a node of this cluster, and none of its records points at it: somebody \
             else's is to be renamed; one of the cluster's needs a record"
        ));
    }
    found.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let (nodes, count) = (settings.nodes.len(), found.len());
    if count != nodes && count > 0 {
        let names: Vec<&str> = found.iter().map(|s| s.name.as_str()).collect();
        wrong.push(format!(
            "relight.yaml has {nodes} nodes, and the records point at {count} servers ({}): correct `nodes`, or point the names \
             at every node",
            names.join(", ")
        ));
    }
    found
}

/// Which node each server is: the one whose name it has or whose label it carries, else the next one in the order of names.
fn taken_for(settings: &Settings, mut servers: Vec<Server>) -> Vec<(String, Server)> {
    let mut taken: Vec<(String, Option<Server>)> = settings.nodes.iter().map(|n| (n.key.clone(), None)).collect();
    for (node, place) in &mut taken {
        let is = |s: &Server| {
            let label = s.labels.get(world::NODE).is_some_and(|l| *l == world::label_value(node));
            label || s.name == *node || s.name == format!("{}-{node}", settings.cluster)
        };
        *place = servers.iter().position(is).map(|at| servers.remove(at));
    }
    let mut rest = servers.into_iter();
    let all = taken.into_iter().filter_map(|(node, place)| Some((node, place.or_else(|| rest.next())?)));
    all.collect()
}

impl Found {
    /// Looks at everything, and changes nothing.
    ///
    /// # Errors
    /// Those of the cloud, of DNS and of the operator's own files.
    pub async fn look(world: &World, settings: &Settings, run: &str) -> Result<std::result::Result<Self, Hindrances>> {
        let cluster = &settings.cluster;
        let (servers, records) = (world.cloud.servers("").await?, named(world, settings).await?);
        let mut wrong = Hindrances::new();
        let found = named_servers(settings, &servers, &records, &mut wrong);
        if !wrong.is_empty() {
            return Ok(Err(wrong));
        }
        let shown = join_all(found.iter().map(|server| shown_key::look(world, server))).await;
        let mut keys = Vec::new();
        for shown in shown {
            match shown? {
                Ok(key) => keys.push(key),
                Err(why) => wrong.push(why),
            }
        }
        let by_id: Vec<_> = found.iter().map(|s| s.id).zip(keys).collect();
        let mut nodes = Vec::new();
        for (node, server) in taken_for(settings, found) {
            if let Some((_, key)) = by_id.iter().find(|(id, _)| *id == server.id) {
                nodes.push(Taken { node, server, host_key: key.public.clone(), known: key.known.clone() });
            }
        }
        let of = nodes.iter().map(|n| (n.node.as_str(), n.server.id, n.host_key.as_str())).collect::<Vec<_>>();
        let (pieces, mut left) = piece::all(world, settings, &servers, &of).await?;
        for piece in &pieces {
            if let Some(whose) = anothers(&piece.labels, cluster) {
                wrong.push(format!(
                    "{} is another's ({whose}): take it off the servers, or give it up there",
                    piece.words
                ));
            }
        }
        left.extend(unlabelled(world, &nodes).await?);
        let addresses: Vec<String> = nodes.iter().map(|n| address(&n.server)).collect();
        let marks = to_mark(&records, cluster, &addresses);
        let marks = marks.into_iter().map(|r| (marked(&r, cluster, run), r)).map(|(comment, r)| (r, comment)).collect();
        let others = records.iter().filter(|r| matches!(r.kind.as_str(), "AAAA" | "CNAME"));
        left.extend(others.map(|r| format!("record {} {} {} (id {})", r.name, r.kind, r.content, r.id)));
        Ok(match wrong.is_empty() {
            true => Ok(Self { nodes, pieces, marks, left }),
            false => Err(wrong),
        })
    }

    /// What stands once a person has accepted it.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::none().with(FactKind::Login, super::OWN);
        for Taken { node, server, host_key, .. } in &self.nodes {
            facts = facts.of(FactKind::ServerId, node, server.id).of(FactKind::NodeAddress, node, address(server)).of(
                FactKind::HostKey,
                node,
                host_key,
            );
        }
        let free = self.pieces.iter().filter(|piece| piece.goes || !piece.labels.contains_key(MANAGED_BY));
        let things: Vec<String> = free.map(|piece| format!("{} {}", piece.kind, piece.id)).collect();
        let records: Vec<&str> = self.marks.iter().map(|(record, _)| record.id.as_str()).collect();
        facts.with(FactKind::Adopted, things.join(", ")).with(FactKind::AdoptedRecords, records.join(" "))
    }

    /// Whether a person has accepted all of it already.
    pub(super) fn is_accepted(&self, facts: &Facts) -> bool {
        let known = |n: &Taken| {
            let same = |kind, value: &str| facts.find(kind, Some(&n.node)) == Some(value);
            same(FactKind::HostKey, &n.host_key) && same(FactKind::ServerId, &n.server.id.to_string())
        };
        let free = self.pieces.iter().filter(|piece| piece.goes || !piece.labels.contains_key(MANAGED_BY));
        self.nodes.iter().all(known)
            && free.into_iter().all(|piece| facts.accepts(piece.kind, piece.id))
            && self.marks.iter().all(|(record, _)| facts.accepts_record(&record.id))
    }
}

/// Networks and placement groups, which cost nothing and are not named by the configuration.
async fn unlabelled(world: &World, nodes: &[Taken]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for kind in [ThingKind::Network, ThingKind::PlacementGroup] {
        let used = |id: i64| {
            let of =
                |s: &Server| s.placement_group == Some(id) || s.private_ips.iter().any(|(network, _)| *network == id);
            nodes.iter().any(|n| of(&n.server))
        };
        let things = world
            .cloud
            .things(kind, "")
            .await?
            .into_iter()
            .filter(|t| used(t.id) && !t.labels.contains_key(MANAGED_BY));
        lines.extend(things.map(|t| format!("{} {} (id {})", kind.word().replace('_', " "), t.name, t.id)));
    }
    Ok(lines)
}

/// A server's address as SSH connects to it.
pub(super) fn reached(server: &Server) -> Option<IpAddr> {
    server.public_ip.map(IpAddr::V4)
}

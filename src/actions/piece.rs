//! What a cluster consists of in the cloud, and the labels that make it relight's: servers, their addresses, and the firewalls
//! that are on them alone.

use super::address;
use crate::config::Settings;
use crate::world::{self, Labels, Result, Server, ThingKind, World};

/// One of them.
pub(super) struct Piece {
    /// `server`, `primary_ip`, `firewall`.
    pub kind: &'static str,
    /// The cloud's id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// In words, with its id.
    pub words: String,
    /// What it carries.
    pub labels: Labels,
    /// What it shall carry besides.
    wanted: Labels,
    /// Whether it is an address that is to be kept, and would still go with its server.
    pub goes: bool,
}

impl Piece {
    /// Whether there is nothing to be written on it.
    pub fn is_done(&self) -> bool {
        self.missing().is_empty() && !self.goes
    }
    /// The labels that it lacks.
    pub fn missing(&self) -> Labels {
        let lacks = |(key, value): &(&String, &String)| self.labels.get(*key) != Some(*value);
        self.wanted.iter().filter(lacks).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
    /// All that it shall carry in the end: somebody else's labels stay.
    pub fn all_labels(&self) -> Labels {
        let mut labels = self.labels.clone();
        labels.extend(self.wanted.clone());
        labels
    }
}

/// The labels of everything that is taken over, and of a server those of its node and host key.
fn of_server(cluster: &str, node: &str, host_key: &str) -> Result<Labels> {
    let mut labels = world::adopted(cluster);
    labels.insert(world::NODE.to_owned(), world::label_value(node));
    labels.insert(world::HOST_KEY.to_owned(), world::fingerprint_label(host_key)?);
    Ok(labels)
}

/// All pieces of these servers (node, id, host key), of all servers of the project; and what is left because it is not theirs
/// alone, a line each.
pub(super) async fn all(
    world: &World,
    settings: &Settings,
    servers: &[Server],
    of: &[(&str, i64, &str)],
) -> Result<(Vec<Piece>, Vec<String>)> {
    let cluster = &settings.cluster;
    let (mut pieces, mut left) = (Vec::new(), Vec::new());
    for (node, id, host_key) in of {
        let Some(Server { name, labels, public_ip, .. }) = servers.iter().find(|s| s.id == *id) else { continue };
        let address = public_ip.map(|ip| ip.to_string()).unwrap_or_default();
        pieces.push(Piece {
            kind: "server",
            id: *id,
            name: name.clone(),
            words: format!("server {name} (id {id}), {address}, as {node}"),
            labels: labels.clone(),
            wanted: of_server(cluster, node, host_key)?,
            goes: false,
        });
    }
    let is_one = |id: i64| of.iter().any(|(_, one, _)| *one == id);
    let mut addresses = world.cloud.primary_ips().await?;
    addresses.sort_by_key(|ip| ip.id);
    for ip in addresses {
        let Some((node, ..)) = of.iter().find(|(_, one, _)| ip.assignee == Some(*one)) else { continue };
        let kept = settings.cloud.keep_addresses;
        pieces.push(Piece {
            kind: "primary_ip",
            id: ip.id,
            words: format!("address {} (id {}), {}", ip.name, ip.id, ip.address),
            name: ip.name,
            labels: ip.labels,
            wanted: if kept { address::labels(cluster, node) } else { world::adopted(cluster) },
            goes: kept && ip.auto_delete,
        });
    }
    let mut firewalls = world.cloud.things(ThingKind::Firewall, "").await?;
    firewalls.sort_by_key(|firewall| firewall.id);
    for firewall in firewalls {
        let on: Vec<&Server> = servers.iter().filter(|s| s.firewalls.contains(&firewall.id)).collect();
        if !on.iter().any(|s| is_one(s.id)) {
            continue;
        }
        let words = format!("firewall {} (id {})", firewall.name, firewall.id);
        match on.iter().find(|s| !is_one(s.id)) {
            Some(other) => left.push(format!("{words} is on {} too", other.name)),
            None => pieces.push(Piece {
                kind: "firewall",
                id: firewall.id,
                name: firewall.name,
                words,
                labels: firewall.labels,
                wanted: world::adopted(cluster),
                goes: false,
            }),
        }
    }
    Ok((pieces, left))
}

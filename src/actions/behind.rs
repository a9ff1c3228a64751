//! What is behind the addresses that names shall have again.

use super::dns_undo::EarlierRecord;
use crate::world::{self, Result, Server, ServerStatus, ThingKind, World};
use std::collections::{BTreeMap, BTreeSet};

/// What the project holds at each address of earlier records.
pub struct Behind(BTreeMap<String, State>);

/// Who answers at an address.
enum State {
    /// The project does not hold it.
    Lost,
    /// Nobody: in words.
    Silent(String),
    /// A server, in words.
    Serving(String),
}

impl Behind {
    /// Looks at the project's addresses and servers.
    pub async fn look(world: &World, cluster: &str, earlier: &[EarlierRecord]) -> Result<Self> {
        let mut held: BTreeMap<String, State> = BTreeMap::new();
        for address in world.cloud.primary_ips().await? {
            let words = format!("address {} of no server", address.name);
            held.insert(address.address.to_string(), State::Silent(words));
        }
        let walls = world.cloud.things(ThingKind::Firewall, &world::selector(cluster, None)).await?;
        let wall = walls.into_iter().find(|f| f.name == world::wall_name(cluster)).map(|f| f.id);
        for server in world.cloud.servers("").await? {
            if let Some(ip) = server.public_ip {
                held.insert(ip.to_string(), state(&server, wall));
            }
        }
        let wanted: BTreeSet<&str> = earlier.iter().filter(|r| r.is_address()).map(EarlierRecord::content).collect();
        Ok(Self(wanted.into_iter().map(|ip| (ip.to_owned(), held.remove(ip).unwrap_or(State::Lost))).collect()))
    }

    /// That some of the addresses are whoever's by now; `None` where the project holds all of them.
    pub(super) fn lost(&self) -> Option<String> {
        let lost: Vec<&str> =
            self.0.iter().filter(|(_, state)| matches!(state, State::Lost)).map(|(ip, _)| ip.as_str()).collect();
        (!lost.is_empty()).then(|| {
            format!(
                "the project no longer holds {}: whoever holds it now would get the traffic; point the names at servers of \
                 yours by hand, or leave them",
                lost.join(", ")
            )
        })
    }

    /// At which addresses nobody answers, each once; `None` where a server runs behind every one.
    pub(super) fn silent(&self) -> Option<String> {
        let silent = self.0.iter().filter_map(|(ip, state)| match state {
            State::Silent(words) => Some(format!("{ip} is {words}")),
            State::Lost | State::Serving(_) => None,
        });
        let silent: Vec<String> = silent.collect();
        (!silent.is_empty()).then(|| silent.join("; "))
    }

    /// What speaks against pointing the names there, for a person to accept with the cluster's name.
    pub fn against(&self) -> Option<String> {
        self.silent().map(|silent| {
            format!(
                "nobody would answer where the names pointed before: {silent}. Let those servers run first, or accept that the \
                 names point there all the same"
            )
        })
    }

    /// A line for each address, for people.
    pub fn lines(&self) -> Vec<String> {
        let line = |(ip, state): (&String, &State)| match state {
            State::Lost => format!("  {ip} is not held by the project any more"),
            State::Silent(words) | State::Serving(words) => format!("  {ip} is {words}"),
        };
        self.0.iter().map(line).collect()
    }
}

/// Fenced is judged by what is there, off or cut off: a label alone keeps nobody from answering.
fn state(server: &Server, wall: Option<i64>) -> State {
    let name = &server.name;
    if server.status != ServerStatus::Running {
        return State::Silent(format!("server {name}, which does not run"));
    }
    match wall.is_some_and(|wall| server.firewalls.contains(&wall)) {
        true => State::Silent(format!("server {name}, which is fenced: a firewall cuts it off")),
        false => State::Serving(format!("server {name}, which runs")),
    }
}

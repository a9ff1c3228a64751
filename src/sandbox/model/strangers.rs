//! Does anything name an address that is not ours? Is anything left that nobody would find again?

use super::{CloudServer, Model, Stranger, ThingState};
use crate::world::{of_cluster, FirewallRule, ServerStatus, RUN};
use std::net::{IpAddr, Ipv4Addr};

/// Ports that only peers may reach.
const PEER_PORTS: [&str; 4] = ["2379-2380", "2379:2380", "10250", "8472"];

/// Single addresses that a rule lets in as peers.
pub(super) fn peers_of(rule: &FirewallRule) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let peers = rule.port.as_deref().is_some_and(|port| PEER_PORTS.contains(&port));
    let single = rule.addresses.iter().filter(move |_| peers).filter_map(|cidr| cidr.strip_suffix("/32"));
    single.filter_map(|address| address.parse().ok())
}

impl Model {
    pub(super) fn project_holds(&self, project: &str, address: Ipv4Addr) -> bool {
        let project = self.projects.iter().find(|p| p.name == project);
        project.is_some_and(|p| p.primary_ips.values().any(|ip| ip.address == address))
    }
    pub(super) fn stranger(&mut self, op: &str, named_by: String, address: IpAddr) {
        self.ledger.strangers.push(Stranger { at: self.now, op: op.to_owned(), named_by, address });
    }
    /// Everything that names an address its project does not hold, now: DNS records, peer rules of machines that are on, peer
    /// rules of the cloud's firewalls.
    pub fn naming_strangers(&self) -> Vec<(String, Ipv4Addr)> {
        let mut found = Vec::new();
        for zone in &self.zones.zones {
            let records = zone.records.values().filter_map(|r| Some((r, r.content.parse::<Ipv4Addr>().ok()?)));
            let foreign = records.filter(|(_, address)| !self.project_holds(&zone.project, *address));
            found.extend(foreign.map(|(record, address)| (format!("record {}", record.name), address)));
        }
        found.extend(self.peer_rules_naming_strangers());
        found
    }
    fn peer_rules_naming_strangers(&self) -> Vec<(String, Ipv4Addr)> {
        let mut found = Vec::new();
        let kept = |project: usize, peer: Ipv4Addr| {
            self.projects.get(project).is_some_and(|p| p.primary_ips.values().any(|ip| ip.address == peer))
        };
        let held = |project: usize, peer: Ipv4Addr| {
            kept(project, peer) || self.machines.values().any(|m| m.project == project && m.is(peer))
        };
        for machine in self.machines.values().filter(|m| m.on_since.is_some()) {
            let server = self.projects.get(machine.project).and_then(|p| p.servers.get(&machine.server));
            if server.is_none_or(|s| s.status == ServerStatus::Deleting) {
                continue;
            }
            let foreign = machine.peers.iter().filter(|peer| !held(machine.project, **peer));
            found.extend(foreign.map(|peer| (format!("peer rule on {}", machine.hostname), *peer)));
        }
        for (index, project) in self.projects.iter().enumerate() {
            for thing in project.things.values() {
                let ThingState::Firewall { rules } = &thing.state else { continue };
                let foreign = rules.iter().flat_map(peers_of).filter(|peer| !held(index, *peer));
                found.extend(foreign.map(|peer| (format!("peer rule of firewall {}", thing.name), peer)));
            }
        }
        found
    }
    /// Writes down what an effect has just left naming one of these addresses.
    pub(super) fn look_for_strangers(&mut self, op: &str, addresses: &[Ipv4Addr]) {
        for (by, named) in self.naming_strangers() {
            if addresses.contains(&named) {
                self.stranger(op, by, IpAddr::V4(named));
            }
        }
    }
    /// What runs have made, still exists, and would be found by nobody: without this cluster's labels, or a network, firewall
    /// or placement group of the cluster that no server uses.
    pub fn orphaned(&self, cluster: &str) -> Vec<String> {
        let mut orphans = Vec::new();
        let of_run = |id: i64| {
            let mut creates = self.ledger.applied().filter(|e| e.op.ends_with(".create") && e.id == Some(id));
            creates.any(|e| !e.who.run.is_empty() || e.labels.contains_key(RUN))
        };
        for project in &self.projects {
            for server in project.servers.values().filter(|s| of_run(s.id) && !of_cluster(&s.labels, cluster)) {
                orphans.push(format!("server {} {}", server.id, server.name));
            }
            for thing in project.things.values().filter(|t| of_run(t.id)) {
                let uses = |s: &CloudServer| match thing.state {
                    ThingState::SshKey { .. } => false,
                    ThingState::Network { .. } => s.private.iter().any(|p| p.network == thing.id),
                    ThingState::Firewall { .. } => s.firewalls.contains(&thing.id),
                    ThingState::PlacementGroup => s.placement_group == Some(thing.id),
                };
                // A key is only read when a server is made: unused is its usual state.
                let key = matches!(thing.state, ThingState::SshKey { .. });
                let needed = key || project.servers.values().any(uses);
                if !of_cluster(&thing.labels, cluster) || !needed {
                    orphans.push(format!("{} {} {}", thing.state.kind().word(), thing.id, thing.name));
                }
            }
        }
        orphans
    }
}

//! Who reaches which port of which machine: power, boot, the cloud's firewall, the node's own.

use super::etcd::K3sCluster;
use super::k3s::advertised;
use super::machine::Machine;
use super::things::bounds;
use super::{Model, Reaches, ThingState};
use std::net::Ipv4Addr;
use std::time::Duration;

/// What a connection attempt meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Something listens.
    Open,
    /// The machine answers that nothing listens.
    Refused,
    /// Nobody answers.
    Silent,
}

/// Ports that `harden.sh` leaves open to anyone.
const OPEN_PORTS: [u16; 3] = [22, 80, 443];

fn in_range(address: Ipv4Addr, cidr: &str) -> bool {
    let whole = matches!(cidr, "0.0.0.0/0");
    whole || bounds(cidr).is_some_and(|(first, last)| (first..=last).contains(&u32::from(address)))
}

fn in_ports(port: u16, ports: Option<&str>) -> bool {
    let Some(ports) = ports else { return false };
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    match (from.parse::<u16>(), to.parse::<u16>()) {
        (Ok(from), Ok(to)) => (from..=to).contains(&port),
        _ => ports == "any",
    }
}

/// Whether ufw lets this in. Before hardening it is off and lets everything in.
fn ufw_admits(machine: &Machine, from: Ipv4Addr, port: u16) -> bool {
    let Some(hardened) = &machine.access.hardened else { return true };
    let peer = machine.peers.contains(&from);
    let peer_port = matches!(port, 6443 | 2379 | 2380 | 10250 | 8472);
    let api = port == 6443 && hardened.api_access.iter().any(|cidr| in_range(from, cidr));
    OPEN_PORTS.contains(&port) || (peer && peer_port) || api
}

impl Model {
    /// Whether the cloud's firewalls of a server let this in on the public interface. No firewall: everything; rules of all
    /// firewalls add up. Source: Hetzner Cloud API, "Firewalls".
    fn firewall_admits(&self, machine: &Machine, from: Ipv4Addr, port: u16, protocol: &str) -> bool {
        let Some(project) = self.projects.get(machine.project) else { return false };
        let Some(server) = project.servers.get(&machine.server) else { return false };
        let rules = |id: &i64| match project.things.get(id).map(|t| &t.state) {
            Some(ThingState::Firewall { rules }) => rules.as_slice(),
            _ => &[],
        };
        let admits = |id: &i64| {
            rules(id).iter().any(|r| {
                r.direction == "in"
                    && r.protocol == protocol
                    && in_ports(port, r.port.as_deref())
                    && r.addresses.iter().any(|cidr| in_range(from, cidr))
            })
        };
        server.firewalls.is_empty() || server.firewalls.iter().any(admits)
    }

    /// Whether a server's firewalls let nothing in and nothing out on the public interface: no incoming rule, and outgoing ones
    /// of which none leads anywhere. Source: Hetzner Cloud API, "Firewalls".
    fn cut_off(&self, machine: &Machine) -> bool {
        let Some(project) = self.projects.get(machine.project) else { return false };
        let Some(server) = project.servers.get(&machine.server) else { return false };
        let rules = server.firewalls.iter().filter_map(|id| match project.things.get(id).map(|t| &t.state) {
            Some(ThingState::Firewall { rules }) => Some(rules),
            _ => None,
        });
        let rules: Vec<_> = rules.flatten().collect();
        // Three networks that are routed nowhere: RFC 5737.
        let nowhere = |cidr: &String| ["192.0.2.", "198.51.100.", "203.0.113."].iter().any(|net| cidr.starts_with(net));
        !rules.is_empty() && rules.iter().all(|r| r.direction == "out" && r.addresses.iter().all(nowhere))
    }

    /// What a TCP connection from outside to this public address and port meets.
    pub fn reach(&mut self, now: Duration, address: Ipv4Addr, port: u16) -> Reach {
        self.advance(now);
        let operator = self.operator;
        match self.machine_at(address) {
            Some(machine) => self.reach_machine(machine, operator, true, port),
            None => Reach::Silent,
        }
    }
    pub(super) fn reach_machine(&self, machine: &Machine, from: Ipv4Addr, public: bool, port: u16) -> Reach {
        let Some(on_since) = machine.on_since else { return Reach::Silent };
        if self.now < on_since + self.latency.boot {
            return Reach::Silent;
        }
        if public && !self.firewall_admits(machine, from, port, "tcp") {
            return Reach::Silent;
        }
        if !ufw_admits(machine, from, port) {
            return Reach::Silent;
        }
        let listens = match port {
            22 => true,
            6443 | 2379 | 2380 | 10250 => machine.k3s.listens(),
            _ => false,
        };
        if listens {
            Reach::Open
        } else {
            Reach::Refused
        }
    }
    /// Whom what runs on this machine reaches of its cluster: `kubernetes.default` leads to any of them, so one
    /// that is closed makes every other request hang.
    pub(super) fn reached_from(&self, from: &Machine, cluster: &K3sCluster) -> Reaches {
        if self.cut_off(from) {
            return Reaches::Nobody;
        }
        let others = cluster.members.keys().filter(|id| **id != from.server).filter_map(|id| self.machines.get(id));
        let every = others.filter(|m| m.on_since.is_some() && m.k3s.listens()).all(|server| {
            advertised(server).is_some_and(|at| self.node_reaches(from, server, at, 6443) == Reach::Open)
        });
        if every {
            Reaches::All
        } else {
            Reaches::NotEveryApi
        }
    }
    /// Whether this is the other's address as one machine sees it: private ones of different networks may be the same.
    pub(super) fn is_to(&self, from: &Machine, to: &Machine, at: Ipv4Addr) -> bool {
        if to.public == Some(at) {
            return true;
        }
        let of = |m: &Machine| self.projects.get(m.project).and_then(|p| p.servers.get(&m.server));
        let (Some(from), Some(to)) = (of(from), of(to)) else { return false };
        let joined = |network: i64| from.private.iter().any(|p| p.network == network);
        to.private.iter().any(|p| p.address == at && joined(p.network))
    }
    /// Whether one machine reaches a port of another at this address of it, and from which address of its own it comes.
    pub(super) fn node_reaches(&self, from: &Machine, to: &Machine, at: Ipv4Addr, port: u16) -> Reach {
        let private = to.private.contains(&at);
        let source = if private { from.private.first().copied() } else { from.public };
        match source {
            Some(source) if from.project == to.project || !private => self.reach_machine(to, source, !private, port),
            _ => Reach::Silent,
        }
    }
}

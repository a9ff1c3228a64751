//! The edge: what a visitor meets. And the question whether anything names an address that is not ours.

use super::dns::DnsZone;
use super::faults::Stage;
use super::{FaultKind, Model, Reach, Stranger};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// What an HTTP request meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visit {
    /// A reply, of the origin or of the edge itself (521, 522, 526, 530).
    Reply {
        /// HTTP status.
        status: u16,
        /// Body.
        body: String,
        /// `location` header, where it redirects.
        location: Option<String>,
    },
    /// The name does not resolve.
    NoSuchName,
    /// TLS fails: no certificate for this name.
    NoCertificate,
    /// The connection is refused.
    Refused,
    /// Nobody answers.
    Silent,
}

impl Visit {
    fn edge(status: u16, body: &str) -> Self {
        Self::Reply { status, body: body.to_owned(), location: None }
    }
}

impl Model {
    /// A GET at port 80 of a node, with this Host header.
    pub fn port80(&mut self, now: Duration, address: Ipv4Addr, host: &str, path: &str) -> Visit {
        self.advance(now);
        match self.faults.take(Stage::Before, "node.http", &address.to_string()) {
            Some(FaultKind::ServerError { status, .. }) => return Visit::edge(status, "planned failure"),
            Some(_) => return Visit::Silent,
            None => {}
        }
        let operator = self.operator;
        let Some(machine) = self.machine_at(address) else { return Visit::Silent };
        if self.reach_machine(machine, operator, true, 80) == Reach::Silent {
            return Visit::Silent;
        }
        let Some(cluster) = machine.k3s.cluster.clone() else { return Visit::Refused };
        let name = self.clusters.get(&cluster).and_then(|c| c.members.get(&machine.server)).map(|m| m.name.clone());
        let now = self.now;
        match name.and_then(|name| self.workloads.serving(now, &cluster, &name, host, path)) {
            Some((status, body)) => Visit::Reply { status, body, location: None },
            None => Visit::Refused,
        }
    }
    /// A GET as a visitor's: resolved by the zone's records, through the edge where they are proxied.
    pub fn edge_get(&mut self, now: Duration, host: &str, path: &str, https: bool) -> Visit {
        self.advance(now);
        // The world outside is behind the same door: all that a run asks of it is a release's checksum file.
        if let Some(body) = self.release_file(host, path) {
            return Visit::Reply { status: 200, body, location: None };
        }
        let in_zone = |z: &&DnsZone| host == z.name || host.ends_with(&format!(".{}", z.name));
        let Some(zone) = self.zones.zones.iter().filter(in_zone).max_by_key(|z| z.name.len()) else {
            return Visit::NoSuchName;
        };
        let records = zone.records.values().filter(|r| r.name == host && r.kind == "A");
        let mut origins: Vec<(Ipv4Addr, bool)> =
            records.filter_map(|r| Some((r.content.parse().ok()?, r.proxied))).collect();
        origins.sort_unstable();
        // Universal SSL covers the zone's name and one label below it. Source: Cloudflare's documentation.
        let below = host.strip_suffix(&zone.name).unwrap_or_default().matches('.').count();
        let (covered, ssl) = (below <= 1, zone.ssl.clone());
        if origins.is_empty() {
            return Visit::NoSuchName;
        }
        self.edge_turn += 1;
        let first = usize::try_from(self.edge_turn).unwrap_or(0) % origins.len();
        origins.rotate_left(first);
        let proxied = origins.iter().any(|(_, proxied)| *proxied);
        if !proxied {
            let Some((address, _)) = origins.first().copied() else { return Visit::NoSuchName };
            // Nodes have no certificate that a visitor trusts.
            return if https { Visit::NoCertificate } else { self.port80(now, address, host, path) };
        }
        if https && !covered {
            return Visit::NoCertificate;
        }
        if https && ssl == "off" {
            let location = Some(format!("http://{host}{path}"));
            return Visit::Reply { status: 301, body: String::new(), location };
        }
        if https && ssl == "strict" {
            return Visit::edge(526, "error code: 526");
        }
        self.through_edge(now, &origins, host, path)
    }
    /// The edge tries one more origin, and only where the first refused or did not answer.
    fn through_edge(&mut self, now: Duration, origins: &[(Ipv4Addr, bool)], host: &str, path: &str) -> Visit {
        let mut last = Visit::edge(530, "error code: 530");
        for (address, _) in origins.iter().take(2) {
            last = match self.port80(now, *address, host, path) {
                Visit::Refused => Visit::edge(521, "error code: 521"),
                Visit::Silent => Visit::edge(522, "error code: 522"),
                reply => return reply,
            };
        }
        last
    }

    pub(super) fn project_holds(&self, project: &str, address: Ipv4Addr) -> bool {
        let project = self.projects.iter().find(|p| p.name == project);
        project.is_some_and(|p| p.primary_ips.values().any(|ip| ip.address == address))
    }
    pub(super) fn stranger(&mut self, op: &str, named_by: String, address: IpAddr) {
        self.ledger.strangers.push(Stranger { at: self.now, op: op.to_owned(), named_by, address });
    }
    /// Everything that names an address its project does not hold, now: records, and peer rules of powered-on machines.
    pub fn naming_strangers(&self) -> Vec<(String, Ipv4Addr)> {
        let mut found = Vec::new();
        for zone in &self.zones.zones {
            for record in zone.records.values() {
                if let Ok(address) = record.content.parse::<Ipv4Addr>() {
                    if !self.project_holds(&zone.project, address) {
                        found.push((format!("record {}", record.name), address));
                    }
                }
            }
        }
        for machine in self.machines.values().filter(|m| m.on_since.is_some()) {
            for peer in &machine.peers {
                let held = self.machines.values().any(|m| m.project == machine.project && m.is(*peer));
                if !held {
                    found.push((format!("peer rule on {}", machine.hostname), *peer));
                }
            }
        }
        found
    }
    /// Writes down what an effect has just left naming a stranger: one address, or any peer rule.
    pub(super) fn look_for_strangers(&mut self, op: &str, address: Option<Ipv4Addr>) {
        for (by, named) in self.naming_strangers() {
            let concerned = match address {
                Some(address) => named == address,
                None => by.starts_with("peer rule"),
            };
            if concerned {
                self.stranger(op, by, IpAddr::V4(named));
            }
        }
    }
}

//! The edge: what a visitor meets.

use super::dns::DnsZone;
use super::faults::Stage;
use super::{FaultKind, Model, Reach};
use std::net::Ipv4Addr;
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
    /// A GET at port 80 of a node, with this Host header. Fault operation: `node.http`.
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
    /// A GET as a visitor's. Fault operations: `edge.get`, `release.get`. The name is resolved by the zone's records, through the edge where they are proxied.
    pub fn edge_get(&mut self, now: Duration, host: &str, path: &str, https: bool) -> Visit {
        self.advance(now);
        // The world outside is behind the same door: all that a run asks of it is a release's checksum file.
        if let Some(body) = self.release_file(host, path) {
            return match self.faults.take(Stage::Before, "release.get", path) {
                Some(FaultKind::ServerError { status, .. }) => Visit::edge(status, "planned failure"),
                Some(_) => Visit::Silent,
                None => Visit::Reply { status: 200, body, location: None },
            };
        }
        match self.faults.take(Stage::Before, "edge.get", host) {
            Some(FaultKind::ServerError { status, .. }) => return Visit::edge(status, "planned failure"),
            Some(_) => return Visit::Silent,
            None => {}
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
}

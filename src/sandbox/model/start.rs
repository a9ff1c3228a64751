//! Starting worlds: the outside as a disaster leaves it.

use super::machine::Machine;
use super::{CloudServer, DnsToken, Latency, Limits, Model, PrimaryIp, PublicAddress, RecordChange, TokenMay};
use crate::config::{DnsSettings, Settings};
use crate::world::{label_value, Labels, ServerStatus, CLUSTER, MANAGED_BY, NODE};
use std::net::Ipv4Addr;
use std::time::Duration;

/// How the old servers were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// They still exist, powered off.
    Off,
    /// They exist and are running, but nothing on them answers.
    Dark,
    /// They are gone, and their addresses with them.
    Gone,
}

/// What a starting world is made of besides the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The same seed gives the same world.
    pub seed: u64,
    /// Public addresses come from this /24.
    pub base: Ipv4Addr,
    /// How long things take.
    pub latency: Latency,
    /// Clock time at the beginning.
    pub now: Duration,
    /// The cloud token of the live project; the rehearsal project's is this with `-rehearsal` behind it.
    pub cloud_token: String,
    /// The DNS token.
    pub dns_token: String,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            seed: 1,
            base: Ipv4Addr::new(127, 41, 7, 0),
            latency: Latency::real(),
            // Some Tuesday: 2026-12-01T08:00:00Z.
            now: Duration::from_secs(1_796_112_000),
            cloud_token: "sandbox-cloud-token".to_owned(),
            dns_token: "sandbox-dns-token".to_owned(),
        }
    }
}

/// The name of the cloud project that the cluster lives in.
const LIVE: &str = "live";

impl Model {
    /// Both projects, the zone and tokens, and nothing in them.
    pub fn empty_world(settings: &Settings, start: &Start) -> Self {
        let mut model = Self::new(start.seed, start.base, start.latency.clone(), start.now);
        model.add_project(LIVE, &[(&start.cloud_token, TokenMay::Write)]);
        model.add_project("rehearsal", &[(&format!("{}-rehearsal", start.cloud_token), TokenMay::Write)]);
        model.set_limits(LIVE, Limits::default());
        let DnsSettings { zone, ssl, .. } = &settings.dns;
        model.add_zone(zone, ssl.as_deref().unwrap_or("flexible"), LIVE);
        model.set_dns_token(&start.dns_token, DnsToken::full(&[zone]));
        if let Some(sha256) = &settings.k3s.sha256 {
            for architecture in ["amd64", "arm64"] {
                model.releases.insert(format!("{}/{architecture}", settings.k3s.version), sha256.clone());
            }
        }
        model
    }
    /// Every node is lost: old servers as `loss` says, the zone's records still naming them.
    pub fn total_loss(settings: &Settings, start: &Start, loss: Loss) -> Self {
        let mut model = Self::empty_world(settings, start);
        let mut addresses = Vec::new();
        for node in &settings.nodes {
            addresses.extend(model.place_server(settings, &node.key, loss));
        }
        let hosts: Vec<String> = settings.dns.hosts.clone();
        for host in &hosts {
            for address in &addresses {
                let record = RecordChange::address(host, &address.to_string(), settings.dns.proxied, None);
                model.place_record(&settings.dns.zone, &record);
            }
        }
        model
    }
    /// No disaster: every node runs and is a voter of the cluster, DNS names them all. What port 80 answers is up to the
    /// workloads.
    pub fn healthy(settings: &Settings, start: &Start) -> Self {
        let mut model = Self::total_loss(settings, start, Loss::Dark);
        let servers: Vec<i64> = model.machines.keys().copied().collect();
        for server in &servers {
            model.machine_on(*server);
        }
        for machine in model.machines.values_mut() {
            machine.on_since = Some(start.now.saturating_sub(Duration::from_secs(86_400)));
        }
        let version = settings.k3s.version.clone();
        let sha256 = model.release_digest(&version, "amd64");
        model.place_cluster(&servers, &version, &sha256);
        model
    }
    /// An old server of the cluster, as it was before the disaster; returns the address that DNS still names.
    fn place_server(&mut self, settings: &Settings, node: &str, loss: Loss) -> Option<Ipv4Addr> {
        let labels: Labels = [
            (MANAGED_BY.to_owned(), "relight".to_owned()),
            (CLUSTER.to_owned(), label_value(&settings.cluster)),
            (NODE.to_owned(), label_value(node)),
        ]
        .into();
        let name = format!("{}-{node}", settings.cluster);
        let address = self.place_foreign(LIVE, &name, labels)?;
        let wanted = &settings.cloud;
        let kind = wanted.server_types.first().and_then(|name| self.offer.types.get(name)).cloned();
        let place = wanted.locations.first().and_then(|name| self.offer.locations.get(name)).cloned();
        let old = self.projects.first_mut()?.servers.values_mut().find(|s| s.name == name)?;
        if let Some(kind) = kind {
            old.server_type = kind;
        }
        if let Some(place) = place {
            old.location = place;
        }
        let server = old.id;
        match loss {
            Loss::Off => {}
            Loss::Dark => self.set_status(0, server, ServerStatus::Running),
            Loss::Gone => self.server_gone(0, server),
        }
        // The end of a world before this one is nobody's effect.
        self.ledger.strangers.clear();
        Some(address)
    }
    /// Puts a server with any name and labels into a project, powered off, as something that was there before.
    pub fn place_foreign(&mut self, project: &str, name: &str, labels: Labels) -> Option<Ipv4Addr> {
        let project = self.project_index(project)?;
        let address = self.addresses.take()?;
        let (id, ip) = (self.next_id(), self.next_id());
        let server_type = self.offer.types.values().next()?.clone();
        let sold = &server_type.sales.first()?.location;
        let location = self.offer.locations.get(sold)?.clone();
        let image = self.offer.images.first()?.clone();
        let place = location.name.clone();
        let server = CloudServer {
            id,
            name: name.to_owned(),
            status: ServerStatus::Off,
            created: self.now,
            server_type,
            location,
            image,
            public: Some(PublicAddress { primary_ip: ip, address }),
            private: Vec::new(),
            labels,
            delete_protected: false,
            rebuild_protected: false,
            placement_group: None,
            firewalls: Vec::new(),
            user_data: String::new(),
            listed_from: self.now,
        };
        let primary = PrimaryIp::of_server(ip, address, id, &place, self.now);
        let machine = Machine::new(project, &server, &[], &mut self.random);
        self.machines.insert(id, machine);
        let held = self.projects.get_mut(project)?;
        held.primary_ips.insert(ip, primary);
        held.servers.insert(id, server);
        Some(address)
    }
}

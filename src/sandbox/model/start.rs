//! Starting worlds: the outside as a disaster leaves it, or before one.

use super::machine::Machine;
use super::{CloudServer, DnsToken, Latency, Limits, Model, PrimaryIp, PublicAddress, RecordChange, TokenMay};
use crate::config::{DnsSettings, Settings};
use crate::world::{label_value, Labels, RunKeys, ServerStatus, CLUSTER, MANAGED_BY, NODE};
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
    /// The operator's public SSH key.
    pub operators_key: String,
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
            operators_key: RunKeys::ed25519([0x0e; 32], "").map(|pair| pair.public).unwrap_or_default(),
        }
    }
}

/// The name of the cloud project that the cluster lives in.
const LIVE: &str = "live";
/// The name of the one that rehearsals are in.
const REHEARSAL: &str = "rehearsal";

impl Start {
    /// The DNS token of the zone for rehearsals, which sees no other.
    pub fn dns_token_rehearsal(&self) -> String {
        format!("{}-rehearsal", self.dns_token)
    }
}

impl Model {
    /// Both projects, the zone and tokens, and nothing in them.
    pub fn empty_world(settings: &Settings, start: &Start) -> Self {
        let mut model = Self::new(start.seed, start.base, start.latency.clone(), start.now);
        model.add_project(LIVE, &[(&start.cloud_token, TokenMay::Write)]);
        model.add_project(REHEARSAL, &[(&format!("{}-rehearsal", start.cloud_token), TokenMay::Write)]);
        model.set_limits(LIVE, Limits::default());
        model.operators_keys = vec![start.operators_key.clone()];
        let DnsSettings { zone, ssl, .. } = &settings.dns;
        model.add_zone(zone, ssl.as_deref().unwrap_or("flexible"), LIVE);
        model.set_dns_token(&start.dns_token, DnsToken::full(&[zone]));
        if let Some(test) = &settings.rehearsal.zone {
            model.add_zone(test, ssl.as_deref().unwrap_or("flexible"), REHEARSAL);
            model.set_dns_token(&start.dns_token_rehearsal(), DnsToken::full(&[test]));
        }
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
        model.place_lost(settings, loss);
        model
    }
    /// No disaster: every node runs and is a voter of the cluster, DNS names them all. What port 80 answers is up to the
    /// workloads.
    pub fn healthy(settings: &Settings, start: &Start) -> Self {
        let mut model = Self::empty_world(settings, start);
        model.place_healthy(settings);
        model
    }
    /// Puts what [`Model::total_loss`] has into an empty world.
    pub fn place_lost(&mut self, settings: &Settings, loss: Loss) {
        let mut addresses = Vec::new();
        for node in &settings.nodes {
            let name = format!("{}-{}", settings.cluster, node.key);
            let labels: Labels = [
                (MANAGED_BY.to_owned(), "relight".to_owned()),
                (CLUSTER.to_owned(), label_value(&settings.cluster)),
                (NODE.to_owned(), label_value(&node.key)),
            ]
            .into();
            let Some((server, address)) = self.place_node(settings, &name, labels) else { continue };
            addresses.push(address);
            match loss {
                Loss::Off => {}
                Loss::Dark => self.set_status(0, server, ServerStatus::Running),
                Loss::Gone => self.server_gone(0, server),
            }
            // The end of a world before this one is nobody's effect.
            self.ledger.strangers.clear();
        }
        self.name_in_dns(settings, &addresses);
    }
    /// Puts what [`Model::healthy`] has into an empty world.
    pub fn place_healthy(&mut self, settings: &Settings) {
        self.place_lost(settings, Loss::Dark);
        let servers: Vec<i64> = self.machines.keys().copied().collect();
        self.place_running(settings, &servers);
    }
    /// Records of every host for each of these addresses, as a person makes them: without a comment.
    pub(super) fn name_in_dns(&mut self, settings: &Settings, addresses: &[Ipv4Addr]) {
        for host in &settings.dns.hosts {
            for address in addresses {
                let record = RecordChange::address(host, &address.to_string(), settings.dns.proxied, None);
                self.place_record(&settings.dns.zone, &record);
            }
        }
    }
    /// Lets these servers, one a node, have been running for a day, as one K3s cluster.
    pub(super) fn place_running(&mut self, settings: &Settings, servers: &[i64]) {
        let since = self.now.saturating_sub(Duration::from_secs(86_400));
        for server in servers {
            self.set_status(0, *server, ServerStatus::Running);
            self.machine_on(*server);
            if let Some(machine) = self.machines.get_mut(server) {
                machine.on_since = Some(since);
            }
        }
        self.place_cluster(servers, settings);
    }
    /// A server of the live project as the configuration has its nodes, powered off; its id and its address.
    pub(super) fn place_node(&mut self, settings: &Settings, name: &str, labels: Labels) -> Option<(i64, Ipv4Addr)> {
        let address = self.place_foreign(LIVE, name, labels)?;
        let wanted = &settings.cloud;
        let kind = wanted.server_types.first().and_then(|name| self.offer.types.get(name)).cloned();
        let place = wanted.locations.first().and_then(|name| self.offer.locations.get(name)).cloned();
        let held = self.projects.first_mut()?;
        let server = held.servers.values_mut().find(|s| s.name == name)?;
        if let Some(kind) = kind {
            server.server_type = kind;
        }
        if let (Some(place), Some(public)) = (place, &server.public) {
            if let Some(ip) = held.primary_ips.get_mut(&public.primary_ip) {
                ip.location.clone_from(&place.name);
            }
            server.location = place;
        }
        Some((server.id, address))
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
            selected: Vec::new(),
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

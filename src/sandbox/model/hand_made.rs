//! A starting world: the cluster as its user made it by hand, in the console and by `kubectl`.

use super::{CloudThing, Model, Subnet, ThingState};
use crate::config::{NetworkSettings, Settings};
use crate::world::{FirewallRule, Labels};
use std::net::Ipv4Addr;
use std::time::Duration;

/// What everybody may reach.
const OPEN: [(&str, Option<&str>); 5] =
    [("icmp", None), ("tcp", Some("22")), ("tcp", Some("80")), ("tcp", Some("443")), ("tcp", Some("6443"))];

impl Model {
    /// Puts a running cluster into an empty world that nothing says to be relight's: servers, network and firewall have the
    /// names that the console proposes and no labels, records have no comment. People get in with their own keys.
    pub fn place_hand_made(&mut self, settings: &Settings) {
        let network = match &settings.cloud.network {
            NetworkSettings::Private { range, zone } => {
                let subnet = Subnet { range: range.clone(), zone: zone.clone(), gateway: String::new() };
                let state = ThingState::Network { range: range.clone(), subnets: vec![subnet] };
                self.place_thing("network-1", state)
            }
            NetworkSettings::Public => None,
        };
        let rules = OPEN.iter().map(|(protocol, port)| FirewallRule {
            direction: "in".to_owned(),
            protocol: (*protocol).to_owned(),
            port: port.map(str::to_owned),
            addresses: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
            description: String::new(),
        });
        let firewall = self.place_thing("firewall-1", ThingState::Firewall { rules: rules.collect() });
        let (mut servers, mut addresses) = (Vec::new(), Vec::new());
        for number in 1..=settings.nodes.len() {
            let name = self.proposed_name(settings, number);
            let Some((server, address)) = self.place_node(settings, &name, Labels::new()) else { continue };
            self.join_by_hand(server, network, firewall);
            servers.push(server);
            addresses.push(address);
        }
        self.place_running(settings, &servers);
        for server in &servers {
            self.let_people_in(settings, *server);
        }
        self.name_in_dns(settings, &addresses);
    }
    /// `ubuntu-8gb-nbg1-1`: what the console proposes for a new server.
    fn proposed_name(&self, settings: &Settings, number: usize) -> String {
        let wanted = &settings.cloud;
        let kind = wanted.server_types.first().and_then(|name| self.offer.types.get(name));
        let flavor = wanted.image.split('-').next().unwrap_or_default();
        let location = wanted.locations.first().map_or("", String::as_str);
        format!("{flavor}-{}gb-{location}-{number}", kind.map_or(8, |kind| kind.memory))
    }
    /// Puts a thing without labels into the live project, as something that was there before.
    fn place_thing(&mut self, name: &str, state: ThingState) -> Option<i64> {
        let id = self.next_id();
        let (name, created, labels) = (name.to_owned(), self.now, Labels::new());
        let (servers, selector, listed_from) = (Vec::new(), None, Duration::ZERO);
        let thing = CloudThing { id, name, created, labels, state, servers, selector, listed_from };
        self.projects.first_mut()?.things.insert(id, thing);
        Some(id)
    }
    fn join_by_hand(&mut self, server: i64, network: Option<i64>, firewall: Option<i64>) {
        let private = network.and_then(|network| self.private_address(0, network).ok());
        let inside: Vec<Ipv4Addr> = private.iter().map(|private| private.address).collect();
        if let Ok(server) = self.find_server_mut(0, server) {
            server.private.extend(private);
            server.firewalls.extend(firewall);
        }
        if let Some(machine) = self.machines.get_mut(&server) {
            machine.private.extend(inside);
        }
    }
    /// The configuration's people and the operator may log in, as root and as its user.
    fn let_people_in(&mut self, settings: &Settings, server: i64) {
        let keys: Vec<String> = settings.cloud.authorized_keys.iter().chain(&self.operators_keys).cloned().collect();
        let Some(machine) = self.machines.get_mut(&server) else { return };
        for user in ["root", &settings.cloud.user] {
            let keys = keys.iter().map(|key| super::things::bare_key(key));
            machine.access.users.entry(user.to_owned()).or_default().extend(keys);
        }
    }
}

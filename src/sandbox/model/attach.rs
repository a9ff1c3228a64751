//! Servers that join or leave a private network later, and networks that get another subnet.

use super::actions::{Begin, Effect};
use super::cloud::{Note, Op};
use super::things::bounds;
use super::{Answer, ApiError, Caller, CloudAction, Model, PrivateAddress, Subnet, ThingState};
use crate::world::ThingKind;
use std::net::Ipv4Addr;
use std::time::Duration;

impl Model {
    /// Attaches a server to a network, at this address or at the next free one.
    pub fn attach_network(
        &mut self,
        now: Duration,
        caller: &Caller,
        server: i64,
        network: i64,
        ip: Option<Ipv4Addr>,
    ) -> Answer<CloudAction> {
        let op = "cloud.server.attach_network";
        let target = self.server_words(server);
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let found = model.find_server(project, server)?;
            (note.id, note.labels) = (Some(server), found.labels.clone());
            if found.private.iter().any(|private| private.network == network) {
                return Err(ApiError::new(422, "server_already_attached", "server is already attached to network"));
            }
            model.check_not_busy(project, server)?;
            let address = model.address_in(project, network, ip)?;
            if let Some(machine) = model.machines.get_mut(&server) {
                machine.private.push(address.address);
            }
            model.find_server_mut(project, server)?.private.push(address);
            let resources = vec![("server".to_owned(), server), ("network".to_owned(), network)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            model.begin(project, Begin { command: "attach_to_network", op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }

    /// Takes a server out of a network.
    pub fn detach_network(&mut self, now: Duration, caller: &Caller, server: i64, network: i64) -> Answer<CloudAction> {
        let op = "cloud.server.detach_network";
        let target = self.server_words(server);
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let found = model.find_server(project, server)?;
            (note.id, note.labels) = (Some(server), found.labels.clone());
            model.check_not_busy(project, server)?;
            let found = model.find_server_mut(project, server)?;
            let at = found.private.iter().position(|private| private.network == network);
            let at = at.ok_or_else(|| ApiError::invalid("network", "server is not attached to network"))?;
            let left = found.private.remove(at).address;
            if let Some(machine) = model.machines.get_mut(&server) {
                machine.private.retain(|address| *address != left);
            }
            let resources = vec![("server".to_owned(), server), ("network".to_owned(), network)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            let command = "detach_from_network";
            model.begin(project, Begin { command, op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }

    /// Gives a network another subnet, inside its range and beside its others.
    pub fn add_subnet(&mut self, now: Duration, caller: &Caller, network: i64, subnet: &Subnet) -> Answer<CloudAction> {
        let (op, target) = ("cloud.network.add_subnet", format!("network {network}"));
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let missing = || ApiError::not_found(ThingKind::Network.word(), network);
            let thing = model.project_mut(project)?.things.get_mut(&network).ok_or_else(missing)?;
            (note.id, note.labels) = (Some(network), thing.labels.clone());
            let ThingState::Network { range, subnets } = &mut thing.state else { return Err(missing()) };
            let inner = bounds(&subnet.range).ok_or_else(|| ApiError::invalid("ip_range", "is no range"))?;
            let within = bounds(range).is_some_and(|outer| outer.0 <= inner.0 && inner.1 <= outer.1);
            let apart = |other: &Subnet| bounds(&other.range).is_some_and(|o| o.1 < inner.0 || inner.1 < o.0);
            if !within || !subnets.iter().all(apart) {
                return Err(ApiError::invalid("ip_range", "must be inside the network's range and overlap no subnet"));
            }
            let gateway = Ipv4Addr::from(inner.0 + 1).to_string();
            subnets.push(Subnet { gateway, ..subnet.clone() });
            let resources = vec![("network".to_owned(), network)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            model.begin(project, Begin { command: "add_subnet", op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }

    /// The next free address of a network, or the one that was asked for.
    fn address_in(&mut self, project: usize, network: i64, ip: Option<Ipv4Addr>) -> Result<PrivateAddress, ApiError> {
        let free = self.private_address(project, network)?;
        let Some(wanted) = ip.filter(|wanted| *wanted != free.address) else { return Ok(free) };
        let held = self.project(project)?;
        let mut servers = held.servers.values();
        if servers.any(|s| s.private.iter().any(|p| p.network == network && p.address == wanted)) {
            return Err(ApiError::new(409, "ip_not_available", "the address is taken"));
        }
        let inside = match held.things.get(&network).map(|thing| &thing.state) {
            Some(ThingState::Network { subnets, .. }) => subnets
                .iter()
                .filter_map(|subnet| bounds(&subnet.range))
                .any(|(first, last)| (first + 2..last).contains(&u32::from(wanted))),
            _ => false,
        };
        if !inside {
            return Err(ApiError::invalid("ip", "is in no subnet of the network"));
        }
        let [a, b, c, d] = wanted.octets();
        Ok(PrivateAddress { network, address: wanted, mac: format!("86:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}") })
    }
}

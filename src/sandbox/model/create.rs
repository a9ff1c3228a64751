//! Creation of servers in the modelled cloud.

use super::actions::{Begin, Effect};
use super::cloud::{not_sold_there, sold_out, Note, Op};
use super::faults::Stage;
use super::machine::Machine;
use super::{
    Answer, ApiError, Caller, CloudAction, CloudServer, FaultKind, Location, Model, OfferedImage, OfferedType,
    PrimaryIp, PrivateAddress, PublicAddress, ThingState,
};
use crate::world::{Labels, ServerStatus, ThingKind};
use std::time::Duration;

/// Source: Hetzner Cloud API, "Create a Server": user data is limited to 32 KiB.
pub const USER_DATA_LIMIT: usize = 32 * 1024;
/// Source: Hetzner Cloud FAQ, "Placement Groups".
const GROUP_LIMIT: usize = 10;
/// Source: Hetzner Cloud FAQ, "Firewalls".
const FIREWALL_LIMIT: usize = 5;

/// An order for a server. Names or ids as text, where the API takes both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerOrder {
    /// RFC 1123 host name.
    pub name: String,
    /// Name or id.
    pub server_type: String,
    /// Name or id.
    pub image: String,
    /// Name or id; empty: the cloud chooses.
    pub location: String,
    /// Names or ids of SSH keys.
    pub ssh_keys: Vec<String>,
    /// cloud-init user data.
    pub user_data: String,
    /// Labels.
    pub labels: Labels,
    /// Ids.
    pub networks: Vec<i64>,
    /// Ids.
    pub firewalls: Vec<i64>,
    /// Id.
    pub placement_group: Option<i64>,
    /// Whether it gets a public IPv4 address.
    pub public_ipv4: bool,
    /// Id of the one that it takes up; `None`: one is made with it.
    pub primary_ip: Option<i64>,
    /// Whether it is started at once.
    pub start: bool,
}

/// What a create answers.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedServer {
    /// The server, initializing.
    pub server: CloudServer,
    /// `create_server`.
    pub action: CloudAction,
    /// `start_server`, which runs behind it.
    pub next_actions: Vec<CloudAction>,
    /// Only where no SSH key was given.
    pub root_password: Option<String>,
}

/// RFC 1123: letters, digits, hyphens and dots, alphanumeric ends, at most 63 characters a part.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    let part = |p: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inside = p.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        p.len() <= 63 && inside && edge(p.chars().next()) && edge(p.chars().last())
    };
    if name.len() <= 253 && name.split('.').all(part) {
        return Ok(());
    }
    Err(ApiError::invalid("name", "must be a valid hostname"))
}

/// The checked parts of an order.
struct Checked {
    server_type: OfferedType,
    location: Location,
    image: OfferedImage,
    keys: Vec<String>,
}

impl Model {
    /// Orders a server. It exists at once, starts when its actions have ended, and answers SSH some time later.
    pub fn create_server(&mut self, now: Duration, caller: &Caller, order: &ServerOrder) -> Answer<CreatedServer> {
        let target = format!("server {} {}/{}", order.name, order.server_type, order.location);
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            note.labels = order.labels.clone();
            let checked = model.check_order(project, order)?;
            let created = model.make_server(project, order, checked, &target)?;
            note.id = Some(created.server.id);
            Ok(created)
        };
        self.cloud(now, caller, &Op::write("cloud.server.create", &target), act)
    }

    pub(super) fn check_server_name_free(&self, project: usize, name: &str, but: Option<i64>) -> Result<(), ApiError> {
        let taken = self.project(project)?.servers.values().any(|s| s.name == name && Some(s.id) != but);
        if taken {
            return Err(ApiError::taken("name", "server name is already used"));
        }
        Ok(())
    }

    fn check_order(&self, project: usize, order: &ServerOrder) -> Result<Checked, ApiError> {
        check_name(&order.name)?;
        if order.user_data.len() > USER_DATA_LIMIT {
            return Err(ApiError::invalid("user_data", "Length must be between 0 and 32768 bytes"));
        }
        let named = |id: i64, name: &str, text: &str| name == text || id.to_string() == text;
        let mut types = self.offer.types.values();
        let server_type = types.find(|t| named(t.id, &t.name, &order.server_type)).cloned();
        let server_type = server_type.ok_or_else(|| ApiError::invalid("server_type", "server type not found"))?;
        let mut places = self.offer.locations.values();
        let location = places
            .find(|l| {
                let wanted = order.location.is_empty() || named(l.id, &l.name, &order.location);
                wanted && (!order.location.is_empty() || self.offer.orderable(&server_type.name, &l.name))
            })
            .cloned();
        let location = location.ok_or_else(|| ApiError::invalid("location", "location not found"))?;
        let image = self.offer.image(&order.image, &server_type.architecture).cloned();
        let image = image.ok_or_else(|| ApiError::invalid("image", "image not found"))?;
        self.check_server_name_free(project, &order.name, None)?;
        let keys = self.check_things(project, order)?;
        self.check_primary_ip(project, order, &location)?;
        let held = self.project(project)?;
        if held.servers.len() >= held.limits.servers {
            return Err(ApiError::limit("server limit exceeded", "server_limit"));
        }
        let made = order.public_ipv4 && order.primary_ip.is_none();
        if made && held.primary_ips.len() >= held.limits.primary_ips {
            return Err(ApiError::limit("Primary IP limit exceeded", "primary_ip_limit"));
        }
        if !server_type.sales.iter().any(|sale| sale.location == location.name) {
            return Err(not_sold_there());
        }
        if !self.offer.orderable(&server_type.name, &location.name) {
            return Err(sold_out());
        }
        Ok(Checked { server_type, location, image, keys })
    }

    /// Looks up what an order refers to; returns the public keys.
    fn check_things(&self, project: usize, order: &ServerOrder) -> Result<Vec<String>, ApiError> {
        let held = self.project(project)?;
        let exists = |id: &i64, kind| held.things.get(id).is_some_and(|t| t.state.kind() == kind);
        for (ids, kind) in [(&order.networks, ThingKind::Network), (&order.firewalls, ThingKind::Firewall)] {
            if let Some(missing) = ids.iter().find(|id| !exists(id, kind)) {
                return Err(ApiError::not_found(kind.word(), *missing));
            }
        }
        if order.firewalls.len() > FIREWALL_LIMIT {
            return Err(ApiError::invalid("firewalls", "at most 5 firewalls per server"));
        }
        if let Some(group) = order.placement_group {
            if !exists(&group, ThingKind::PlacementGroup) {
                return Err(ApiError::not_found("placement_group", group));
            }
            if held.servers.values().filter(|s| s.placement_group == Some(group)).count() >= GROUP_LIMIT {
                return Err(ApiError::new(422, "placement_error", "placement group is full"));
            }
        }
        let mut keys = Vec::new();
        for wanted in &order.ssh_keys {
            let found = held.things.values().find_map(|t| match &t.state {
                ThingState::SshKey { public_key, .. } if t.name == *wanted || t.id.to_string() == *wanted => {
                    Some(public_key)
                }
                _ => None,
            });
            keys.push(found.cloned().ok_or_else(|| ApiError::invalid("ssh_keys", "SSH key not found"))?);
        }
        Ok(keys)
    }

    fn make_server(
        &mut self,
        project: usize,
        order: &ServerOrder,
        checked: Checked,
        target: &str,
    ) -> Result<CreatedServer, ApiError> {
        let id = self.next_id();
        let public = match (order.public_ipv4, order.primary_ip) {
            (false, _) => None,
            (true, Some(ip)) => Some(self.assign_primary_ip(project, ip, id)?),
            (true, None) => Some(self.make_primary_ip(project, id, &checked.location)?),
        };
        let mut private = Vec::new();
        for network in &order.networks {
            private.push(self.private_address(project, *network)?);
        }
        let op = "cloud.server.create";
        let lag = match self.faults.take(Stage::Listing, op, target) {
            Some(FaultKind::ListLag(lag)) => lag,
            _ => Duration::ZERO,
        };
        let server = CloudServer {
            id,
            name: order.name.clone(),
            status: ServerStatus::Initializing,
            created: self.now,
            server_type: checked.server_type,
            location: checked.location,
            image: checked.image,
            public,
            private,
            labels: order.labels.clone(),
            delete_protected: false,
            rebuild_protected: false,
            placement_group: order.placement_group,
            firewalls: order.firewalls.clone(),
            selected: Vec::new(),
            user_data: order.user_data.clone(),
            listed_from: self.now + lag,
        };
        let machine = Machine::new(project, &server, &checked.keys, &mut self.random);
        self.machines.insert(id, machine);
        self.project_mut(project)?.servers.insert(id, server);
        self.follow_selectors(project)?;
        let server = self.find_server(project, id)?.clone();
        let resources = vec![("server".to_owned(), id)];
        let (create, start) = (self.latency.create, self.latency.create + self.latency.start);
        let begin = Begin {
            command: "create_server",
            op,
            target,
            resources: resources.clone(),
            lasts: create,
            effect: if order.start { Effect::Created } else { Effect::PowerOff },
        };
        let action = self.begin(project, begin)?;
        let mut next_actions = Vec::new();
        // A create that hangs or fails is never followed by a start.
        let sound =
            self.project(project)?.actions.get(&action.id).is_some_and(|a| a.ends.is_some() && a.error.is_none());
        if order.start && sound {
            let op = "cloud.server.start";
            let begin = Begin { command: "start_server", op, target, resources, lasts: start, effect: Effect::PowerOn };
            next_actions.push(self.begin(project, begin)?);
        }
        let root_password = order.ssh_keys.is_empty().then(|| self.random.hex(10));
        Ok(CreatedServer { server, action, next_actions, root_password })
    }

    fn make_primary_ip(&mut self, project: usize, server: i64, place: &Location) -> Result<PublicAddress, ApiError> {
        let address =
            self.addresses.take().ok_or_else(|| ApiError::limit("Primary IP limit exceeded", "primary_ip_limit"))?;
        let id = self.next_id();
        let ip = PrimaryIp::of_server(id, address, server, &place.name, self.now);
        self.project_mut(project)?.primary_ips.insert(id, ip);
        Ok(PublicAddress { primary_ip: id, address })
    }

    /// The next free address of the network's first subnet; the first one is the gateway's.
    pub(super) fn private_address(&mut self, project: usize, network: i64) -> Result<PrivateAddress, ApiError> {
        let held = self.project(project)?;
        let taken: Vec<_> = held.servers.values().flat_map(|s| &s.private).filter(|p| p.network == network).collect();
        let range = held.things.get(&network).and_then(|t| match &t.state {
            ThingState::Network { subnets, .. } => subnets.first().map(|s| s.range.clone()),
            _ => None,
        });
        let range = range.ok_or_else(|| ApiError::new(422, "no_subnet_available", "network has no subnet"))?;
        let (first, last) =
            super::things::bounds(&range).ok_or_else(|| ApiError::invalid("ip_range", "is no range"))?;
        let free = (first + 2..last).map(std::net::Ipv4Addr::from).find(|a| taken.iter().all(|t| t.address != *a));
        let address =
            free.ok_or_else(|| ApiError::new(409, "no_subnet_available", "no free address in the network"))?;
        let [a, b, c, d] = address.octets();
        Ok(PrivateAddress { network, address, mac: format!("86:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}") })
    }
}

//! Public addresses of the modelled cloud, as resources of their own.

use super::actions::{Begin, Effect};
use super::cloud::{Note, Op};
use super::{Answer, ApiError, Caller, CloudAction, Filter, Location, Model, PublicAddress, Selector, ServerOrder};
use crate::world::{Labels, ServerStatus};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A public address as a resource of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryIp {
    /// The cloud's id.
    pub id: i64,
    /// Unique in the project.
    pub name: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The server it is on.
    pub server: Option<i64>,
    /// `nbg1`.
    pub location: String,
    /// Whether it goes when its server goes.
    pub auto_delete: bool,
    /// Clock time.
    pub created: Duration,
    /// Labels.
    pub labels: Labels,
}

impl PrimaryIp {
    /// One that the cloud makes with a server: named by its id, unlabelled, and gone when the server is.
    pub(super) fn of_server(id: i64, address: Ipv4Addr, server: i64, location: &str, created: Duration) -> Self {
        let (name, location, labels) = (format!("primary_ip-{id}"), location.to_owned(), Labels::new());
        Self { id, name, address, server: Some(server), location, auto_delete: true, created, labels }
    }
}

impl Model {
    /// Primary IPs, in the order of their ids.
    pub fn primary_ips(&mut self, now: Duration, caller: &Caller, filter: &Filter) -> Answer<Vec<PrimaryIp>> {
        let act = |model: &mut Self, project: usize, _: &mut Note| {
            let selector = Selector::parse(&filter.selector)?;
            let all = model.project(project)?.primary_ips.values();
            let shown =
                |ip: &&PrimaryIp| (filter.name.is_empty() || ip.name == filter.name) && selector.selects(&ip.labels);
            Ok(all.filter(shown).cloned().collect())
        };
        self.cloud(now, caller, &Op::read("cloud.primary_ips.list"), act)
    }
    /// One primary IP; 404 where it does not exist.
    pub fn primary_ip(&mut self, now: Duration, caller: &Caller, id: i64) -> Answer<PrimaryIp> {
        let act = |model: &mut Self, project: usize, _: &mut Note| model.find_primary_ip(project, id).cloned();
        self.cloud(now, caller, &Op::read("cloud.primary_ip.get"), act)
    }
    fn find_primary_ip(&self, project: usize, id: i64) -> Result<&PrimaryIp, ApiError> {
        self.project(project)?.primary_ips.get(&id).ok_or_else(|| ApiError::not_found("primary_ip", id))
    }
    /// Gives another name, other labels, or another fate at the end of its server.
    pub fn update_primary_ip(
        &mut self,
        now: Duration,
        caller: &Caller,
        id: i64,
        name: Option<&str>,
        labels: Option<&Labels>,
        auto_delete: Option<bool>,
    ) -> Answer<PrimaryIp> {
        let (op, target) = ("cloud.primary_ip.update", format!("primary_ip {id}"));
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            (note.id, note.labels) = (Some(id), model.labels_of_address(project, id)?);
            let held = model.project_mut(project)?;
            if held.primary_ips.values().any(|ip| ip.id != id && Some(ip.name.as_str()) == name) {
                return Err(ApiError::taken("name", "name is already used"));
            }
            let ip = held.primary_ips.get_mut(&id).ok_or_else(|| ApiError::not_found("primary_ip", id))?;
            if let Some(name) = name {
                name.clone_into(&mut ip.name);
            }
            if let Some(labels) = labels {
                ip.labels.clone_from(labels);
            }
            ip.auto_delete = auto_delete.unwrap_or(ip.auto_delete);
            Ok(ip.clone())
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    /// Whose an address is: by its own labels, or, where it has none, by those of the server that it came with.
    fn labels_of_address(&self, project: usize, id: i64) -> Result<Labels, ApiError> {
        let ip = self.find_primary_ip(project, id)?;
        let server = ip.server.and_then(|server| self.find_server(project, server).ok());
        Ok(match server.filter(|_| ip.labels.is_empty()) {
            Some(server) => server.labels.clone(),
            None => ip.labels.clone(),
        })
    }
    /// Takes a primary IP off its server. 422 `server_not_stopped` unless that is off. Source: Hetzner Cloud API, "Unassign a
    /// Primary IP from a resource"; the status was seen live in August 2026.
    pub fn unassign_primary_ip(&mut self, now: Duration, caller: &Caller, id: i64) -> Answer<CloudAction> {
        let (op, target) = ("cloud.primary_ip.unassign", format!("primary_ip {id}"));
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            (note.id, note.labels) = (Some(id), model.labels_of_address(project, id)?);
            let none = || ApiError::new(422, "primary_ip_not_assigned", "the primary IP is not assigned");
            let server = model.find_primary_ip(project, id)?.server.ok_or_else(none)?;
            if model.find_server(project, server)?.status != ServerStatus::Off {
                return Err(ApiError::new(
                    422,
                    "server_not_stopped",
                    "the server is running, but needs to be powered off",
                ));
            }
            model.check_not_busy(project, server)?;
            if let Some(ip) = model.project_mut(project)?.primary_ips.get_mut(&id) {
                ip.server = None;
            }
            model.find_server_mut(project, server)?.public = None;
            if let Some(machine) = model.machines.get_mut(&server) {
                machine.public = None;
            }
            let resources = vec![("server".to_owned(), server), ("primary_ip".to_owned(), id)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            let command = "unassign_primary_ip";
            model.begin(project, Begin { command, op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    /// Whether an order may take up the primary IP that it names. Source: Hetzner Cloud API, "Create a Server", its error codes.
    pub(super) fn check_primary_ip(&self, project: usize, order: &ServerOrder, at: &Location) -> Result<(), ApiError> {
        let Some(id) = order.primary_ip else { return Ok(()) };
        let ip = self.find_primary_ip(project, id)?;
        if ip.server.is_some() {
            return Err(ApiError::new(422, "primary_ip_assigned", "the primary IP is already assigned to a server"));
        }
        if ip.location != at.name {
            let what = "the primary IP is in a different datacenter";
            return Err(ApiError::new(422, "primary_ip_datacenter_mismatch", what));
        }
        Ok(())
    }
    /// Puts a primary IP that was looked at onto a server that is being made.
    pub(super) fn assign_primary_ip(
        &mut self,
        project: usize,
        id: i64,
        server: i64,
    ) -> Result<PublicAddress, ApiError> {
        let ip = self.project_mut(project)?.primary_ips.get_mut(&id);
        let ip = ip.ok_or_else(|| ApiError::not_found("primary_ip", id))?;
        ip.server = Some(server);
        Ok(PublicAddress { primary_ip: id, address: ip.address })
    }
    /// Deletes a primary IP. 422 `must_be_unassigned` for one that is on a server. Source: Hetzner Cloud API, "Delete a Primary
    /// IP": since May 2026 it has to be unassigned first.
    pub fn delete_primary_ip(&mut self, now: Duration, caller: &Caller, id: i64) -> Answer<()> {
        let (op, target) = ("cloud.primary_ip.delete", format!("primary_ip {id}"));
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let ip = model.find_primary_ip(project, id)?;
            (note.id, note.labels) = (Some(id), ip.labels.clone());
            let address = ip.address;
            if ip.server.is_some() {
                return Err(ApiError::new(422, "must_be_unassigned", "the primary IP must be unassigned first"));
            }
            model.project_mut(project)?.primary_ips.remove(&id);
            model.addresses.free(address);
            model.look_for_strangers(op, &[address]);
            Ok(())
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    /// Puts an address that no server has into a project, as something that was there before.
    pub fn place_primary_ip(&mut self, project: &str, name: &str, location: &str, labels: Labels) -> Option<PrimaryIp> {
        let project = self.project_index(project)?;
        let address = self.addresses.take()?;
        let id = self.next_id();
        let (name, location, created) = (name.to_owned(), location.to_owned(), self.now);
        let ip = PrimaryIp { id, name, address, server: None, location, auto_delete: false, created, labels };
        self.projects.get_mut(project)?.primary_ips.insert(id, ip.clone());
        Some(ip)
    }
}

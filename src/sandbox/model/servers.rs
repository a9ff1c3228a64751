//! Servers of the modelled cloud: what they are, lists, changes and deletion. Creation is in `create.rs`.

use super::actions::{Begin, Effect};
use super::cloud::{Note, Op};
use super::{Answer, ApiError, Caller, CloudAction, Location, Model, OfferedImage, OfferedType, Selector};
use crate::world::{Labels, ServerStatus};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A server's address in a private network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateAddress {
    /// The network's id.
    pub network: i64,
    /// The address.
    pub address: Ipv4Addr,
    /// `86:00:00:2a:7d:e0`.
    pub mac: String,
}

/// A server's public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// Id of the primary IP.
    pub primary_ip: i64,
    /// The address.
    pub address: Ipv4Addr,
}

/// A server as the cloud keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudServer {
    /// The cloud's id.
    pub id: i64,
    /// Unique in the project.
    pub name: String,
    /// Its life.
    pub status: ServerStatus,
    /// Clock time.
    pub created: Duration,
    /// Its type, as sold when it was made.
    pub server_type: OfferedType,
    /// Where it is.
    pub location: Location,
    /// What it was made from.
    pub image: OfferedImage,
    /// Public address.
    pub public: Option<PublicAddress>,
    /// Addresses in private networks.
    pub private: Vec<PrivateAddress>,
    /// Labels.
    pub labels: Labels,
    /// Whether delete is forbidden.
    pub delete_protected: bool,
    /// Whether rebuild is forbidden.
    pub rebuild_protected: bool,
    /// The placement group's id.
    pub placement_group: Option<i64>,
    /// Ids of firewalls on its public interface.
    pub firewalls: Vec<i64>,
    /// Those of them that are on it because a label selector selects it.
    pub(super) selected: Vec<i64>,
    /// As given at creation.
    pub user_data: String,
    /// Lists show it from this time on.
    pub(super) listed_from: Duration,
}

/// The API's word for a server's status.
pub fn status_word(status: ServerStatus) -> &'static str {
    match status {
        ServerStatus::Running => "running",
        ServerStatus::Initializing => "initializing",
        ServerStatus::Starting => "starting",
        ServerStatus::Stopping => "stopping",
        ServerStatus::Off => "off",
        ServerStatus::Deleting => "deleting",
        ServerStatus::Other => "unknown",
    }
}

/// Which servers or things a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Exact name; empty: any.
    pub name: String,
    /// Label selector; empty: all.
    pub selector: String,
    /// Exact fingerprint of an SSH key; empty: any.
    pub fingerprint: String,
}

impl Filter {
    /// Only by label selector.
    pub fn labels(selector: &str) -> Self {
        Self { selector: selector.to_owned(), ..Self::default() }
    }
}

impl Model {
    /// Servers, in the order of their ids. What a fault made lag behind is absent.
    pub fn servers(&mut self, now: Duration, caller: &Caller, filter: &Filter) -> Answer<Vec<CloudServer>> {
        let act = |model: &mut Self, project: usize, _: &mut Note| {
            let selector = Selector::parse(&filter.selector)?;
            let now = model.now;
            let all = model.project(project)?.servers.values();
            let shown = |s: &&CloudServer| {
                s.listed_from <= now && (filter.name.is_empty() || s.name == filter.name) && selector.selects(&s.labels)
            };
            Ok(all.filter(shown).cloned().collect())
        };
        self.cloud(now, caller, &Op::read("cloud.servers.list"), act)
    }
    /// One server; 404 where it does not exist.
    pub fn server(&mut self, now: Duration, caller: &Caller, id: i64) -> Answer<CloudServer> {
        let act = |model: &mut Self, project: usize, _: &mut Note| model.find_server(project, id).cloned();
        self.cloud(now, caller, &Op::read("cloud.server.get"), act)
    }
    pub(super) fn find_server(&self, project: usize, id: i64) -> Result<&CloudServer, ApiError> {
        self.project(project)?.servers.get(&id).ok_or_else(|| ApiError::not_found("server", id))
    }
    pub(super) fn find_server_mut(&mut self, project: usize, id: i64) -> Result<&mut CloudServer, ApiError> {
        self.project_mut(project)?.servers.get_mut(&id).ok_or_else(|| ApiError::not_found("server", id))
    }
    /// `server 12 name`, for faults and the ledger.
    pub(super) fn server_words(&self, id: i64) -> String {
        let name = self.projects.iter().find_map(|p| p.servers.get(&id)).map_or("", |s| s.name.as_str());
        format!("server {id} {name}")
    }
    /// Gives another name, other labels, or both.
    pub fn update_server(
        &mut self,
        now: Duration,
        caller: &Caller,
        id: i64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Answer<CloudServer> {
        let target = self.server_words(id);
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            note.id = Some(id);
            note.labels = model.find_server(project, id)?.labels.clone();
            if let Some(name) = name {
                super::create::check_name(name)?;
                model.check_server_name_free(project, name, Some(id))?;
            }
            let server = model.find_server_mut(project, id)?;
            if let Some(name) = name {
                name.clone_into(&mut server.name);
            }
            if let Some(labels) = labels {
                server.labels = labels.clone();
            }
            model.follow_selectors(project)?;
            model.find_server(project, id).cloned()
        };
        self.cloud(now, caller, &Op::write("cloud.server.update", &target), act)
    }
    /// Sets delete and rebuild protection.
    pub fn protect_server(&mut self, now: Duration, caller: &Caller, id: i64, on: bool) -> Answer<CloudAction> {
        let target = self.server_words(id);
        let op = "cloud.server.protect";
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let server = model.find_server_mut(project, id)?;
            (note.id, note.labels) = (Some(id), server.labels.clone());
            (server.delete_protected, server.rebuild_protected) = (on, on);
            let resources = vec![("server".to_owned(), id)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            model.begin(project, Begin { command: "change_protection", op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    /// Deletes a server: 423 `protected` or `locked`, else an action at whose end it is gone.
    pub fn delete_server(&mut self, now: Duration, caller: &Caller, id: i64) -> Answer<CloudAction> {
        let target = self.server_words(id);
        let op = "cloud.server.delete";
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let server = model.find_server(project, id)?;
            (note.id, note.labels) = (Some(id), server.labels.clone());
            if server.delete_protected {
                return Err(ApiError::protected("server"));
            }
            model.check_not_busy(project, id)?;
            model.set_status(project, id, ServerStatus::Deleting);
            let resources = vec![("server".to_owned(), id)];
            let (lasts, effect) = (model.latency.stop, Effect::Delete);
            model.begin(project, Begin { command: "delete_server", op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    pub(super) fn check_not_busy(&self, project: usize, id: i64) -> Result<(), ApiError> {
        if self.server_busy(project, id) {
            return Err(ApiError::locked("server"));
        }
        Ok(())
    }
    /// The end of a deletion: machine, address and memberships go.
    pub(super) fn server_gone(&mut self, project_index: usize, id: i64) {
        self.machine_off(id);
        self.machines.remove(&id);
        // Where the last datastore of a cluster is gone, so is the cluster.
        let machines = &self.machines;
        self.clusters.retain(|uid, _| machines.values().any(|m| m.k3s.cluster.as_ref() == Some(uid)));
        let held = self.projects.get_mut(project_index).and_then(|p| p.servers.remove(&id));
        let Some(server) = held else { return };
        let mut freed: Vec<_> = server.private.iter().map(|p| p.address).collect();
        if let Some(public) = server.public {
            freed.extend(self.free_address(project_index, &public));
        }
        self.look_for_strangers("cloud.server.delete", &freed);
    }
    /// The address goes with its server, or stays as a resource of its own; returns it where it is gone.
    fn free_address(&mut self, project: usize, public: &PublicAddress) -> Option<Ipv4Addr> {
        let project = self.projects.get_mut(project)?;
        if project.primary_ips.get(&public.primary_ip).is_some_and(|ip| ip.auto_delete) {
            project.primary_ips.remove(&public.primary_ip);
            self.addresses.free(public.address);
            return Some(public.address);
        }
        if let Some(ip) = project.primary_ips.get_mut(&public.primary_ip) {
            ip.server = None;
        }
        None
    }
}

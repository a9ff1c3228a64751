//! SSH keys, networks, firewalls and placement groups of the modelled cloud.

use super::cloud::{Note, Op};
use super::faults::Stage;
use super::{Answer, ApiError, Caller, FaultKind, Filter, Model, Selector};
use crate::world::{FirewallRule, Labels, ThingKind};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `10.0.0.0/24`.
    pub range: String,
    /// `eu-central`.
    pub zone: String,
    /// Its first address.
    pub gateway: String,
}

/// What a thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThingState {
    /// SSH key.
    SshKey {
        /// `ssh-ed25519 AAAA... comment`.
        public_key: String,
        /// MD5-like form, as the API prints it.
        fingerprint: String,
    },
    /// Network.
    Network {
        /// `10.0.0.0/16`.
        range: String,
        /// Cloud subnets.
        subnets: Vec<Subnet>,
    },
    /// Firewall.
    Firewall {
        /// Its rules.
        rules: Vec<FirewallRule>,
    },
    /// Placement group of type `spread`.
    PlacementGroup,
}

impl ThingState {
    /// Its kind.
    pub fn kind(&self) -> ThingKind {
        match self {
            Self::SshKey { .. } => ThingKind::SshKey,
            Self::Network { .. } => ThingKind::Network,
            Self::Firewall { .. } => ThingKind::Firewall,
            Self::PlacementGroup => ThingKind::PlacementGroup,
        }
    }
}

/// An SSH key, network, firewall or placement group as the cloud keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudThing {
    /// The cloud's id.
    pub id: i64,
    /// Unique among its kind in the project.
    pub name: String,
    /// Clock time.
    pub created: Duration,
    /// Labels.
    pub labels: Labels,
    /// What it is.
    pub state: ThingState,
    /// Ids of the servers it is applied to, attached to, or that are in it; worked out when shown.
    pub servers: Vec<i64>,
    /// The label selector that a firewall is applied by.
    pub selector: Option<String>,
    pub(super) listed_from: Duration,
}

/// First and last address of a CIDR, as numbers.
pub(super) fn bounds(range: &str) -> Option<(u32, u32)> {
    let (address, bits) = range.split_once('/')?;
    let address = u32::from(address.parse::<std::net::Ipv4Addr>().ok()?);
    let bits: u32 = bits.parse().ok().filter(|b| *b <= 32)?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    Some((address & mask, address | !mask))
}

/// The type and data of a public key, without its comment.
pub(super) fn bare_key(key: &str) -> String {
    key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Sixteen bytes in the shape of the API's fingerprint. The real one is an MD5; nobody here compares it with one.
fn fingerprint(key: &str) -> String {
    let hash = Sha256::digest(bare_key(key).as_bytes());
    hash.iter().take(16).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

impl Model {
    /// Things of one kind, in the order of their ids.
    pub fn things(
        &mut self,
        now: Duration,
        caller: &Caller,
        kind: ThingKind,
        filter: &Filter,
    ) -> Answer<Vec<CloudThing>> {
        let op = format!("cloud.{}s.list", kind.word());
        let act = |model: &mut Self, project: usize, _: &mut Note| {
            let selector = Selector::parse(&filter.selector)?;
            let now = model.now;
            let held = model.project(project)?;
            let shown = |t: &&CloudThing| {
                let print = match &t.state {
                    ThingState::SshKey { fingerprint, .. } => fingerprint.as_str(),
                    _ => "",
                };
                t.state.kind() == kind
                    && t.listed_from <= now
                    && (filter.name.is_empty() || t.name == filter.name)
                    && (filter.fingerprint.is_empty() || print == filter.fingerprint)
                    && selector.selects(&t.labels)
            };
            let ids: Vec<i64> = held.things.values().filter(shown).map(|t| t.id).collect();
            Ok(ids.into_iter().filter_map(|id| model.shown_thing(project, id)).collect())
        };
        self.cloud(now, caller, &Op::read(&op), act)
    }
    /// One thing; 404 where it does not exist or is of another kind.
    pub fn thing(&mut self, now: Duration, caller: &Caller, kind: ThingKind, id: i64) -> Answer<CloudThing> {
        let op = format!("cloud.{}.get", kind.word());
        let act = |model: &mut Self, project: usize, _: &mut Note| {
            let found = model.shown_thing(project, id).filter(|t| t.state.kind() == kind);
            found.ok_or_else(|| ApiError::not_found(kind.word(), id))
        };
        self.cloud(now, caller, &Op::read(&op), act)
    }
    /// A thing as it is, without a call: for a door that writes out what another thing refers to.
    pub fn glimpse(&self, id: i64) -> Option<CloudThing> {
        (0..self.projects.len()).find_map(|project| self.shown_thing(project, id))
    }
    fn shown_thing(&self, project: usize, id: i64) -> Option<CloudThing> {
        let held = self.projects.get(project)?;
        let mut thing = held.things.get(&id)?.clone();
        let in_it = |s: &&super::CloudServer| {
            s.placement_group == Some(id) || s.firewalls.contains(&id) || s.private.iter().any(|p| p.network == id)
        };
        thing.servers = held.servers.values().filter(in_it).map(|s| s.id).collect();
        Some(thing)
    }
    /// Creates a thing. 409 where its name, or an SSH key's public key, is taken.
    pub fn create_thing(
        &mut self,
        now: Duration,
        caller: &Caller,
        name: &str,
        state: &ThingState,
        labels: &Labels,
    ) -> Answer<CloudThing> {
        let kind = state.kind();
        let op = format!("cloud.{}.create", kind.word());
        let target = format!("{} {name}", kind.word());
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            note.labels = labels.clone();
            if name.is_empty() {
                return Err(ApiError::invalid("name", "is required"));
            }
            let state = model.check_thing(project, name, state)?;
            let id = model.next_id();
            note.id = Some(id);
            let lag = match model.faults.take(Stage::Listing, &op, &target) {
                Some(FaultKind::ListLag(lag)) => lag,
                _ => Duration::ZERO,
            };
            let thing = CloudThing {
                id,
                name: name.to_owned(),
                created: model.now,
                labels: labels.clone(),
                state,
                servers: Vec::new(),
                selector: None,
                listed_from: model.now + lag,
            };
            model.project_mut(project)?.things.insert(id, thing.clone());
            Ok(thing)
        };
        self.cloud(now, caller, &Op::write(&op, &target), act)
    }
    fn check_thing(&self, project: usize, name: &str, state: &ThingState) -> Result<ThingState, ApiError> {
        let mut same_kind = self.project(project)?.things.values().filter(|t| t.state.kind() == state.kind());
        if same_kind.clone().any(|t| t.name == name) {
            return Err(ApiError::taken("name", "name is already used"));
        }
        match state {
            ThingState::SshKey { public_key, .. } => {
                if bare_key(public_key).split_once(' ').is_none_or(|(kind, _)| !kind.starts_with("ssh-")) {
                    return Err(ApiError::invalid("public_key", "is no public key"));
                }
                let print = fingerprint(public_key);
                let same = |t: &super::CloudThing| matches!(&t.state, ThingState::SshKey { fingerprint: f, .. } if *f == print);
                if same_kind.any(same) {
                    return Err(ApiError::taken("public_key", "SSH key with the same fingerprint already exists"));
                }
                Ok(ThingState::SshKey { public_key: public_key.trim().to_owned(), fingerprint: print })
            }
            ThingState::Network { range, subnets } => {
                let private =
                    |r: &str| bounds(r).is_some_and(|(first, _)| std::net::Ipv4Addr::from(first).is_private());
                if !private(range) || !subnets.iter().all(|s| private(&s.range)) {
                    return Err(ApiError::invalid("ip_range", "must be a private network (RFC 1918)"));
                }
                let gateway =
                    |s: &Subnet| bounds(&s.range).map(|(first, _)| std::net::Ipv4Addr::from(first + 1).to_string());
                let with = |s: &Subnet| Subnet { gateway: gateway(s).unwrap_or_default(), ..s.clone() };
                Ok(ThingState::Network { range: range.clone(), subnets: subnets.iter().map(with).collect() })
            }
            other => Ok(other.clone()),
        }
    }
    /// Gives another name, other labels, or both.
    pub fn update_thing(
        &mut self,
        now: Duration,
        caller: &Caller,
        kind: ThingKind,
        id: i64,
        name: Option<&str>,
        labels: Option<&Labels>,
    ) -> Answer<CloudThing> {
        let op = format!("cloud.{}.update", kind.word());
        let target = format!("{} {id}", kind.word());
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            model.note_thing(project, kind, id, note)?;
            let others = model.project(project)?.things.values().filter(|t| t.id != id && t.state.kind() == kind);
            if others.into_iter().any(|t| Some(t.name.as_str()) == name) {
                return Err(ApiError::taken("name", "name is already used"));
            }
            if let Some(thing) = model.project_mut(project)?.things.get_mut(&id) {
                if let Some(name) = name {
                    name.clone_into(&mut thing.name);
                }
                if let Some(labels) = labels {
                    thing.labels = labels.clone();
                }
            }
            model.shown_thing(project, id).ok_or_else(|| ApiError::not_found(kind.word(), id))
        };
        self.cloud(now, caller, &Op::write(&op, &target), act)
    }
    pub(super) fn note_thing(&self, project: usize, kind: ThingKind, id: i64, note: &mut Note) -> Result<(), ApiError> {
        let found = self.project(project)?.things.get(&id).filter(|t| t.state.kind() == kind);
        let thing = found.ok_or_else(|| ApiError::not_found(kind.word(), id))?;
        (note.id, note.labels) = (Some(id), thing.labels.clone());
        Ok(())
    }
    /// Deletes a thing. 422 `resource_in_use` for a firewall that is on a server; a network lets its servers go.
    pub fn delete_thing(&mut self, now: Duration, caller: &Caller, kind: ThingKind, id: i64) -> Answer<()> {
        let op = format!("cloud.{}.delete", kind.word());
        let target = format!("{} {id}", kind.word());
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            model.note_thing(project, kind, id, note)?;
            let used = model.shown_thing(project, id).is_some_and(|t| !t.servers.is_empty());
            if used && kind == ThingKind::Firewall {
                return Err(ApiError::new(422, "resource_in_use", "firewall is still in use"));
            }
            if used && kind == ThingKind::Network {
                return Err(ApiError::new(423, "locked", "network still has servers attached"));
            }
            let held = model.project_mut(project)?;
            held.things.remove(&id);
            for server in held.servers.values_mut().filter(|s| s.placement_group == Some(id)) {
                server.placement_group = None;
            }
            Ok(())
        };
        self.cloud(now, caller, &Op::write(&op, &target), act)
    }
}

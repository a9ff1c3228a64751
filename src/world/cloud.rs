//! Hetzner Cloud, as far as relight uses it.

use super::{Labels, Permit, PriceList, Result};
use async_trait::async_trait;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A server's life, as the cloud tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStatus {
    /// Powered on.
    Running,
    /// Being created, or created and not yet started.
    Initializing,
    /// Being started.
    Starting,
    /// Being stopped.
    Stopping,
    /// Powered off; still costs.
    Off,
    /// Being deleted.
    Deleting,
    /// Migrating, rebuilding, or a word that this version does not know.
    Other,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The cloud's id.
    pub id: i64,
    /// Unique in the project.
    pub name: String,
    /// Its life.
    pub status: ServerStatus,
    /// `cx33`.
    pub server_type: String,
    /// `nbg1`.
    pub location: String,
    /// Public IPv4 address, where it has one.
    pub public_ip: Option<Ipv4Addr>,
    /// Addresses in private networks, by network id.
    pub private_ips: Vec<(i64, Ipv4Addr)>,
    /// Labels.
    pub labels: Labels,
    /// Whether delete is forbidden.
    pub delete_protected: bool,
    /// Whether rebuild is forbidden.
    pub rebuild_protected: bool,
    /// The placement group, where it is in one.
    pub placement_group: Option<i64>,
    /// Ids of the firewalls on it. What any of them admits is admitted.
    pub firewalls: Vec<i64>,
    /// When it was made, since the epoch; `None` where the cloud's word for it cannot be read.
    pub created: Option<Duration>,
}

impl Server {
    /// Whether it is marked as fenced, and is still out of action: off, or behind the firewall that lets nothing through, alone.
    /// The mark is only memory: somebody may have powered it on since.
    pub fn is_fenced(&self, wall: Option<i64>) -> bool {
        let cut_off = wall.is_some_and(|wall| self.firewalls == [wall]);
        self.labels.contains_key(super::STATE) && (self.status == ServerStatus::Off || cut_off)
    }
}

/// The name of a cluster's firewall that lets nothing through.
pub fn wall_name(cluster: &str) -> String {
    format!("{cluster}-fence")
}

/// What a server shall be. Everything is given in the one create call, so that a node is never open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerSpec {
    /// RFC 1123 host name, unique in the project.
    pub name: String,
    /// `cx33`.
    pub server_type: String,
    /// `nbg1`.
    pub location: String,
    /// `ubuntu-24.04`.
    pub image: String,
    /// Ids of SSH keys.
    pub ssh_keys: Vec<i64>,
    /// Ids of networks.
    pub networks: Vec<i64>,
    /// Ids of firewalls.
    pub firewalls: Vec<i64>,
    /// Id of the placement group.
    pub placement_group: Option<i64>,
    /// Id of the primary IP that it takes up; `None`: the cloud makes one, which goes with the server.
    pub address: Option<i64>,
    /// cloud-init user data, at most 32 KiB; stored by the cloud, so it holds no long-lived secret.
    pub user_data: String,
    /// Labels.
    pub labels: Labels,
}

/// The kinds of simple cloud things that share create-by-name, list and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThingKind {
    /// SSH key.
    SshKey,
    /// Network.
    Network,
    /// Firewall.
    Firewall,
    /// Placement group.
    PlacementGroup,
}

impl ThingKind {
    /// The word used in targets: `ssh_key`.
    pub fn word(self) -> &'static str {
        match self {
            Self::SshKey => "ssh_key",
            Self::Network => "network",
            Self::Firewall => "firewall",
            Self::PlacementGroup => "placement_group",
        }
    }
}

/// An SSH key, network, firewall or placement group that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// The cloud's id.
    pub id: i64,
    /// Which kind.
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// What it is.
    pub spec: ThingSpec,
}

/// What an SSH key, network, firewall or placement group is, or shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThingSpec {
    /// A public key in OpenSSH's form (`ssh-ed25519 AAAA...`), without comment.
    SshKey(String),
    /// A network with one cloud subnet.
    Network {
        /// `10.0.0.0/16`.
        range: String,
        /// `eu-central`.
        zone: String,
    },
    /// Incoming rules; outgoing traffic is free where there is no outgoing rule.
    Firewall(Vec<FirewallRule>),
    /// Spread: each server on another host. At most 10 servers.
    PlacementGroup,
}

impl ThingSpec {
    /// Its kind.
    pub fn kind(&self) -> ThingKind {
        match self {
            Self::SshKey(_) => ThingKind::SshKey,
            Self::Network { .. } => ThingKind::Network,
            Self::Firewall(_) => ThingKind::Firewall,
            Self::PlacementGroup => ThingKind::PlacementGroup,
        }
    }
}

/// One rule of a cloud firewall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirewallRule {
    /// `in` or `out`.
    pub direction: String,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// `22`, `2379-2380`, or nothing for icmp.
    pub port: Option<String>,
    /// CIDRs (sources of `in`, destinations of `out`), sorted.
    pub addresses: Vec<String>,
    /// Shown in the console; at most 255 characters.
    pub description: String,
}

/// A public IPv4 address as a resource of its own: it costs, counts against a limit, and may outlive its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryIp {
    /// The cloud's id.
    pub id: i64,
    /// Unique in the project.
    pub name: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Labels; one that came with a server has none.
    pub labels: Labels,
    /// `nbg1`.
    pub location: String,
    /// The server it is assigned to.
    pub assignee: Option<i64>,
    /// Whether it goes when its server goes.
    pub auto_delete: bool,
    /// When it was made, since the epoch; `None` where the cloud's word for it cannot be read.
    pub created: Option<Duration>,
}

/// A server type, with what preflight needs of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerType {
    /// `cx33`.
    pub name: String,
    /// `x86` or `arm`.
    pub architecture: String,
    /// By location.
    pub locations: Vec<TypeInLocation>,
}

/// One server type in one location.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeInLocation {
    /// `nbg1`.
    pub location: String,
    /// Stock as the API's cache has it; a hint, a create may still succeed or fail.
    pub available: bool,
    /// Set where it can no longer be ordered from that time on (RFC 3339).
    pub unavailable_after: Option<String>,
    /// Euro per started hour, net.
    pub hourly: f64,
    /// Euro per month at most, net.
    pub monthly: f64,
}

/// Hetzner Cloud. A token belongs to one project, so a value of this trait is one project.
///
/// Mutating calls return when the cloud's actions that they started have ended.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Proves that the token may write, by a request that cannot succeed.
    async fn prove_writable(&self) -> Result<()>;
    /// All servers that match the label selector; empty: all of the project.
    async fn servers(&self, selector: &str) -> Result<Vec<Server>>;
    /// One server, `None` where it does not exist.
    async fn server(&self, id: i64) -> Result<Option<Server>>;
    /// Creates and starts a server. Errors: `Branch` where the place is sold out, be it that this shows only after the order was
    /// taken (then a server of that name is left, which never ran), `Unknown` where the reply was lost or it did not start.
    async fn create_server(&self, permit: &Permit, spec: &ServerSpec) -> Result<Server>;
    /// Gives a server another name and exactly these labels.
    async fn update_server(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()>;
    /// Cuts the power.
    async fn power_off(&self, permit: &Permit, id: i64) -> Result<()>;
    /// Powers on.
    async fn power_on(&self, permit: &Permit, id: i64) -> Result<()>;
    /// Sets delete and rebuild protection (the API wants both the same).
    async fn protect_server(&self, permit: &Permit, id: i64, on: bool) -> Result<()>;
    /// Deletes a server; done when the cloud no longer lists it.
    async fn delete_server(&self, permit: &Permit, id: i64) -> Result<()>;
    /// All things of a kind that match the selector; empty: all of the project.
    async fn things(&self, kind: ThingKind, selector: &str) -> Result<Vec<Thing>>;
    /// Creates a thing.
    async fn create_thing(&self, permit: &Permit, name: &str, spec: &ThingSpec, labels: &Labels) -> Result<Thing>;
    /// Replaces the rules of a firewall. The permit is for the firewall.
    async fn set_firewall_rules(&self, permit: &Permit, id: i64, rules: &[FirewallRule]) -> Result<()>;
    /// Gives a firewall exactly these labels.
    async fn label_firewall(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()>;
    /// Puts a firewall onto a server. The permit is for the server.
    async fn attach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()>;
    /// Takes a firewall off a server. The permit is for the server.
    async fn detach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()>;
    /// Deletes a thing.
    async fn delete_thing(&self, permit: &Permit, kind: ThingKind, id: i64) -> Result<()>;
    /// The server types of these names, with stock and prices.
    async fn server_types(&self, names: &[String]) -> Result<Vec<ServerType>>;
    /// What server types and addresses cost.
    async fn prices(&self) -> Result<PriceList>;
    /// Whether an image of this name can be ordered for this architecture.
    async fn image_exists(&self, name: &str, architecture: &str) -> Result<bool>;
    /// All primary IPv4 addresses of the project, assigned or not.
    async fn primary_ips(&self) -> Result<Vec<PrimaryIp>>;
    /// Gives a primary IP exactly these labels.
    async fn label_primary_ip(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()>;
    /// Gives a primary IP this name and exactly these labels, and lets it outlive its server.
    async fn keep_primary_ip(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()>;
    /// Takes a primary IP off its server. Errors: `Refused` where the server is not off.
    async fn unassign_primary_ip(&self, permit: &Permit, id: i64) -> Result<()>;
    /// Deletes a primary IP. Errors: `Refused` where it is still assigned.
    async fn delete_primary_ip(&self, permit: &Permit, id: i64) -> Result<()>;
}

//! Facts: the one way in which a step's output reaches another step. A closed list; found by checks, so that each can always
//! be looked up again.

use crate::world::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// The kinds of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// Cloud id of the run's SSH key.
    SshKeyId,
    /// Cloud id of the private network.
    NetworkId,
    /// Cloud id of the firewall.
    FirewallId,
    /// Cloud id of the placement group.
    PlacementGroupId,
    /// Cloud id of a node's server.
    ServerId,
    /// A node's public address.
    NodeAddress,
    /// A node's address towards its peers: private, or public where there is no private network.
    PeerAddress,
    /// The host key that a node was given with its user data, and serves until it is rotated.
    FirstHostKey,
    /// The host key that a node serves for good.
    HostKey,
    /// The host key that a node is about to serve.
    NextHostKey,
    /// As whom relight logs in to the nodes where the run has no key of its own: `own`, as the operator.
    Login,
    /// SHA-256 of the K3s binary that nodes must run.
    K3sDigest,
    /// The K3s version that [`FactKind::K3sDigest`] is of.
    K3sVersion,
    /// SHA-256 of the cluster's admin kubeconfig, which lies in the run's secrets.
    Kubeconfig,
    /// Cloudflare's id of the zone.
    ZoneId,
    /// Cloud ids of servers without labels that a person accepted as the old cluster's, with spaces between.
    OldServers,
    /// What a person accepted as the cluster's though nothing says so: `server 1001, primary_ip 2001, firewall 3`.
    Adopted,
    /// Cloudflare's ids of records that a person accepted as the cluster's, with spaces between.
    AdoptedRecords,
    /// Cloud id of the cluster's lease, which this run holds.
    LeaseId,
    /// Cloud id of another run's lease that a person has named as one to be broken; empty where there is none.
    BrokenLease,
    /// What a rehearsal will cost at most: euro, net.
    CostForecast,
    /// What a rehearsal's servers did cost until they were deleted: euro, net.
    CostActual,
    /// Cloud id of the server that a node had before the present one: it was lost while the run went on. Remembered, not found:
    /// [`UNKNOWN`] where the memory is lost.
    EarlierServer,
    /// Cloud ids of servers of this run that nobody can log in to any more and that a person gave up, with spaces between.
    GivenUp,
}

/// What [`FactKind::EarlierServer`] says of a node whose run was reconstructed: its present server may not be the first, and
/// what the run held to get into it is lost.
pub const UNKNOWN: &str = "unknown";

impl FactKind {
    const NAMES: [(Self, &'static str); 24] = [
        (Self::SshKeyId, "ssh_key.id"),
        (Self::NetworkId, "network.id"),
        (Self::FirewallId, "firewall.id"),
        (Self::PlacementGroupId, "placement_group.id"),
        (Self::ServerId, "server.id"),
        (Self::NodeAddress, "node.address"),
        (Self::PeerAddress, "node.peer_address"),
        (Self::FirstHostKey, "host.first_key"),
        (Self::HostKey, "host.key"),
        (Self::NextHostKey, "host.next_key"),
        (Self::Login, "host.login"),
        (Self::K3sDigest, "k3s.digest"),
        (Self::K3sVersion, "k3s.version"),
        (Self::Kubeconfig, "kubeconfig.digest"),
        (Self::ZoneId, "zone.id"),
        (Self::OldServers, "old_cluster.servers"),
        (Self::Adopted, "adopt.things"),
        (Self::AdoptedRecords, "adopt.records"),
        (Self::LeaseId, "lease.id"),
        (Self::BrokenLease, "lease.broken"),
        (Self::CostForecast, "cost.forecast"),
        (Self::CostActual, "cost.actual"),
        (Self::EarlierServer, "server.earlier"),
        (Self::GivenUp, "server.given_up"),
    ];
    /// The name used in journals and messages.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
    /// The inverse of [`FactKind::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(kind, _)| *kind)
    }
}

/// The value of [`FactKind::Login`].
pub const OWN: &str = "own";

/// One fact: `node.address[node-1] = 203.0.113.7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its kind.
    pub kind: FactKind,
    /// The node it is about; `None` for the whole cluster.
    pub node: Option<String>,
    /// Never a secret.
    pub value: String,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{}[{node}]={}", self.kind.name(), self.value),
            None => write!(f, "{}={}", self.kind.name(), self.value),
        }
    }
}

/// A set of facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<(FactKind, Option<String>), String>);

impl Facts {
    /// No facts.
    pub fn none() -> Self {
        Self::default()
    }
    /// Whether relight logs in to the nodes as the operator does.
    pub fn logs_in_as_the_operator(&self) -> bool {
        self.find(FactKind::Login, None) == Some(OWN)
    }
    /// The servers without labels that a person accepted as the old cluster's.
    pub fn accepted(&self) -> Vec<i64> {
        self.ids(FactKind::OldServers)
    }
    /// The servers of this run that a person gave up.
    pub fn given_up(&self) -> Vec<i64> {
        self.ids(FactKind::GivenUp)
    }
    fn ids(&self, kind: FactKind) -> Vec<i64> {
        let ids = self.find(kind, None).unwrap_or_default();
        ids.split(' ').filter_map(|id| id.parse().ok()).collect()
    }
    /// Whether the run takes over what was made by hand: then it does nothing else.
    pub fn take_over(&self) -> bool {
        self.find(FactKind::Adopted, None).is_some()
    }
    /// Whether a person accepted this as the cluster's though it carries no label.
    pub fn accepts(&self, kind: &str, id: i64) -> bool {
        let named = format!("{kind} {id}");
        let adopted = self.find(FactKind::Adopted, None).unwrap_or_default();
        adopted.split(", ").any(|thing| thing == named) || (kind == "server" && self.accepted().contains(&id))
    }
    /// Whether a person accepted this record, by its id, as the cluster's.
    pub fn accepts_record(&self, id: &str) -> bool {
        self.find(FactKind::AdoptedRecords, None).unwrap_or_default().split(' ').any(|record| record == id)
    }
    /// Whether the node's server is from before the run's state was lost: what the run held to get into it is gone.
    pub fn is_from_before(&self, node: &str) -> bool {
        self.find(FactKind::EarlierServer, Some(node)) == Some(UNKNOWN)
    }
    /// With a fact about the whole cluster.
    #[must_use]
    pub fn with(mut self, kind: FactKind, value: impl fmt::Display) -> Self {
        self.0.insert((kind, None), value.to_string());
        self
    }
    /// With a fact about one node.
    #[must_use]
    pub fn of(mut self, kind: FactKind, node: &str, value: impl fmt::Display) -> Self {
        self.0.insert((kind, Some(node.to_owned())), value.to_string());
        self
    }
    /// Takes these in; later ones win. Where a node has got another server, what was known of it was about the one that is
    /// lost, and is forgotten.
    pub fn learn(&mut self, more: &Facts) {
        for found in more.iter().filter(|fact| fact.kind == FactKind::ServerId) {
            let before = self.find(FactKind::ServerId, found.node.as_deref()).map(str::to_owned);
            if let (Some(node), Some(lost)) = (found.node, before.filter(|id| *id != found.value)) {
                self.0.retain(|(_, of), _| of.as_ref() != Some(&node));
                self.insert(Fact { kind: FactKind::EarlierServer, node: Some(node), value: lost });
            }
        }
        self.0.extend(more.0.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    /// Adds one.
    pub fn insert(&mut self, fact: Fact) {
        self.0.insert((fact.kind, fact.node), fact.value);
    }
    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = Fact> + '_ {
        self.0.iter().map(|((kind, node), value)| Fact { kind: *kind, node: node.clone(), value: value.clone() })
    }
    /// Looks one up.
    pub fn find(&self, kind: FactKind, node: Option<&str>) -> Option<&str> {
        self.0.get(&(kind, node.map(str::to_owned))).map(String::as_str)
    }
    /// Looks one up that a needed step must have provided.
    pub fn text(&self, kind: FactKind, node: Option<&str>) -> Result<&str> {
        self.find(kind, node).ok_or_else(|| {
            let of = node.map(|n| format!("[{n}]")).unwrap_or_default();
            Error::fatal(format!("fact {}{of} is not known", kind.name()))
                .remedy("a needed step must provide it; `relight validate` names the playbook's line")
        })
    }
    /// As a cloud id.
    pub fn id(&self, kind: FactKind, node: Option<&str>) -> Result<i64> {
        let text = self.text(kind, node)?;
        text.parse().map_err(|_| Error::fatal(format!("fact {} is no id: {text}", kind.name())))
    }
    /// As an address.
    pub fn address(&self, kind: FactKind, node: &str) -> Result<IpAddr> {
        let text = self.text(kind, Some(node))?;
        text.parse().map_err(|_| Error::fatal(format!("fact {}[{node}] is no address: {text}", kind.name())))
    }
}

//! Permits: the proof, carried by every mutating call, that the guard has looked and that the intent is on disk.

use super::{Error, Result};
use std::fmt;

/// What one mutating call is aimed at. Written into the intent, looked at by the guard, compared by the provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Something of the cloud that does not exist yet: a server, SSH key, network, firewall or placement group.
    CloudNew {
        /// `server`, `ssh_key`, `network`, `firewall`, `placement_group`.
        kind: &'static str,
        /// The name it will have.
        name: String,
    },
    /// Something of the cloud that exists.
    Cloud {
        /// As in [`Target::CloudNew`], or `primary_ip`.
        kind: &'static str,
        /// The cloud's id of it.
        id: i64,
    },
    /// A server that was made by hand (it carries no label of any relight, and the cluster's own names point at it), or its
    /// address or firewall. Leave to label it, and nothing else.
    Adopted {
        /// `server`, `primary_ip`, `firewall`.
        kind: &'static str,
        /// The cloud's id of it.
        id: i64,
    },
    /// The address that the cloud made with a server of this very run, unlabelled as such addresses are: leave to keep it.
    OwnAddress {
        /// The cloud's id of it.
        id: i64,
    },
    /// A server of this very run that nobody can log in to any more, that never served, and that a person gave up: leave to end it.
    GivenUp {
        /// The cloud's id of it.
        id: i64,
    },
    /// A node, by its SSH address: whatever a script does to it.
    Node {
        /// The address that SSH connects to.
        address: std::net::IpAddr,
    },
    /// Objects of the cluster whose API is reached through this node.
    Objects {
        /// The address of the node whose API server is spoken to.
        address: std::net::IpAddr,
        /// `Deployment honeydue/api`, or `12 objects` for a bulk apply.
        what: String,
    },
    /// The DNS records of these names in this zone.
    Dns {
        /// The zone's name.
        zone: String,
        /// Absolute names without trailing dot, sorted.
        names: Vec<String>,
    },
    /// A file on the operator's machine outside the run (a merged kubeconfig).
    LocalFile {
        /// Its path.
        path: std::path::PathBuf,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloudNew { kind, name } => write!(f, "new {} {name}", kind.replace('_', " ")),
            Self::Cloud { kind, id } => write!(f, "{} {id}", kind.replace('_', " ")),
            Self::Adopted { kind, id } => write!(f, "{} {id}, made by hand", kind.replace('_', " ")),
            Self::OwnAddress { id } => write!(f, "primary ip {id}, of a server of this run"),
            Self::GivenUp { id } => write!(f, "server {id}, given up"),
            Self::Node { address } => write!(f, "node {address}"),
            Self::Objects { address, what } => write!(f, "{what} through {address}"),
            Self::Dns { zone, names } => write!(f, "records of {} in zone {zone}", names.join(", ")),
            Self::LocalFile { path } => write!(f, "file {}", path.display()),
        }
    }
}

/// Leave to make mutating calls at one target, for one attempt of one step.
///
/// Issued by `engine/guard.rs` alone, after a fresh look at the target and after the intent is fsynced; a test holds that no
/// other file calls `Permit::issue`.
#[derive(Debug)]
pub struct Permit {
    target: Target,
    step: String,
    run: String,
    intent: u64,
}

impl Permit {
    pub(crate) fn issue(target: Target, step: &str, run: &str, intent: u64) -> Self {
        Self { target, step: step.to_owned(), run: run.to_owned(), intent }
    }
    /// A permit for tests of providers and doors, where no engine and no guard are; the architecture test holds that nothing
    /// below `src` calls it.
    #[doc(hidden)]
    pub fn for_a_test(target: Target) -> Self {
        Self::issue(target, "a-test", "testtesttest", 0)
    }
    /// The id of the step that acts.
    pub fn step(&self) -> &str {
        &self.step
    }
    /// The id of the run that acts.
    pub fn run(&self) -> &str {
        &self.run
    }
    /// Which record of the journal is the intent.
    pub fn intent(&self) -> u64 {
        self.intent
    }
    /// What this permit is for.
    pub fn target(&self) -> &Target {
        &self.target
    }
    /// Refuses a call that labels something unless the permit is for it, or for taking it over.
    pub fn covers_labels(&self, kind: &'static str, id: i64) -> Result<()> {
        let own = kind == "primary_ip" && self.target == Target::OwnAddress { id };
        if own || self.target == (Target::Adopted { kind, id }) {
            return Ok(());
        }
        self.covers(&Target::Cloud { kind, id })
    }
    /// Refuses a call at anything but the permit's own target: the last line of defence against a mistake in an action.
    pub fn covers(&self, target: &Target) -> Result<()> {
        let same = match (&self.target, target) {
            (Target::Objects { address: a, .. }, Target::Objects { address: b, .. }) => a == b,
            (Target::GivenUp { id: a }, Target::Cloud { kind: "server", id: b }) => a == b,
            (a, b) => a == b,
        };
        if same {
            return Ok(());
        }
        Err(Error::fatal(format!("step {} has leave for {}, and tried {target}", self.step, self.target))
            .remedy("this is a bug in relight; nothing was sent"))
    }
}

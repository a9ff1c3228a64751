//! The whole outside in one value.

use super::{Clock, Cloud, Cluster, Dns, Files, Http, Person, Random, SecretSource, Shell};
use std::sync::Arc;

/// Which world a run acts in. Frozen in the journal's first record; `resume` takes it from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorldKind {
    /// Hetzner Cloud and Cloudflare.
    Real,
    /// The emulated world.
    Sandbox,
    /// Real Linux nodes on this machine behind the emulated cloud API.
    Lab,
}

impl WorldKind {
    /// The word used in paths, journals and prompts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Sandbox => "sandbox",
            Self::Lab => "lab",
        }
    }
    /// The inverse of [`WorldKind::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Real, Self::Sandbox, Self::Lab].into_iter().find(|k| k.word() == word)
    }
}

/// Every outside system that a run may look at or act on.
#[derive(Clone)]
pub struct World {
    /// Which world this is.
    pub kind: WorldKind,
    /// Tells one sandbox from another, and a project from another; frozen with the run.
    pub uid: String,
    /// Whoever runs relight here: `user.host`. For others to read; nothing is decided by it.
    pub holder: String,
    /// Hetzner Cloud.
    pub cloud: Arc<dyn Cloud>,
    /// Cloudflare.
    pub dns: Arc<dyn Dns>,
    /// Nodes by SSH.
    pub shell: Arc<dyn Shell>,
    /// Kubernetes.
    pub cluster: Arc<dyn Cluster>,
    /// HTTP requests of health checks.
    pub http: Arc<dyn Http>,
    /// The run's own files.
    pub files: Arc<dyn Files>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Secret values.
    pub secrets: Arc<dyn SecretSource>,
    /// The person at a gate.
    pub person: Arc<dyn Person>,
}

//! Kubernetes, as far as relight uses it. Objects are JSON as the API has them.

use super::{Host, Permit, Result, Secret};
use async_trait::async_trait;
use serde_json::Value;

/// An API server, reached through a tunnel to one node's 127.0.0.1:6443.
#[derive(Debug, Clone)]
pub struct ApiAt {
    /// The node.
    pub host: Host,
    /// An admin kubeconfig as K3s writes it (certificates in it; its server address is not used).
    pub kubeconfig: Secret,
}

/// A kind of object: `apps/v1`, `Deployment`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
}

impl Kind {
    /// A kind by its two names.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into() }
    }
}

/// Which objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespace; `None`: all, or the kind has none.
    pub namespace: Option<String>,
    /// Label selector; empty: all.
    pub labels: String,
    /// Field selector; empty: all.
    pub fields: String,
}

impl Scope {
    /// Everything in one namespace.
    pub fn namespace(name: impl Into<String>) -> Self {
        Self { namespace: Some(name.into()), ..Self::default() }
    }
}

/// The field manager of everything that relight applies.
pub const FIELD_MANAGER: &str = "relight";

/// Kubernetes. Every call has its own time-out: an API server without quorum hangs rather than refuses.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// `Ok` when `/readyz` answers 200 with the kubeconfig's credentials.
    async fn ready(&self, at: &ApiAt) -> Result<()>;
    /// One object, `None` where it (or its kind) does not exist.
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>>;
    /// All objects; none where the kind does not exist. Items carry `apiVersion` and `kind`.
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>>;
    /// Server-side apply with field manager [`FIELD_MANAGER`] and strict validation; returns the object as stored. A
    /// conflict is `Refused` and names the other field manager. `force` takes the fields over.
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value>;
    /// JSON merge patch.
    async fn merge(
        &self,
        permit: &Permit,
        at: &ApiAt,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<Value>;
    /// Deletes an object; `Ok` where it does not exist. Returns before finalizers are done.
    async fn delete(&self, permit: &Permit, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str)
        -> Result<()>;
    /// The last lines of a container's log, for a failure's reason; `previous` for the one that crashed.
    async fn log_tail(&self, at: &ApiAt, namespace: &str, pod: &str, container: &str, previous: bool)
        -> Result<String>;
}

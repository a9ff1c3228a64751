//! Kubernetes by the direct door, with the kill points of a process and an entry in the ledger around each change.

use super::Tripwire;
use crate::sandbox::doors::DirectCluster;
use crate::sandbox::model::{lock, Caller, Shared};
use crate::world::{ApiAt, Class, Cluster, Kind, Permit, Result, Scope};
use async_trait::async_trait;
use serde_json::Value;
use std::future::Future;

/// [`DirectCluster`] for one process.
pub(super) struct WiredCluster {
    pub direct: DirectCluster,
    pub model: Shared,
    pub wire: Tripwire,
}

impl WiredCluster {
    /// A call that is not carried on once the process is dead.
    async fn living<T>(&self, call: impl Future<Output = T> + Send) -> T {
        tokio::select! {
            biased;
            () = self.wire.died() => std::future::pending().await,
            reply = call => reply,
        }
    }
    async fn change<T>(&self, permit: &Permit, what: &str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.wire.point(&format!("before kube {what}")).await;
        let reply = self.living(call).await;
        let why = reply.as_ref().err().map(|error| format!("{:?}: {error}", error.class));
        let unsure = reply.as_ref().is_err_and(|error| error.class == Class::Unknown);
        let who = Caller {
            token: String::new(),
            run: permit.run().to_owned(),
            step: permit.step().to_owned(),
            intent: permit.intent(),
        };
        lock(&self.model).note_objects(&who, what, why, unsure);
        self.wire.point(&format!("after kube {what}")).await;
        reply
    }
}

#[async_trait]
impl Cluster for WiredCluster {
    async fn ready(&self, at: &ApiAt) -> Result<()> {
        self.living(self.direct.ready(at)).await
    }
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        self.living(self.direct.get(at, kind, namespace, name)).await
    }
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>> {
        self.living(self.direct.list(at, kind, scope)).await
    }
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value> {
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let what = format!("apply {} {}/{}", word("/kind"), word("/metadata/namespace"), word("/metadata/name"));
        self.change(permit, &what, self.direct.apply(permit, at, object, force)).await
    }
    async fn merge(
        &self,
        permit: &Permit,
        at: &ApiAt,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<Value> {
        let what = format!("merge {} {}/{name}", kind.kind, namespace.unwrap_or_default());
        self.change(permit, &what, self.direct.merge(permit, at, kind, namespace, name, patch)).await
    }
    async fn delete(
        &self,
        permit: &Permit,
        at: &ApiAt,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<()> {
        let what = format!("delete {} {}/{name}", kind.kind, namespace.unwrap_or_default());
        self.change(permit, &what, self.direct.delete(permit, at, kind, namespace, name)).await
    }
    async fn log_tail(
        &self,
        at: &ApiAt,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<String> {
        self.living(self.direct.log_tail(at, namespace, pod, container, previous)).await
    }
}

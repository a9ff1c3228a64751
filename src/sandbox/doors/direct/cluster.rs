//! Kubernetes by the direct door: kill points and the ledger around [`DirectCluster`].

use super::{DirectClock, Tripwire};
use crate::sandbox::doors::DirectCluster;
use crate::sandbox::model::{lock, Caller, Shared};
use crate::sandbox::{Clusters, ModelKubernetes};
use crate::world::{ApiAt, Class, Cluster, Kind, Permit, Result, Scope};
use async_trait::async_trait;
use serde_json::Value;
use std::sync::Arc;

/// Kubernetes, for one process.
pub(super) struct WiredCluster {
    inner: DirectCluster,
    model: Shared,
    wire: Tripwire,
}

impl WiredCluster {
    pub fn new(model: &Shared, clusters: &Clusters, clock: &DirectClock, wire: &Tripwire) -> Self {
        let backend = ModelKubernetes::new(model, clusters, Arc::new(clock.clone()), wire);
        let latency = lock(model).latency.clone();
        let inner = DirectCluster::new(Arc::new(backend), latency.ssh, latency.silence * 2);
        Self { inner, model: model.clone(), wire: wire.clone() }
    }
    /// One effect, with its kill points and its entry in the ledger.
    async fn effect<T>(
        &self,
        permit: &Permit,
        what: &str,
        call: impl std::future::Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.wire.point(&format!("before {what}")).await;
        let result = call.await;
        let why = match &result {
            Ok(_) => None,
            Err(error) => Some(format!("{:?}: {error}", error.class)),
        };
        let unsure = result.as_ref().is_err_and(|e| e.class == Class::Unknown);
        let who = Caller { token: String::new(), run: permit.run().to_owned(), step: permit.step().to_owned() };
        lock(&self.model).note_objects(&who, what, why, unsure);
        self.wire.point(&format!("after {what}")).await;
        result
    }
}

#[async_trait]
impl Cluster for WiredCluster {
    async fn ready(&self, at: &ApiAt) -> Result<()> {
        self.wire.alive().await;
        self.inner.ready(at).await
    }
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        self.wire.alive().await;
        self.inner.get(at, kind, namespace, name).await
    }
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>> {
        self.wire.alive().await;
        self.inner.list(at, kind, scope).await
    }
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value> {
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let what = format!("apply {} {}/{}", word("/kind"), word("/metadata/namespace"), word("/metadata/name"));
        self.effect(permit, &what, self.inner.apply(permit, at, object, force)).await
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
        let what = format!("patch {} {}/{name}", kind.kind, namespace.unwrap_or_default());
        self.effect(permit, &what, self.inner.merge(permit, at, kind, namespace, name, patch)).await
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
        self.effect(permit, &what, self.inner.delete(permit, at, kind, namespace, name)).await
    }
    async fn log_tail(
        &self,
        at: &ApiAt,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<String> {
        self.wire.alive().await;
        self.inner.log_tail(at, namespace, pod, container, previous).await
    }
}

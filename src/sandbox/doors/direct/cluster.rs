//! Kubernetes by the direct door, with the kill points of a process before and after each change.

use super::Tripwire;
use crate::sandbox::doors::DirectCluster;
use crate::world::{ApiAt, Cluster, Kind, Permit, Result, Scope};
use async_trait::async_trait;
use serde_json::Value;
use std::future::Future;

/// [`DirectCluster`] for one process.
pub(super) struct WiredCluster {
    pub direct: DirectCluster,
    pub wire: Tripwire,
}

impl WiredCluster {
    async fn change<T>(&self, what: &str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.wire.point(&format!("before kube.{what}")).await;
        let reply = call.await;
        self.wire.point(&format!("after kube.{what}")).await;
        reply
    }
}

#[async_trait]
impl Cluster for WiredCluster {
    async fn ready(&self, at: &ApiAt) -> Result<()> {
        self.wire.alive().await;
        self.direct.ready(at).await
    }
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        self.wire.alive().await;
        self.direct.get(at, kind, namespace, name).await
    }
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>> {
        self.wire.alive().await;
        self.direct.list(at, kind, scope).await
    }
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value> {
        self.change("apply", self.direct.apply(permit, at, object, force)).await
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
        self.change("merge", self.direct.merge(permit, at, kind, namespace, name, patch)).await
    }
    async fn delete(
        &self,
        permit: &Permit,
        at: &ApiAt,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<()> {
        self.change("delete", self.direct.delete(permit, at, kind, namespace, name)).await
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
        self.direct.log_tail(at, namespace, pod, container, previous).await
    }
}

//! The direct door to the sandbox's Kubernetes: [`Cluster`] on the objects themselves, under tokio's (virtual) time.

use super::kubernetes::{Api, KubernetesBackend};
use crate::config::kubernetes::never_served;
use crate::sandbox::objects::{Failure, Named, Objects, PatchKind, Selection, Writer};
use crate::world::{not_served, ApiAt, Cluster, Error, Kind, Permit, Refusal, Result, Scope, Target, FIELD_MANAGER};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

/// Kubernetes without a network.
pub struct DirectCluster {
    backend: Arc<dyn KubernetesBackend>,
    latency: Duration,
    timeout: Duration,
}

fn refusal(failure: &Failure) -> Refusal {
    let word = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let causes = failure.details.get("causes").and_then(Value::as_array).into_iter().flatten();
    Refusal {
        code: failure.code,
        reason: failure.reason.to_owned(),
        message: failure.message.clone(),
        causes: causes.map(|c| (word(c, "reason"), word(c, "message"), word(c, "field"))).collect(),
        retry_after: failure.retry_after.unwrap_or(0),
    }
}

fn named(objects: &Objects, kind: &Kind, namespace: Option<&str>, name: &str) -> Option<Named> {
    let served = objects.kind(&kind.api_version, &kind.kind)?;
    let namespace = if served.namespaced { namespace.unwrap_or("default").to_owned() } else { String::new() };
    Some(Named { served, namespace, name: name.to_owned() })
}

impl DirectCluster {
    /// With the time a call takes, and the time after which one that hangs is given up. Both pass under tokio's clock.
    pub fn new(backend: Arc<dyn KubernetesBackend>, latency: Duration, timeout: Duration) -> Self {
        Self { backend, latency, timeout }
    }
    async fn call<T: Send>(
        &self,
        at: &ApiAt,
        doing: &str,
        writes: bool,
        mut work: impl FnMut(&mut Objects) -> std::result::Result<T, Failure> + Send,
    ) -> Result<T> {
        tokio::time::sleep(self.latency).await;
        let node = at.host.address;
        if !self.backend.accepts(node, &at.kubeconfig) {
            let unauthorized = Failure::new(401, "Unauthorized", "Unauthorized");
            return Err(refusal(&unauthorized).error(doing, writes));
        }
        let mut done = None;
        let api = self.backend.at(node, writes, &mut |objects| done = Some(work(objects)));
        let open = |what: String| if writes { Error::unknown(what) } else { Error::transient(what) };
        match (api, done) {
            (Api::Up, Some(Ok(found))) => Ok(found),
            (Api::Up, Some(Err(failure))) => Err(refusal(&failure).error(doing, writes)),
            (Api::Starting, _) => {
                let failure = Failure::new(503, "ServiceUnavailable", "apiserver not ready");
                Err(refusal(&failure).error(doing, writes))
            }
            (Api::Hangs, _) => {
                tokio::time::sleep(self.timeout).await;
                Err(open(format!("{doing}: no answer from {node} within {} s", self.timeout.as_secs())))
            }
            (Api::Lost, _) => Err(open(format!("{doing}: the connection to {node} broke before the reply"))),
            (Api::Refuses | Api::Up, _) => {
                Err(Error::transient(format!("{doing}: {node} refuses connections to 6443")))
            }
        }
    }
}

/// `apply Deployment honeydue/api`.
fn doing(verb: &str, kind: &str, namespace: Option<&str>, name: &str) -> String {
    let place = namespace.map(|n| format!("{n}/")).unwrap_or_default();
    format!("{verb} {kind} {place}{name}")
}

#[async_trait]
impl Cluster for DirectCluster {
    async fn ready(&self, at: &ApiAt) -> Result<()> {
        self.call(at, "ask for readiness", false, |_| Ok(())).await
    }
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        let find = |objects: &mut Objects| {
            Ok(named(objects, kind, namespace, name).and_then(|what| objects.get(&what).ok()).map(|o| (*o).clone()))
        };
        self.call(at, &doing("get", &kind.kind, namespace, name), false, find).await
    }
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>> {
        let find = |objects: &mut Objects| {
            let Some(served) = objects.kind(&kind.api_version, &kind.kind) else { return Ok(Vec::new()) };
            let home = scope.namespace.as_deref().filter(|_| served.namespaced);
            let selection = Selection::parse(home, &scope.labels, &scope.fields)?;
            Ok(objects.select(&served, &selection).iter().map(|o| (**o).clone()).collect())
        };
        self.call(at, &doing("list", &kind.kind, scope.namespace.as_deref(), ""), false, find).await
    }
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value> {
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::new(word("/apiVersion"), word("/kind"));
        let namespace = Some(word("/metadata/namespace")).filter(|n| !n.is_empty());
        let doing = doing("apply", &kind.kind, namespace, word("/metadata/name"));
        permit.covers(&Target::Objects { address: at.host.address, what: doing.clone() })?;
        let writer = Writer { manager: FIELD_MANAGER.into(), strict: true, ..Writer::default() };
        let stored = self
            .call(at, &doing, true, |objects| {
                let Some(what) = named(objects, &kind, namespace, word("/metadata/name")) else { return Ok(None) };
                objects.patch(&what, PatchKind::Apply { force }, object.clone(), &writer).map(Some)
            })
            .await?;
        stored.ok_or_else(|| not_served(&doing, &kind, never_served(&kind.api_version, &kind.kind)))
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
        let doing = doing("patch", &kind.kind, namespace, name);
        permit.covers(&Target::Objects { address: at.host.address, what: doing.clone() })?;
        let writer = Writer { manager: FIELD_MANAGER.into(), ..Writer::default() };
        let stored = self
            .call(at, &doing, true, |objects| {
                let Some(what) = named(objects, kind, namespace, name) else { return Ok(None) };
                objects.patch(&what, PatchKind::Merge, patch.clone(), &writer).map(Some)
            })
            .await?;
        stored.ok_or_else(|| not_served(&doing, kind, never_served(&kind.api_version, &kind.kind)))
    }
    async fn delete(
        &self,
        permit: &Permit,
        at: &ApiAt,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<()> {
        let doing = doing("delete", &kind.kind, namespace, name);
        permit.covers(&Target::Objects { address: at.host.address, what: doing.clone() })?;
        self.call(at, &doing, true, |objects| {
            let Some(what) = named(objects, kind, namespace, name) else { return Ok(()) };
            match objects.delete(&what, &json!({"propagationPolicy": "Background"}), false) {
                Err(failure) if failure.code != 404 => Err(failure),
                _ => Ok(()),
            }
        })
        .await
    }
    async fn log_tail(
        &self,
        at: &ApiAt,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<String> {
        let doing = doing("read the log of", "Pod", Some(namespace), pod);
        self.call(at, &doing, false, |objects| objects.log(namespace, pod, container, previous)).await
    }
}

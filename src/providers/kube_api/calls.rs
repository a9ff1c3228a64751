//! The calls. Each has its own time-out: an API server without quorum takes a request and never answers.

use super::connect::{Connection, KubeApi};
use super::errors::classed;
use crate::config::kubernetes::never_served;
use crate::world::{not_served, ApiAt, Cluster, Error, Kind, Permit, Result, Scope, Target, FIELD_MANAGER};
use async_trait::async_trait;
use http::{header, Method, Request};
use serde_json::{json, Value};
use std::future::Future;
use url::form_urlencoded::Serializer;

/// Objects in one page of a list.
const PAGE: &str = "500";
/// Lines of a log that explain a failure.
const LOG_LINES: &str = "40";

fn request(
    method: Method,
    path: &str,
    query: &[(&str, &str)],
    body: Option<(&str, &Value)>,
) -> Result<Request<Vec<u8>>> {
    let query = Serializer::new(String::new()).extend_pairs(query.iter().filter(|(_, v)| !v.is_empty())).finish();
    let address = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut builder = Request::builder().method(method).uri(address).header(header::ACCEPT, "application/json");
    let bytes = body.map(|(kind, value)| {
        builder = std::mem::take(&mut builder).header(header::CONTENT_TYPE, kind);
        value.to_string().into_bytes()
    });
    builder
        .body(bytes.unwrap_or_default())
        .map_err(|e| Error::fatal(format!("{path} is no path: {e}")).remedy("correct the object's name or namespace"))
}

/// `apply Deployment honeydue/api`.
fn doing(verb: &str, kind: &str, namespace: Option<&str>, name: &str) -> String {
    let place = namespace.map(|n| format!("{n}/")).unwrap_or_default();
    format!("{verb} {kind} {place}{name}")
}

impl KubeApi {
    async fn limited<T>(
        &self,
        doing: &str,
        writes: bool,
        call: impl Future<Output = std::result::Result<T, kube::Error>>,
    ) -> Result<T> {
        let limit = self.limit(writes);
        let Ok(done) = tokio::time::timeout(limit, call).await else {
            let what = format!("{doing}: no answer within {} s", limit.as_secs());
            return Err(if writes { Error::unknown(what) } else { Error::transient(what) });
        };
        done.map_err(|e| classed(&e, doing, writes))
    }
    /// The connection and the path of an object (or with an empty name of all); `None` where the kind is not served.
    async fn find(
        &self,
        at: &ApiAt,
        doing: &str,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<(Connection, Option<String>)> {
        let connection = self.connection(at).await?;
        let resource = self.limited(doing, false, connection.resource(kind)).await?;
        Ok((connection, resource.map(|r| r.path(namespace, name))))
    }
    async fn write(&self, connection: &Connection, doing: &str, request: Request<Vec<u8>>) -> Result<Value> {
        self.limited(doing, true, connection.client.request::<Value>(request)).await
    }
}

#[async_trait]
impl Cluster for KubeApi {
    async fn ready(&self, at: &ApiAt) -> Result<()> {
        let connection = self.connection(at).await?;
        let asked = request(Method::GET, "/readyz", &[], None)?;
        self.limited("ask for readiness", false, connection.client.request_text(asked)).await.map(|_| ())
    }
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        let doing = doing("get", &kind.kind, namespace, name);
        let (connection, Some(path)) = self.find(at, &doing, kind, namespace, name).await? else { return Ok(None) };
        let asked = request(Method::GET, &path, &[], None)?;
        match self.limited(&doing, false, connection.client.request::<Value>(asked)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is("NotFound") || error.is("404") => Ok(None),
            Err(error) => Err(error),
        }
    }
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>> {
        let namespace = scope.namespace.as_deref();
        let doing = doing("list", &kind.kind, namespace, "");
        let (connection, Some(path)) = self.find(at, &doing, kind, namespace, "").await? else { return Ok(Vec::new()) };
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let query = [
                ("limit", PAGE),
                ("continue", &next),
                ("labelSelector", &scope.labels),
                ("fieldSelector", &scope.fields),
            ];
            let asked = request(Method::GET, &path, &query, None)?;
            let page = self.limited(&doing, false, connection.client.request::<Value>(asked)).await?;
            for item in page.get("items").and_then(Value::as_array).into_iter().flatten() {
                // Items of a list come without their kind.
                let mut item = item.clone();
                if let Some(map) = item.as_object_mut() {
                    map.insert("apiVersion".into(), kind.api_version.clone().into());
                    map.insert("kind".into(), kind.kind.clone().into());
                }
                all.push(item);
            }
            page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().clone_into(&mut next);
            if next.is_empty() {
                return Ok(all);
            }
        }
    }
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value> {
        let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::new(word("/apiVersion"), word("/kind"));
        let (namespace, name) = (Some(word("/metadata/namespace")).filter(|n| !n.is_empty()), word("/metadata/name"));
        let doing = doing("apply", &kind.kind, namespace, name);
        permit.covers(&Target::Objects { address: at.host.address, what: doing.clone() })?;
        if name.is_empty() {
            return Err(Error::fatal(format!("{doing}: the object has no name")).remedy("give it metadata.name"));
        }
        let (connection, path) = self.find(at, &doing, &kind, namespace, name).await?;
        let path = path.ok_or_else(|| not_served(&doing, &kind, never_served(&kind.api_version, &kind.kind)))?;
        let query = [
            ("fieldManager", FIELD_MANAGER),
            ("fieldValidation", "Strict"),
            ("force", if force { "true" } else { "" }),
        ];
        let asked = request(Method::PATCH, &path, &query, Some(("application/apply-patch+yaml", object)))?;
        self.write(&connection, &doing, asked).await
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
        let (connection, found) = self.find(at, &doing, kind, namespace, name).await?;
        let place = found.ok_or_else(|| not_served(&doing, kind, never_served(&kind.api_version, &kind.kind)))?;
        let query = [("fieldManager", FIELD_MANAGER)];
        let asked = request(Method::PATCH, &place, &query, Some(("application/merge-patch+json", patch)))?;
        self.write(&connection, &doing, asked).await
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
        let (connection, Some(path)) = self.find(at, &doing, kind, namespace, name).await? else { return Ok(()) };
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        let asked = request(Method::DELETE, &path, &[], Some(("application/json", &options)))?;
        match self.write(&connection, &doing, asked).await {
            Err(error) if !error.is("NotFound") && !error.is("404") => Err(error),
            _ => Ok(()),
        }
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
        let connection = self.connection(at).await?;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log");
        let query =
            [("container", container), ("tailLines", LOG_LINES), ("previous", if previous { "true" } else { "" })];
        let asked = request(Method::GET, &path, &query, None)?;
        self.limited(&doing, false, connection.client.request_text(asked)).await
    }
}

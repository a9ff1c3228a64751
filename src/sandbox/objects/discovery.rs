//! What is not about objects: discovery in both forms, version, health, OpenAPI.

use super::answer::{Answer, Asked};
use super::failure::Failure;
use super::kinds::Served;
use super::schema;
use super::store::Objects;
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What a subresource is spoken to with: its verbs, group, version and kind.
fn subresource(served: &Served, name: &str) -> (&'static [&'static str], String, String, String) {
    let own = |kind: &str| (served.group.clone(), served.version.clone(), kind.to_owned());
    let (verbs, (group, version, kind)): (&'static [&'static str], _) = match name {
        "log" => (&["get"], own(&served.kind)),
        "eviction" => (&["create"], ("policy".into(), "v1".into(), "Eviction".into())),
        "binding" => (&["create"], own("Binding")),
        "scale" => (&["get", "patch", "update"], ("autoscaling".into(), "v1".into(), "Scale".into())),
        _ => (&["get", "patch", "update"], own(&served.kind)),
    };
    (verbs, group, version, kind)
}

impl Objects {
    /// The kinds by `apiVersion`, in the order served.
    fn by_version(&self) -> BTreeMap<(String, String), Vec<Arc<Served>>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for served in self.kinds() {
            all.entry((served.group.clone(), served.version.clone())).or_default().push(served.clone());
        }
        all
    }
    /// Answers what is not about objects; `None` where it is.
    pub(super) fn discover(&self, asked: &Asked) -> Option<Answer> {
        let aggregated = asked.accept.contains("as=APIGroupDiscoveryList");
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        Some(match parts.as_slice() {
            ["version"] => Answer::json(200, &self.version()),
            ["readyz" | "livez" | "healthz", ..] => Answer::text("ok"),
            ["api"] if aggregated => self.aggregated(true),
            ["apis"] if aggregated => self.aggregated(false),
            ["api"] => {
                Answer::json(200, &json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
            }
            ["apis"] => {
                Answer::json(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": self.groups()}))
            }
            ["api", version] => self.resource_list("", version),
            ["apis", group] => {
                let found = self.groups().into_iter().find(|g| g.get("name").and_then(Value::as_str) == Some(group));
                found.map_or_else(
                    || Failure::no_such_resource().into(),
                    |mut g| {
                        super::read::set(&mut g, &["kind"], "APIGroup");
                        super::read::set(&mut g, &["apiVersion"], "v1");
                        Answer::json(200, &g)
                    },
                )
            }
            ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => Answer::json(
                201,
                &json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {}, "status": {"allowed": true}}),
            ),
            ["apis", group, version] => self.resource_list(group, version),
            ["openapi", "v3"] => self.openapi_index(),
            ["openapi", "v3", "api", version] => self.openapi("", version),
            ["openapi", "v3", "apis", group, version] => self.openapi(group, version),
            ["openapi", ..] => Failure::no_such_resource().into(),
            _ => return None,
        })
    }
    fn version(&self) -> Value {
        let of_node =
            self.all("nodes").first().map(|n| super::read::text(n, "/status/nodeInfo/kubeletVersion").to_owned());
        let version = of_node.unwrap_or_else(|| "v1.34.6+k3s1".to_owned());
        let mut numbers = version.trim_start_matches('v').split('.');
        json!({"major": numbers.next(), "minor": numbers.next(), "gitVersion": version, "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64"})
    }
    fn groups(&self) -> Vec<Value> {
        let mut versions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (group, version) in self.by_version().into_keys().filter(|(g, _)| !g.is_empty()) {
            let one = json!({"groupVersion": format!("{group}/{version}"), "version": version});
            versions.entry(group).or_default().push(one);
        }
        versions
            .into_iter()
            .map(|(name, all)| json!({"name": name, "preferredVersion": all.first(), "versions": all}))
            .collect()
    }
    fn resource_list(&self, group: &str, version: &str) -> Answer {
        let Some(kinds) = self.by_version().remove(&(group.to_owned(), version.to_owned())) else {
            return Failure::no_such_resource().into();
        };
        let mut resources = Vec::new();
        for served in &kinds {
            let mut one = json!({"name": served.plural, "singularName": served.kind.to_lowercase(), "namespaced": served.namespaced,
                "kind": served.kind, "verbs": VERBS});
            if !served.short.is_empty() {
                super::read::set(&mut one, &["shortNames"], served.short.clone());
            }
            if served.in_all {
                super::read::set(&mut one, &["categories"], json!(["all"]));
            }
            resources.push(one);
            for name in &served.subresources {
                let (verbs, group, version, kind) = subresource(served, name);
                resources.push(json!({"name": format!("{}/{name}", served.plural), "singularName": "", "namespaced": served.namespaced,
                    "group": group, "version": version, "kind": kind, "verbs": verbs}));
            }
        }
        let whole = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Answer::json(
            200,
            &json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": whole, "resources": resources}),
        )
    }
    /// Aggregated discovery, `apidiscovery.k8s.io/v2`.
    fn aggregated(&self, core: bool) -> Answer {
        let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for ((group, version), kinds) in self.by_version().into_iter().filter(|((g, _), _)| g.is_empty() == core) {
            let resources: Vec<Value> = kinds.iter().map(|s| aggregated_resource(s)).collect();
            groups
                .entry(group)
                .or_default()
                .push(json!({"version": version, "resources": resources, "freshness": "Current"}));
        }
        let items: Vec<Value> = groups
            .into_iter()
            .map(|(group, versions)| {
                let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
                json!({"metadata": metadata, "versions": versions})
            })
            .collect();
        let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items});
        Answer::Whole {
            status: 200,
            content_type: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            body: list.to_string().into_bytes(),
            retry_after: None,
        }
    }
    fn openapi_index(&self) -> Answer {
        let mut paths = Map::new();
        for (group, version) in self.by_version().into_keys() {
            let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let address = format!("/openapi/v3/{path}?hash={}", self.kinds().len());
            paths.insert(path, json!({"serverRelativeURL": address}));
        }
        Answer::json(200, &json!({"paths": paths}))
    }
    fn openapi(&self, group: &str, version: &str) -> Answer {
        let Some(kinds) = self.by_version().remove(&(group.to_owned(), version.to_owned())) else {
            return Failure::no_such_resource().into();
        };
        let (mut schemas, mut paths) = (Map::new(), Map::new());
        for served in kinds {
            let gvk = json!({"group": group, "version": version, "kind": served.kind});
            let name = match schema::of_kind(group, version, &served.kind) {
                Some((name, _)) => {
                    gather(name, &mut schemas);
                    name.to_owned()
                }
                None => {
                    let mut own = served.schema.as_deref().cloned().unwrap_or_else(|| json!({"type": "object"}));
                    super::read::set(&mut own, &["x-kubernetes-group-version-kind"], json!([gvk]));
                    gather("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", &mut schemas);
                    let reference = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
                    super::read::set(&mut own, &["properties", "metadata"], json!({"$ref": reference}));
                    super::read::set(&mut own, &["properties", "apiVersion"], json!({"type": "string"}));
                    super::read::set(&mut own, &["properties", "kind"], json!({"type": "string"}));
                    let name =
                        format!("{}.{version}.{}", group.split('.').rev().collect::<Vec<_>>().join("."), served.kind);
                    schemas.insert(name.clone(), own);
                    name
                }
            };
            let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            let path = format!(
                "{base}/{}{}/{{name}}",
                if served.namespaced { "namespaces/{namespace}/" } else { "" },
                served.plural
            );
            let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation", "force"]
                .iter()
                .map(|p| json!({"name": p, "in": "query", "schema": {"type": "string"}}))
                .collect();
            let reply = json!({"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}}}});
            paths.insert(
                path,
                json!({"patch": {"parameters": parameters, "responses": reply, "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": gvk}}),
            );
        }
        Answer::json(
            200,
            &json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": self.version().get("gitVersion")},
            "paths": paths, "components": {"schemas": schemas}}),
        )
    }
}

fn aggregated_resource(served: &Served) -> Value {
    let scope = if served.namespaced { "Namespaced" } else { "Cluster" };
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut one = json!({"resource": served.plural, "responseKind": kind(&served.group, &served.version, &served.kind), "scope": scope,
        "singularResource": served.kind.to_lowercase(), "verbs": VERBS});
    if !served.short.is_empty() {
        super::read::set(&mut one, &["shortNames"], served.short.clone());
    }
    if served.in_all {
        super::read::set(&mut one, &["categories"], json!(["all"]));
    }
    let subresources: Vec<Value> = served
        .subresources
        .iter()
        .map(|name| {
            let (verbs, group, version, own) = subresource(served, name);
            json!({"subresource": name, "responseKind": kind(&group, &version, &own), "verbs": verbs})
        })
        .collect();
    if !subresources.is_empty() {
        super::read::set(&mut one, &["subresources"], subresources);
    }
    one
}

/// Adds a schema and all that it refers to.
fn gather(name: &str, into: &mut Map<String, Value>) {
    let mut todo: BTreeSet<String> = BTreeSet::from([name.to_owned()]);
    while let Some(name) = todo.pop_first() {
        if into.contains_key(&name) {
            continue;
        }
        let Some(found) = schema::all().and_then(|s| s.get(&name)) else { continue };
        references(found, &mut todo);
        into.insert(name, found.clone());
    }
}

fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner.as_str() {
                    Some(reference) if key == "$ref" => {
                        into.insert(reference.rsplit('/').next().unwrap_or_default().to_owned());
                    }
                    _ => references(inner, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|i| references(i, into)),
        _ => {}
    }
}

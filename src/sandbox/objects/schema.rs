//! What is known of the shape of objects: from the reduced OpenAPI description, from CustomResourceDefinitions, and for K3s' own
//! kinds from their Go types (k3s-io/helm-controller `pkg/apis/helm.cattle.io/v1/types.go`).

use super::kinds::Served;
use serde_json::{json, Map, Value};
use std::sync::{Arc, LazyLock};

static OPENAPI: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("data/openapi.json")).unwrap_or_default());
static FREE: LazyLock<Value> = LazyLock::new(|| json!({"x-kubernetes-preserve-unknown-fields": true}));
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// All schemas of the description by name.
pub fn all() -> Option<&'static Map<String, Value>> {
    OPENAPI.get("schemas").and_then(Value::as_object)
}

fn named(name: &str) -> &'static Value {
    all().and_then(|s| s.get(name)).unwrap_or(&FREE)
}

/// The name and schema that the description gives a built-in kind.
pub fn of_kind(group: &str, version: &str, kind: &str) -> Option<(&'static str, &'static Value)> {
    let wanted = json!([{"group": group, "version": version, "kind": kind}]);
    all()?.iter().find(|(_, s)| s.get("x-kubernetes-group-version-kind") == Some(&wanted)).map(|(n, s)| (n.as_str(), s))
}

/// The schema of a kind of K3s' own, by its name.
pub(super) fn of_k3s(kind: &str) -> Option<Arc<Value>> {
    let texts = |names: &str| -> Map<String, Value> {
        names.split_whitespace().map(|n| (n.to_owned(), json!({"type": "string"}))).collect()
    };
    let free = FREE.clone();
    let spec = match kind {
        "HelmChart" => {
            let mut p = texts(
                "targetNamespace chart version repo repoCA helmVersion valuesContent timeout failurePolicy jobImage chartContent",
            );
            for name in [
                "bootstrap",
                "createNamespace",
                "authPassCredentials",
                "takeOwnership",
                "insecureSkipTLSVerify",
                "plainHTTP",
            ] {
                p.insert(name.into(), json!({"type": "boolean"}));
            }
            for name in [
                "set",
                "authSecret",
                "dockerRegistrySecret",
                "repoCAConfigMap",
                "podSecurityContext",
                "securityContext",
                "valuesSecrets",
            ] {
                p.insert(name.into(), free.clone());
            }
            p.insert("backOffLimit".into(), json!({"type": "integer"}));
            p
        }
        "HelmChartConfig" => {
            let mut p = texts("valuesContent failurePolicy");
            p.insert("valuesSecrets".into(), free.clone());
            p
        }
        "Addon" => texts("source checksum gvks"),
        "ETCDSnapshotFile" => return Some(Arc::new(free)),
        _ => return None,
    };
    Some(Arc::new(json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": spec}, "status": free}})))
}

/// How a list is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects told apart by these keys.
    Map(Vec<String>),
}

/// One place in a kind's schema.
#[derive(Clone, Copy)]
pub struct Schema<'a>(&'a Value);

impl<'a> Schema<'a> {
    /// The schema of a kind; where nothing is known, one that allows everything.
    pub fn of(served: &'a Served) -> Self {
        match &served.schema {
            Some(schema) => Self(schema),
            None => Self(of_kind(&served.group, &served.version, &served.kind).map_or(&*FREE, |(_, s)| s)),
        }
    }
    /// A schema of the description ([`of_kind`]).
    pub fn described(schema: &'a Value) -> Self {
        Self(schema)
    }
    /// A schema of which nothing is known.
    pub fn free() -> Self {
        Self(&FREE)
    }
    fn resolved(value: &'a Value) -> Self {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => Self(named(reference.rsplit('/').next().unwrap_or_default())),
            None => Self(value),
        }
    }
    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.0.get("properties").and_then(Value::as_object)
    }
    /// The names of its fields.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.properties().into_iter().flatten().map(|(name, _)| name.as_str())
    }
    fn is_free(self) -> bool {
        self.0.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            || (self.properties().is_none() && self.0.get("additionalProperties").is_none())
    }
    /// The schema of a field, and whether the schema names it; the object's own `apiVersion`, `kind` and `metadata` are known
    /// at the top of custom kinds too.
    pub fn field(self, name: &str, top: bool) -> Option<(Self, bool)> {
        if top {
            match name {
                "metadata" => return Some((Self(named(META)), true)),
                "apiVersion" | "kind" => return Some((Schema::free(), true)),
                _ => {}
            }
        }
        if let Some(field) = self.properties().and_then(|p| p.get(name)) {
            return Some((Self::resolved(field), true));
        }
        if let Some(value) = self.0.get("additionalProperties") {
            return Some((Self::resolved(value), false));
        }
        self.is_free().then(|| (Schema::free(), false))
    }
    /// The schema of a list's items.
    pub fn items(self) -> Self {
        self.0.get("items").map_or_else(Schema::free, Self::resolved)
    }
    /// Whether a map is replaced as a whole.
    pub fn atomic_map(self) -> bool {
        self.0.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic")
    }
    /// How a list is merged by server-side apply.
    pub fn list(self) -> ListKind {
        match self.0.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => ListKind::Set,
            Some("map") => ListKind::Map(
                self.0
                    .get("x-kubernetes-list-map-keys")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            ),
            _ => ListKind::Atomic,
        }
    }
    /// The key by which a strategic merge patch tells a list's items apart; an empty one where scalars are merged.
    pub fn merge_key(self) -> Option<&'a str> {
        let merges =
            self.0.get("x-kubernetes-patch-strategy").and_then(Value::as_str)?.split(',').any(|s| s == "merge");
        merges.then(|| self.0.get("x-kubernetes-patch-merge-key").and_then(Value::as_str).unwrap_or_default())
    }
    /// The default of a field of this map.
    pub fn default_of(self, name: &str) -> Option<&'a Value> {
        self.properties()?.get(name)?.get("default")
    }
    /// The names of the fields that must be there.
    pub fn required(self) -> impl Iterator<Item = &'a str> {
        self.0.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
    /// `object`, `array`, `string`, `integer`, `boolean`, `number`, where the schema says.
    pub fn type_name(self) -> Option<&'a str> {
        self.0.get("type").and_then(Value::as_str)
    }
}

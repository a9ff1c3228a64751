//! The shape of Kubernetes' own kinds, by the reduced OpenAPI description in the binary.

use serde_json::{json, Map, Value};
use std::sync::LazyLock;

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

/// Group and version of an `apiVersion`.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The name and schema that the description gives a built-in kind.
pub fn of_kind(group: &str, version: &str, kind: &str) -> Option<(&'static str, &'static Value)> {
    let wanted = json!([{"group": group, "version": version, "kind": kind}]);
    all()?.iter().find(|(_, s)| s.get("x-kubernetes-group-version-kind") == Some(&wanted)).map(|(n, s)| (n.as_str(), s))
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
pub struct Schema<'a> {
    value: &'a Value,
    name: &'a str,
}

impl<'a> Schema<'a> {
    /// The schema of a built-in kind; where nothing is known, one that allows everything.
    pub fn of_kind(group: &str, version: &str, kind: &str) -> Self {
        of_kind(group, version, kind).map_or_else(Self::free, |(name, value)| Self { value, name })
    }
    /// A schema that is not of the description, as a CustomResourceDefinition has one.
    pub fn custom(value: &'a Value) -> Self {
        Self { value, name: "" }
    }
    /// A schema of which nothing is known.
    pub fn free() -> Self {
        Self::custom(&FREE)
    }
    /// What the description calls it: `core.v1.Container`; empty where it has no name.
    pub fn name(self) -> &'a str {
        let name = self.name;
        ["io.k8s.api.", "io.k8s.apimachinery.pkg.", "io.k8s."].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name)
    }
    fn resolved(value: &'a Value) -> Self {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let name = reference.rsplit('/').next().unwrap_or_default();
                Self { value: named(name), name }
            }
            None => Self::custom(value),
        }
    }
    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.value.get("properties").and_then(Value::as_object)
    }
    /// The names of its fields.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.properties().into_iter().flatten().map(|(name, _)| name.as_str())
    }
    fn is_free(self) -> bool {
        self.value.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            || (self.properties().is_none() && self.value.get("additionalProperties").is_none())
    }
    /// The schema of a field, and whether the schema names it; the object's own `apiVersion`, `kind` and `metadata` are known
    /// at the top of custom kinds too.
    pub fn field(self, name: &str, top: bool) -> Option<(Self, bool)> {
        if top {
            match name {
                "metadata" => return Some((Self { value: named(META), name: META }, true)),
                "apiVersion" | "kind" => return Some((Schema::free(), true)),
                _ => {}
            }
        }
        if let Some(field) = self.properties().and_then(|p| p.get(name)) {
            return Some((Self::resolved(field), true));
        }
        if let Some(value) = self.value.get("additionalProperties") {
            return Some((Self::resolved(value), false));
        }
        self.is_free().then(|| (Schema::free(), false))
    }
    /// The schema of a list's items.
    #[must_use]
    pub fn items(self) -> Self {
        self.value.get("items").map_or_else(Schema::free, Self::resolved)
    }
    /// Whether a map is replaced as a whole.
    pub fn atomic_map(self) -> bool {
        self.value.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic")
    }
    /// How a list is merged by server-side apply.
    pub fn list(self) -> ListKind {
        match self.value.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => ListKind::Set,
            Some("map") => ListKind::Map(
                self.value
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
            self.value.get("x-kubernetes-patch-strategy").and_then(Value::as_str)?.split(',').any(|s| s == "merge");
        merges.then(|| self.value.get("x-kubernetes-patch-merge-key").and_then(Value::as_str).unwrap_or_default())
    }
    /// The default of a field of this map.
    pub fn default_of(self, name: &str) -> Option<&'a Value> {
        self.properties()?.get(name)?.get("default")
    }
    /// The names of the fields that must be there.
    pub fn required(self) -> impl Iterator<Item = &'a str> {
        self.value.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
    /// `object`, `array`, `string`, `integer`, `boolean`, `number`, where the schema says.
    pub fn type_name(self) -> Option<&'a str> {
        self.value.get("type").and_then(Value::as_str)
    }
}

//! In which order objects are applied: worked out from the objects themselves.

use crate::world::Kind;
use serde_json::Value;

/// What can only be applied after what. Smaller first.
const RANKS: [(&str, &[&str]); 8] = [
    ("namespaces and definitions", &["Namespace", "CustomResourceDefinition"]),
    ("classes", &["PriorityClass", "StorageClass", "IngressClass", "RuntimeClass"]),
    ("accounts and roles", &["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("configuration", &["ConfigMap", "Secret", "LimitRange", "ResourceQuota", "NetworkPolicy"]),
    ("volumes", &["PersistentVolume", "PersistentVolumeClaim"]),
    ("services", &["Service", "Endpoints", "EndpointSlice"]),
    ("workloads", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob"]),
    ("entrances", &["Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget"]),
];

/// Kinds whose rollout is waited for.
pub(super) const ROLLED_OUT: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// An object's kind.
pub(super) fn kind(object: &Value) -> Kind {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Kind { api_version: text("apiVersion"), kind: text("kind") }
}

/// An object's name.
pub(super) fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// An object's namespace.
pub(super) fn namespace(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace").and_then(Value::as_str)
}

/// `Deployment honeydue/api`.
pub(super) fn title(object: &Value) -> String {
    let kind = kind(object).kind;
    match namespace(object) {
        Some(namespace) => format!("{kind} {namespace}/{}", name(object)),
        None => format!("{kind} {}", name(object)),
    }
}

/// The rank of a kind; custom objects come after everything that Kubernetes has itself, webhooks last: one whose server is not
/// up yet would refuse all that follows.
pub(super) fn rank(object: &Value) -> usize {
    let kind = kind(object).kind;
    if kind.ends_with("WebhookConfiguration") {
        return RANKS.len() + 1;
    }
    RANKS.iter().position(|(_, kinds)| kinds.contains(&kind.as_str())).unwrap_or(RANKS.len())
}

/// Which part of the manifests a step applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Namespaces, definitions, classes, accounts and roles: what secrets and everything else stand on.
    Foundation,
    /// The rest, but for the workloads that have a declared order.
    Rest,
}

impl Part {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "foundation" => Some(Self::Foundation),
            "rest" => Some(Self::Rest),
            _ => None,
        }
    }
    pub(super) fn holds(self, object: &Value, order: &[String]) -> bool {
        let foundation = rank(object) <= 2;
        match self {
            Self::Foundation => foundation,
            Self::Rest => !foundation && !is_ordered(object, order),
        }
    }
}

/// Whether an object is a workload with a declared place.
pub(super) fn is_ordered(object: &Value, order: &[String]) -> bool {
    ROLLED_OUT.contains(&kind(object).kind.as_str()) && order.iter().any(|n| n == name(object))
}

/// Sorts for applying: by rank, then by kind and name.
pub(super) fn key(object: &Value) -> (usize, Kind, Option<String>, String) {
    (rank(object), kind(object), namespace(object).map(str::to_owned), name(object).to_owned())
}

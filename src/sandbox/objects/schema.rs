//! What is known of the shape of objects: from the reduced OpenAPI description, from CustomResourceDefinitions, and for K3s' own
//! kinds from their Go types (k3s-io/helm-controller `pkg/apis/helm.cattle.io/v1/types.go`).

use super::kinds::Served;
pub use crate::config::kubernetes::{all, of_kind, ListKind, Schema};
use serde_json::{json, Map, Value};
use std::sync::Arc;

/// The schema of a kind of K3s' own, by its name.
pub(super) fn of_k3s(kind: &str) -> Option<Arc<Value>> {
    let texts = |names: &str| -> Map<String, Value> {
        names.split_whitespace().map(|n| (n.to_owned(), json!({"type": "string"}))).collect()
    };
    let free = json!({"x-kubernetes-preserve-unknown-fields": true});
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
        // Traefik's definitions come with K3s' chart; what is in its objects is Traefik's to judge.
        "ETCDSnapshotFile"
        | "IngressRoute"
        | "IngressRouteTCP"
        | "IngressRouteUDP"
        | "Middleware"
        | "MiddlewareTCP"
        | "ServersTransport"
        | "ServersTransportTCP"
        | "TLSOption"
        | "TLSStore"
        | "TraefikService" => return Some(Arc::new(free)),
        _ => return None,
    };
    Some(Arc::new(json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": spec}, "status": free}})))
}

impl<'a> Schema<'a> {
    /// The schema of a kind; where nothing is known, one that allows everything.
    pub fn of(served: &'a Served) -> Self {
        match &served.schema {
            Some(schema) => Self::custom(schema),
            None => Self::of_kind(&served.group, &served.version, &served.kind),
        }
    }
}

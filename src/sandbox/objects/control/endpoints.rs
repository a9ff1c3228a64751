//! Endpoints and EndpointSlices of services, and the addresses of ingresses.

use super::replicasets::{is_ready, owned_by};
use crate::sandbox::objects::read::{is_leaving, list, map, name, namespace, set, text, uid};
use crate::sandbox::objects::selector::Labels;
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use std::sync::Arc;

impl Objects {
    /// The pods that a service selects, whether ready or not.
    pub(super) fn pods_behind(&self, service: &Value) -> Vec<Arc<Value>> {
        let Some(selector) = service.pointer("/spec/selector").filter(|s| s.as_object().is_some_and(|m| !m.is_empty()))
        else {
            return Vec::new();
        };
        let selector = Labels::of(&json!({"matchLabels": selector}));
        let placed = |p: &Arc<Value>| {
            !text(p, "/status/podIP").is_empty() && matches!(text(p, "/status/phase"), "Running" | "Pending")
        };
        self.within("pods", namespace(service)).into_iter().filter(|p| placed(p) && selector.matches(p)).collect()
    }
    pub(super) fn keep_endpoints(&mut self) {
        for service in self.all("services").into_iter().filter(|s| !is_leaving(s) && map(s, "/spec/selector").is_some())
        {
            let pods = self.pods_behind(&service);
            let address = |p: &Arc<Value>| {
                json!({"ip": text(p, "/status/podIP"), "nodeName": text(p, "/spec/nodeName"),
                "targetRef": {"kind": "Pod", "name": name(p), "namespace": namespace(p), "uid": uid(p)}})
            };
            let (ready, not_ready): (Vec<_>, Vec<_>) =
                pods.iter().filter(|p| !is_leaving(p)).partition(|p| is_ready(p));
            let ports: Vec<Value> = list(&service, "/spec/ports").iter().map(|p| port_of(p, pods.first())).collect();
            let mut subset = json!({"ports": ports});
            for (field, group) in [("addresses", &ready), ("notReadyAddresses", &not_ready)] {
                if !group.is_empty() {
                    set(&mut subset, &[field], group.iter().map(|p| address(p)).collect::<Vec<_>>());
                }
            }
            let subsets = if pods.is_empty() { json!([]) } else { json!([subset]) };
            self.make(json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name(&service), "namespace": namespace(&service),
                "ownerReferences": owned_by(&service)}}));
            self.edit("endpoints", namespace(&service), name(&service), |e| set(e, &["subsets"], subsets));
            let slice = format!("{}-{}", name(&service), "slice");
            self.make(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [],
                "metadata": {"name": slice, "namespace": namespace(&service), "ownerReferences": owned_by(&service),
                    "labels": {"kubernetes.io/service-name": name(&service)}}}));
            let endpoints: Vec<Value> = pods
                .iter()
                .map(|p| {
                    json!({"addresses": [text(p, "/status/podIP")], "nodeName": text(p, "/spec/nodeName"),
                    "conditions": {"ready": is_ready(p), "serving": is_ready(p), "terminating": is_leaving(p)}})
                })
                .collect();
            self.edit("endpointslices.discovery.k8s.io", namespace(&service), &slice, |s| {
                set(s, &["endpoints"], endpoints);
                set(s, &["ports"], ports);
            });
        }
        self.keep_ingress_addresses();
    }
    fn keep_ingress_addresses(&mut self) {
        let nodes: Vec<Value> = self
            .traefik_pods()
            .iter()
            .filter(|p| is_ready(p))
            .map(|p| json!({"ip": text(p, "/status/hostIP")}))
            .collect();
        for ingress in self.all("ingresses.networking.k8s.io") {
            self.edit("ingresses.networking.k8s.io", namespace(&ingress), name(&ingress), |i| {
                set(
                    i,
                    &["status", "loadBalancer"],
                    if nodes.is_empty() { json!({}) } else { json!({"ingress": nodes}) },
                );
            });
        }
    }
}

/// A service's port as its endpoints have it: the number where the target is a name.
fn port_of(port: &Value, pod: Option<&Arc<Value>>) -> Value {
    let target = port.get("targetPort").cloned().unwrap_or_default();
    let number = match (&target, pod) {
        (Value::String(wanted), Some(pod)) => list(pod, "/spec/containers")
            .iter()
            .flat_map(|c| list(c, "/ports"))
            .find(|p| text(p, "/name") == wanted)
            .and_then(|p| p.get("containerPort").cloned())
            .or_else(|| port.get("port").cloned())
            .unwrap_or_default(),
        (Value::String(_), None) => port.get("port").cloned().unwrap_or_default(),
        (other, _) => other.clone(),
    };
    let mut out = json!({"port": number, "protocol": port.get("protocol")});
    if !text(port, "/name").is_empty() {
        set(&mut out, &["name"], text(port, "/name"));
    }
    out
}

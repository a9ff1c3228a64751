//! What K3s puts into a new cluster by itself: its packaged components, and manifests that lie on a server's disk.

use crate::sandbox::objects::read::{name, namespace, set, text};
use crate::sandbox::objects::requests::{Named, PatchKind, Writer};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use std::time::Duration;

/// The images that go with K3s 1.34; only their names show in the sandbox.
const DEPLOYMENTS: [(&str, &str, &str); 3] = [
    ("coredns", "rancher/mirrored-coredns-coredns:1.12.3", "kube-dns"),
    ("local-path-provisioner", "rancher/local-path-provisioner:v0.0.32", "local-path-provisioner"),
    ("metrics-server", "rancher/mirrored-metrics-server:v0.8.0", "metrics-server"),
];

impl Objects {
    /// K3s deploys its packaged components once the first node has registered.
    pub(super) fn keep_k3s(&mut self) {
        if self.all("nodes").is_empty() || self.find("storageclasses.storage.k8s.io", "", "local-path").is_some() {
            return;
        }
        self.make(
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "rancher.io/local-path",
            "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer"}),
        );
        for addon in ["ccm", "coredns", "local-storage", "metrics-server", "rolebindings", "runtimes", "traefik"] {
            self.make(json!({"apiVersion": "k3s.cattle.io/v1", "kind": "Addon", "metadata": {"name": addon, "namespace": "kube-system"},
                "spec": {"source": format!("/var/lib/rancher/k3s/server/manifests/{addon}.yaml"), "checksum": ""}}));
        }
        for (component, image, label) in DEPLOYMENTS {
            let labels = json!({"k8s-app": label});
            self.make(json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": component, "namespace": "kube-system", "labels": labels},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                    "priorityClassName": "system-cluster-critical",
                    "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}],
                    "containers": [{"name": component, "image": image}]}}}}));
        }
        self.make(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": "10.43.0.10", "selector": {"k8s-app": "kube-dns"},
                "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]}}),
        );
        self.make(json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "spec": {"controller": "traefik.io/ingress-controller"},
            "metadata": {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}}));
        for chart in ["traefik-crd", "traefik"] {
            self.make(json!({"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart", "metadata": {"name": chart, "namespace": "kube-system"},
                "spec": {"chart": format!("https://%{{KUBERNETES_API}}%/static/charts/{chart}-37.1.1+up37.1.0.tgz")}}));
        }
    }
    /// Takes in one object of a file in a server's `manifests` directory, as K3s' deploy controller does: by a field manager of
    /// its own, and over everyone else's.
    pub fn manifest_on_disk(&mut self, now: Duration, node: &str, object: &Value) {
        self.advance(now);
        let Some(served) = self.kind(text(object, "/apiVersion"), text(object, "/kind")) else { return };
        let mut object = object.clone();
        if served.namespaced && namespace(&object).is_empty() {
            set(&mut object, &["metadata", "namespace"], "default");
        }
        let what = Named { served, namespace: namespace(&object).to_owned(), name: name(&object).to_owned() };
        let writer = Writer { manager: format!("deploy@{node}"), ..Writer::default() };
        if let Err(failure) = self.patch(&what, PatchKind::Apply { force: true }, object.clone(), &writer) {
            // K3s shows it as an event of the Addon.
            self.event(&object, true, "ApplyManifestFailed", &failure.message);
        }
    }
}

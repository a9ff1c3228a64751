//! HelmCharts: the job that installs one, and for Traefik what its chart makes of the values in the HelmChartConfig.
//!
//! The rules of the chart (sources: traefik-helm-chart v34-39 `values.schema.json`, `templates/daemonset.yaml`,
//! `_podtemplate.tpl`): with host network and no surge `maxUnavailable` must be above zero; a host port must equal its port with
//! host network; keys that the values' schema has not are refused.

use super::replicasets::{owned_by, template_hash};
use crate::sandbox::objects::read::{controller_uid, has_condition, list, name, namespace, number, set, text, uid};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use std::sync::Arc;

const HASH: &str = "helmcharts.helm.cattle.io/configHash";
const IMAGE: &str = "rancher/mirrored-library-traefik:3.5.1";

/// Why the chart does not install with these values.
fn refuses(values: &Value) -> Option<String> {
    if values.pointer("/ports/web/redirectTo").is_some() {
        return Some("values don't meet the specifications of the schema: at '/ports/web': additional properties 'redirectTo' not allowed".into());
    }
    if !with_host_network(values) {
        return None;
    }
    if is_daemon(values) && number(values, "/updateStrategy/rollingUpdate/maxUnavailable").unwrap_or(0) == 0 {
        return Some("maxUnavailable should be greater than 0 when using hostNetwork.".into());
    }
    for port in ["web", "websecure"] {
        let exposed = number(values, &format!("/ports/{port}/hostPort"));
        if exposed.is_some_and(|h| Some(h) != number(values, &format!("/ports/{port}/port"))) {
            return Some(format!(
                "All hostPort must match their respective containerPort when `hostNetwork` is enabled: {port}"
            ));
        }
    }
    None
}

fn with_host_network(values: &Value) -> bool {
    values.get("hostNetwork").and_then(Value::as_bool) == Some(true)
}

fn is_daemon(values: &Value) -> bool {
    text(values, "/deployment/kind") == "DaemonSet"
}

/// Whether plain HTTP is sent on to HTTPS, under any of the names that the chart has had for it.
fn redirects(values: &Value) -> bool {
    ["/ports/web/http/redirections/entryPoint", "/ports/web/redirections/entryPoint"]
        .iter()
        .any(|p| values.pointer(p).is_some())
}

impl Objects {
    fn values_of(&self, chart: &Value) -> Result<Value, String> {
        let config = self.find("helmchartconfigs.helm.cattle.io", namespace(chart), name(chart));
        let written = config.map(|c| text(c, "/spec/valuesContent")).unwrap_or_default();
        if written.trim().is_empty() {
            return Ok(json!({}));
        }
        serde_yaml::from_str(written).map_err(|e| format!("failed to parse values: {e}"))
    }
    pub(super) fn keep_charts(&mut self) {
        for chart in self.all("helmcharts.helm.cattle.io") {
            self.keep_chart(&chart);
        }
    }
    fn keep_chart(&mut self, chart: &Value) {
        let config = self.find("helmchartconfigs.helm.cattle.io", namespace(chart), name(chart));
        let hash = template_hash(&json!([chart.get("spec"), config.and_then(|c| c.get("spec"))]));
        let job_name = format!("helm-install-{}", name(chart));
        let job = self.find("jobs.batch", namespace(chart), &job_name).cloned();
        let hash_of = |o: &Value| {
            o.pointer("/metadata/annotations").and_then(|a| a.get(HASH)).and_then(Value::as_str).map(str::to_owned)
        };
        match job {
            Some(job) if hash_of(&job).as_deref() != Some(&hash) => {
                // The helm controller replaces the job of values that have changed.
                self.discard("jobs.batch", namespace(chart), &job_name);
            }
            Some(job) => {
                if has_condition(&job, "Complete", "True") && name(chart) == "traefik" {
                    self.install_traefik(chart);
                }
            }
            None => {
                let labels = json!({"helmcharts.helm.cattle.io/chart": name(chart)});
                self.make(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job_name, "namespace": namespace(chart),
                    "labels": labels, "annotations": {HASH: hash}, "ownerReferences": owned_by(chart)},
                    "spec": {"backoffLimit": 1000, "template": {"metadata": {"labels": labels, "annotations": {HASH: hash}},
                        "spec": {"restartPolicy": "OnFailure", "hostNetwork": true,
                            "tolerations": [{"operator": "Exists", "key": "node.kubernetes.io/not-ready"}],
                            "containers": [{"name": "helm", "image": "rancher/klipper-helm:v0.9.8-build20250709"}]}}}}));
                let now = self.now;
                self.edit("helmcharts.helm.cattle.io", namespace(chart), name(chart), |c| {
                    set(c, &["status", "jobName"], job_name);
                    let why = "Applying HelmChart using Job";
                    crate::sandbox::objects::read::condition(c, now, "JobCreated", "True", "Job created", why);
                });
            }
        }
    }
    /// Whether a pod is that of a job that installs a chart with values that the chart refuses: its container fails, again and
    /// again.
    pub(super) fn broken_chart(&self, pod: &Value) -> bool {
        let chart = pod
            .pointer("/metadata/labels")
            .and_then(|l| l.get("helmcharts.helm.cattle.io/chart"))
            .and_then(Value::as_str);
        let Some(chart) = chart.and_then(|c| self.find("helmcharts.helm.cattle.io", namespace(pod), c)) else {
            return false;
        };
        match self.values_of(chart) {
            Ok(values) => name(chart) == "traefik" && refuses(&values).is_some(),
            Err(_) => true,
        }
    }
    fn install_traefik(&mut self, chart: &Value) {
        let Ok(values) = self.values_of(chart) else { return };
        let (kind, plural, other) = if is_daemon(&values) {
            ("DaemonSet", "daemonsets.apps", "deployments.apps")
        } else {
            ("Deployment", "deployments.apps", "daemonsets.apps")
        };
        self.discard(other, "kube-system", "traefik");
        let labels = json!({"app.kubernetes.io/name": "traefik", "app.kubernetes.io/instance": "traefik-kube-system"});
        let port = |key: &str, usual: i64| -> Value {
            let number_of = number(&values, &format!("/ports/{key}/port")).unwrap_or(usual);
            let mut port = json!({"name": key, "containerPort": number_of, "protocol": "TCP"});
            if let Some(exposed) = number(&values, &format!("/ports/{key}/hostPort")) {
                set(&mut port, &["hostPort"], exposed);
            } else if with_host_network(&values) {
                set(&mut port, &["hostPort"], number_of);
            }
            port
        };
        let template = json!({"metadata": {"labels": labels, "annotations": {"relight.sandbox/redirects": redirects(&values).to_string()}},
            "spec": {"serviceAccountName": "traefik", "hostNetwork": with_host_network(&values),
                "priorityClassName": "system-cluster-critical",
                "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"},
                    {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}],
                "containers": [{"name": "traefik", "image": IMAGE, "ports": [port("web", 8000), port("websecure", 8443)],
                    "readinessProbe": {"httpGet": {"path": "/ping", "port": 8080}, "initialDelaySeconds": 2}}]}});
        let mut spec = json!({"selector": {"matchLabels": labels}, "template": template});
        if let (Some(strategy), "DaemonSet") = (values.get("updateStrategy"), kind) {
            set(&mut spec, &["updateStrategy"], strategy.clone());
        }
        let object = json!({"apiVersion": "apps/v1", "kind": kind, "spec": spec,
            "metadata": {"name": "traefik", "namespace": "kube-system", "labels": labels,
                "annotations": {"meta.helm.sh/release-name": "traefik", "meta.helm.sh/release-namespace": "kube-system"}}});
        let there = self.find(plural, "kube-system", "traefik").cloned();
        // Only a new installation touches what is there.
        if let Some(there) = there {
            let written = |o: &Value| text(o, "/metadata/annotations/relight.sandbox~1values").to_owned();
            let digest = template_hash(&object);
            if written(&there) != digest {
                let mut next = object;
                set(&mut next, &["metadata", "annotations", "relight.sandbox/values"], digest);
                self.rewrite(plural, next);
            }
        } else {
            let digest = template_hash(&object);
            let mut object = object;
            set(&mut object, &["metadata", "annotations", "relight.sandbox/values"], digest);
            self.make(object);
        }
        let enabled = values.pointer("/service/enabled").and_then(Value::as_bool) != Some(false);
        if enabled {
            self.make(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "traefik", "namespace": "kube-system"},
                "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"name": "web", "port": 80, "targetPort": "web"},
                    {"name": "websecure", "port": 443, "targetPort": "websecure"}]}}));
        } else {
            self.discard("services", "kube-system", "traefik");
        }
    }
    fn rewrite(&mut self, resource: &str, object: Value) {
        let Some(served) = self.kind(text(&object, "/apiVersion"), text(&object, "/kind")) else { return };
        let mut object = object;
        crate::sandbox::objects::defaults::complete(self, &served, &mut object);
        let (home, own) = (namespace(&object).to_owned(), name(&object).to_owned());
        self.edit(resource, &home, &own, |o| {
            for part in ["/spec", "/metadata/annotations"] {
                if let (Some(place), Some(new)) = (o.pointer_mut(part), object.pointer(part)) {
                    *place = new.clone();
                }
            }
        });
    }
    /// Traefik's pods.
    pub(super) fn traefik_pods(&self) -> Vec<Arc<Value>> {
        let owners: Vec<_> = ["daemonsets.apps", "deployments.apps"]
            .iter()
            .filter_map(|r| self.find(r, "kube-system", "traefik").cloned())
            .collect();
        let sets: Vec<_> = self.within("replicasets.apps", "kube-system");
        let owned = |p: &Value| {
            owners.iter().any(|o| {
                controller_uid(p) == uid(o)
                    || sets.iter().any(|s| controller_uid(s) == uid(o) && controller_uid(p) == uid(s))
            })
        };
        self.within("pods", "kube-system").into_iter().filter(|p| owned(p)).collect()
    }
    /// Whether a Traefik pod answers on port 80 of its node, and whether it only sends on to HTTPS.
    pub(super) fn takes_port_80(pod: &Value) -> bool {
        let ports = list(pod, "/spec/containers").iter().flat_map(|c| list(c, "/ports"));
        ports.into_iter().any(|p| number(p, "/hostPort") == Some(80))
    }
}

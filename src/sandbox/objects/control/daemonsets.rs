//! DaemonSets: one pod on each node that fits, replaced one after another when the template changes.

use super::deployments::share;
use super::replicasets::{is_ready, pod_from, template_hash};
use super::scheduling::fits_node;
use crate::sandbox::objects::read::{is_leaving, name, namespace, number, set, text};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};

const HASH: &str = "controller-revision-hash";

impl Objects {
    pub(super) fn keep_daemon_sets(&mut self) {
        for owner in self.all("daemonsets.apps").into_iter().filter(|d| !is_leaving(d)) {
            self.keep_daemon_set(&owner);
        }
    }
    fn keep_daemon_set(&mut self, owner: &Value) {
        let mut template = owner.pointer("/spec/template").cloned().unwrap_or_default();
        let hash = template_hash(&template);
        let mut tolerations = crate::sandbox::objects::read::list(&template, "/spec/tolerations").to_vec();
        for (key, effect) in [
            ("not-ready", "NoExecute"),
            ("unreachable", "NoExecute"),
            ("disk-pressure", "NoSchedule"),
            ("memory-pressure", "NoSchedule"),
            ("pid-pressure", "NoSchedule"),
            ("unschedulable", "NoSchedule"),
        ] {
            tolerations
                .push(json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": effect}));
        }
        set(&mut template, &["spec", "tolerations"], tolerations);
        let probe = pod_from(owner, &template, "probe", &[]);
        let nodes: Vec<String> = self
            .all("nodes")
            .iter()
            .filter(|n| fits_node(&probe, n, true).is_ok())
            .map(|n| name(n).to_owned())
            .collect();
        let pods = self.live_pods_of(owner);
        let on = |p: &Value, node: &str| text(p, "/spec/nodeName") == node;
        let current =
            |p: &Value| p.pointer("/metadata/labels").and_then(|l| l.get(HASH)).and_then(Value::as_str) == Some(&hash);
        for node in &nodes {
            // A pod that is still leaving holds the node's ports.
            if !self.pods_of(owner).iter().any(|p| on(p, node)) {
                let pod_name = format!("{}-{}", name(owner), self.suffix());
                let mut pod = pod_from(owner, &template, &pod_name, &[(HASH, &hash), ("pod-template-generation", "1")]);
                set(&mut pod, &["spec", "nodeName"], node.clone());
                self.make(pod);
                self.event(owner, false, "SuccessfulCreate", &format!("Created pod: {pod_name}"));
            }
        }
        for pod in pods.iter().filter(|p| !nodes.iter().any(|n| on(p, n))) {
            self.discard("pods", namespace(pod), name(pod));
        }
        let ready = pods.iter().filter(|p| is_ready(p)).count();
        if text(owner, "/spec/updateStrategy/type") != "OnDelete" {
            let whole = i64::try_from(nodes.len()).unwrap_or(0);
            let allowed = share(owner.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable"), whole, true).max(1);
            let down = nodes.len().saturating_sub(ready);
            let room = usize::try_from(allowed).unwrap_or(1).saturating_sub(down);
            let (broken, working): (Vec<_>, Vec<_>) = pods.iter().filter(|p| !current(p)).partition(|p| !is_ready(p));
            for pod in broken.into_iter().chain(working.into_iter().take(room)) {
                self.discard("pods", namespace(pod), name(pod));
            }
        }
        let pods = self.live_pods_of(owner);
        let ready = pods.iter().filter(|p| is_ready(p)).count();
        let updated = pods.iter().filter(|p| current(p)).count();
        self.edit("daemonsets.apps", namespace(owner), name(owner), |d| {
            let generation = number(d, "/metadata/generation");
            for (field, count) in [
                ("desiredNumberScheduled", nodes.len()),
                ("currentNumberScheduled", pods.len()),
                ("numberReady", ready),
                ("numberAvailable", ready),
                ("numberUnavailable", nodes.len().saturating_sub(ready)),
                ("updatedNumberScheduled", updated),
                ("numberMisscheduled", 0),
            ] {
                set(d, &["status", field], count);
            }
            set(d, &["status", "observedGeneration"], generation);
        });
    }
}

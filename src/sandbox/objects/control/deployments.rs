//! Deployments: ReplicaSets by template, Recreate and RollingUpdate, and the status by which a rollout is followed.

use super::replicasets::{is_ready, owned_by, template_hash};
use crate::sandbox::objects::read::{
    condition, controller_uid, is_leaving, name, namespace, number, set, text, uid, unstamp,
};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

const SETS: &str = "replicasets.apps";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// A count that may be a percentage of `whole`.
pub(super) fn share(value: Option<&Value>, whole: i64, round_up: bool) -> i64 {
    match value {
        Some(Value::Number(n)) => n.as_i64().unwrap_or(0),
        Some(Value::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let exact = whole * percent;
            if round_up {
                (exact + 99) / 100
            } else {
                exact / 100
            }
        }
        _ => 0,
    }
}

fn replicas(set: &Value) -> i64 {
    number(set, "/spec/replicas").unwrap_or(0)
}
fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas").unwrap_or(0)
}
fn revision(set: &Value) -> i64 {
    let text = set.pointer("/metadata/annotations").and_then(|a| a.get(REVISION)).and_then(Value::as_str);
    text.and_then(|t| t.parse().ok()).unwrap_or(0)
}

impl Objects {
    pub(super) fn keep_deployments(&mut self) {
        for deployment in self.all("deployments.apps").into_iter().filter(|d| !is_leaving(d)) {
            let hash = deployment.pointer("/spec/template").map(template_hash).unwrap_or_default();
            let current = format!("{}-{hash}", name(&deployment));
            if deployment.pointer("/spec/paused").and_then(Value::as_bool) != Some(true) {
                self.renew_set(&deployment, &hash, &current);
                self.roll(&deployment, &current);
            }
            self.tell_deployment(&deployment, &current);
        }
    }
    fn sets_of(&self, deployment: &Value) -> Vec<Arc<Value>> {
        let mine = |s: &Arc<Value>| controller_uid(s) == uid(deployment) && !is_leaving(s);
        self.within(SETS, namespace(deployment)).into_iter().filter(mine).collect()
    }
    fn scale(&mut self, deployment: &Value, set_name: &str, from: i64, to: i64) {
        if from == to {
            return;
        }
        self.edit(SETS, namespace(deployment), set_name, |s| set(s, &["spec", "replicas"], to));
        let how = if to > from { "up" } else { "down" };
        self.event(
            deployment,
            false,
            "ScalingReplicaSet",
            &format!("Scaled {how} replica set {set_name} from {from} to {to}"),
        );
    }
    /// The ReplicaSet of the current template, made where it is missing.
    fn renew_set(&mut self, deployment: &Value, hash: &str, set_name: &str) {
        let highest = self.sets_of(deployment).iter().map(|s| revision(s)).max().unwrap_or(0);
        match self.find(SETS, namespace(deployment), set_name).cloned() {
            Some(known) if revision(&known) == highest => {}
            Some(_) => self.edit(SETS, namespace(deployment), set_name, |s| {
                set(s, &["metadata", "annotations", REVISION], (highest + 1).to_string());
            }),
            None => {
                let template = deployment.pointer("/spec/template");
                let mut new = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                    "metadata": {"name": set_name, "namespace": namespace(deployment),
                        "labels": deployment.pointer("/spec/template/metadata/labels"), "ownerReferences": owned_by(deployment)},
                    "spec": {"replicas": 0, "selector": deployment.pointer("/spec/selector"), "template": template}});
                for path in [
                    &["metadata", "labels"][..],
                    &["spec", "selector", "matchLabels"],
                    &["spec", "template", "metadata", "labels"],
                ] {
                    set(&mut new, &[path, &["pod-template-hash"]].concat(), hash);
                }
                set(&mut new, &["metadata", "annotations", REVISION], (highest + 1).to_string());
                self.make(new);
            }
        }
    }
    fn roll(&mut self, deployment: &Value, current: &str) {
        let wanted = replicas(deployment);
        let sets = self.sets_of(deployment);
        let Some(new) = sets.iter().find(|s| name(s) == current).cloned() else { return };
        let old: Vec<_> = sets.iter().filter(|s| name(s) != current).cloned().collect();
        if replicas(&new) > wanted {
            self.scale(deployment, current, replicas(&new), wanted);
            return;
        }
        if text(deployment, "/spec/strategy/type") == "Recreate" {
            for set in &old {
                self.scale(deployment, name(set), replicas(set), 0);
            }
            // Not before the last old pod is gone, terminating ones included.
            if old.iter().all(|s| self.pods_of(s).is_empty()) {
                self.scale(deployment, current, replicas(&new), wanted);
            }
            return;
        }
        let surge = share(deployment.pointer("/spec/strategy/rollingUpdate/maxSurge"), wanted, true);
        let mut unavailable = share(deployment.pointer("/spec/strategy/rollingUpdate/maxUnavailable"), wanted, false);
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        let total: i64 = sets.iter().map(|s| replicas(s)).sum();
        let room = (wanted + surge - total).max(0).min(wanted - replicas(&new));
        self.scale(deployment, current, replicas(&new), replicas(&new) + room);
        // Old pods that do not work go first, then as many others as may be missing.
        let mut spare = total - (wanted - unavailable) - (replicas(&new) - available(&new)).max(0);
        for set in &old {
            let broken = (replicas(set) - available(set)).clamp(0, spare.max(0));
            spare -= broken;
            let go = broken + available(set).clamp(0, spare.max(0)).min(replicas(set) - broken);
            spare -= go - broken;
            self.scale(deployment, name(set), replicas(set), replicas(set) - go);
        }
    }
    fn tell_deployment(&mut self, deployment: &Value, current: &str) {
        let sets = self.sets_of(deployment);
        let pods: Vec<_> = sets.iter().flat_map(|s| self.live_pods_of(s)).collect();
        let updated = sets.iter().filter(|s| name(s) == current).flat_map(|s| self.live_pods_of(s)).count();
        let ready = i64::try_from(pods.iter().filter(|p| is_ready(p)).count()).unwrap_or(0);
        let (wanted, all) = (replicas(deployment), i64::try_from(pods.len()).unwrap_or(0));
        let updated = i64::try_from(updated).unwrap_or(0);
        let unavailable = share(deployment.pointer("/spec/strategy/rollingUpdate/maxUnavailable"), wanted, false);
        let done = updated >= wanted && all == updated && ready >= wanted;
        let begun =
            sets.iter().filter(|s| name(s) == current).map(|s| unstamp(text(s, "/metadata/creationTimestamp"))).max();
        let limit =
            number(deployment, "/spec/progressDeadlineSeconds").and_then(|s| u64::try_from(s).ok()).unwrap_or(600);
        let late = !done && begun.is_some_and(|b| self.due(b + Duration::from_secs(limit)));
        let (now, newest) = (self.now, sets.iter().map(|s| revision(s)).max().unwrap_or(0));
        self.edit("deployments.apps", namespace(deployment), name(deployment), |d| {
            set(d, &["metadata", "annotations", REVISION], newest.to_string());
            let generation = number(d, "/metadata/generation");
            set(d, &["status", "observedGeneration"], generation);
            let counts = [
                ("replicas", all),
                ("updatedReplicas", updated),
                ("readyReplicas", ready),
                ("availableReplicas", ready),
                ("unavailableReplicas", (wanted.max(all) - ready).max(0)),
            ];
            for (field, count) in counts {
                // Zeros are left out, as by the API server.
                if count == 0 {
                    crate::sandbox::objects::read::remove(d, "/status", field);
                } else {
                    set(d, &["status", field], count);
                }
            }
            let (status, reason, message) = if ready >= wanted - unavailable {
                ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            } else {
                ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
            };
            condition(d, now, "Available", status, reason, message);
            let (status, reason, what) = match (done, late) {
                (true, _) => ("True", "NewReplicaSetAvailable", "has successfully progressed"),
                (_, true) => ("False", "ProgressDeadlineExceeded", "has timed out progressing"),
                _ => ("True", "ReplicaSetUpdated", "is progressing"),
            };
            condition(d, now, "Progressing", status, reason, &format!("ReplicaSet \"{current}\" {what}."));
        });
    }
}

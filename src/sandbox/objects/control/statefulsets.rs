//! StatefulSets: numbered pods, one after another, with their own claims.

use super::replicasets::{is_ready, pod_from, template_hash};
use crate::sandbox::objects::read::{is_leaving, list, name, namespace, number, set, text};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};

const HASH: &str = "controller-revision-hash";

impl Objects {
    pub(super) fn keep_stateful_sets(&mut self) {
        for owner in self.all("statefulsets.apps").into_iter().filter(|d| !is_leaving(d)) {
            self.keep_stateful_set(&owner);
        }
    }
    fn keep_stateful_set(&mut self, owner: &Value) {
        let wanted = number(owner, "/spec/replicas").unwrap_or(1).max(0);
        let template = owner.pointer("/spec/template").cloned().unwrap_or_default();
        let hash = format!("{}-{}", name(owner), template_hash(&template));
        let in_order = text(owner, "/spec/podManagementPolicy") != "Parallel";
        let hash_of = |p: &Value| {
            p.pointer("/metadata/labels").and_then(|l| l.get(HASH)).and_then(Value::as_str).map(str::to_owned)
        };
        for index in 0..wanted {
            let pod_name = format!("{}-{index}", name(owner));
            match self.find("pods", namespace(owner), &pod_name).cloned() {
                None => {
                    self.make_claims(owner, &pod_name);
                    let labels = [(HASH, hash.as_str()), ("statefulset.kubernetes.io/pod-name", pod_name.as_str())];
                    let mut pod = pod_from(owner, &template, &pod_name, &labels);
                    set(&mut pod, &["spec", "hostname"], pod_name.clone());
                    let mut volumes = list(&pod, "/spec/volumes").to_vec();
                    for claim in list(owner, "/spec/volumeClaimTemplates") {
                        let claim_name = format!("{}-{pod_name}", name(claim));
                        volumes.push(json!({"name": name(claim), "persistentVolumeClaim": {"claimName": claim_name}}));
                    }
                    set(&mut pod, &["spec", "volumes"], volumes);
                    self.make(pod);
                    self.event(
                        owner,
                        false,
                        "SuccessfulCreate",
                        &format!("create Pod {pod_name} in StatefulSet {} successful", name(owner)),
                    );
                    if in_order {
                        break;
                    }
                }
                Some(pod) if !is_ready(&pod) && in_order => break,
                Some(_) => {}
            }
        }
        let pods = self.live_pods_of(owner);
        let ordinal = |p: &Value| name(p).rsplit('-').next().and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
        let surplus = pods.iter().filter(|p| ordinal(p) >= wanted).max_by_key(|p| ordinal(p));
        let outdated = pods.iter().filter(|p| hash_of(p).as_deref() != Some(&hash)).max_by_key(|p| ordinal(p));
        let all_ready = pods.iter().all(|p| is_ready(p));
        let settled = pods.len() == self.pods_of(owner).len();
        if let Some(pod) = surplus.or_else(|| outdated.filter(|p| all_ready || !is_ready(p))).filter(|_| settled) {
            self.discard("pods", namespace(pod), name(pod));
        }
        let ready = pods.iter().filter(|p| is_ready(p)).count();
        let updated = pods.iter().filter(|p| hash_of(p).as_deref() == Some(&hash)).count();
        self.edit("statefulsets.apps", namespace(owner), name(owner), |s| {
            let generation = number(s, "/metadata/generation");
            set(s, &["status", "observedGeneration"], generation);
            for (field, count) in [
                ("replicas", pods.len()),
                ("readyReplicas", ready),
                ("availableReplicas", ready),
                ("updatedReplicas", updated),
                ("currentReplicas", updated),
            ] {
                set(s, &["status", field], count);
            }
            set(s, &["status", "updateRevision"], hash.clone());
            if updated == pods.len() {
                set(s, &["status", "currentRevision"], hash.clone());
            }
        });
    }
    fn make_claims(&mut self, owner: &Value, pod_name: &str) {
        for claim in list(owner, "/spec/volumeClaimTemplates") {
            let claim_name = format!("{}-{pod_name}", name(claim));
            let mut new = claim.clone();
            set(&mut new, &["apiVersion"], "v1");
            set(&mut new, &["kind"], "PersistentVolumeClaim");
            set(&mut new, &["metadata", "name"], claim_name);
            set(&mut new, &["metadata", "namespace"], namespace(owner));
            self.make(new);
        }
    }
}

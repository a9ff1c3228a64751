//! Claims and volumes of the class `local-path`: bound when the first pod that uses them has a node, and tied to it from then on.

use crate::sandbox::objects::read::{is_leaving, list, name, namespace, remove, set, text, uid};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};

const CLAIMS: &str = "persistentvolumeclaims";
const SELECTED: &str = "volume.kubernetes.io/selected-node";

/// The claims that a pod's volumes name.
fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    list(pod, "/spec/volumes").iter().map(|v| text(v, "/persistentVolumeClaim/claimName")).filter(|n| !n.is_empty())
}

impl Objects {
    /// The class that claims without one get.
    pub(in crate::sandbox::objects) fn default_storage_class(&self) -> Option<String> {
        let is_default = |c: &Value| {
            let annotations = c.pointer("/metadata/annotations");
            annotations.and_then(|a| a.get("storageclass.kubernetes.io/is-default-class")).and_then(Value::as_str)
                == Some("true")
        };
        self.all("storageclasses.storage.k8s.io").iter().find(|c| is_default(c)).map(|c| name(c).to_owned())
    }
    /// A claim of the pod's that does not exist.
    pub(super) fn missing_claim(&self, pod: &Value) -> Option<String> {
        claims_of(pod).find(|c| self.find(CLAIMS, namespace(pod), c).is_none()).map(str::to_owned)
    }
    /// Whether all claims of a pod are bound.
    pub(super) fn claims_bound(&self, pod: &Value) -> bool {
        claims_of(pod)
            .all(|c| self.find(CLAIMS, namespace(pod), c).is_some_and(|c| text(c, "/status/phase") == "Bound"))
    }
    /// Whether the volumes that a pod's claims are bound to can be used on a node.
    pub(super) fn volumes_fit(&self, pod: &Value, node: &Value) -> Result<(), String> {
        for claim in claims_of(pod).filter_map(|c| self.find(CLAIMS, namespace(pod), c)) {
            let Some(volume) = self.find("persistentvolumes", "", text(claim, "/spec/volumeName")) else { continue };
            let host = node
                .pointer("/metadata/labels")
                .and_then(|l| l.get("kubernetes.io/hostname"))
                .cloned()
                .unwrap_or_default();
            let values = list(volume, "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values");
            if !values.is_empty() && !values.contains(&host) {
                return Err("node(s) had volume node affinity conflict".into());
            }
        }
        Ok(())
    }
    pub(super) fn keep_claims(&mut self) {
        let pods = self.all("pods");
        for claim in self.all(CLAIMS) {
            let used: Vec<_> = pods
                .iter()
                .filter(|p| namespace(p) == namespace(&claim) && claims_of(p).any(|c| c == name(&claim)))
                .collect();
            if is_leaving(&claim) {
                if used.is_empty() {
                    self.edit(CLAIMS, namespace(&claim), name(&claim), |c| drop(remove(c, "/metadata", "finalizers")));
                }
                continue;
            }
            self.edit(CLAIMS, namespace(&claim), name(&claim), |c| {
                set(c, &["metadata", "finalizers"], json!(["kubernetes.io/pvc-protection"]))
            });
            let node = used.iter().map(|p| text(p, "/spec/nodeName")).find(|n| !n.is_empty());
            let class = self.find("storageclasses.storage.k8s.io", "", text(&claim, "/spec/storageClassName"));
            if let (Some(node), true, true) = (node, text(&claim, "/spec/volumeName").is_empty(), class.is_some()) {
                self.bind(&claim, node);
            }
        }
        for volume in self.all("persistentvolumes") {
            let home = text(&volume, "/spec/claimRef/namespace");
            let claim = self.find(CLAIMS, home, text(&volume, "/spec/claimRef/name"));
            let gone = claim.is_none_or(|c| uid(c) != text(&volume, "/spec/claimRef/uid"));
            if !gone || text(&volume, "/spec/claimRef/uid").is_empty() {
                continue;
            }
            if text(&volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
                self.discard("persistentvolumes", "", name(&volume));
            } else {
                self.edit("persistentvolumes", "", name(&volume), |v| set(v, &["status", "phase"], "Released"));
            }
        }
    }
    fn bind(&mut self, claim: &Value, node: &str) {
        let chosen = claim.pointer("/metadata/annotations").and_then(|a| a.get(SELECTED)).and_then(Value::as_str);
        if chosen != Some(node) {
            self.edit(CLAIMS, namespace(claim), name(claim), |c| set(c, &["metadata", "annotations", SELECTED], node));
            let until = self.now + self.pace.bind;
            self.machines.busy.insert(format!("bind {}", uid(claim)), until);
        }
        let until = self.machines.busy.get(&format!("bind {}", uid(claim))).copied().unwrap_or(self.now);
        if !self.due(until) {
            return;
        }
        let volume = format!("pvc-{}", uid(claim));
        let size = claim.pointer("/spec/resources/requests/storage").cloned().unwrap_or_else(|| json!("1Gi"));
        self.make(json!({"apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": volume, "annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}},
            "spec": {"capacity": {"storage": size}, "accessModes": claim.pointer("/spec/accessModes"), "volumeMode": "Filesystem",
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": text(claim, "/spec/storageClassName"),
                "hostPath": {"path": format!("/var/lib/rancher/k3s/storage/{volume}_{}_{}", namespace(claim), name(claim)), "type": "DirectoryOrCreate"},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name(claim), "namespace": namespace(claim), "uid": uid(claim)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}},
            "status": {"phase": "Bound"}}));
        self.edit(CLAIMS, namespace(claim), name(claim), |c| {
            set(c, &["spec", "volumeName"], volume.clone());
            set(c, &["status", "phase"], "Bound");
            set(c, &["status", "capacity", "storage"], size.clone());
            let modes = c.pointer("/spec/accessModes").cloned().unwrap_or_default();
            set(c, &["status", "accessModes"], modes);
        });
        self.event(claim, false, "ProvisioningSucceeded", &format!("Successfully provisioned volume {volume}"));
    }
}

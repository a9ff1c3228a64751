//! Nodes: registration, heartbeats, NotReady after the grace period, eviction, and pods of nodes that are gone.

use crate::sandbox::objects::machines::Kubelet;
use crate::sandbox::objects::read::{condition, default, has_condition, list, name, namespace, number, set, text};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use std::time::Duration;

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

impl Objects {
    pub(super) fn keep_nodes(&mut self) {
        let kubelets: Vec<Kubelet> = self.machines.kubelets.values().cloned().collect();
        for kubelet in kubelets {
            if kubelet.view.ready {
                self.report(&kubelet);
            } else if self.due(kubelet.since + self.pace.grace) {
                self.lose(&kubelet);
            }
        }
        // Nodes of a restored datastore whose kubelets were never seen.
        for node in self.all("nodes") {
            if !self.machines.kubelets.contains_key(name(&node)) && !has_condition(&node, "Ready", "Unknown") {
                self.mark_lost(name(&node));
            }
        }
        self.bury_pods();
    }
    /// A kubelet registers its node once, and then keeps its status.
    fn report(&mut self, kubelet: &Kubelet) {
        let view = &kubelet.view;
        if !kubelet.registered {
            self.make(node_object(kubelet));
            if let Some(known) = self.machines.kubelets.get_mut(&view.name) {
                known.registered = true;
            }
        }
        let up = self.due(kubelet.since + self.pace.node_ready);
        let now = self.now;
        let was_ready = self.find("nodes", "", &view.name).is_some_and(|n| has_condition(n, "Ready", "True"));
        self.edit("nodes", "", &view.name, |node| {
            set(node, &["status", "nodeInfo", "kubeletVersion"], view.version.clone());
            for (kind, reason, message) in [
                ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ] {
                condition(node, now, kind, "False", reason, message);
            }
            let (voter, why) = if view.voter { ("True", "MemberNotLearner") } else { ("False", "MemberIsLearner") };
            condition(
                node,
                now,
                "EtcdIsVoter",
                voter,
                why,
                if view.voter {
                    "Node is a voting member of the etcd cluster"
                } else {
                    "Node has not been promoted to voting member of the etcd cluster"
                },
            );
            if up {
                condition(node, now, "Ready", "True", "KubeletReady", "kubelet is posting ready status");
                untaint(node, UNREACHABLE);
                untaint(node, "node.kubernetes.io/not-ready");
            } else if !has_condition(node, "Ready", "True") {
                condition(
                    node,
                    now,
                    "Ready",
                    "False",
                    "KubeletNotReady",
                    "container runtime network not ready: cni plugin not initialized",
                );
                taint(node, "node.kubernetes.io/not-ready", "NoSchedule");
            }
        });
        if up && !was_ready {
            if let Some(node) = self.find("nodes", "", &view.name).cloned() {
                self.event(&node, false, "NodeReady", &format!("Node {} status is now: NodeReady", view.name));
            }
        }
    }
    fn lose(&mut self, kubelet: &Kubelet) {
        let Some(node) = self.find("nodes", "", &kubelet.view.name).cloned() else { return };
        if !has_condition(&node, "Ready", "Unknown") {
            self.mark_lost(&kubelet.view.name);
            self.event(
                &node,
                false,
                "NodeNotReady",
                &format!("Node {} status is now: NodeNotReady", kubelet.view.name),
            );
        }
        let lost_at = kubelet.since + self.pace.grace;
        for pod in self.all("pods").into_iter().filter(|p| text(p, "/spec/nodeName") == kubelet.view.name) {
            let now = self.now;
            self.edit("pods", namespace(&pod), name(&pod), |p| {
                if has_condition(p, "Ready", "True") {
                    condition(p, now, "Ready", "False", "", "");
                }
            });
            if let Some(after) = toleration(&pod) {
                if self.due(lost_at + after) {
                    self.discard("pods", namespace(&pod), name(&pod));
                }
            }
        }
    }
    fn mark_lost(&mut self, node: &str) {
        let now = self.now;
        self.edit("nodes", "", node, |n| {
            for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
                condition(n, now, kind, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
            }
            taint(n, UNREACHABLE, "NoSchedule");
            taint(n, UNREACHABLE, "NoExecute");
        });
    }
    /// Pods of nodes that no longer exist are deleted without their kubelet (kube-controller-manager's pod garbage collector).
    fn bury_pods(&mut self) {
        let Some(served) = self.kind("v1", "Pod") else { return };
        for pod in self.all("pods") {
            let node = text(&pod, "/spec/nodeName");
            if !node.is_empty() && self.find("nodes", "", node).is_none() {
                self.erase(&served, namespace(&pod), name(&pod));
            }
        }
    }
}

/// For how long a pod stays on an unreachable node; `None`: for ever.
fn toleration(pod: &Value) -> Option<Duration> {
    let matching = list(pod, "/spec/tolerations").iter().find(|t| {
        (text(t, "/key") == UNREACHABLE || (text(t, "/key").is_empty() && text(t, "/operator") == "Exists"))
            && matches!(text(t, "/effect"), "" | "NoExecute")
    });
    match matching {
        Some(t) => number(t, "/tolerationSeconds").map(|s| Duration::from_secs(u64::try_from(s).unwrap_or(0))),
        None => Some(Duration::ZERO),
    }
}

fn taint(node: &mut Value, key: &str, effect: &str) {
    let mut all = list(node, "/spec/taints").to_vec();
    if !all.iter().any(|t| text(t, "/key") == key && text(t, "/effect") == effect) {
        all.push(json!({"key": key, "effect": effect}));
        set(node, &["spec", "taints"], all);
    }
}

fn untaint(node: &mut Value, key: &str) {
    let rest: Vec<_> = list(node, "/spec/taints").iter().filter(|t| text(t, "/key") != key).cloned().collect();
    if rest.is_empty() {
        crate::sandbox::objects::read::remove(node, "/spec", "taints");
    } else {
        set(node, &["spec", "taints"], rest);
    }
}

/// A K3s server's node as its kubelet registers it.
fn node_object(kubelet: &Kubelet) -> Value {
    let view = &kubelet.view;
    let mut node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": view.name, "labels": {
            "kubernetes.io/hostname": view.name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "k3s", "node-role.kubernetes.io/control-plane": "true",
            "node-role.kubernetes.io/etcd": "true"},
            "annotations": {
                "etcd.k3s.cattle.io/node-address": view.address,
                "etcd.k3s.cattle.io/node-name": format!("{}-{:08x}", view.name, kubelet.since.as_secs() & 0xffff_ffff),
                "k3s.io/internal-ip": view.address, "k3s.io/hostname": view.name}},
        "spec": {"podCIDR": "", "providerID": format!("k3s://{}", view.name)},
        "status": {
            "addresses": [{"type": "InternalIP", "address": view.address}, {"type": "Hostname", "address": view.name}],
            "capacity": {"cpu": "4", "memory": "7937580Ki", "pods": "110", "ephemeral-storage": "78425224Ki"},
            "allocatable": {"cpu": "4", "memory": "7937580Ki", "pods": "110", "ephemeral-storage": "76292057Ki"},
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "osImage": "Ubuntu 24.04.3 LTS",
                "kernelVersion": "6.8.0", "containerRuntimeVersion": "containerd://2.1", "kubeletVersion": view.version,
                "kubeProxyVersion": "", "bootID": view.boot, "machineID": "", "systemUUID": ""}}});
    for (key, value) in &view.labels {
        set(&mut node, &["metadata", "labels", key], value.clone());
    }
    default(&mut node, &["metadata", "annotations", "volumes.kubernetes.io/controller-managed-attach-detach"], "true");
    node
}

//! Namespaces, the collection of what has lost its owner, and the establishing of CustomResourceDefinitions.

use crate::sandbox::objects::read::{
    condition, has_condition, is_leaving, list, name, namespace, remove, set, text, uid,
};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use std::collections::BTreeSet;

impl Objects {
    /// What a datastore holds before the first node.
    pub(in crate::sandbox::objects) fn bootstrap(&mut self) {
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            self.make(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        for (name, value) in [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)] {
            self.make(json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}));
        }
        let rule = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        self.make(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "cluster-admin"}, "rules": [rule]}));
        self.make(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "10.43.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]}}),
        );
    }
    pub(super) fn keep_namespaces(&mut self) {
        for space in self.all("namespaces") {
            let home = name(&space).to_owned();
            if !is_leaving(&space) {
                self.make(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": home}}));
                self.make(json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "kube-root-ca.crt", "namespace": home}, "data": {"ca.crt": ""}}));
                continue;
            }
            let mut empty = true;
            for resource in self.resources() {
                for object in self.within(&resource, &home) {
                    empty = false;
                    self.discard(&resource, &home, name(&object));
                }
            }
            if empty {
                if let Some(served) = self.kind("v1", "Namespace") {
                    self.erase(&served, "", &home);
                }
            }
        }
    }
    /// Deletes what all owners of have gone (kube-controller-manager's garbage collector), and lets go of owners that wait for
    /// their dependents.
    pub(super) fn collect_orphans(&mut self) {
        let everything: Vec<(String, std::sync::Arc<Value>)> =
            self.resources().into_iter().flat_map(|r| self.all(&r).into_iter().map(move |o| (r.clone(), o))).collect();
        let alive: BTreeSet<&str> = everything.iter().map(|(_, o)| uid(o)).collect();
        let waiting: BTreeSet<&str> = everything
            .iter()
            .filter(|(_, o)| is_leaving(o) && list(o, "/metadata/finalizers").iter().any(|f| f == "foregroundDeletion"))
            .map(|(_, o)| uid(o))
            .collect();
        let mut held: BTreeSet<&str> = BTreeSet::new();
        for (resource, object) in &everything {
            let owners = list(object, "/metadata/ownerReferences");
            held.extend(owners.iter().map(|o| text(o, "/uid")).filter(|u| waiting.contains(u)));
            let lost = !owners.is_empty()
                && owners.iter().all(|o| !alive.contains(text(o, "/uid")) || waiting.contains(text(o, "/uid")));
            if lost && !is_leaving(object) {
                self.discard(resource, namespace(object), name(object));
            }
        }
        for (resource, object) in everything.iter().filter(|(_, o)| waiting.contains(uid(o)) && !held.contains(uid(o)))
        {
            self.edit(resource, namespace(object), name(object), |o| {
                let rest: Vec<Value> =
                    list(o, "/metadata/finalizers").iter().filter(|f| *f != "foregroundDeletion").cloned().collect();
                if rest.is_empty() {
                    remove(o, "/metadata", "finalizers");
                } else {
                    set(o, &["metadata", "finalizers"], rest);
                }
            });
        }
    }
    pub(super) fn establish_definitions(&mut self) {
        const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";
        for definition in self.all(CRDS) {
            if has_condition(&definition, "Established", "True") {
                continue;
            }
            let now = self.now;
            self.edit(CRDS, "", name(&definition), |d| {
                condition(d, now, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
                condition(
                    d,
                    now,
                    "Established",
                    "True",
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                );
                let names = d.pointer("/spec/names").cloned().unwrap_or_default();
                set(d, &["status", "acceptedNames"], names);
            });
        }
    }
}

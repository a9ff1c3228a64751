//! Where the model of the outside and the model of Kubernetes meet: which nodes a cluster has, and what its API server does.
//!
//! Locks are always taken in the same order: the model's, then the objects'.

use super::doors::{Api, KubernetesBackend};
use super::model::{lock, ApiState, ClusterView, FaultKind, Reaches, Shared, Workloads};
use super::objects::{NodeView, Objects, Pace};
use super::singletons::Twins;
use crate::world::{Clock, Secret};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The objects of all clusters of a sandbox, by the cluster's uid. Clones are the same.
#[derive(Clone)]
pub struct Clusters {
    objects: Arc<Mutex<BTreeMap<String, Objects>>>,
    pace: Pace,
    twins: Arc<Mutex<Twins>>,
    /// What was last told of the clusters: most calls tell nothing new.
    told: Arc<Mutex<Vec<ClusterView>>>,
}

impl Clusters {
    /// No clusters yet; pods will take as long as `pace` says.
    pub fn new(pace: Pace) -> Self {
        Self { objects: Arc::default(), pace, twins: Arc::default(), told: Arc::default() }
    }
    fn twins(&self) -> MutexGuard<'_, Twins> {
        self.twins.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The objects, by the cluster's uid.
    pub fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Objects>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_cluster(view: &ClusterView, pace: &Pace) -> Objects {
    let mut objects = Objects::new(view.since, pace.clone());
    let first = view.nodes.first().map(|n| n.name.clone()).unwrap_or_default();
    // K3s applies what lies in its manifests directory; the first server's files are there before it starts.
    for document in view.traefik.split("\n---").filter(|text| !text.trim().is_empty()) {
        match serde_yaml::from_str::<Value>(document) {
            Ok(object) if object.is_object() => objects.manifest_on_disk(view.since, &first, &object),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a manifest on a node's disk is no YAML"),
        }
    }
    objects
}

impl Workloads for Clusters {
    fn advance(&mut self, now: Duration, clusters: &[ClusterView]) {
        let mut all = self.objects();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let news = told.as_slice() != clusters;
        if news {
            all.retain(|uid, _| clusters.iter().any(|view| view.uid == *uid));
        }
        for view in clusters {
            if let (false, Some(objects)) = (news, all.get_mut(&view.uid)) {
                objects.advance(now);
                continue;
            }
            let objects = all.entry(view.uid.clone()).or_insert_with(|| new_cluster(view, &self.pace));
            let nodes: Vec<NodeView> = view
                .nodes
                .iter()
                .map(|n| NodeView {
                    name: n.name.clone(),
                    address: n.internal.to_string(),
                    ready: n.ready,
                    api: n.reaches == Reaches::All,
                    labels: n.labels.clone(),
                    version: n.version.clone(),
                    voter: n.voter,
                    boot: n.boot_id.clone(),
                })
                .collect();
            objects.set_quorum(now, view.quorum);
            objects.nodes(now, &nodes);
            objects.advance(now);
        }
        if news {
            *told = clusters.to_vec();
        }
        self.twins().look(news, clusters, &all);
    }
    fn broken(&mut self) -> Vec<String> {
        self.twins().take()
    }
    fn serving(&mut self, now: Duration, cluster: &str, node: &str, host: &str, path: &str) -> Option<(u16, String)> {
        self.objects().get_mut(cluster)?.serving(now, node, host, path)
    }
}

fn node_names(objects: &Objects) -> BTreeSet<String> {
    let name = |node: &Arc<Value>| Some(node.pointer("/metadata/name")?.as_str()?.to_owned());
    objects.all("nodes").iter().filter_map(name).collect()
}

/// What doors to Kubernetes stand before: the API server on each node of the model.
pub struct ApiServers {
    /// The outside.
    pub model: Shared,
    /// Its clusters' objects.
    pub clusters: Clusters,
    /// The run's time.
    pub clock: Arc<dyn Clock>,
}

impl KubernetesBackend for ApiServers {
    fn at(&self, node: IpAddr, writes: bool, work: &mut dyn FnMut(&mut Objects)) -> Api {
        let IpAddr::V4(address) = node else { return Api::Refuses };
        let now = self.clock.now();
        let mut model = lock(&self.model);
        let uid = match model.api_at(now, address) {
            ApiState::Serving(uid) => uid,
            ApiState::Hanging(_) => return Api::Hangs,
            ApiState::Refused | ApiState::Silent => return Api::Refuses,
        };
        let mut all = self.clusters.objects();
        let Some(objects) = all.get_mut(&uid) else { return Api::Starting };
        match model.api_fault(address, writes, false) {
            None => {}
            Some(FaultKind::ServerError { .. }) => return Api::Starting,
            Some(FaultKind::Down) => return Api::Hangs,
            Some(_) => return Api::Refuses,
        }
        objects.advance(now);
        let before = if writes { node_names(objects) } else { BTreeSet::new() };
        work(objects);
        if writes {
            let left = node_names(objects);
            before.difference(&left).for_each(|name| model.node_deleted(&uid, name));
        }
        objects.advance(now);
        match model.api_fault(address, writes, true) {
            Some(_) => Api::Lost,
            None => Api::Up,
        }
    }
    fn accepts(&self, node: IpAddr, kubeconfig: &Secret) -> bool {
        let IpAddr::V4(address) = node else { return false };
        let mut model = lock(&self.model);
        let (ApiState::Serving(uid) | ApiState::Hanging(uid)) = model.api_at(self.clock.now(), address) else {
            return true;
        };
        model.kubeconfig(&uid).map(str::as_bytes) == Some(kubeconfig.expose())
    }
}

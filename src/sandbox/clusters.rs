//! Joins the model of the outside and the models of Kubernetes: nodes and quorum go in, what port 80 answers comes out, and an
//! API server answers where the model says that K3s serves.

use super::doors::direct::Tripwire;
use super::doors::{Api, KubernetesBackend};
use super::model::{lock, ApiState, ClusterView, FaultKind, Model, Shared, Workloads};
use super::objects::{NodeView, Objects, Pace};
use crate::world::{Clock, Secret};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
struct State {
    pace: Pace,
    objects: BTreeMap<String, Objects>,
    twice: BTreeSet<String>,
    broken: Vec<String>,
}

/// The objects of every K3s cluster that ever came up, by the cluster's uid. Clones are the same clusters.
#[derive(Debug, Clone)]
pub struct Clusters(Arc<Mutex<State>>);

fn view(from: &super::model::NodeView) -> NodeView {
    NodeView {
        name: from.name.clone(),
        address: from.internal.to_string(),
        ready: from.ready,
        labels: from.labels.clone(),
        version: from.version.clone(),
        voter: from.voter,
        boot: from.boot_id.clone(),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `namespace/name` of every Deployment that must never run twice (strategy `Recreate`, one replica) and has a pod running on
/// a node that is alive.
fn running_singletons(objects: &Objects, cluster: &ClusterView) -> BTreeSet<String> {
    let alive: BTreeSet<&str> = cluster.nodes.iter().filter(|n| n.ready).map(|n| n.name.as_str()).collect();
    let runs = |p: &&Arc<Value>| text(p, "/status/phase") == "Running" && alive.contains(text(p, "/spec/nodeName"));
    let owners: BTreeSet<(String, String)> = objects
        .all("pods")
        .iter()
        .filter(runs)
        .filter_map(|p| {
            let (set, _) = text(p, "/metadata/ownerReferences/0/name").rsplit_once('-')?;
            Some((text(p, "/metadata/namespace").to_owned(), set.to_owned()))
        })
        .collect();
    let singleton = |d: &&Arc<Value>| {
        let one = d.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1) <= 1;
        one && text(d, "/spec/strategy/type") == "Recreate"
    };
    let deployments = objects.all("deployments.apps");
    let named =
        deployments.iter().filter(singleton).map(|d| (text(d, "/metadata/namespace"), text(d, "/metadata/name")));
    named
        .filter(|(namespace, name)| owners.contains(&((*namespace).to_owned(), (*name).to_owned())))
        .map(|(namespace, name)| format!("{namespace}/{name}"))
        .collect()
}

impl Clusters {
    /// No cluster yet; each that comes up gets this pace.
    pub fn new(pace: Pace) -> Self {
        let state = State { pace, objects: BTreeMap::new(), twice: BTreeSet::new(), broken: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Works on the objects of one cluster, by its uid; `None` where it never came up. For tests and the network door's watches.
    pub fn with<T>(&self, cluster: &str, work: impl FnOnce(&mut Objects) -> T) -> Option<T> {
        self.state().objects.get_mut(cluster).map(work)
    }
    /// Puts these clusters behind the model's nodes.
    pub fn stand_behind(&self, model: &mut Model) {
        model.set_workloads(Box::new(self.clone()));
    }
}

impl State {
    fn tell(&mut self, now: Duration, cluster: &ClusterView) {
        let known = self.objects.contains_key(&cluster.uid);
        let pace = &self.pace;
        let objects = self.objects.entry(cluster.uid.clone()).or_insert_with(|| Objects::new(now, pace.clone()));
        objects.advance(now);
        if objects.has_quorum() != cluster.quorum {
            objects.set_quorum(now, cluster.quorum);
        }
        let nodes: Vec<NodeView> = cluster.nodes.iter().map(view).collect();
        objects.nodes(now, &nodes);
        if !known {
            // As K3s' deploy controller: what lay on the first server's disk before its first start.
            let node = cluster.nodes.first().map_or("", |n| n.name.as_str());
            let documents = serde_saphyr::from_multiple::<Value>(&cluster.traefik).unwrap_or_default();
            for object in documents.iter().filter(|d| d.is_object()) {
                objects.manifest_on_disk(now, node, object);
            }
        }
    }
    /// Two clusters that run the same singleton at the same time: said once for each.
    fn look_for_twins(&mut self, clusters: &[ClusterView]) {
        let alive = clusters.iter().filter(|c| c.nodes.iter().any(|n| n.ready));
        let running: Vec<_> = alive.filter_map(|c| Some(running_singletons(self.objects.get(&c.uid)?, c))).collect();
        let mut seen = BTreeSet::new();
        for name in running.into_iter().flatten() {
            if !seen.insert(name.clone()) && self.twice.insert(name.clone()) {
                self.broken.push(format!("two clusters run {name}"));
            }
        }
    }
}

impl Workloads for Clusters {
    fn advance(&mut self, now: Duration, clusters: &[ClusterView]) {
        let mut state = self.state();
        for cluster in clusters {
            state.tell(now, cluster);
        }
        if clusters.len() > 1 {
            state.look_for_twins(clusters);
        }
    }
    fn broken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.state().broken)
    }
    fn serving(&mut self, now: Duration, cluster: &str, node: &str, host: &str, path: &str) -> Option<(u16, String)> {
        self.state().objects.get_mut(cluster)?.serving(now, node, host, path)
    }
}

/// The API servers of all nodes, for the Kubernetes doors. With the tripwire of a dead process it does nothing more.
pub struct ModelKubernetes {
    model: Shared,
    clusters: Clusters,
    clock: Arc<dyn Clock>,
    wire: Tripwire,
}

impl ModelKubernetes {
    /// API servers on this model's nodes. A network door gives a tripwire of its own, which never kills.
    pub fn new(model: &Shared, clusters: &Clusters, clock: Arc<dyn Clock>, wire: &Tripwire) -> Self {
        Self { model: model.clone(), clusters: clusters.clone(), clock, wire: wire.clone() }
    }
    fn api(&self, model: &mut Model, node: IpAddr) -> ApiState {
        match node {
            IpAddr::V4(node) => model.api_at(self.clock.now(), node),
            IpAddr::V6(_) => ApiState::Silent,
        }
    }
}

/// The client certificate in a kubeconfig: what K3s knows an administrator by.
fn credentials(kubeconfig: &str) -> Option<String> {
    let document: Value = serde_saphyr::from_str(kubeconfig).ok()?;
    let user = document.pointer("/users/0/user/client-certificate-data")?;
    user.as_str().map(str::to_owned)
}

impl KubernetesBackend for ModelKubernetes {
    fn at(&self, node: IpAddr, writes: bool, work: &mut dyn FnMut(&mut Objects)) -> Api {
        if self.wire.dead() {
            return Api::Hangs;
        }
        let mut model = lock(&self.model);
        let uid = match self.api(&mut model, node) {
            ApiState::Serving(uid) => uid,
            ApiState::Hanging(_) => return Api::Hangs,
            ApiState::Refused | ApiState::Silent => return Api::Refuses,
        };
        let (op, target) = (if writes { "objects.write" } else { "objects.read" }, node.to_string());
        match model.faults.before(op, &target) {
            Some(FaultKind::ServerError { .. }) => return Api::Starting,
            Some(FaultKind::Down) => return Api::Hangs,
            Some(_) => return Api::Refuses,
            None => {}
        }
        if self.clusters.with(&uid, work).is_none() {
            return Api::Starting;
        }
        // What the work changed shows at once to whoever looks next.
        let now = model.now();
        model.advance(now);
        match model.faults.after(op, &target) {
            Some(_) => Api::Lost,
            None => Api::Up,
        }
    }
    fn accepts(&self, node: IpAddr, kubeconfig: &Secret) -> bool {
        let mut model = lock(&self.model);
        let (ApiState::Serving(uid) | ApiState::Hanging(uid)) = self.api(&mut model, node) else {
            // Nobody is there to judge it.
            return true;
        };
        let known = model.kubeconfig(&uid).and_then(credentials);
        known.is_some() && kubeconfig.expose_str().and_then(credentials) == known
    }
}

impl ModelKubernetes {
    /// The uid of the cluster that the node at this address belongs to, where its API server is up or hangs.
    pub fn cluster_of(&self, node: Ipv4Addr) -> Option<String> {
        match self.api(&mut lock(&self.model), IpAddr::V4(node)) {
            ApiState::Serving(uid) | ApiState::Hanging(uid) => Some(uid),
            ApiState::Refused | ApiState::Silent => None,
        }
    }
}

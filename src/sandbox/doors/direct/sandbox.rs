//! The outside and the operator's disk, and worlds of processes that act on them.

use super::cloud::DirectCloud;
use super::cluster::WiredCluster;
use super::dns::DirectDns;
use super::entry::Entry;
use super::http::DirectHttp;
use super::shell::DirectShell;
use super::{DirectClock, DirectFiles, Disk, SeededRandom, Tripwire};
use crate::config::Settings;
use crate::sandbox::doors::DirectCluster;
use crate::sandbox::joined::{ApiServers, Clusters};
use crate::sandbox::model::{lock, Latency, Model, Shared, Start};
use crate::sandbox::objects::Pace;
use crate::sandbox::worlds::StartingWorld;
use crate::world::{Cluster, Person, SecretSource, World, WorldKind};
use std::sync::Arc;
use std::time::Duration;

/// After this a call to an API server that hangs is given up.
const HANGS: Duration = Duration::from_secs(10);

/// Everything that outlives a process of relight: the model of the outside, and the operator's disk.
#[derive(Clone)]
pub struct Sandbox {
    /// The outside.
    pub model: Shared,
    /// The operator's disk.
    pub disk: Disk,
    /// The objects of its Kubernetes clusters.
    pub clusters: Clusters,
    random: SeededRandom,
    cloud_token: String,
    dns_token: String,
}

/// What a process brings besides the model: its Kubernetes door, secrets and person.
pub struct Outside {
    /// Kubernetes.
    pub cluster: Arc<dyn Cluster>,
    /// Secret values.
    pub secrets: Arc<dyn SecretSource>,
    /// The person at a gate.
    pub person: Arc<dyn Person>,
}

impl Sandbox {
    /// A sandbox around a model that was made with this start.
    pub fn direct(mut model: Model, start: &Start) -> Self {
        let pace = if start.latency == Latency::instant() { Pace::instant() } else { Pace::real() };
        let clusters = Clusters::new(pace);
        model.set_workloads(Box::new(clusters.clone()));
        Self {
            model: model.shared(),
            disk: Disk::default(),
            clusters,
            random: SeededRandom::new(start.seed.wrapping_add(1)),
            cloud_token: start.cloud_token.clone(),
            dns_token: start.dns_token.clone(),
        }
    }
    /// A sandbox in a starting world, as it is at the start's time.
    pub fn begun(world: StartingWorld, settings: &Settings, start: &Start) -> Result<Self, String> {
        let earlier = Start { now: world.begins(start.now), ..start.clone() };
        let sandbox = Self::direct(Model::empty_world(settings, &earlier), &earlier);
        world.fill(&mut lock(&sandbox.model), &sandbox.clusters, settings, start.now)?;
        Ok(sandbox)
    }
    /// The same outside and disk with other tokens: a mistaken operator, or the rehearsal project.
    #[must_use]
    pub fn with_tokens(&self, cloud: &str, dns: &str) -> Self {
        Self { cloud_token: cloud.to_owned(), dns_token: dns.to_owned(), ..self.clone() }
    }
    /// The whole outside once everything that is under way has ended (`rest` later), in lines that do not depend on ids, times,
    /// addresses or random values: what a kill must not change.
    pub fn in_words(&self, rest: Duration) -> Vec<String> {
        let mut lines = {
            let mut model = lock(&self.model);
            let later = model.now() + rest;
            model.advance(later);
            model.in_words()
        };
        let clusters = self.clusters.objects();
        lines.extend(clusters.values().flat_map(crate::sandbox::objects::Objects::in_words));
        lines.sort();
        lines
    }
    /// A clock that goes on where the model is. Call it inside the runtime.
    pub fn clock(&self, wire: &Tripwire) -> DirectClock {
        DirectClock::from(lock(&self.model).now(), wire)
    }
    /// The sandbox's Kubernetes for one process.
    pub fn cluster(&self, wire: &Tripwire, clock: &DirectClock) -> Arc<dyn Cluster> {
        let (model, clusters) = (self.model.clone(), self.clusters.clone());
        let latency = lock(&self.model).latency.request;
        let servers = ApiServers { model, clusters, clock: Arc::new(clock.clone()) };
        let direct = DirectCluster::new(Arc::new(servers), latency, HANGS);
        Arc::new(WiredCluster { direct, model: self.model.clone(), wire: wire.clone() })
    }
    /// The world of one process, killed by its tripwire. Call it inside the runtime, whose time should be paused.
    pub fn world(&self, wire: &Tripwire, clock: &DirectClock, outside: Outside) -> World {
        let (latency, uid) = {
            let model = lock(&self.model);
            (model.latency.clone(), model.uid().to_owned())
        };
        let entry = |token: &str| Entry {
            model: self.model.clone(),
            clock: clock.clone(),
            wire: wire.clone(),
            latency: latency.clone(),
            token: token.to_owned(),
        };
        World {
            kind: WorldKind::Sandbox,
            uid,
            holder: "somebody.here".to_owned(),
            cloud: Arc::new(DirectCloud(entry(&self.cloud_token))),
            dns: Arc::new(DirectDns(entry(&self.dns_token))),
            shell: Arc::new(DirectShell::new(entry(""))),
            cluster: outside.cluster,
            http: Arc::new(DirectHttp(entry(""))),
            files: Arc::new(DirectFiles::new(&self.disk, wire)),
            clock: Arc::new(clock.clone()),
            random: Arc::new(self.random.clone()),
            secrets: outside.secrets,
            person: outside.person,
        }
    }
}

//! A sandbox with all its network doors open, each on an address of its own 127.a.b.0/24.
//!
//! `.1` is the edge and the clouds' APIs; nodes have the addresses from `.10` on. Ports below 1024 are moved as
//! [`Addresses`] says; nothing needs root and nothing leaves loopback.

use super::authority::{Authority, Kubeconfigs};
use super::doors::ssh::{ForwardTable, ScriptLookup, SshFleet};
use super::doors::{self, CloudflareDoor, HetznerDoor, Shape};
use super::joined::Clusters;
use super::model::{lock, ApiState, Latency, Model, Shared, Start};
use super::node_doors::{Behind, NodeDoors};
use super::objects::Pace;
use super::worlds::StartingWorld;
use crate::config::Settings;
use crate::world::{Addresses, Clock, Random, Secret};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Port of the Hetzner door on the sandbox's `.1`.
const HETZNER: u16 = 18_001;
/// Port of the Cloudflare door.
const CLOUDFLARE: u16 = 18_002;
/// Host of K3s' releases: the edge stands for it.
const RELEASES: &str = "github.com";
/// How long the doors of nodes may take to open, in wall time.
const DOORS_OPEN: Duration = Duration::from_secs(10);
/// Pause between two looks at whether one has.
const DOOR_LOOK: Duration = Duration::from_millis(10);

/// What a sandbox is opened with.
pub struct Setting {
    /// The cluster whose world it is.
    pub settings: Settings,
    /// How long things take.
    pub latency: Latency,
    /// Texts of the scripts that nodes know.
    pub scripts: ScriptLookup,
    /// The run's time.
    pub clock: Arc<dyn Clock>,
    /// For tokens.
    pub random: Arc<dyn Random>,
    /// The public SSH key of whoever operates it: a cluster that was made by hand lets it in.
    pub operators_key: String,
}

/// An open sandbox. Dropping it closes the doors.
pub struct Served {
    /// The world.
    pub model: Shared,
    /// Tells this sandbox from every other one.
    pub uid: String,
    /// What every host name resolves to.
    pub edge: IpAddr,
    /// The certificate authority.
    pub authority: Arc<Authority>,
    /// Base URL of the Hetzner door.
    pub hcloud_endpoint: String,
    /// Base URL of the Cloudflare door.
    pub cloudflare_base_url: String,
    setting: Setting,
    start: Start,
    clusters: Clusters,
    tasks: Vec<JoinHandle<()>>,
    nodes: Option<(NodeDoors, SshFleet)>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn token(random: &dyn Random) -> String {
    let mut bytes = [0u8; 24];
    random.fill(&mut bytes);
    hex::encode(bytes)
}

/// A free /24 of loopback: one whose `.1` can be listened on.
async fn free_network(random: &dyn Random) -> io::Result<(Ipv4Addr, TcpListener)> {
    let mut last = io::Error::other("no free loopback network");
    for _ in 0..200 {
        let mut bytes = [0u8; 2];
        random.fill(&mut bytes);
        let [a, b] = bytes;
        let base = Ipv4Addr::new(127, a.max(1), b, 0);
        match TcpListener::bind((one(base), HETZNER)).await {
            Ok(listener) => return Ok((base, listener)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn one(base: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = base.octets();
    Ipv4Addr::new(a, b, c, 1)
}

impl Served {
    /// Opens a sandbox whose world is empty but for projects and zone.
    pub async fn open(setting: Setting) -> io::Result<Self> {
        let (base, hetzner) = free_network(&*setting.random).await?;
        let mut seed = [0u8; 8];
        setting.random.fill(&mut seed);
        let start = Start {
            seed: u64::from_be_bytes(seed),
            base,
            latency: setting.latency.clone(),
            now: setting.clock.now(),
            cloud_token: token(&*setting.random),
            dns_token: token(&*setting.random),
            operators_key: setting.operators_key.clone(),
        };
        let authority = Arc::new(Authority::new("relight sandbox")?);
        let model = Model::empty_world(&setting.settings, &start).shared();
        let uid = format!("sandbox-{}", hex::encode(seed));
        let edge = IpAddr::V4(one(base));
        let mut served = Self {
            uid,
            edge,
            hcloud_endpoint: format!("http://{}/v1", SocketAddr::new(edge, HETZNER)),
            cloudflare_base_url: format!("http://{}/client/v4", SocketAddr::new(edge, CLOUDFLARE)),
            authority,
            model,
            setting,
            clusters: Clusters::new(pace(&start.latency)),
            start,
            tasks: Vec::new(),
            nodes: None,
        };
        let clusters = served.join(&mut lock(&served.model));
        served.follow(clusters);
        served.open_doors(hetzner).await?;
        Ok(served)
    }

    /// The cluster whose world it is.
    pub(super) fn settings(&self) -> &Settings {
        &self.setting.settings
    }
    /// The cloud token of the live project.
    pub fn cloud_token(&self) -> &str {
        &self.start.cloud_token
    }
    /// The DNS token.
    pub fn dns_token(&self) -> &str {
        &self.start.dns_token
    }

    /// The admin kubeconfig, as K3s writes it, of the youngest cluster that serves, and where its API is reached.
    pub fn admin(&self) -> Option<(String, SocketAddr)> {
        let now = self.setting.clock.now();
        let mut model = lock(&self.model);
        let nodes: Vec<Ipv4Addr> = model.machines().into_iter().filter_map(|machine| machine.public).collect();
        let mut serving = Vec::new();
        for node in nodes {
            if let ApiState::Serving(uid) = model.api_at(now, node) {
                serving.push((uid, node));
            }
        }
        let youngest = model.cluster_views().into_iter().filter(|c| serving.iter().any(|(uid, _)| *uid == c.uid));
        let uid = youngest.max_by_key(|cluster| cluster.since)?.uid;
        let (_, node) = serving.into_iter().find(|(of, _)| *of == uid)?;
        Some((model.kubeconfig(&uid)?.to_owned(), Addresses::sandbox().reach(node.into(), 6443)))
    }

    /// Puts the sandbox into a starting world. What was there before is gone, but for planned faults.
    pub fn break_into(&mut self, world: &str) -> Result<(), String> {
        let unknown = || format!("unknown world {world}; known are: {}", StartingWorld::WORDS.join(", "));
        let world = StartingWorld::from_word(world).ok_or_else(unknown)?;
        let (settings, now) = (&self.setting.settings, self.setting.clock.now());
        let start = Start { now: world.begins(now), ..self.start.clone() };
        let mut new = Model::empty_world(settings, &start);
        let clusters = self.join(&mut new);
        world.fill(&mut new, &clusters, settings, now)?;
        {
            let mut model = lock(&self.model);
            // What was planned for the outside is to happen in what comes, or nobody could plan it before a run begins.
            new.faults = std::mem::take(&mut model.faults);
            *model = new;
        }
        self.follow(clusters);
        Ok(())
    }

    /// Waits until the doors of all nodes with power take connections: who has put the sandbox into another world talks to its
    /// nodes at once. Not for ever: a port may be somebody else's, and then what comes next says so.
    pub async fn doors_open(&self) {
        let (now, addresses) = (self.setting.clock.now(), Addresses::sandbox());
        let machines = {
            let mut model = lock(&self.model);
            model.advance(now);
            model.machines()
        };
        let powered = machines.into_iter().filter(|machine| machine.on).filter_map(|machine| machine.public);
        let doors = powered.flat_map(|node| [22, 80].map(|port| addresses.reach(node.into(), port)));
        let all = async {
            for door in doors {
                while tokio::net::TcpStream::connect(door).await.is_err() {
                    tokio::time::sleep(DOOR_LOOK).await;
                }
            }
        };
        if tokio::time::timeout(DOORS_OPEN, all).await.is_err() {
            tracing::warn!("a node's door does not open");
        }
    }

    /// Joins to a fresh model what only the network doors have: real certificates and Kubernetes' objects.
    fn join(&self, model: &mut Model) -> Clusters {
        let clusters = Clusters::new(pace(&self.start.latency));
        model.set_workloads(Box::new(clusters.clone()));
        model.set_kubeconfigs(Box::new(Kubeconfigs(Arc::clone(&self.authority))));
        clusters
    }

    /// Opens the doors of the model's nodes.
    fn follow(&mut self, clusters: Clusters) {
        self.clusters = clusters;
        let behind = Behind {
            model: Arc::clone(&self.model),
            clusters: self.clusters.clone(),
            clock: Arc::clone(&self.setting.clock),
            authority: Arc::clone(&self.authority),
            bearer: Secret::new(token(&*self.setting.random)),
        };
        // The API is reached through the node's own 127.0.0.1, which the sandbox serves at the node's address.
        let forwards: ForwardTable =
            Arc::new(|node, port| (port == 6443).then(|| Addresses::sandbox().reach(node.into(), port)));
        let (model, clock) = (Arc::clone(&self.model), Arc::clone(&self.setting.clock));
        let ssh = SshFleet::follow(model, clock, Arc::clone(&self.setting.scripts), forwards);
        self.nodes = Some((NodeDoors::follow(behind), ssh));
    }

    async fn open_doors(&mut self, hetzner: TcpListener) -> io::Result<()> {
        let (model, clock) = (|| Arc::clone(&self.model), || Arc::clone(&self.setting.clock));
        let addresses = Addresses::sandbox();
        let settings = &self.setting.settings;
        let zones = [Some(&settings.dns.zone), settings.rehearsal.zone.as_ref()].into_iter().flatten();
        let mut names: Vec<String> = zones.flat_map(|zone| [zone.clone(), format!("*.{zone}")]).collect();
        names.push(RELEASES.to_owned());
        names.push(self.edge.to_string());
        let tls = self.authority.tls(&names)?;
        let https = TcpListener::bind(addresses.reach(self.edge, 443)).await?;
        let http = TcpListener::bind(addresses.reach(self.edge, 80)).await?;
        let cloudflare = TcpListener::bind(SocketAddr::new(self.edge, CLOUDFLARE)).await?;
        let hetzner_router = HetznerDoor::new(model(), clock(), Shape::Late2026).router();
        let cloudflare_router = CloudflareDoor::new(model(), clock()).router();
        let edge_tls = doors::serve_tls(https, tls, doors::edge(model(), clock(), true));
        let edge_plain = doors::serve(http, doors::edge(model(), clock(), false));
        let tasks = vec![
            spawn("hetzner", doors::serve(hetzner, hetzner_router)),
            spawn("cloudflare", doors::serve(cloudflare, cloudflare_router)),
            spawn("edge", edge_tls),
            spawn("edge", edge_plain),
        ];
        self.tasks.extend(tasks);
        Ok(())
    }
}

fn pace(latency: &Latency) -> Pace {
    if *latency == Latency::instant() {
        Pace::instant()
    } else {
        Pace::real()
    }
}

fn spawn(
    name: &'static str,
    serving: impl std::future::Future<Output = io::Result<()>> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(door = name, %error, "a door of the sandbox closed");
        }
    })
}

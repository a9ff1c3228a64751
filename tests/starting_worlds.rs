//! The worlds that a sandbox can start in: in those in which a cluster lives, it serves at once, through the edge and directly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

use relight::config::{Settings, Timeouts};
use relight::playbook::Source;
use relight::providers::{Cloudflare, Hetzner, OnlyEdge, OsRandom, SystemClock, Visitor};
use relight::sandbox::doors::direct::{GeneratedSecrets, Outside, Sandbox, ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Latency, Start};
use relight::sandbox::{Served, Setting, StartingWorld};
use relight::world::{
    Addresses, Clock, Cloud, Dns, Get, Http, Secret, Server, ServerStatus, ThingKind, World, CLUSTER,
};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn settings() -> Settings {
    relight::config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).expect("the example is valid")
}

/// What every health check meets, through the edge and at each node.
async fn health(http: &dyn Http, settings: &Settings, servers: &[Server]) -> Vec<u16> {
    let mut seen = Vec::new();
    let nodes = servers.iter().map(|s| s.public_ip.map(IpAddr::V4));
    for node in std::iter::once(None).chain(nodes) {
        for check in &settings.health {
            let get = Get { url: check.url.clone(), node, timeout: Duration::from_secs(10) };
            seen.push(http.get(&get).await.map_or(0, |reply| reply.status));
        }
    }
    seen
}

/// Names, and whether each is labelled, of everything in a project.
async fn inventory(cloud: &dyn Cloud) -> Vec<(String, bool)> {
    let servers = cloud.servers("").await.unwrap();
    let mut all: Vec<_> = servers.into_iter().map(|s| (s.name, s.labels.contains_key(CLUSTER))).collect();
    for kind in [ThingKind::SshKey, ThingKind::Network, ThingKind::Firewall, ThingKind::PlacementGroup] {
        all.extend(cloud.things(kind, "").await.unwrap().into_iter().map(|t| (t.name, !t.labels.is_empty())));
    }
    all
}

/// Everything of the cluster has names of its own and no label, and records have no comment.
async fn is_hand_made(cloud: &dyn Cloud, dns: &dyn Dns, settings: &Settings) {
    let by_hand = ["ubuntu-8gb-nbg1-1", "ubuntu-8gb-nbg1-2", "ubuntu-8gb-nbg1-3", "network-1", "firewall-1"];
    assert_eq!(inventory(cloud).await, by_hand.map(|name| (name.to_owned(), false)));
    let servers = cloud.servers("").await.unwrap();
    assert!(servers.iter().all(|s| s.firewalls.len() == 1 && s.private_ips.len() == 1), "{servers:?}");
    let addresses = cloud.primary_ips().await.unwrap();
    assert!(addresses.len() == 3 && addresses.iter().all(|ip| ip.labels.is_empty() && ip.location == "nbg1"));
    let zone = dns.zone(&settings.dns.zone).await.unwrap().unwrap();
    let records = dns.records(&zone, &settings.dns.hosts).await.unwrap();
    assert_eq!(records.len(), 9);
    assert!(records.iter().all(|r| r.comment.as_deref().unwrap_or_default().is_empty()), "{records:?}");
    let held: Vec<String> = servers.iter().filter_map(|s| s.public_ip).map(|a| a.to_string()).collect();
    assert!(records.iter().all(|r| held.contains(&r.content)), "{records:?}");
}

/// A story in a starting world behind the direct door, at its first moment.
fn directly(world: StartingWorld, story: &impl AsyncFn(&Sandbox, &World, &Settings)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (settings, start, wire) = (settings(), Start::default(), Tripwire::new());
        let sandbox = Sandbox::begun(world, &settings, &start).unwrap();
        let clock = sandbox.clock(&wire);
        assert_eq!(clock.time(), start.now);
        let (cluster, secrets) = (sandbox.cluster(&wire, &clock), Arc::new(GeneratedSecrets { seed: 1 }));
        let outside = Outside { cluster, secrets, person: Arc::new(ScriptedPerson::willing()) };
        let world = sandbox.world(&wire, &clock, outside);
        story(&sandbox, &world, &settings).await;
    });
}

async fn serves(sandbox: &Sandbox, world: &World, settings: &Settings) {
    let servers = world.cloud.servers("").await.unwrap();
    assert_eq!(servers.len(), 3);
    assert!(servers.iter().all(|s| s.status == ServerStatus::Running && s.location == "nbg1"));
    assert_eq!(health(&*world.http, settings, &servers).await, [200; 8]);
    {
        let model = lock(&sandbox.model);
        assert_eq!(model.ledger.entries, [], "it is nobody's work");
        assert_eq!(
            (model.ledger.broken.len(), model.ledger.strangers.len(), model.naming_strangers().len()),
            (0, 0, 0)
        );
    }
    let clusters = sandbox.clusters.objects();
    let objects = clusters.values().next().unwrap();
    let ready = objects.all("nodes").iter().filter(|n| n.to_string().contains("KubeletReady")).count();
    assert_eq!(ready, 3);
    for pod in objects.all("pods") {
        let phase = pod["status"]["phase"].as_str();
        assert!(matches!(phase, Some("Running" | "Succeeded")), "{} {phase:?}", pod["metadata"]["name"]);
    }
}

#[test]
fn a_healthy_cluster_serves_from_the_first_moment() {
    directly(StartingWorld::Healthy, &async |sandbox, world, settings| {
        serves(sandbox, world, settings).await;
        let all = inventory(&*world.cloud).await;
        assert_eq!(all, ["honeydue-node-1", "honeydue-node-2", "honeydue-node-3"].map(|n| (n.to_owned(), true)));
    });
}

#[test]
fn a_hand_made_cluster_serves_and_nothing_says_that_it_is_relights() {
    directly(StartingWorld::HandMade, &async |sandbox, world, settings| {
        serves(sandbox, world, settings).await;
        is_hand_made(&*world.cloud, &*world.dns, settings).await;
    });
}

#[test]
fn after_a_total_loss_nothing_serves() {
    directly(StartingWorld::TotalLoss, &async |_, world, settings| {
        let servers = world.cloud.servers("").await.unwrap();
        assert!(servers.iter().all(|s| s.status == ServerStatus::Off));
        let seen = health(&*world.http, settings, &servers).await;
        assert!(!seen.contains(&200), "{seen:?}");
    });
}

#[test]
fn the_same_seed_gives_the_same_starting_world() {
    let words = || {
        let sandbox = Sandbox::begun(StartingWorld::HandMade, &settings(), &Start::default()).unwrap();
        sandbox.in_words(Duration::ZERO)
    };
    assert_eq!(words(), words());
}

#[tokio::test]
async fn a_hand_made_cluster_serves_behind_the_network_doors() {
    let settings = settings();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::wall());
    let source = Source::embedded();
    let setting = Setting {
        settings: settings.clone(),
        latency: Latency::instant(),
        scripts: Arc::new(move |name| source.script(name).ok().flatten()),
        clock: clock.clone(),
        random: Arc::new(OsRandom),
        operators_key: Start::default().operators_key,
    };
    let mut served = Served::open(setting).await.unwrap();
    assert!(served.break_into("flood").unwrap_err().contains("total-loss, healthy, hand-made"));
    served.break_into("hand-made").unwrap();
    let timeouts = Timeouts::default();
    let token = Secret::new(served.cloud_token());
    let cloud = Hetzner::new(&served.hcloud_endpoint, &token, clock.clone(), &timeouts).unwrap();
    let token = Secret::new(served.dns_token());
    let dns = Cloudflare::new(&served.cloudflare_base_url, &token, clock.clone(), &timeouts).unwrap();
    is_hand_made(&cloud, &dns, &settings).await;
    let authority = served.authority.pem().as_bytes().to_vec();
    let edge = OnlyEdge { address: served.edge, authority };
    let visitor = Visitor::new(Addresses::sandbox(), Some(edge), &timeouts).unwrap();
    let servers = cloud.servers("").await.unwrap();
    served.doors_open().await;
    let seen = health(&visitor, &settings, &servers).await;
    assert_eq!(seen, [200; 8]);
    assert!(served.admin().is_some(), "its API is there for kubectl");
    served.break_into("total-loss").unwrap();
    assert!(!health(&visitor, &settings, &[]).await.contains(&200));
}

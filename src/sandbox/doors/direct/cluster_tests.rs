//! From a new server to a page through the edge, by the world's traits alone, in virtual time.

use super::tests::{identity, new_server, permit, running, sandbox, spec, world};
use super::{Sandbox, Tripwire};
use crate::sandbox::model::{lock, Fault, FaultKind, Matcher};
use crate::world::*;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

const VERSION: &str = "v1.34.6+k3s1";

async fn node(world: &World) -> (Server, Host) {
    let made = world.cloud.create_server(&new_server("a"), &spec("a")).await.unwrap();
    let server = running(world, made.id).await;
    let address = IpAddr::V4(server.public_ip.unwrap());
    let key = loop {
        match world.shell.seen_host_key(address).await.unwrap() {
            Some(key) => break key,
            None => world.clock.sleep(Duration::from_secs(1)).await,
        }
    };
    (server, Host { address, user: "deploy".into(), host_keys: vec![key], identity: Identity::Key(identity().0) })
}

/// The release's digest, as relight finds it.
async fn digest(world: &World) -> String {
    let url = "https://github.com/k3s-io/k3s/releases/download/v1.34.6%2Bk3s1/sha256sum-amd64.txt".to_owned();
    let reply = world.http.get(&Get { url, node: None, timeout: Duration::from_secs(5) }).await.unwrap();
    let text = String::from_utf8(reply.body).unwrap();
    text.lines().find_map(|l| l.strip_suffix("  k3s")).unwrap().to_owned()
}

fn k3s(verb: &str, sha256: &str) -> Script {
    let config = json!({"cluster-init": true, "token": "t"}).to_string();
    let input =
        [("VERSION", VERSION), ("SHA256", sha256), ("CONFIG_JSON", &config), ("ROLE", "first"), ("TRAEFIK", "")];
    let input = input.map(|(k, v)| (k.to_owned(), Secret::new(v)));
    Script { name: "k3s.sh".into(), body: "body".into(), verb: verb.into(), input: BTreeMap::from(input) }
}

fn check(name: &str) -> Script {
    Script { name: name.into(), body: "body".into(), verb: "check".into(), input: BTreeMap::new() }
}

async fn serving(world: &World, host: &Host) -> ApiAt {
    let sha256 = digest(world).await;
    let leave = permit(Target::Node { address: host.address });
    assert_eq!(world.shell.run(&leave, host, &k3s("install", &sha256)).await.unwrap().exit, 0);
    assert_eq!(world.shell.run(&leave, host, &k3s("start", &sha256)).await.unwrap().exit, 0);
    while world.shell.look(host, &k3s("check", &sha256)).await.unwrap().value("ready") != Some("yes") {
        world.clock.sleep(Duration::from_secs(1)).await;
    }
    let kubeconfig = world.shell.look(host, &check("kubeconfig.sh")).await.unwrap().stdout;
    ApiAt { host: host.clone(), kubeconfig: Secret::new(kubeconfig) }
}

fn application() -> Vec<Value> {
    let (name, labels) = ("web", json!({"app": "web"}));
    let meta = json!({"name": name, "namespace": "default"});
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 1,
            "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": "example.org/web:1", "ports": [{"containerPort": 80}]}]}}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": {"rules": [{
            "host": "www.demo.example", "http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": name, "port": {"number": 80}}}}]}}]}}),
    ]
}

async fn apply_all(world: &World, at: &ApiAt) {
    for object in application() {
        let leave = permit(Target::Objects { address: at.host.address, what: "the application".into() });
        world.cluster.apply(&leave, at, &object, false).await.unwrap();
    }
}

async fn until_200(world: &World, url: &str, node: Option<IpAddr>) {
    let get = Get { url: url.into(), node, timeout: Duration::from_secs(5) };
    for _ in 0..300 {
        if world.http.get(&get).await.is_ok_and(|reply| reply.status == 200) {
            return;
        }
        world.clock.sleep(Duration::from_secs(1)).await;
    }
    panic!("{url} never answers 200");
}

async fn name_it(world: &World, server: &Server) {
    let zone = world.dns.zone("demo.example").await.unwrap().unwrap();
    let record = NewRecord {
        kind: "A".into(),
        name: "www.demo.example".into(),
        content: server.public_ip.unwrap().to_string(),
        proxied: true,
        ttl: 1,
        comment: "relight".into(),
    };
    let batch = Batch { posts: vec![record], ..Batch::default() };
    let other = permit(Target::Dns { zone: zone.name.clone(), names: vec!["other.demo.example".into()] });
    assert_eq!(world.dns.change(&other, &zone, &batch).await.unwrap_err().class, Class::Fatal);
    let leave = permit(Target::Dns { zone: zone.name.clone(), names: vec!["www.demo.example".into()] });
    world.dns.change(&leave, &zone, &batch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_application_answers_through_the_edge() {
    let sandbox = sandbox();
    let world = world(&sandbox, &Tripwire::new());
    let (server, host) = node(&world).await;
    let at = serving(&world, &host).await;
    world.cluster.ready(&at).await.unwrap();
    let forged = ApiAt { kubeconfig: Secret::new("users: []"), ..at.clone() };
    assert!(world.cluster.ready(&forged).await.is_err());
    apply_all(&world, &at).await;
    let url = "https://www.demo.example/";
    until_200(&world, url, Some(host.address)).await;
    name_it(&world, &server).await;
    until_200(&world, url, None).await;
    let model = lock(&sandbox.model);
    assert_eq!(model.ledger.count("kube.write"), 3);
    assert!(model.ledger.strangers.is_empty() && model.ledger.broken.is_empty(), "{:?}", model.ledger.broken);
}

#[tokio::test(start_paused = true)]
async fn an_apply_whose_reply_is_lost_is_unknown_and_was_done() {
    let sandbox = sandbox();
    let world = world(&sandbox, &Tripwire::new());
    let (_, host) = node(&world).await;
    let at = serving(&world, &host).await;
    let fault = lock(&sandbox.model).faults.plan(Fault::once(Matcher::op("kube.write"), FaultKind::LostReply));
    let leave = permit(Target::Objects { address: host.address, what: "the application".into() });
    let [deployment, ..] = &application()[..] else { panic!("no application") };
    assert_eq!(world.cluster.apply(&leave, &at, deployment, false).await.unwrap_err().class, Class::Unknown);
    assert_eq!(lock(&sandbox.model).faults.fired(fault), 1);
    let kind = Kind::new("apps/v1", "Deployment");
    assert!(world.cluster.get(&at, &kind, Some("default"), "web").await.unwrap().is_some());
    let server = world.cloud.servers("").await.unwrap().remove(0);
    let off = permit(Target::Cloud { kind: "server", id: server.id });
    world.cloud.power_off(&off, server.id).await.unwrap();
    assert!(world.cluster.ready(&at).await.is_err(), "its only node is off");
}

/// A second cluster on a second node, while the first still runs the same singleton.
async fn second_cluster(sandbox: &Sandbox, world: &World) {
    let made = world.cloud.create_server(&new_server("b"), &spec("b")).await.unwrap();
    let server = running(world, made.id).await;
    let address = IpAddr::V4(server.public_ip.unwrap());
    while world.shell.seen_host_key(address).await.unwrap().is_none() {
        world.clock.sleep(Duration::from_secs(1)).await;
    }
    let key = world.shell.seen_host_key(address).await.unwrap().unwrap();
    let host = Host { address, user: "deploy".into(), host_keys: vec![key], identity: Identity::Key(identity().0) };
    let at = serving(world, &host).await;
    apply_all(world, &at).await;
    assert!(lock(&sandbox.model).ledger.broken.is_empty(), "not running yet");
    until_200(world, "https://www.demo.example/", Some(address)).await;
}

#[tokio::test(start_paused = true)]
async fn a_singleton_in_two_living_clusters_is_a_broken_promise() {
    let sandbox = sandbox();
    let world = world(&sandbox, &Tripwire::new());
    let (_, host) = node(&world).await;
    let at = serving(&world, &host).await;
    apply_all(&world, &at).await;
    until_200(&world, "https://www.demo.example/", Some(host.address)).await;
    second_cluster(&sandbox, &world).await;
    assert_eq!(lock(&sandbox.model).ledger.broken, ["two pods of default/web run at once"]);
}

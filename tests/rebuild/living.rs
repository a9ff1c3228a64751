//! Worlds in which something of the old cluster lives: its workloads run, whatever relight thinks.

use crate::life::{settings, Life};
use relight::config::{manifests, Settings};
use relight::sandbox::model::{lock, Caller, Filter, Model, Power, Start, ThingState};
use relight::sandbox::objects::{Answer, Asked, Objects};
use relight::world::{FirewallRule, Labels, CLUSTER, MANAGED_BY};
use serde_json::{json, Value};
use std::time::Duration;

/// Somebody other than relight, who may do everything.
pub fn somebody() -> Caller {
    Caller::token(Start::default().cloud_token)
}

/// How long all of the old workloads take to come up.
const UP: Duration = Duration::from_secs(900);

fn ask(objects: &mut Objects, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let asked = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: [("fieldManager".to_owned(), "somebody".to_owned()), ("force".to_owned(), "true".to_owned())].into(),
        content_type: "application/apply-patch+yaml".to_owned(),
        user_agent: "somebody/1".to_owned(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        ..Asked::default()
    };
    let Answer::Whole { status, body, .. } = objects.answer(&asked) else { panic!("a watch") };
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn apply(objects: &mut Objects, object: &Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let served = objects.kind(version, kind).unwrap_or_else(|| panic!("{version} {kind}"));
    let root = if version.contains('/') { "apis" } else { "api" };
    let home = match text("/metadata/namespace") {
        "" => String::new(),
        namespace => format!("namespaces/{namespace}/"),
    };
    let (status, told) = ask(objects, "PATCH", &format!("/{root}/{version}/{home}{}/{name}", served.plural), object);
    assert!(status < 300, "{kind} {name}: {status} {told}");
}

/// The configured manifests and secrets, by somebody's hand: namespaces first.
fn deploy(objects: &mut Objects, settings: &Settings) {
    let all: Vec<Value> = manifests(settings).unwrap().into_iter().map(|m| m.object).collect();
    let (first, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|o| o["kind"] == "Namespace");
    first.iter().for_each(|object| apply(objects, object));
    for secret in &settings.secrets {
        let data: serde_json::Map<String, Value> = match &secret.content {
            relight::config::SecretContent::Keys { keys, .. } => {
                keys.keys().map(|k| (k.clone(), "b2xk".into())).collect()
            }
            relight::config::SecretContent::Registry { .. } => serde_json::Map::new(),
        };
        let meta = json!({"name": secret.name, "namespace": secret.namespace});
        apply(objects, &json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}));
    }
    rest.iter().for_each(|object| apply(objects, object));
}

/// Every old node runs, and with them the whole application.
pub fn alive() -> Life {
    let settings = settings();
    let life = Life::around(Model::healthy(&settings, &Start::default()), settings);
    let pass = |time: Duration| {
        let mut model = lock(&life.sandbox.model);
        for _ in 0..time.as_secs() / 5 {
            let later = model.now() + Duration::from_secs(5);
            model.advance(later);
        }
    };
    pass(Duration::from_secs(120));
    life.sandbox.clusters.objects().values_mut().for_each(|objects| deploy(objects, &life.settings));
    pass(UP);
    assert_eq!(workers(&life).len(), 1, "the old worker runs: {:?}", pods(&life));
    assert_eq!(lock(&life.sandbox.model).ledger.broken, Vec::<String>::new());
    life
}

/// Only the old node that has the worker is left.
pub fn one_left() -> (Life, String) {
    let life = alive();
    let left = workers(&life).remove(0);
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let servers = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
        for server in servers.iter().filter(|s| s.name != left) {
            assert!(model.power(now, &somebody(), server.id, Power::Off).result.is_ok());
        }
        model.advance(now + Duration::from_secs(30));
    }
    (life, left)
}

fn pods(life: &Life) -> Vec<String> {
    let clusters = life.sandbox.clusters.objects();
    let words = |p: &Value| format!("{} on {} {}", p["metadata"]["name"], p["spec"]["nodeName"], p["status"]["phase"]);
    clusters.values().flat_map(|objects| objects.all("pods")).map(|p| words(&p)).collect()
}

/// The nodes on which a worker's pod runs, over all clusters, dead or alive.
pub fn workers(life: &Life) -> Vec<String> {
    let clusters = life.sandbox.clusters.objects();
    let pods = clusters.values().flat_map(|objects| objects.all("pods"));
    let worker = |p: &Value| p["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("worker-"));
    let runs = pods.filter(|p| worker(p) && p["status"]["phase"] == "Running");
    runs.map(|p| p["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Puts a firewall that lets the world in onto all servers, as an earlier life of the cluster had.
pub fn with_old_firewall(life: &Life) {
    open_alone(life, &["22", "80", "443"]);
}

/// The same with other ports.
pub fn open_alone(life: &Life, ports: &[&str]) {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let labels: Labels =
        [(MANAGED_BY.to_owned(), "relight".to_owned()), (CLUSTER.to_owned(), life.settings.cluster.clone())].into();
    let open = |protocol: &str, port: Option<&str>| FirewallRule {
        direction: "in".to_owned(),
        protocol: protocol.to_owned(),
        port: port.map(str::to_owned),
        addresses: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        description: "everybody".to_owned(),
    };
    let rules = ports.iter().map(|port| open("tcp", Some(port))).collect();
    let wall = model.create_thing(now, &somebody(), "honeydue-before", &ThingState::Firewall { rules }, &labels);
    let wall = wall.result.unwrap().id;
    let servers = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    for server in servers.into_iter().filter(|s| s.name.starts_with("honeydue-")) {
        assert!(model.apply_firewall(now, &somebody(), wall, server.id, true).result.is_ok());
    }
    model.advance(now + Duration::from_secs(30));
}

//! The worlds that a sandbox starts in, or is put into: a disaster, or the time before one.

use super::joined::Clusters;
use super::model::{Loss, Model, Visit};
use super::objects::{Named, Objects, PatchKind, Writer};
use crate::config::{SecretContent, SecretSettings, Settings};
use serde_json::{json, Map, Value};
use std::net::Ipv4Addr;
use std::time::Duration;
use url::Url;

/// How long before now a world in which a cluster lives begins: in it the workloads come up.
const BEFORE: Duration = Duration::from_secs(3600);
/// Between two looks at whether they have.
const LOOK: Duration = Duration::from_secs(5);

/// What the outside is when a sandbox begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingWorld {
    /// Every server of the cluster is powered off, and records name them.
    TotalLoss,
    /// The cluster that relight made serves.
    Healthy,
    /// The same cluster serves, made by hand: nothing carries a label.
    HandMade,
}

impl StartingWorld {
    /// Their words on the command line.
    pub const WORDS: [&str; 3] = ["total-loss", "healthy", "hand-made"];

    /// By its word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "total-loss" => Some(Self::TotalLoss),
            "healthy" => Some(Self::Healthy),
            "hand-made" => Some(Self::HandMade),
            _ => None,
        }
    }
    /// When its model has to begin to be as it shall be at `now`.
    pub fn begins(self, now: Duration) -> Duration {
        match self {
            Self::TotalLoss => now,
            Self::Healthy | Self::HandMade => now.saturating_sub(BEFORE),
        }
    }
    /// Fills an empty world that begins when [`StartingWorld::begins`] says, and whose workloads are these clusters. The error
    /// says which health check does not answer, or what cannot be applied: the manifests then do not come up by themselves.
    pub fn fill(
        self,
        model: &mut Model,
        clusters: &Clusters,
        settings: &Settings,
        now: Duration,
    ) -> Result<(), String> {
        match self {
            Self::TotalLoss => {
                model.place_lost(settings, Loss::Off);
                return Ok(());
            }
            Self::Healthy => model.place_healthy(settings),
            Self::HandMade => model.place_hand_made(settings),
        }
        bring_up(model, clusters, settings, now)
    }
}

/// Deploys the configuration onto the cluster and waits until it answers, at the latest until `now`; the model is there then.
fn bring_up(model: &mut Model, clusters: &Clusters, settings: &Settings, now: Duration) -> Result<(), String> {
    // Nodes register, and K3s puts in what it brings along.
    model.advance(model.now() + LOOK);
    let begun = model.now();
    for objects in clusters.objects().values_mut() {
        deploy(objects, settings, begun)?;
    }
    let nodes: Vec<Ipv4Addr> = model.machines().into_iter().filter_map(|machine| machine.public).collect();
    while let Some(silent) = unwell(model, settings, &nodes) {
        let later = model.now() + LOOK;
        if later > now {
            return Err(format!("the configuration does not come up in the sandbox: {silent}"));
        }
        model.advance(later);
    }
    model.advance(now);
    Ok(())
}

/// The health check that does not answer yet, through the edge or at a node, and what it answers.
fn unwell(model: &mut Model, settings: &Settings, nodes: &[Ipv4Addr]) -> Option<String> {
    for check in &settings.health {
        let Ok(url) = Url::parse(&check.url) else { continue };
        let (host, path, now) = (url.host_str().unwrap_or_default(), url.path(), model.now());
        let well = |visit: &Visit| matches!(visit, Visit::Reply { status, .. } if *status == check.status);
        let mut visits = vec![(check.url.clone(), model.edge_get(now, host, path, url.scheme() == "https"))];
        visits.extend(nodes.iter().map(|node| (format!("{host} at {node}"), model.port80(now, *node, host, path))));
        if let Some((where_, visit)) = visits.into_iter().find(|(_, visit)| !well(visit)) {
            return Some(format!("{where_}: {visit:?}"));
        }
    }
    None
}

/// Applies manifests and secrets as somebody does who has `kubectl`: what others need first.
fn deploy(objects: &mut Objects, settings: &Settings, now: Duration) -> Result<(), String> {
    let manifests = settings.objects().map_err(|problems| problems.to_string())?;
    let kind = |object: &Value| object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let rank = |object: &Value| match kind(object).as_str() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "Secret" => 2,
        _ => 3,
    };
    let mut all: Vec<Value> = manifests.iter().map(|manifest| manifest.object.clone()).collect();
    all.extend(settings.secrets.iter().map(secret));
    all.extend(settings.manifests.external.iter().filter_map(|written| external(written)));
    all.sort_by_key(rank);
    for object in &all {
        apply(objects, object)?;
        if kind(object) == "CustomResourceDefinition" {
            // Its controller makes the kind known.
            objects.advance(now);
        }
    }
    Ok(())
}

fn apply(objects: &mut Objects, object: &Value) -> Result<(), String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let served = objects.kind(&version, &kind);
    let served = served.ok_or_else(|| format!("{kind} {name}: the sandbox's cluster has no {version} {kind}"))?;
    let mut namespace = text("/metadata/namespace");
    if served.namespaced && namespace.is_empty() {
        "default".clone_into(&mut namespace);
    }
    let what = Named { served, namespace, name: name.clone() };
    let writer = Writer { manager: "kubectl".to_owned(), ..Writer::default() };
    let done = objects.patch(&what, PatchKind::Apply { force: true }, object.clone(), &writer);
    done.map(|_| ()).map_err(|failure| format!("{kind} {name}: {}", failure.message))
}

/// A Secret of the configuration with other values: the sandbox knows no real ones.
fn secret(settings: &SecretSettings) -> Value {
    let encode = |text: &str| Value::from(data_encoding::BASE64.encode(text.as_bytes()));
    let (kind, data): (&str, Map<String, Value>) = match &settings.content {
        SecretContent::Keys { kind, keys } => {
            (kind, keys.keys().map(|key| (key.clone(), encode("of an earlier time"))).collect())
        }
        SecretContent::Registry { server, .. } => {
            let config = json!({ "auths": { server: { "auth": "" } } }).to_string();
            (
                "kubernetes.io/dockerconfigjson",
                [(".dockerconfigjson".to_owned(), encode(&config))].into_iter().collect(),
            )
        }
    };
    let metadata = json!({ "namespace": settings.namespace, "name": settings.name });
    json!({ "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": data })
}

/// `Secret namespace/name` or `ConfigMap namespace/name`: an empty one stands for what something else provides.
fn external(written: &str) -> Option<Value> {
    let (kind, home) = written.split_once(' ')?;
    let (namespace, name) = home.trim().split_once('/')?;
    Some(json!({ "apiVersion": "v1", "kind": kind, "metadata": { "namespace": namespace, "name": name } }))
}

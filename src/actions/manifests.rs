//! `manifests.apply` and `secrets.apply`: objects by server-side apply, in dependency order, concurrent inside a rank.

use super::drift::drift;
use super::rank::{self, Part};
use super::{access, Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::{Manifest, SecretContent, SecretSettings};
use crate::world::{self, ApiAt, Class, Error, Kind, Permit, Result, Scope, Target};
use async_trait::async_trait;
use base64::Engine as _;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Requests at once inside a rank: more only queue in the API server.
const AT_ONCE: usize = 16;
/// The annotation that says which version of an object relight applied last.
const APPLIED: &str = "relight/applied";
/// The annotation of an object whose API server does not list all that was applied as relight's: such an object is judged by
/// [`APPLIED`] alone. Its value is what is not listed.
const UNLISTED: &str = "relight/unlisted";
/// How many objects that somebody changed are named.
const NAMED: usize = 3;
/// Pause between looks at a definition that is being established.
const ESTABLISH: Duration = Duration::from_millis(300);

/// The manifests of the configuration, sorted for applying.
pub(super) fn manifests<'a>(place: &Place<'a>) -> Result<Vec<&'a Manifest>> {
    let all = place.settings.objects();
    let all = all
        .map_err(|problems| Error::refused(problems.to_string()).remedy("mend the manifests, then `relight resume`"))?;
    let mut all: Vec<&Manifest> = all.iter().collect();
    all.sort_by_cached_key(|m| rank::key(&m.object));
    Ok(all)
}

/// Digest of what the configuration says of an object.
fn digest(object: &Value) -> String {
    world::label_digest(&world::sha256_hex(object.to_string().as_bytes()))
}

/// The object as it is sent: with its digest, and what its API server is known not to list.
fn marked(object: &Value, unlisted: Option<&str>) -> Value {
    let digest = digest(object);
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        annotations[APPLIED] = json!(digest);
        if let Some(unlisted) = unlisted {
            annotations[UNLISTED] = json!(unlisted);
        }
    }
    object
}

type Key = (Kind, Option<String>, String);

fn key(kind: Kind, object: &Value) -> Key {
    (kind, rank::namespace(object).map(str::to_owned), rank::name(object).to_owned())
}

/// What a cluster holds of the kinds of some manifests.
pub(super) struct There(BTreeMap<Key, Value>);

impl There {
    /// Asks the cluster: one list a kind.
    pub(super) async fn of(cx: &StepContext<'_>, at: &ApiAt, objects: &[&Manifest]) -> Result<Self> {
        let kinds: BTreeSet<Kind> = objects.iter().map(|m| rank::kind(&m.object)).collect();
        let mut there = BTreeMap::new();
        for kind in kinds {
            let all = cx.world.cluster.list(at, &kind, &Scope::default()).await?;
            there.extend(all.into_iter().map(|object| (key(kind.clone(), &object), object)));
        }
        Ok(Self(there))
    }
    /// The manifest's object as the cluster holds it.
    pub(super) fn object(&self, manifest: &Manifest) -> Option<&Value> {
        self.0.get(&key(rank::kind(&manifest.object), &manifest.object))
    }
    /// What keeps the manifest's object from being as relight last applied it; empty words where it is simply not there, or of
    /// another manifest.
    pub(super) fn lacks(&self, manifest: &Manifest) -> Option<String> {
        let Some(object) = self.object(manifest) else { return Some(String::new()) };
        let annotation = |name: &str| object.pointer("/metadata/annotations")?.get(name)?.as_str();
        if annotation(APPLIED) != Some(&digest(&manifest.object)) {
            return Some(String::new());
        }
        match annotation(UNLISTED) {
            Some(_) => None,
            None => drift(&manifest.object, object),
        }
    }
}

/// The objects that are not there as relight last applied them, each with what it lacks.
async fn missing<'a>(
    cx: &StepContext<'_>,
    at: &ApiAt,
    objects: &[&'a Manifest],
) -> Result<Vec<(&'a Manifest, String)>> {
    let there = There::of(cx, at, objects).await?;
    Ok(objects.iter().filter_map(|m| Some((*m, there.lacks(m)?))).collect())
}

/// Applies objects rank by rank. Definitions are waited for before their objects follow.
pub(super) async fn apply(cx: &StepContext<'_>, at: &ApiAt, objects: &[&Manifest]) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let titles: Vec<_> = objects.iter().map(|m| rank::title(&m.object)).collect();
    let target = Target::Objects { address: at.host.address, what: titles.join(", ") };
    let permit = cx
        .effects
        .permit(target, &format!("apply {} object{}", objects.len(), if objects.len() == 1 { "" } else { "s" }))
        .await?;
    let mut ranks: BTreeMap<usize, Vec<&Manifest>> = BTreeMap::new();
    for object in objects {
        ranks.entry(rank::rank(&object.object)).or_default().push(object);
    }
    for of_rank in ranks.into_values() {
        let mut calls = Vec::with_capacity(of_rank.len());
        for object in &of_rank {
            calls.push(one(cx, at, &permit, object));
        }
        stream::iter(calls).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        for object in of_rank {
            if rank::kind(&object.object).kind == "CustomResourceDefinition" {
                established(cx, at, rank::name(&object.object)).await?;
            }
        }
    }
    Ok(())
}

async fn one(cx: &StepContext<'_>, at: &ApiAt, permit: &Permit, manifest: &Manifest) -> Result<()> {
    let place = format!("{}:{}", manifest.file.display(), manifest.line);
    let told = |error: Error| {
        let remedy = match error.is("FieldManagerConflict") {
            true => conflict_remedy(manifest),
            false => error.remedy,
        };
        Error { what: format!("{} ({place}): {}", rank::title(&manifest.object), error.what), remedy, ..error }
    };
    let stored = cx.world.cluster.apply(permit, at, &marked(&manifest.object, None), false).await.map_err(told)?;
    let Some(unlisted) = drift(&manifest.object, &stored) else { return Ok(()) };
    // Nobody else had a turn: this server keeps such a field under another name. It is told so that no later look takes it for
    // somebody's change.
    let target = Target::Objects { address: at.host.address, what: rank::title(&manifest.object) };
    let permit = cx.effects.permit(target, "note on 1 object what its API server does not list").await?;
    let noted = marked(&manifest.object, Some(&unlisted));
    cx.world.cluster.apply(&permit, at, &noted, false).await.map(|_| ()).map_err(told)
}

/// How a person settles a field that both the manifest and somebody else set.
fn conflict_remedy(manifest: &Manifest) -> String {
    let keep =
        "take the field out of the manifest to leave it to the other manager, or set it back to the manifest's value";
    match manifest.line {
        0 => "set the Secret's value back, or delete the Secret with kubectl, then `relight resume`".to_owned(),
        _ => format!(
            "{keep} with kubectl (`kubectl apply --server-side --force-conflicts --field-manager=relight -f {}` does), then `relight resume`",
            manifest.file.display()
        ),
    }
}

async fn established(cx: &StepContext<'_>, at: &ApiAt, name: &str) -> Result<()> {
    let kind = Kind::new("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    loop {
        let definition = cx.world.cluster.get(at, &kind, None, name).await?.unwrap_or_default();
        let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
        if conditions.into_iter().flatten().any(|c| c["type"] == "Established" && c["status"] == "True") {
            return Ok(());
        }
        cx.effects.progress(&format!("definition {name} is being established"));
        cx.world.clock.sleep(ESTABLISH).await;
    }
}

/// Applies one part of the manifests.
pub(super) struct Apply(pub(super) Part);

impl Apply {
    fn objects<'a>(&self, place: &Place<'a>) -> Result<Vec<&'a Manifest>> {
        let order = &place.settings.manifests.order;
        Ok(manifests(place)?.into_iter().filter(|m| self.0.holds(&m.object, order)).collect())
    }
}

#[async_trait]
impl Action for Apply {
    fn describe(&self, place: &Place<'_>) -> String {
        let count = self.objects(place).map_or(0, |o| o.len());
        match self.0 {
            Part::Foundation => format!("apply namespaces, roles and definitions ({count} objects)"),
            Part::Rest => format!("apply the other manifests ({count} objects)"),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        let objects = self.objects(place).unwrap_or_default();
        json!(objects.iter().map(|m| digest(&m.object)).collect::<Vec<_>>())
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::Kubeconfig]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let at = access::api(cx, access::first(cx)?).await?;
        let objects = self.objects(&cx.place)?;
        look(cx, &at, &objects).await
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let at = access::api(cx, access::first(cx)?).await?;
        let objects = self.objects(&cx.place)?;
        let missing = missing(cx, &at, &objects).await?;
        apply(cx, &at, &missing.iter().map(|(m, _)| *m).collect::<Vec<_>>()).await
    }
}

async fn look(cx: &StepContext<'_>, at: &ApiAt, objects: &[&Manifest]) -> Result<Check> {
    match missing(cx, at, objects).await {
        Ok(missing) if missing.is_empty() => Ok(Check::Done(Facts::none())),
        Ok(missing) => {
            let changed = missing.iter().filter(|(_, lacks)| !lacks.is_empty());
            let changed: Vec<_> =
                changed.take(NAMED).map(|(m, l)| format!("; {}: {l}", rank::title(&m.object))).collect();
            Ok(Check::Needed(format!("{} of {} objects{}", missing.len(), objects.len(), changed.concat())))
        }
        Err(error) if error.class == Class::Transient => Ok(Check::Pending(error.what)),
        Err(error) => Err(error),
    }
}

/// Makes the Kubernetes Secrets of the configuration.
pub(super) struct Secrets;

impl Secrets {
    async fn object(cx: &StepContext<'_>, secret: &SecretSettings) -> Result<Value> {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let (kind, data) = match &secret.content {
            SecretContent::Keys { kind, keys } => {
                let mut data = BTreeMap::new();
                for (key, from) in keys {
                    data.insert(key.clone(), encode(cx.world.secrets.resolve(from).await?.expose()));
                }
                (kind.clone(), data)
            }
            SecretContent::Registry { server, username, password } => {
                let password = cx.world.secrets.resolve(password).await?;
                let password = password.expose_str().unwrap_or_default();
                let auth = encode(format!("{username}:{password}").as_bytes());
                let entry = json!({ "username": username, "password": password, "auth": auth });
                let config = json!({ "auths": { server: entry } }).to_string();
                let data = [(".dockerconfigjson".to_owned(), encode(config.as_bytes()))].into_iter().collect();
                ("kubernetes.io/dockerconfigjson".to_owned(), data)
            }
        };
        Ok(json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "data": data,
            "metadata": { "namespace": secret.namespace, "name": secret.name },
        }))
    }

    async fn objects(cx: &StepContext<'_>) -> Result<Vec<Manifest>> {
        let mut all = Vec::new();
        for secret in &cx.settings().secrets {
            let object = Self::object(cx, secret).await?;
            all.push(Manifest { file: PathBuf::from("relight.yaml"), line: 0, object });
        }
        Ok(all)
    }
}

#[async_trait]
impl Action for Secrets {
    fn describe(&self, place: &Place<'_>) -> String {
        let names: Vec<_> = place.settings.secrets.iter().map(|s| format!("{}/{}", s.namespace, s.name)).collect();
        format!("make the secrets {}", names.join(", "))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        // Where values come from, not what they are.
        let text = |s: &SecretSettings| world::sha256_hex(format!("{s:?}").as_bytes());
        json!(place.settings.secrets.iter().map(text).collect::<Vec<_>>())
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::Kubeconfig]
    }
    fn needs_secrets(&self) -> bool {
        true
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let at = access::api(cx, access::first(cx)?).await?;
        let objects = Self::objects(cx).await?;
        look(cx, &at, &objects.iter().collect::<Vec<_>>()).await
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let at = access::api(cx, access::first(cx)?).await?;
        let objects = Self::objects(cx).await?;
        let missing = missing(cx, &at, &objects.iter().collect::<Vec<_>>()).await?;
        apply(cx, &at, &missing.iter().map(|(m, _)| *m).collect::<Vec<_>>()).await
    }
}

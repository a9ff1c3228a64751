//! The objects themselves: shelves by kind, revisions, and the memory that watches are answered from.

use super::failure::Failure;
use super::kinds::{built_in, of_definition, Served};
use super::machines::Machines;
use super::pace::Pace;
use super::read::{is_leaving, list, name, namespace, remove, set, stamp, text};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How many changes are remembered for watches.
const REMEMBERED: usize = 8192;

/// Stands among the touched resources for deletions.
pub(super) const GONE: &str = "*gone";

/// A change, as a watch tells it.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its revision.
    pub revision: u64,
    /// `pods`, `deployments.apps`.
    pub resource: String,
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub kind: &'static str,
    /// The object after it; before it, where it was deleted.
    pub object: Arc<Value>,
    /// The object before it: a selector may have matched that one.
    pub before: Option<Arc<Value>>,
}

type Shelf = BTreeMap<(String, String), Arc<Value>>;

/// What lies in a cluster's datastore, and its controllers. A clone is a snapshot.
#[derive(Debug, Clone)]
pub struct Objects {
    pub(super) now: Duration,
    pub(super) pace: Pace,
    pub(super) machines: Machines,
    /// Whether all controllers look next.
    pub(super) restless: bool,
    /// The controller that looks now, by its place among them: whose alarms are set.
    pub(super) looking: usize,
    /// Resources that have changed since the controllers last looked; [`GONE`] where anything has gone or is leaving.
    pub(super) touched: BTreeSet<String>,
    kinds: Vec<Arc<Served>>,
    shelves: BTreeMap<String, Shelf>,
    revision: u64,
    made: u64,
    log: VecDeque<Change>,
}

impl Objects {
    /// A new cluster's datastore, with its namespaces; nodes and K3s' own things come once a node is there.
    pub fn new(now: Duration, pace: Pace) -> Self {
        let mut new = Self {
            now,
            pace,
            machines: Machines::default(),
            restless: true,
            looking: 0,
            touched: BTreeSet::new(),
            kinds: built_in().into_iter().map(Arc::new).collect(),
            shelves: BTreeMap::new(),
            revision: 1,
            made: 0,
            log: VecDeque::new(),
        };
        new.bootstrap();
        new
    }
    /// The latest revision, as lists carry it.
    pub fn revision(&self) -> u64 {
        self.revision
    }
    /// The kinds served now.
    pub fn kinds(&self) -> &[Arc<Served>] {
        &self.kinds
    }
    /// A kind by its `apiVersion` and name.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<Arc<Served>> {
        self.kinds.iter().find(|k| k.kind == kind && k.api_version() == api_version).cloned()
    }
    /// A kind by group, version and plural: a request's path.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Served>> {
        self.kinds.iter().find(|k| k.plural == plural && k.version == version && k.group == group).cloned()
    }
    fn served(&self, resource: &str) -> Option<Arc<Served>> {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        self.kinds.iter().find(|k| k.plural == plural && k.group == group).cloned()
    }
    /// One object of a resource (`pods`, `deployments.apps`).
    pub fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.shelves.get(resource)?.get(&(namespace.to_owned(), name.to_owned()))
    }
    /// All objects of a resource, by namespace and name.
    pub fn all(&self, resource: &str) -> Vec<Arc<Value>> {
        self.shelves.get(resource).map_or_else(Vec::new, |s| s.values().cloned().collect())
    }
    /// The objects of a resource in one namespace.
    pub fn within(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        self.all(resource).into_iter().filter(|o| text(o, "/metadata/namespace") == namespace).collect()
    }
    /// The resources of which there is anything.
    pub(super) fn resources(&self) -> Vec<String> {
        self.shelves.keys().cloned().collect()
    }
    /// The changes after a revision.
    pub fn changes_after(&self, revision: u64) -> Result<Vec<Change>, Failure> {
        let oldest = self.log.front().map_or(self.revision + 1, |c| c.revision);
        if revision + 1 < oldest && self.log.len() >= REMEMBERED {
            return Err(Failure::gone());
        }
        Ok(self.log.iter().filter(|c| c.revision > revision).cloned().collect())
    }
    /// A number that no other has, for uids and generated names.
    pub(super) fn next_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
    /// Five characters of the alphabet that Kubernetes' generated names have.
    pub(super) fn suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut rest = self.next_number().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let base = LETTERS.len() as u64;
        let mut letters = String::new();
        for _ in 0..5 {
            let at = usize::try_from(rest % base).unwrap_or(0);
            letters.push(char::from(LETTERS.get(at).copied().unwrap_or(b'x')));
            rest /= base;
        }
        letters
    }
    /// Files an object as new: uid, creation time, revision.
    pub(super) fn insert(&mut self, served: &Served, mut object: Value) -> Arc<Value> {
        let uid = format!("00000000-0000-4000-8000-{:012x}", self.next_number());
        set(&mut object, &["metadata", "uid"], uid);
        set(&mut object, &["metadata", "creationTimestamp"], stamp(self.now));
        set(&mut object, &["metadata", "generation"], 1);
        if !has_generation(served) {
            remove(&mut object, "/metadata", "generation");
        }
        self.store(served, None, object)
    }
    /// Files an object in the place of the one that was there.
    pub(super) fn replace(&mut self, served: &Served, before: Arc<Value>, object: Value) -> Arc<Value> {
        self.store(served, Some(before), object)
    }
    fn store(&mut self, served: &Served, before: Option<Arc<Value>>, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        set(&mut object, &["metadata", "resourceVersion"], self.revision.to_string());
        let object = Arc::new(object);
        let key = (namespace(&object).to_owned(), name(&object).to_owned());
        self.shelves.entry(served.resource()).or_default().insert(key, object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.remember(served, kind, object.clone(), before);
        object
    }
    fn remember(&mut self, served: &Served, kind: &'static str, object: Arc<Value>, before: Option<Arc<Value>>) {
        self.touched.insert(served.resource());
        if kind == "DELETED" || is_leaving(&object) {
            self.touched.insert(GONE.to_owned());
        }
        if served.kind == "CustomResourceDefinition" {
            self.define();
        }
        if self.log.len() >= REMEMBERED {
            self.log.pop_front();
        }
        self.log.push_back(Change { revision: self.revision, resource: served.resource(), kind, object, before });
    }
    /// Takes an object away at once.
    pub(super) fn erase(&mut self, served: &Served, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let Some(gone) = self.shelves.get_mut(&served.resource()).and_then(|s| s.remove(&key)) else { return };
        self.revision += 1;
        let mut last = (*gone).clone();
        set(&mut last, &["metadata", "resourceVersion"], self.revision.to_string());
        self.remember(served, "DELETED", Arc::new(last), Some(gone));
    }
    /// A controller's own edit; nothing happens where nothing changes. A controller that changes the specification raises the
    /// generation like everyone else.
    pub(super) fn edit(&mut self, resource: &str, namespace: &str, name: &str, how: impl FnOnce(&mut Value)) {
        let (Some(served), Some(before)) = (self.served(resource), self.find(resource, namespace, name).cloned())
        else {
            return;
        };
        let mut after = (*before).clone();
        how(&mut after);
        if after == *before {
            return;
        }
        raise_generation(&served, &before, &mut after);
        self.replace(&served, before, after);
        self.let_go(&served, namespace, name);
    }
    /// A controller's own creation; nothing happens where it exists.
    pub(super) fn make(&mut self, mut object: Value) {
        let Some(served) = self.kind(text(&object, "/apiVersion"), text(&object, "/kind")) else { return };
        if self.find(&served.resource(), namespace(&object), name(&object)).is_none() {
            super::defaults::complete(self, &served, &mut object);
            self.insert(&served, object);
        }
    }
    /// A controller's own deletion.
    pub(super) fn discard(&mut self, resource: &str, namespace: &str, name: &str) {
        if let Some(served) = self.served(resource) {
            self.leave(&served, namespace, name);
        }
    }
    /// Begins an object's deletion: pods and namespaces, and whatever has finalizers, take their time.
    pub(super) fn leave(&mut self, served: &Served, namespace: &str, name: &str) {
        let Some(before) = self.find(&served.resource(), namespace, name).cloned() else { return };
        if is_leaving(&before) {
            return;
        }
        let slow = served.kind == "Namespace" || (served.kind == "Pod" && !text(&before, "/spec/nodeName").is_empty());
        if !slow && list(&before, "/metadata/finalizers").is_empty() {
            self.erase(served, namespace, name);
            return;
        }
        let mut after = (*before).clone();
        set(&mut after, &["metadata", "deletionTimestamp"], stamp(self.now));
        set(&mut after, &["metadata", "deletionGracePeriodSeconds"], if served.kind == "Pod" { 30 } else { 0 });
        if served.kind == "Namespace" {
            set(&mut after, &["status", "phase"], "Terminating");
        }
        self.replace(served, before, after);
    }
    /// Erases an object that is leaving and that no finalizer holds any more.
    pub(super) fn let_go(&mut self, served: &Served, namespace: &str, name: &str) {
        let Some(object) = self.find(&served.resource(), namespace, name) else { return };
        let slow = served.kind == "Namespace" || served.kind == "Pod";
        if is_leaving(object) && !slow && list(object, "/metadata/finalizers").is_empty() {
            self.erase(served, namespace, name);
        }
    }
    /// Learns the kinds of all CustomResourceDefinitions and marks those as established.
    fn define(&mut self) {
        self.kinds = built_in().into_iter().map(Arc::new).collect();
        for definition in self.all("customresourcedefinitions.apiextensions.k8s.io") {
            for served in of_definition(&definition) {
                if self.kind(&served.api_version(), &served.kind).is_none() {
                    self.kinds.push(Arc::new(served));
                }
            }
        }
    }
    /// Notes an event about an object, as `kubectl describe` shows it; repeated ones are counted.
    pub(super) fn event(&mut self, about: &Value, warning: bool, reason: &str, message: &str) {
        let home = if namespace(about).is_empty() { "default" } else { namespace(about) }.to_owned();
        let same = self.within("events", &home).into_iter().find(|e| {
            text(e, "/involvedObject/uid") == super::read::uid(about)
                && text(e, "/reason") == reason
                && text(e, "/message") == message
        });
        let at = stamp(self.now);
        if let Some(old) = same {
            self.edit("events", &home, name(&old), |e| {
                let count = super::read::number(e, "/count").unwrap_or(1);
                set(e, &["count"], count + 1);
                set(e, &["lastTimestamp"], at);
            });
            return;
        }
        let unique = format!("{}.{:016x}", name(about), self.next_number());
        self.make(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": unique, "namespace": home},
            "involvedObject": {"apiVersion": about.get("apiVersion"), "kind": about.get("kind"), "name": name(about),
                "namespace": about.pointer("/metadata/namespace"), "uid": super::read::uid(about)},
            "type": if warning { "Warning" } else { "Normal" }, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": at, "lastTimestamp": at, "source": {"component": "k3s"},
            "reportingComponent": "k3s", "reportingInstance": ""}));
    }
}

/// Whether a kind counts the changes of its specification.
fn has_generation(served: &Served) -> bool {
    served.schema.is_some()
        || matches!(
            served.group.as_str(),
            "apps" | "batch" | "networking.k8s.io" | "policy" | "apiextensions.k8s.io" | "autoscaling"
        )
}

/// Raises the generation where anything but metadata and status has changed.
pub(super) fn raise_generation(served: &Served, before: &Value, after: &mut Value) {
    if !has_generation(served) {
        return;
    }
    let rest = |v: &Value| -> Vec<(String, Value)> {
        let map = v.as_object().cloned().unwrap_or_default();
        map.into_iter().filter(|(k, _)| k != "metadata" && k != "status").collect()
    };
    if rest(before) != rest(after) {
        let generation = super::read::number(before, "/metadata/generation").unwrap_or(1);
        set(after, &["metadata", "generation"], generation + 1);
    }
}

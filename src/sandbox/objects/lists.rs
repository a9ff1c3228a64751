//! Lists, deletion with propagation, and watches.

use super::failure::Failure;
use super::kinds::Served;
use super::read::{list, name, namespace, set, text, uid};
use super::requests::Named;
use super::selector::{fields_match, Labels};
use super::store::Objects;
use serde_json::{json, Value};
use std::sync::Arc;

/// Which objects of a kind.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `None`: all.
    pub namespace: Option<String>,
    /// By label.
    pub labels: Labels,
    /// By field, in the written form.
    pub fields: String,
}

impl Selection {
    /// From the written forms; `None` as namespace is all of them.
    pub fn parse(namespace: Option<&str>, labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self { namespace: namespace.map(str::to_owned), labels: Labels::parse(labels)?, fields: fields.to_owned() })
    }
    /// Whether an object is meant.
    pub fn matches(&self, object: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|n| namespace(object) == n)
            && self.labels.matches(object)
            && fields_match(object, &self.fields)
    }
}

impl Objects {
    /// The objects of a kind that are meant, by namespace and name.
    pub fn select(&self, served: &Served, selection: &Selection) -> Vec<Arc<Value>> {
        self.all(&served.resource()).into_iter().filter(|o| selection.matches(o)).collect()
    }
    /// Deletes an object. Returns what the API server answers: a `Status`, or the object where it takes its time.
    pub fn delete(&mut self, what: &Named, options: &Value, dry_run: bool) -> Result<Value, Failure> {
        let before = self.get(what)?;
        let wanted = text(options, "/preconditions/uid");
        if !wanted.is_empty() && wanted != uid(&before) {
            let why = "the UID in the precondition does not match the UID in record";
            return Err(Failure::conflict(&what.served, &what.name, why));
        }
        if !what.served.namespaced
            && what.served.kind == "Namespace"
            && matches!(what.name.as_str(), "default" | "kube-system" | "kube-public")
        {
            let message = format!("namespaces \"{}\" is forbidden: this namespace may not be deleted", what.name);
            return Err(Failure::new(403, "Forbidden", message));
        }
        if dry_run {
            return Ok((*before).clone());
        }
        match text(options, "/propagationPolicy") {
            "Orphan" => self.orphan(uid(&before)),
            "Foreground" if self.has_dependents(uid(&before)) => {
                self.edit(&what.served.resource(), &what.namespace, &what.name, |o| {
                    let mut finalizers = list(o, "/metadata/finalizers").to_vec();
                    finalizers.push("foregroundDeletion".into());
                    set(o, &["metadata", "finalizers"], finalizers);
                });
            }
            _ => {}
        }
        let forced = options.get("gracePeriodSeconds").and_then(Value::as_i64) == Some(0);
        if what.served.kind == "Pod" && forced {
            self.erase(&what.served, &what.namespace, &what.name);
        } else {
            self.leave(&what.served, &what.namespace, &what.name);
        }
        match self.find(&what.served.resource(), &what.namespace, &what.name) {
            Some(leaving) => Ok((**leaving).clone()),
            None => Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": what.name, "group": what.served.group, "kind": what.served.plural, "uid": uid(&before)}})),
        }
    }
    fn owned(&self, owner: &str) -> Vec<(String, Arc<Value>)> {
        let of = |o: &Value| list(o, "/metadata/ownerReferences").iter().any(|r| text(r, "/uid") == owner);
        let all = self.resources().into_iter().flat_map(|r| self.all(&r).into_iter().map(move |o| (r.clone(), o)));
        all.filter(|(_, o)| of(o)).collect()
    }
    fn has_dependents(&self, owner: &str) -> bool {
        !self.owned(owner).is_empty()
    }
    fn orphan(&mut self, owner: &str) {
        for (resource, object) in self.owned(owner) {
            self.edit(&resource, namespace(&object), name(&object), |o| {
                let rest: Vec<_> =
                    list(o, "/metadata/ownerReferences").iter().filter(|r| text(r, "/uid") != owner).cloned().collect();
                set(o, &["metadata", "ownerReferences"], rest);
            });
        }
    }
    /// What a watch is told after a revision: type and object; the second value is the revision reached.
    pub fn watched(
        &self,
        served: &Served,
        selection: &Selection,
        after: u64,
    ) -> Result<(Vec<(&'static str, Arc<Value>)>, u64), Failure> {
        let mut told = Vec::new();
        for change in self.changes_after(after)?.into_iter().filter(|c| c.resource == served.resource()) {
            let (is, was) =
                (selection.matches(&change.object), change.before.as_deref().is_some_and(|b| selection.matches(b)));
            // An object that comes into the selection is new to the watch, one that leaves it is gone.
            match (change.kind, was, is) {
                ("DELETED", _, _) if was || is => told.push(("DELETED", change.object)),
                ("DELETED", _, _) | (_, false, false) => {}
                (_, true, false) => told.push(("DELETED", change.object)),
                (_, true, true) => told.push(("MODIFIED", change.object)),
                (_, false, true) => told.push(("ADDED", change.object)),
            }
        }
        Ok((told, self.revision()))
    }
}

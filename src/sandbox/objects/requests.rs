//! What a client may ask: create, update, patch, apply, delete, evict. Whoever calls has let the time pass before
//! ([`Objects::advance`]).

use super::apply::{apply, update, Owner};
use super::failure::Failure;
use super::kinds::Served;
use super::patch;
use super::read::{is_leaving, list, name, namespace, remove, set, stamp, strip_nulls, text, uid};
use super::schema::Schema;
use super::store::{raise_generation, Objects};
use super::validate::{decodes, drop_unknown, valid};
use super::{defaults, fields::FieldSet};
use serde_json::{json, Value};
use std::sync::Arc;

/// Who writes, and how.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    /// Field manager: `kubectl`.
    pub manager: String,
    /// Everything but the storing.
    pub dry_run: bool,
    /// Unknown fields are refused instead of dropped.
    pub strict: bool,
    /// `status`, or empty.
    pub subresource: String,
}

/// The four forms of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply {
        /// Takes over what others own.
        force: bool,
    },
}

/// One object of a kind.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its kind.
    pub served: Arc<Served>,
    /// Empty for kinds without namespaces.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Objects {
    fn owner(&self, served: &Served, writer: &Writer, by_apply: bool) -> Owner {
        Owner {
            manager: writer.manager.clone(),
            apply: by_apply,
            subresource: writer.subresource.clone(),
            api_version: served.api_version(),
            time: stamp(self.now),
            fields: FieldSet::default(),
        }
    }
    /// The object, or 404.
    pub fn get(&self, what: &Named) -> Result<Arc<Value>, Failure> {
        let found = self.find(&what.served.resource(), &what.namespace, &what.name);
        found.cloned().ok_or_else(|| Failure::not_found(&what.served, &what.name))
    }
    fn may_hold(&self, what: &Named) -> Result<(), Failure> {
        if !what.served.namespaced {
            return Ok(());
        }
        let Some(home) = self.find("namespaces", "", &what.namespace) else {
            let namespaces = self.kind("v1", "Namespace").ok_or_else(Failure::no_such_resource)?;
            return Err(Failure::not_found(&namespaces, &what.namespace));
        };
        if is_leaving(home) {
            let message =
                format!(
                "{} \"{}\" is forbidden: unable to create new content in namespace {} because it is being terminated",
                what.served.resource(), what.name, what.namespace
            );
            return Err(Failure::new(403, "Forbidden", message));
        }
        Ok(())
    }
    /// Puts what the path and the kind say into a body, and refuses one that says something else.
    fn addressed(what: &Named, body: &mut Value) -> Result<(), Failure> {
        if !body.is_object() {
            return Err(Failure::bad_request("the body is no object"));
        }
        let wrong = |given: &str, wanted: &str| !given.is_empty() && given != wanted;
        if wrong(name(body), &what.name) || wrong(namespace(body), &what.namespace) {
            return Err(Failure::bad_request(format!(
                "the name or namespace of the object ({}/{}) does not match the one of the URL ({}/{})",
                namespace(body),
                name(body),
                what.namespace,
                what.name
            )));
        }
        if wrong(text(body, "/kind"), &what.served.kind) || wrong(text(body, "/apiVersion"), &what.served.api_version())
        {
            return Err(Failure::bad_request("the kind of the object does not match the one of the URL"));
        }
        set(body, &["apiVersion"], what.served.api_version());
        set(body, &["kind"], what.served.kind.clone());
        set(body, &["metadata", "name"], what.name.clone());
        if what.served.namespaced {
            set(body, &["metadata", "namespace"], what.namespace.clone());
        } else {
            remove(body, "/metadata", "namespace");
        }
        Ok(())
    }
    /// Creates an object; a `generateName` gets its ending.
    pub fn create(&mut self, mut what: Named, mut body: Value, writer: &Writer) -> Result<Value, Failure> {
        strip_nulls(&mut body);
        if what.name.is_empty() {
            what.name = name(&body).to_owned();
        }
        if what.name.is_empty() {
            let start = text(&body, "/metadata/generateName").to_owned();
            what.name = if start.is_empty() { String::new() } else { format!("{start}{}", self.suffix()) };
        }
        self.may_hold(&what)?;
        Self::addressed(&what, &mut body)?;
        decodes(&what.served, &body, writer.strict)?;
        drop_unknown(&mut body, Schema::of(&what.served), true);
        if self.find(&what.served.resource(), &what.namespace, &what.name).is_some() {
            return Err(Failure::exists(&what.served, &what.name));
        }
        if what.served.has("status") {
            body.as_object_mut().and_then(|b| b.remove("status"));
        }
        for field in ["resourceVersion", "uid", "managedFields", "generation", "deletionTimestamp"] {
            remove(&mut body, "/metadata", field);
        }
        defaults::complete(self, &what.served, &mut body);
        valid(&what.served, None, &body)?;
        let owners = update(&Value::Null, &body, self.owner(&what.served, writer, false), Schema::of(&what.served));
        set(&mut body, &["metadata", "managedFields"], Owner::entries(&owners));
        if writer.dry_run {
            return Ok(body);
        }
        Ok((*self.insert(&what.served, body)).clone())
    }
    /// Replaces an object.
    pub fn update(&mut self, what: &Named, mut body: Value, writer: &Writer) -> Result<Value, Failure> {
        strip_nulls(&mut body);
        Self::addressed(what, &mut body)?;
        decodes(&what.served, &body, writer.strict)?;
        let before = self.get(what)?;
        self.commit(what, before, body, None, writer)
    }
    /// Patches an object. An apply of what does not exist creates it.
    pub fn patch(&mut self, what: &Named, kind: PatchKind, mut body: Value, writer: &Writer) -> Result<Value, Failure> {
        if let PatchKind::Apply { force } = kind {
            return self.apply(what, body, force, writer);
        }
        let before = self.get(what)?;
        let schema = Schema::of(&what.served);
        let mut after = (*before).clone();
        match kind {
            PatchKind::Json => patch::json_patch(&mut after, &body)?,
            PatchKind::Strategic if what.served.schema.is_none() => patch::strategic(&mut after, &body, schema, true),
            PatchKind::Strategic => {
                let message = "the body of the request was in an unknown format - accepted media types include: \
                               application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
                return Err(Failure::new(415, "UnsupportedMediaType", message));
            }
            _ => patch::merge(&mut after, &body),
        }
        strip_nulls(&mut body);
        strip_nulls(&mut after);
        Self::addressed(what, &mut after)?;
        decodes(&what.served, &after, writer.strict)?;
        self.commit(what, before, after, None, writer)
    }
    fn apply(&mut self, what: &Named, mut body: Value, force: bool, writer: &Writer) -> Result<Value, Failure> {
        strip_nulls(&mut body);
        if writer.manager.is_empty() {
            let why = ("fieldManager".to_owned(), "Required value: is required for apply patch".to_owned());
            return Err(Failure::invalid(&what.served, &what.name, &[why]));
        }
        if !list(&body, "/metadata/managedFields").is_empty() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        if text(&body, "/apiVersion").is_empty() || text(&body, "/kind").is_empty() {
            return Err(Failure::bad_request("apply needs apiVersion and kind in the object"));
        }
        Self::addressed(what, &mut body)?;
        if what.served.kind == "Secret" {
            defaults::fold_string_data(&mut body);
        }
        // An apply is always strict: a field that the schema has not cannot be owned (structured-merge-diff).
        decodes(&what.served, &body, true)?;
        let before = self.find(&what.served.resource(), &what.namespace, &what.name).cloned();
        if before.is_none() {
            self.may_hold(what)?;
        }
        let version = text(&body, "/metadata/resourceVersion").to_owned();
        remove(&mut body, "/metadata", "resourceVersion");
        let with_status = what.served.has("status");
        if with_status && writer.subresource.is_empty() {
            body.as_object_mut().and_then(|b| b.remove("status"));
        }
        let live = before.as_deref().cloned().unwrap_or(Value::Null);
        let me = self.owner(&what.served, writer, true);
        let (mut after, owners) =
            apply(&live, &body, me, force, Schema::of(&what.served)).map_err(|all| conflict(&all))?;
        if !version.is_empty() {
            set(&mut after, &["metadata", "resourceVersion"], version);
        }
        match before {
            Some(before) => self.commit(what, before, after, Some(owners), writer),
            None => {
                remove(&mut after, "/metadata", "uid");
                defaults::complete(self, &what.served, &mut after);
                valid(&what.served, None, &after)?;
                set(&mut after, &["metadata", "managedFields"], Owner::entries(&owners));
                Ok(if writer.dry_run { after } else { (*self.insert(&what.served, after)).clone() })
            }
        }
    }
    /// The part that every change of an existing object ends with.
    fn commit(
        &mut self,
        what: &Named,
        before: Arc<Value>,
        mut after: Value,
        owners: Option<Vec<Owner>>,
        writer: &Writer,
    ) -> Result<Value, Failure> {
        let served = &what.served;
        let given = text(&after, "/metadata/resourceVersion");
        if !given.is_empty() && given != text(&before, "/metadata/resourceVersion") {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Failure::conflict(served, &what.name, why));
        }
        let other = text(&after, "/metadata/uid");
        if !other.is_empty() && other != uid(&before) {
            return Err(Failure::conflict(served, &what.name, "Precondition failed: UID in precondition differs"));
        }
        if writer.subresource == "status" {
            let status = after.get("status").cloned().unwrap_or_else(|| json!({}));
            let managed = after.pointer("/metadata/managedFields").cloned();
            after = (*before).clone();
            set(&mut after, &["status"], status);
            if let Some(managed) = managed {
                set(&mut after, &["metadata", "managedFields"], managed);
            }
        } else if served.has("status") {
            match before.get("status") {
                Some(status) => set(&mut after, &["status"], status.clone()),
                None => drop(after.as_object_mut().and_then(|a| a.remove("status"))),
            }
        }
        for field in [
            "uid",
            "creationTimestamp",
            "resourceVersion",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            match before.pointer(&format!("/metadata/{field}")) {
                Some(value) => set(&mut after, &["metadata", field], value.clone()),
                None => drop(remove(&mut after, "/metadata", field)),
            }
        }
        drop_unknown(&mut after, Schema::of(served), true);
        defaults::complete(self, served, &mut after);
        valid(served, Some(&before), &after)?;
        raise_generation(served, &before, &mut after);
        let given = after.pointer("/metadata/managedFields") != before.pointer("/metadata/managedFields");
        let owners = match owners {
            Some(owners) => owners,
            // A client may rewrite the list itself: kubectl does when it turns from client-side to server-side apply.
            None if given && after.pointer("/metadata/managedFields").is_some() => Owner::all_of(&after),
            None => update(&before, &after, self.owner(served, writer, false), Schema::of(served)),
        };
        set(&mut after, &["metadata", "managedFields"], Owner::entries(&owners));
        if list(&after, "/metadata/managedFields").is_empty() {
            remove(&mut after, "/metadata", "managedFields");
        }
        if after == *before || writer.dry_run {
            return Ok(after);
        }
        let stored = self.replace(served, before, after);
        self.let_go(served, &what.namespace, &what.name);
        Ok((*stored).clone())
    }
}

fn conflict(all: &[super::apply::Conflict]) -> Failure {
    let count = if all.len() == 1 { "1 conflict".to_owned() } else { format!("{} conflicts", all.len()) };
    let lines: Vec<_> = all.iter().map(|c| format!("conflict with {}: {}", c.with, c.field)).collect();
    let mut failure = Failure::new(409, "Conflict", format!("Apply failed with {count}: {}", lines.join("\n- ")));
    failure.with_causes(all.iter().map(
        |c| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {}", c.with), "field": c.field}),
    ));
    failure
}

//! Server-side apply: merging by schema, who owns which field, conflicts.
//!
//! The rules are those of sigs.k8s.io/structured-merge-diff (`merge/update.go`): an apply owns what it says; what it said before,
//! says no longer and nobody else owns goes away; to change what another manager owns is a conflict unless forced.

use super::fields::{field, item, FieldSet};
use super::schema::{ListKind, Schema};
use serde_json::{json, Map, Value};

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    /// `kubectl`.
    pub manager: String,
    /// Whether by apply; else by update.
    pub apply: bool,
    /// `status`, or empty.
    pub subresource: String,
    /// The version that the fields are of.
    pub api_version: String,
    /// RFC 3339.
    pub time: String,
    /// What it owns.
    pub fields: FieldSet,
}

impl Owner {
    /// Whether both are the same manager, by the same way.
    pub fn same(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.apply == other.apply
            && self.subresource == other.subresource
            && self.api_version == other.api_version
    }
    /// The owners of an object.
    pub fn all_of(object: &Value) -> Vec<Self> {
        let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        entries
            .into_iter()
            .flatten()
            .map(|e| Self {
                manager: text(e, "manager"),
                apply: text(e, "operation") == "Apply",
                subresource: text(e, "subresource"),
                api_version: text(e, "apiVersion"),
                time: text(e, "time"),
                fields: e.get("fieldsV1").map(FieldSet::from_json).unwrap_or_default(),
            })
            .collect()
    }
    /// As an object's `managedFields`.
    pub fn entries(owners: &[Self]) -> Value {
        let entry = |o: &Self| {
            let mut e = json!({"manager": o.manager, "operation": if o.apply { "Apply" } else { "Update" },
                "apiVersion": o.api_version, "time": o.time, "fieldsType": "FieldsV1", "fieldsV1": o.fields.to_json()});
            if let (false, Some(map)) = (o.subresource.is_empty(), e.as_object_mut()) {
                map.insert("subresource".into(), o.subresource.clone().into());
            }
            e
        };
        owners.iter().filter(|o| !o.fields.is_empty()).map(entry).collect()
    }
}

/// A field that another manager owns and that the apply would change.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// `"kubectl" using v1`.
    pub with: String,
    /// `.data.a`.
    pub field: String,
}

/// What every manager's set leaves out: nobody owns an object's identity (`fieldmanager/stripmeta.go`).
pub fn strip_identity(set: &mut FieldSet) {
    set.cut(&["f:apiVersion"]);
    set.cut(&["f:kind"]);
    for name in
        "name namespace uid resourceVersion generation creationTimestamp managedFields selfLink deletionTimestamp \
                 deletionGracePeriodSeconds generateName"
            .split_whitespace()
    {
        set.cut(&["f:metadata", &field(name)]);
    }
    if set.below.get("f:metadata").is_some_and(|m| m.below.is_empty()) {
        set.below.remove("f:metadata");
    }
}

/// Merges an applied configuration into a live object. Returns the object (without new `managedFields`) and its owners.
pub fn apply(
    live: &Value,
    applied: &Value,
    mut me: Owner,
    force: bool,
    schema: Schema<'_>,
) -> Result<(Value, Vec<Owner>), Vec<Conflict>> {
    let mut owners = Owner::all_of(live);
    me.fields = FieldSet::of(applied, schema);
    strip_identity(&mut me.fields);
    let mut merged = merge(live, applied, schema, true);

    let before = owners.iter().position(|o| o.same(&me)).map(|at| owners.remove(at));
    let mut kept = me.fields.clone();
    owners.iter().for_each(|o| kept.add(&o.fields));
    if let Some(before) = &before {
        let mut gone = before.fields.clone();
        gone.subtract(&kept);
        prune(&mut merged, &gone, &kept, schema, true);
    }

    let changed = difference(live, &merged, schema, true);
    let mut conflicts = Vec::new();
    for owner in &mut owners {
        let both = owner.fields.common(&changed);
        if both.is_empty() {
            continue;
        }
        if force {
            owner.fields.subtract(&both);
        } else {
            let mut with = format!("{:?}", owner.manager);
            if !owner.subresource.is_empty() {
                with.push_str(&format!(" with subresource {:?}", owner.subresource));
            }
            if !owner.apply {
                with.push_str(&format!(" using {}", owner.api_version));
            }
            conflicts.extend(both.paths().into_iter().map(|field| Conflict { with: with.clone(), field }));
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    if let Some(before) = before.filter(|b| b.fields == me.fields && changed.is_empty()) {
        me.time = before.time;
    }
    let present = FieldSet::of(&merged, schema);
    owners.iter_mut().for_each(|o| o.fields = o.fields.common(&present));
    owners.retain(|o| !o.fields.is_empty());
    owners.push(me);
    Ok((merged, owners))
}

/// The owners after an update: what changed is the updater's alone, what is gone is nobody's.
pub fn update(live: &Value, new: &Value, mut me: Owner, schema: Schema<'_>) -> Vec<Owner> {
    let mut owners = Owner::all_of(live);
    let mut changed = difference(live, new, schema, true);
    strip_identity(&mut changed);
    let present = FieldSet::of(new, schema);
    for owner in &mut owners {
        if !owner.same(&me) {
            owner.fields.subtract(&changed);
        }
        owner.fields = owner.fields.common(&present);
    }
    if !changed.is_empty() {
        if let Some(at) = owners.iter().position(|o| o.same(&me)) {
            me.fields = owners.remove(at).fields;
        }
        me.fields.add(&changed);
        owners.push(me);
    }
    owners.retain(|o| !o.fields.is_empty());
    owners
}

fn merge(live: &Value, applied: &Value, schema: Schema<'_>, top: bool) -> Value {
    match (live, applied) {
        (Value::Object(old), Value::Object(new)) if !schema.atomic_map() => {
            let mut all = old.clone();
            for (name, value) in new {
                let below = schema.field(name, top).map_or_else(Schema::free, |(s, _)| s);
                let merged = old.get(name).map_or_else(|| value.clone(), |o| merge(o, value, below, false));
                all.insert(name.clone(), merged);
            }
            Value::Object(all)
        }
        (Value::Array(old), Value::Array(new)) if schema.list() != ListKind::Atomic => {
            let (list, inner) = (schema.list(), schema.items());
            let id = |v: &Value| item(&list, inner, v);
            let mut all: Vec<Value> = old
                .iter()
                .map(|o| new.iter().find(|n| id(n) == id(o)).map_or_else(|| o.clone(), |n| merge(o, n, inner, false)))
                .collect();
            all.extend(new.iter().filter(|n| !old.iter().any(|o| id(o) == id(n))).cloned());
            Value::Array(all)
        }
        _ => applied.clone(),
    }
}

/// Removes the fields of `gone` unless something at or below them is kept.
fn prune(value: &mut Value, gone: &FieldSet, kept: &FieldSet, schema: Schema<'_>, top: bool) {
    let nothing = FieldSet::default();
    match value {
        Value::Object(map) => {
            for (element, below) in &gone.below {
                let Some(name) = element.strip_prefix("f:") else { continue };
                let keep = kept.under(element).unwrap_or(&nothing);
                if below.member && keep.is_empty() {
                    map.remove(name);
                } else if let Some(inner) = map.get_mut(name) {
                    prune(inner, below, keep, schema.field(name, top).map_or_else(Schema::free, |(s, _)| s), false);
                    let empty =
                        inner.as_object().is_some_and(Map::is_empty) || inner.as_array().is_some_and(Vec::is_empty);
                    if empty && keep.is_empty() {
                        map.remove(name);
                    }
                }
            }
        }
        Value::Array(items) => {
            let (list, inner) = (schema.list(), schema.items());
            items.retain_mut(|value| {
                let Some(element) = item(&list, inner, value) else { return true };
                let Some(below) = gone.under(&element) else { return true };
                let keep = kept.under(&element).unwrap_or(&nothing);
                if below.member && keep.is_empty() {
                    return false;
                }
                prune(value, below, keep, inner, false);
                true
            });
        }
        _ => {}
    }
}

/// The paths of `new` that `old` has not, or has with another value.
pub fn difference(old: &Value, new: &Value, schema: Schema<'_>, top: bool) -> FieldSet {
    let mut set = FieldSet::default();
    if old == new {
        return set;
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) if !schema.atomic_map() => {
            for (name, value) in after {
                let (below, declared) = schema.field(name, top).unwrap_or((Schema::free(), false));
                let child = match before.get(name) {
                    Some(b) => difference(b, value, below, false),
                    None => added(value, below, !declared || value.as_object().is_some_and(Map::is_empty)),
                };
                if !child.is_empty() {
                    set.below.insert(field(name), child);
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if schema.list() != ListKind::Atomic => {
            let (list, inner) = (schema.list(), schema.items());
            for value in after {
                let Some(element) = item(&list, inner, value) else { continue };
                let child = match before.iter().find(|b| item(&list, inner, b).as_ref() == Some(&element)) {
                    Some(b) => difference(b, value, inner, false),
                    None => added(value, inner, true),
                };
                if !child.is_empty() {
                    set.below.insert(element, child);
                }
            }
        }
        _ => set = added(new, schema, false),
    }
    set
}

fn added(value: &Value, schema: Schema<'_>, member: bool) -> FieldSet {
    // `FieldSet::of` treats its value as an object's top; below the top only the schema counts.
    let mut set = FieldSet::below_top(value, schema);
    set.member |= member;
    set
}

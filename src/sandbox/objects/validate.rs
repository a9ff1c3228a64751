//! What the API server checks before it stores: known fields, types, required fields, names, and what may not change.

use super::failure::Failure;
use super::kinds::{self, Served};
use super::read::{name, text};
use super::schema::Schema;
use super::selector::Labels;
use crate::config::nearest;
use serde_json::{json, Value};

/// What is wrong with an object's shape.
#[derive(Debug, Default)]
pub struct Shape {
    /// Fields that the schema has not.
    pub unknown: Vec<Unknown>,
    /// Path and what was expected.
    pub mistyped: Vec<(String, String)>,
    /// Paths of required fields that are missing.
    pub missing: Vec<String>,
}

/// A field that the schema has not.
#[derive(Debug)]
pub struct Unknown {
    /// `spec.replicaz`.
    pub path: String,
    /// The field that is most likely meant.
    pub meant: Option<String>,
}

/// What is wrong with the shape of an object as it is written; `None` for a kind that the description of Kubernetes does not have.
pub fn described(object: &Value) -> Option<Shape> {
    let (group, version) = kinds::split_api_version(text(object, "/apiVersion"));
    let (_, schema) = super::schema::of_kind(group, version, text(object, "/kind"))?;
    let mut found = shape(object, Schema::described(schema));
    // The status is the controllers' own.
    found.missing.retain(|path| !path.starts_with("status"));
    Some(found)
}

/// Whether a label selector selects the objects that this template makes. An empty one selects nothing that anybody meant.
pub fn selects(selector: &Value, template: &Value) -> bool {
    selector.as_object().is_some_and(|s| !s.is_empty()) && Labels::of(selector).matches(template)
}

/// Compares an object with its kind's schema.
pub fn shape(object: &Value, schema: Schema<'_>) -> Shape {
    let mut found = Shape::default();
    walk(object, schema, "", true, &mut found);
    found
}

fn walk(value: &Value, schema: Schema<'_>, path: &str, top: bool, found: &mut Shape) {
    let fits = match schema.type_name() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    };
    if !fits && !value.is_null() {
        found.mistyped.push((path.to_owned(), schema.type_name().unwrap_or_default().to_owned()));
        return;
    }
    match value {
        Value::Object(map) => {
            for (field, inner) in map {
                let here = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                match schema.field(field, top) {
                    Some((below, _)) => walk(inner, below, &here, false, found),
                    None => {
                        let meant = nearest(field, schema.names()).map(str::to_owned);
                        found.unknown.push(Unknown { path: here, meant });
                    }
                }
            }
            for field in schema.required().filter(|f| !map.contains_key(*f)) {
                found.missing.push(if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") });
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                walk(inner, schema.items(), &format!("{path}[{at}]"), false, found);
            }
        }
        _ => {}
    }
}

/// Refuses what does not decode: wrong types always, unknown fields where the caller asked for strictness.
pub fn decodes(served: &Served, object: &Value, strict: bool) -> Result<(), Failure> {
    let found = shape(object, Schema::of(served));
    if let Some((path, wanted)) = found.mistyped.first() {
        return Err(Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: .{path}: expected {wanted}",
            served.kind, served.version, served.kind
        )));
    }
    if strict && !found.unknown.is_empty() {
        let words: Vec<_> = found.unknown.iter().map(|f| format!("unknown field {:?}", f.path)).collect();
        let mut failure = Failure::bad_request(format!("strict decoding error: {}", words.join(", ")));
        failure.with_causes(
            found
                .unknown
                .iter()
                .zip(&words)
                .map(|(f, message)| json!({"reason": "FieldValueInvalid", "message": message, "field": f.path})),
        );
        return Err(failure);
    }
    Ok(())
}

/// Removes the fields that the schema has not: what a server does that was not asked to be strict.
pub fn drop_unknown(value: &mut Value, schema: Schema<'_>, top: bool) {
    match value {
        Value::Object(map) => {
            map.retain(|field, _| schema.field(field, top).is_some());
            for (field, inner) in map {
                if let Some((below, _)) = schema.field(field, top) {
                    drop_unknown(inner, below, false);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|i| drop_unknown(i, schema.items(), false)),
        _ => {}
    }
}

/// What may never change once stored, by kind.
fn immutable(served: &Served) -> &'static [&'static str] {
    match (served.group.as_str(), served.kind.as_str()) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") => &["/spec/selector"],
        ("apps", "StatefulSet") => &["/spec/selector", "/spec/serviceName", "/spec/volumeClaimTemplates"],
        ("batch", "Job") => &["/spec/selector", "/spec/template", "/spec/completions"],
        ("", "PersistentVolumeClaim") => &["/spec/storageClassName", "/spec/accessModes"],
        ("", "Pod") => &["/spec/containers/0/command", "/spec/containers/0/env", "/spec/volumes"],
        ("", "Secret") => &["/type"],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &["/roleRef"],
        _ => &[],
    }
}

/// Whether it is a DNS subdomain (RFC 1123), which most names must be; RBAC's names may have more.
fn good_name(served: &Served, name: &str) -> bool {
    if served.group == "rbac.authorization.k8s.io" {
        return !name.is_empty() && !name.contains(['/', '%']);
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name
            .split('.')
            .all(|part| part.starts_with(plain) && part.ends_with(plain) && part.chars().all(|c| plain(c) || c == '-'))
}

/// Refuses an object that the API server would call invalid.
pub fn valid(served: &Served, before: Option<&Value>, after: &Value) -> Result<(), Failure> {
    let mut causes: Vec<(String, String)> = Vec::new();
    if before.is_none() && !good_name(served, name(after)) {
        causes.push((
            "metadata.name".into(),
            format!("Invalid value: {:?}: a lowercase RFC 1123 subdomain is required", name(after)),
        ));
    }
    let missing = shape(after, Schema::of(served)).missing;
    // The status is the controllers' own.
    causes.extend(
        missing.into_iter().filter(|path| !path.starts_with("status")).map(|path| (path, "Required value".to_owned())),
    );
    if let Some(before) = before {
        for pointer in immutable(served) {
            if before.pointer(pointer) != after.pointer(pointer) && before.pointer(pointer).is_some() {
                let field = pointer.trim_start_matches('/').replace('/', ".");
                causes.push((field, "Invalid value: field is immutable".into()));
            }
        }
    }
    if served.group == "apps" && after.pointer("/spec/template").is_some() {
        let selector = after.pointer("/spec/selector").cloned().unwrap_or_default();
        if !selects(&selector, after.pointer("/spec/template").unwrap_or(&Value::Null)) {
            causes.push((
                "spec.template.metadata.labels".into(),
                "Invalid value: `selector` does not match template `labels`".into(),
            ));
        }
        if text(after, "/spec/strategy/type") == "Recreate" && after.pointer("/spec/strategy/rollingUpdate").is_some() {
            causes.push((
                "spec.strategy.rollingUpdate".into(),
                "Forbidden: may not be specified when strategy `type` is 'Recreate'".into(),
            ));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(served, name(after), &causes))
}

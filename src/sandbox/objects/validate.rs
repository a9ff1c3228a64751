//! What the API server checks before it stores: known fields, types, required fields, names, and what may not change.

use super::failure::Failure;
use super::kinds::Served;
use super::read::name;
use super::schema::Schema;
use super::selector::Labels;
use crate::config::kubernetes::{invalid, shape};
use serde_json::{json, Value};

/// Whether a label selector selects the objects that this template makes. An empty one selects nothing that anybody meant.
fn selects(selector: &Value, template: &Value) -> bool {
    selector.as_object().is_some_and(|s| !s.is_empty()) && Labels::of(selector).matches(template)
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
    }
    if served.schema.is_none() {
        causes.extend(invalid(after).into_iter().map(|i| (i.path, format!("Invalid value: {}; {}", i.what, i.remedy))));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(served, name(after), &causes))
}

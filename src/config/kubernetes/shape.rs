//! Whether an object has the shape that the description gives its kind: known fields, types, required fields.

use super::schema::{split_api_version, Schema};
use crate::config::nearest;
use serde_json::Value;

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

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
    let (group, version) = split_api_version(text(object, "apiVersion"));
    let kind = text(object, "kind");
    super::schema::of_kind(group, version, kind)?;
    let mut found = shape(object, Schema::of_kind(group, version, kind));
    // The status is the controllers' own.
    found.missing.retain(|path| !path.starts_with("status"));
    Some(found)
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

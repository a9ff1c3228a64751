//! The configuration's JSON Schema, for editors and for `relight schema`.

use super::raw::RawSettings;
use serde_json::{Map, Value};

/// The JSON Schema (draft 2020-12) of `relight.yaml`, made from the types that read it.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawSettings).to_value();
    no_empty_settings(&mut schema);
    schema
}

/// A setting that may be left out may not be written without a value: that is a forgotten one. The generator allows null for
/// both; here it is taken back for settings (`properties`), and stays for a node that has nothing to say.
fn no_empty_settings(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().filter_map(Value::as_object_mut).for_each(without_null);
    }
    match schema {
        Value::Object(map) => map.values_mut().for_each(no_empty_settings),
        Value::Array(items) => items.iter_mut().for_each(no_empty_settings),
        _ => {}
    }
}

fn without_null(property: &mut Map<String, Value>) {
    if let Some(types) = property.get_mut("type") {
        let kept: Option<Vec<Value>> = types.as_array().map(|t| t.iter().filter(|t| *t != "null").cloned().collect());
        if let Some([one]) = kept.as_deref() {
            *types = one.clone();
        }
    }
    let null = |branch: &Value| branch.get("type").is_some_and(|t| t == "null");
    let Some(branches) = property.get("anyOf").and_then(Value::as_array) else { return };
    let kept: Vec<Value> = branches.iter().filter(|b| !null(b)).cloned().collect();
    if let ([Value::Object(one)], true) = (kept.as_slice(), kept.len() < branches.len()) {
        property.remove("anyOf");
        property.extend(one.clone());
    }
}

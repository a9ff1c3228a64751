//! Reading and editing objects, which are JSON.

use serde_json::{Map, Value};
use std::time::Duration;

/// The text at a JSON pointer, empty where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
/// The number at a JSON pointer.
pub fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}
/// The list at a JSON pointer, empty where there is none.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
/// The map at a JSON pointer.
pub fn map<'a>(value: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    value.pointer(pointer).and_then(Value::as_object)
}
/// `metadata.name`.
pub fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}
/// `metadata.namespace`, empty where there is none.
pub fn namespace(value: &Value) -> &str {
    text(value, "/metadata/namespace")
}
/// `metadata.uid`.
pub fn uid(value: &Value) -> &str {
    text(value, "/metadata/uid")
}
/// Whether it is being deleted.
pub fn is_leaving(value: &Value) -> bool {
    value.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string)
}
/// The uid of the owner that manages it.
pub fn controller_uid(value: &Value) -> &str {
    list(value, "/metadata/ownerReferences")
        .iter()
        .find(|o| o.get("controller").and_then(Value::as_bool) == Some(true))
        .map_or("", |o| text(o, "/uid"))
}
/// Puts a value at a path of fields, making the maps on the way.
pub fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let Some((first, rest)) = path.split_first() else {
        *value = new.into();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(map) = value {
        set(map.entry(*first).or_insert(Value::Null), rest, new);
    }
}
/// Puts a value at a path of fields unless something is there.
pub fn default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let there = path.iter().try_fold(&*value, |at, step| at.get(*step)).is_some_and(|v| !v.is_null());
    if !there {
        set(value, path, new);
    }
}
/// Takes a field away.
pub fn remove(value: &mut Value, pointer: &str, field: &str) -> Option<Value> {
    value.pointer_mut(pointer)?.as_object_mut()?.remove(field)
}
/// Removes what is null at any depth of maps: the API server stores no null.
pub fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}
/// A time as the API writes it: RFC 3339, whole seconds.
pub fn stamp(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |t| t.to_string())
}
/// The time that a stamp names, zero where it is none.
pub fn unstamp(text: &str) -> Duration {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.ok().and_then(|t| u64::try_from(t.as_second()).ok()).map_or(Duration::ZERO, Duration::from_secs)
}
/// Sets a condition of a status, with a new transition time where its status changes.
pub fn condition(object: &mut Value, now: Duration, kind: &str, status: &str, reason: &str, message: &str) {
    let mut all: Vec<Value> = list(object, "/status/conditions").to_vec();
    let mut new = serde_json::json!({"type": kind, "status": status, "lastTransitionTime": stamp(now)});
    if !reason.is_empty() {
        set(&mut new, &["reason"], reason);
    }
    if !message.is_empty() {
        set(&mut new, &["message"], message);
    }
    match all.iter_mut().find(|c| text(c, "/type") == kind) {
        Some(old) => {
            if text(old, "/status") == status {
                set(&mut new, &["lastTransitionTime"], text(old, "/lastTransitionTime"));
            }
            *old = new;
        }
        None => all.push(new),
    }
    set(object, &["status", "conditions"], all);
}
/// Whether a condition has this status.
pub fn has_condition(object: &Value, kind: &str, status: &str) -> bool {
    list(object, "/status/conditions").iter().any(|c| text(c, "/type") == kind && text(c, "/status") == status)
}

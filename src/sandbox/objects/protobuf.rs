//! Reading objects that clients write as protobuf: kubectl does for what it makes itself (`create namespace`), and takes no
//! refusal.
//!
//! The envelope is Kubernetes' own: `k8s\0`, then `runtime.Unknown` with the kind and the message. Go writes empty strings and
//! zeros of fields that JSON would leave out, so those are dropped; a field that the OpenAPI description does not know is an
//! embedded struct and its fields belong one level up.

use super::schema;
use serde_json::{json, Map, Value};
use std::sync::LazyLock;

static MESSAGES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("data/protobuf.json")).unwrap_or_default());

/// Deeper nesting than any kind has: the end of recursion on made-up input.
const DEEPEST: u8 = 40;

/// A field on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let wire = match key & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => Wire::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = varint(&mut bytes)?;
                Wire::Bytes(take(&mut bytes, length)?)
            }
            5 => Wire::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        all.push((key >> 3, wire));
    }
    Some(all)
}

fn text_of(all: &[(u64, Wire<'_>)], number: u64) -> String {
    let found = all.iter().find_map(|(n, w)| match w {
        Wire::Bytes(b) if *n == number => std::str::from_utf8(b).ok(),
        _ => None,
    });
    found.unwrap_or_default().to_owned()
}

/// Reads a body; `None` where it is none of the known messages.
pub fn read(body: &[u8]) -> Option<Value> {
    let envelope = fields(body.strip_prefix(b"k8s\0")?)?;
    let of = |number: u64| {
        envelope.iter().find_map(|(n, w)| match w {
            Wire::Bytes(b) if *n == number => Some(*b),
            _ => None,
        })
    };
    let meta = fields(of(1).unwrap_or_default())?;
    let (api_version, kind) = (text_of(&meta, 1), text_of(&meta, 2));
    let (group, version) = super::kinds::split_api_version(&api_version);
    let message = match kind.as_str() {
        "DeleteOptions" => "k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions".to_owned(),
        "Eviction" => "k8s.io.api.policy.v1.Eviction".to_owned(),
        _ => schema::of_kind(group, version, &kind)?.0.replacen("io.k8s.", "k8s.io.", 1),
    };
    let mut object = message_of(&message, of(2).unwrap_or_default(), 0)?;
    super::read::set(&mut object, &["apiVersion"], api_version.clone());
    super::read::set(&mut object, &["kind"], kind.clone());
    Some(object)
}

fn message_of(name: &str, bytes: &[u8], depth: u8) -> Option<Value> {
    let all = fields(bytes)?;
    match name.rsplit('.').next().unwrap_or_default() {
        "Quantity" => return Some(json!(text_of(&all, 1))),
        "IntOrString" => {
            let number = |wanted: u64| {
                all.iter()
                    .find_map(|(n, w)| matches!(w, Wire::Number(_)).then_some((n, w)).filter(|(n, _)| **n == wanted))
            };
            let value = |wanted: u64| match number(wanted) {
                Some((_, Wire::Number(v))) => i64::try_from(*v).unwrap_or(0),
                _ => 0,
            };
            return Some(if value(1) == 1 { json!(text_of(&all, 3)) } else { json!(value(2)) });
        }
        "Time" | "MicroTime" => {
            let seconds = all.iter().find_map(|(n, w)| match w {
                Wire::Number(v) if *n == 1 => Some(*v),
                _ => None,
            });
            return Some(seconds.map_or(Value::Null, |s| json!(super::read::stamp(std::time::Duration::from_secs(s)))));
        }
        _ => {}
    }
    let known = MESSAGES.get("messages")?.get(name)?;
    let described = schema::all()?.get(&name.replacen("k8s.io.", "io.k8s.", 1)).and_then(|s| s.get("properties"));
    let mut object = Map::new();
    for (number, wire) in &all {
        let Some(field) = known.get(number.to_string()).and_then(Value::as_array) else { continue };
        let [Value::String(field), Value::String(kind), Value::String(label)] = field.as_slice() else { continue };
        if label == "map" {
            let Wire::Bytes(entry) = wire else { continue };
            let entry = fields(entry)?;
            let value = entry
                .iter()
                .find(|(n, _)| *n == 2)
                .map_or_else(|| Some(json!("")), |(_, w)| value_of(kind, w, depth))?;
            let map = object.entry(field.clone()).or_insert_with(|| json!({}));
            super::read::set(map, &[&text_of(&entry, 1)], value);
            continue;
        }
        let value = value_of(kind, wire, depth)?;
        if label == "repeated" {
            if let Value::Array(items) = object.entry(field.clone()).or_insert_with(|| json!([])) {
                items.push(value);
            }
        } else if described.is_some_and(|d| d.get(field).is_none()) && value.is_object() {
            object.extend(value.as_object().cloned().unwrap_or_default());
        } else if !is_empty(field, &value) {
            object.insert(field.clone(), value);
        }
    }
    Some(Value::Object(object))
}

/// Whether JSON would leave the value out. A count of zero replicas is meant.
fn is_empty(field: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::String(s) => s.is_empty(),
        Value::Number(n) => n.as_i64() == Some(0) && !matches!(field, "replicas" | "gracePeriodSeconds"),
        // An embedded volume or an empty security context is meant; what only Go writes is not.
        Value::Object(m) => m.is_empty() && !matches!(field, "emptyDir" | "podSelector"),
        Value::Array(_) => false,
    }
}

fn value_of(kind: &str, wire: &Wire<'_>, depth: u8) -> Option<Value> {
    use base64::Engine as _;
    match (kind, wire) {
        ("string", Wire::Bytes(b)) => Some(json!(std::str::from_utf8(b).ok()?)),
        ("bytes", Wire::Bytes(b)) => Some(json!(base64::engine::general_purpose::STANDARD.encode(b))),
        ("bool", Wire::Number(n)) => Some(json!(*n != 0)),
        // Negative numbers are written as two's complement in 64 bits.
        ("int32" | "int64", Wire::Number(n)) => Some(json!(i64::from_ne_bytes(n.to_ne_bytes()))),
        (message, Wire::Bytes(b)) if depth < DEEPEST => message_of(message, b, depth + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_protobuf_of_kubernetes_is_not_read() {
        for body in [&b""[..], b"k8s\0", b"{}", b"k8s\0\xff\xff\xff", b"k8s\0\x0a\x7fshort"] {
            assert_eq!(read(body), None, "{body:?}");
        }
    }

    #[test]
    fn a_namespace_is_read_without_gos_empty_fields() {
        // runtime.Unknown{typeMeta{v1, Namespace}, raw{metadata{name: "a", namespace: ""}}}
        let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x07\x0a\x05\x0a\x01a\x1a\x00";
        assert_eq!(read(body), Some(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})));
    }
}

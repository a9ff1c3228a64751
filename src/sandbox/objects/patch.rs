//! Merge patch (RFC 7386), JSON patch (RFC 6902) and Kubernetes' strategic merge patch.

use super::failure::Failure;
use super::schema::Schema;
use serde_json::{Map, Value};

/// JSON merge patch.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(map) = target {
        for (name, change) in changes {
            if change.is_null() {
                map.remove(name);
            } else {
                merge(map.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
    }
}

fn at<'a>(target: &'a mut Value, pointer: &str) -> Result<&'a mut Value, Failure> {
    target.pointer_mut(pointer).ok_or_else(|| {
        Failure::new(422, "Invalid", format!("the server rejected our request: {pointer} does not exist"))
    })
}

/// JSON patch. Nothing is kept of one that fails.
pub fn json_patch(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let operations = patch.as_array().ok_or_else(|| Failure::bad_request("a JSON patch is a list"))?;
    let mut work = target.clone();
    for operation in operations {
        let word = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (path, from) = (word("path"), word("from"));
        let value = || operation.get("value").cloned().unwrap_or_default();
        match word("op").as_str() {
            "add" => put(&mut work, &path, value(), true)?,
            "replace" => *at(&mut work, &path)? = value(),
            "remove" => drop(take(&mut work, &path)?),
            "move" => {
                let moved = take(&mut work, &from)?;
                put(&mut work, &path, moved, true)?;
            }
            "copy" => {
                let copied = at(&mut work, &from)?.clone();
                put(&mut work, &path, copied, true)?;
            }
            "test" => {
                if *at(&mut work, &path)? != value() {
                    return Err(Failure::new(
                        422,
                        "Invalid",
                        format!("the server rejected our request: testing value {path} failed"),
                    ));
                }
            }
            other => return Err(Failure::bad_request(format!("unexpected kind of JSON patch: {other}"))),
        }
    }
    *target = work;
    Ok(())
}

fn split(path: &str) -> (&str, String) {
    let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
    (parent, last.replace("~1", "/").replace("~0", "~"))
}

fn put(target: &mut Value, path: &str, value: Value, insert: bool) -> Result<(), Failure> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (parent, last) = split(path);
    match at(target, parent)? {
        Value::Object(map) => drop(map.insert(last, value)),
        Value::Array(items) => {
            let index = if last == "-" { items.len() } else { last.parse().unwrap_or(usize::MAX) };
            if index > items.len() || !insert {
                return Err(Failure::new(422, "Invalid", format!("the server rejected our request: no place {path}")));
            }
            items.insert(index, value);
        }
        _ => return Err(Failure::new(422, "Invalid", format!("the server rejected our request: {path} is in no map"))),
    }
    Ok(())
}

fn take(target: &mut Value, path: &str) -> Result<Value, Failure> {
    let gone = at(target, path)?.clone();
    let (parent, last) = split(path);
    match at(target, parent)? {
        Value::Object(map) => drop(map.remove(&last)),
        Value::Array(items) => {
            let index = last.parse().unwrap_or(usize::MAX);
            if index < items.len() {
                items.remove(index);
            }
        }
        _ => {}
    }
    Ok(gone)
}

/// Strategic merge patch: lists are merged by the schema's merge keys, with the directives `$patch`, `$deleteFromPrimitiveList`,
/// `$setElementOrder` and `$retainKeys` (kubernetes' `apimachinery/pkg/util/strategicpatch`).
pub fn strategic(target: &mut Value, patch: &Value, schema: Schema<'_>, top: bool) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    let directive = changes.get("$patch").and_then(Value::as_str);
    if directive == Some("replace") || !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    if let Some(kept) = changes.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|k, _| kept.iter().any(|v| v.as_str() == Some(k)));
    }
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(items), Some(gone)) = (map.get_mut(list).and_then(Value::as_array_mut), change.as_array()) {
                items.retain(|i| !gone.contains(i));
            }
        } else if change.is_null() {
            map.remove(name);
        } else if !name.starts_with('$') {
            let below = schema.field(name, top).map_or_else(Schema::free, |(s, _)| s);
            let there = map.entry(name.clone()).or_insert(Value::Null);
            match (change, below.merge_key()) {
                (Value::Array(items), Some(key)) => {
                    let order = changes.get(&format!("$setElementOrder/{name}")).and_then(Value::as_array);
                    strategic_list(there, items, key, below.items(), order);
                }
                (Value::Object(inner), _) if inner.get("$patch").and_then(Value::as_str) == Some("delete") => {
                    map.remove(name);
                }
                _ => strategic(there, change, below, false),
            }
        }
    }
}

fn strategic_list(target: &mut Value, changes: &[Value], key: &str, inner: Schema<'_>, order: Option<&Vec<Value>>) {
    let mut items = target.as_array().cloned().unwrap_or_default();
    let directive = |v: &Value, word: &str| v.get("$patch").and_then(Value::as_str) == Some(word);
    if changes.iter().any(|c| directive(c, "replace")) {
        items.clear();
    }
    let id = |v: &Value| if key.is_empty() { Some(v.clone()) } else { v.get(key).cloned() };
    for change in changes.iter().filter(|c| !directive(c, "replace")) {
        let place = items.iter().position(|i| id(i) == id(change));
        match place {
            Some(at) if directive(change, "delete") => drop(items.remove(at)),
            Some(at) => {
                if let (Some(item), false) = (items.get_mut(at), key.is_empty()) {
                    strategic(item, change, inner, false);
                }
            }
            None if directive(change, "delete") => {}
            None if key.is_empty() => items.push(change.clone()),
            None => {
                let mut new = Value::Null;
                strategic(&mut new, change, inner, false);
                items.push(new);
            }
        }
    }
    if let Some(order) = order {
        let rank = |v: &Value| order.iter().position(|o| id(o) == id(v)).unwrap_or(usize::MAX);
        items.sort_by_key(rank);
    }
    *target = Value::Array(items);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_json_patch_that_fails_leaves_nothing_behind() {
        let mut target = json!({"a": 1, "l": [1, 3]});
        assert!(json_patch(
            &mut target,
            &json!([{"op": "remove", "path": "/a"}, {"op": "test", "path": "/b", "value": 1}])
        )
        .is_err());
        assert_eq!(target, json!({"a": 1, "l": [1, 3]}));
        let good = json!([{"op": "add", "path": "/l/1", "value": 2}, {"op": "move", "from": "/a", "path": "/b"}]);
        json_patch(&mut target, &good).unwrap();
        assert_eq!(target, json!({"b": 1, "l": [1, 2, 3]}));
    }

    #[test]
    fn a_strategic_patch_merges_containers_by_name_and_deletes_by_directive() {
        let served = crate::sandbox::objects::kinds::built_in().into_iter().find(|k| k.kind == "Pod").unwrap();
        let mut pod = json!({"spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}});
        let patch = json!({"spec": {"containers": [{"name": "a", "image": "a:2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}});
        strategic(&mut pod, &patch, Schema::of(&served), true);
        assert_eq!(pod, json!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "a:2"}]}}));
    }
}

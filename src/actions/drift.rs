//! What somebody changed of an object that relight applied, read from the object itself: a field that another manager sets or
//! takes away is no longer in the entry of `metadata.managedFields` that relight's apply left. A list shows it; nothing is asked
//! for an object that is as it should be.
//!
//! Source of the form: sigs.k8s.io/structured-merge-diff, `fieldpath/serialize.go`: `f:name` a field, `k:{...}` an item by its
//! keys, `v:...` a member of a set, `.` the thing itself; nothing below what is changed as a whole (an atomic list, a label
//! selector). That a changed field leaves the other managers' entries: `merge/update.go`.

use crate::world::FIELD_MANAGER;
use serde_json::{Map, Value};

/// What nobody owns, and what only a controller sets. Source: kubernetes' `fieldmanager/stripmeta.go`.
const UNOWNED: [&str; 14] = [
    "/apiVersion",
    "/kind",
    "/status",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/generateName",
    "/metadata/uid",
    "/metadata/resourceVersion",
    "/metadata/generation",
    "/metadata/creationTimestamp",
    "/metadata/deletionTimestamp",
    "/metadata/deletionGracePeriodSeconds",
    "/metadata/managedFields",
    "/metadata/selfLink",
];

/// The first thing that the manifest says and relight's entry has no longer, in words; `None` where all is as applied, and where
/// the object does not tell.
pub(super) fn drift(manifest: &Value, live: &Value) -> Option<String> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let (own, others): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|e| is_own(e));
    let own = own.first()?;
    // Fields may have other names in another version.
    if own.get("apiVersion") != manifest.get("apiVersion") {
        return None;
    }
    let mut said = manifest.clone();
    for pointer in UNOWNED {
        remove(&mut said, pointer);
    }
    let mut at = Vec::new();
    if holds(own.get("fieldsV1")?, &said, &mut at)? {
        return None;
    }
    let by = others.iter().find(|e| e.get("fieldsV1").is_some_and(|fields| reaches(fields, &at)));
    let by = by.and_then(|e| e.get("manager")).and_then(Value::as_str);
    let path: String = at.iter().map(|element| spoken(element)).collect();
    Some(match by {
        Some(manager) => format!("{path} was changed by {manager:?}"),
        None => format!("{path} was taken away"),
    })
}

fn is_own(entry: &Value) -> bool {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    text("manager") == FIELD_MANAGER && text("operation") == "Apply" && text("subresource").is_empty()
}

fn remove(object: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(last);
    }
}

/// Whether a value sets anything. An empty map or list or a null may be kept or dropped by the API server.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(map) => map.values().any(says),
        Value::Array(items) => items.iter().any(says),
        _ => true,
    }
}

/// What a set has below the thing itself.
fn below(set: &Value) -> Option<Vec<(&String, &Value)>> {
    Some(set.as_object()?.iter().filter(|(element, _)| *element != ".").collect())
}

/// Whether the set holds all that is said; where it does not, `at` is the path of what it lacks. `None`: it cannot be read.
fn holds(set: &Value, said: &Value, at: &mut Vec<String>) -> Option<bool> {
    let all = below(set)?;
    // Nothing below: owned as a whole.
    if all.is_empty() {
        return Some(true);
    }
    match said {
        Value::Object(map) => {
            for (name, value) in map.iter().filter(|(_, value)| says(value)) {
                at.push(format!("f:{name}"));
                match set.get(format!("f:{name}")) {
                    Some(inner) if holds(inner, value, at)? => drop(at.pop()),
                    _ => return Some(false),
                }
            }
            Some(true)
        }
        Value::Array(items) => {
            for item in items.iter().filter(|item| says(item)) {
                if !holds_item(&all, item, at)? {
                    return Some(false);
                }
            }
            Some(true)
        }
        _ => Some(true),
    }
}

/// The same for a list's item.
fn holds_item(all: &[(&String, &Value)], item: &Value, at: &mut Vec<String>) -> Option<bool> {
    let mut lacks = None;
    for (element, inner) in all {
        if let Some(keys) = element.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            // A key that the manifest leaves out has its default.
            if keys.iter().all(|(key, value)| item.get(key).is_none_or(|said| said == value)) {
                let depth = at.len();
                at.push((*element).clone());
                if holds(inner, item, at)? {
                    at.truncate(depth);
                    return Some(true);
                }
                lacks = Some(at.split_off(depth));
            }
        } else {
            let value: Value = serde_json::from_str(element.strip_prefix("v:")?).ok()?;
            if value == *item {
                return Some(true);
            }
        }
    }
    at.extend(lacks.unwrap_or_else(|| vec![named_like(all, item)]));
    Some(false)
}

/// The element of an item that is in no set, with the keys that its neighbours have.
fn named_like(all: &[(&String, &Value)], item: &Value) -> String {
    let neighbour = all.iter().find_map(|(element, _)| element.strip_prefix("k:"));
    let Some(keys) = neighbour.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok()) else {
        return format!("v:{item}");
    };
    let own: Map<_, _> = keys.keys().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
    format!("k:{}", Value::Object(own))
}

/// Whether a set has something at the path, or owns as a whole what the path is in.
fn reaches(set: &Value, at: &[String]) -> bool {
    let Some((first, rest)) = at.split_first() else { return true };
    set.get(first).is_some_and(|inner| reaches(inner, rest))
}

/// An element as API messages write it: `.image`, `[name="api"]`, `[="a"]`.
fn spoken(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = element.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys: Map<String, Value> =
        element.strip_prefix("k:").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", keys.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A Deployment as a manifest has it.
    fn manifest() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "api", "namespace": "honeydue", "labels": { "app.kubernetes.io/name": "api" } },
            "spec": {
                "replicas": 3,
                "selector": { "matchLabels": { "app": "api" } },
                "template": {
                    "metadata": { "labels": { "app": "api" } },
                    "spec": {
                        "nodeSelector": { "zone": "a" },
                        "securityContext": {},
                        "tolerations": [{ "key": "a", "operator": "Exists" }],
                        "initContainers": [],
                        "priorityClassName": null,
                        "containers": [{
                            "name": "api", "image": "api:1", "command": ["/api", "-v"],
                            "ports": [{ "containerPort": 8080 }, { "containerPort": 9090, "protocol": "TCP" }],
                            "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "" }],
                        }],
                        "volumes": [{ "name": "tmp", "emptyDir": {} }],
                    },
                },
            },
        })
    }

    /// `fieldsV1` of its apply, as an API server writes it.
    fn fields() -> Value {
        json!({
            "f:metadata": {
                "f:annotations": { "f:relight/applied": {} },
                "f:labels": { "f:app.kubernetes.io/name": {} },
            },
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {
                    "f:metadata": { "f:labels": { "f:app": {} } },
                    "f:spec": {
                        "f:containers": { "k:{\"name\":\"api\"}": {
                            ".": {}, "f:command": {}, "f:image": {}, "f:name": {},
                            "f:env": {
                                "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} },
                                "k:{\"name\":\"B\"}": { ".": {}, "f:name": {}, "f:value": {} },
                            },
                            "f:ports": {
                                "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} },
                                "k:{\"containerPort\":9090,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {}, "f:protocol": {} },
                            },
                        } },
                        "f:nodeSelector": {},
                        "f:priorityClassName": {},
                        "f:securityContext": {},
                        "f:tolerations": {},
                        "f:volumes": { "k:{\"name\":\"tmp\"}": { ".": {}, "f:emptyDir": {}, "f:name": {} } },
                    },
                },
            },
        })
    }

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({ "manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields })
    }

    fn of(entries: &[Value]) -> Option<String> {
        let mut live = manifest();
        live["metadata"]["managedFields"] = entries.into();
        drift(&manifest(), &live)
    }

    /// Takes a path out, and what is empty without it, as structured-merge-diff does.
    fn take(set: &mut Value, path: &[&str]) {
        let map = set.as_object_mut().unwrap();
        let (first, rest) = path.split_first().unwrap();
        let inner = map.get_mut(*first).unwrap_or_else(|| panic!("no {first}"));
        if !rest.is_empty() {
            take(inner, rest);
        }
        if rest.is_empty() || inner == &json!({}) {
            map.remove(*first);
        }
    }

    /// The entry with one path taken out; and another manager's entry with that path alone.
    fn taken(path: &[&str]) -> (Value, Value) {
        let (mut own, mut theirs) = (fields(), json!({}));
        take(&mut own, path);
        path.iter().rev().for_each(|element| theirs = json!({ *element: theirs.take() }));
        *path.iter().fold(&mut theirs, |at, element| at.get_mut(element).unwrap()) = json!({});
        (own, theirs)
    }

    const POD: [&str; 3] = ["f:spec", "f:template", "f:spec"];
    const CONTAINER: &str = "k:{\"name\":\"api\"}";

    #[test]
    fn what_is_as_relight_applied_it_is_no_drift_whatever_else_a_controller_set() {
        let status = json!({ "f:metadata": { "f:annotations": { ".": {}, "f:deployment.kubernetes.io/revision": {} } },
            "f:status": { "f:replicas": {} } });
        let mut controller = entry("k3s", "Update", &status);
        controller["subresource"] = json!("status");
        assert_eq!(of(&[controller.clone(), entry("relight", "Apply", &fields())]), None);
        assert_eq!(of(&[entry("relight", "Apply", &fields()), controller]), None);
    }

    #[test]
    fn a_field_that_another_manager_set_is_named_with_the_manager() {
        let image = [&POD[..], &["f:containers", CONTAINER, "f:image"]].concat();
        let value = [&POD[..], &["f:containers", CONTAINER, "f:env", "k:{\"name\":\"B\"}", "f:value"]].concat();
        let selected = [&POD[..], &["f:nodeSelector"]].concat();
        for (path, told) in [
            (vec!["f:spec", "f:replicas"], ".spec.replicas"),
            (image, ".spec.template.spec.containers[name=\"api\"].image"),
            (value, ".spec.template.spec.containers[name=\"api\"].env[name=\"B\"].value"),
            (selected, ".spec.template.spec.nodeSelector"),
            (vec!["f:metadata", "f:labels", "f:app.kubernetes.io/name"], ".metadata.labels"),
        ] {
            let (own, theirs) = taken(&path);
            let entries = [entry("relight", "Apply", &own), entry("kubectl", "Update", &theirs)];
            assert_eq!(of(&entries), Some(format!("{told} was changed by \"kubectl\"")));
        }
    }

    #[test]
    fn a_field_or_an_item_that_somebody_took_away_is_named() {
        let port = "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}";
        let port = [&POD[..], &["f:containers", CONTAINER, "f:ports", port]].concat();
        let told = ".spec.template.spec.containers[name=\"api\"].ports[containerPort=8080] was taken away";
        assert_eq!(of(&[entry("relight", "Apply", &taken(&port).0)]).as_deref(), Some(told));
        let volumes = [&POD[..], &["f:volumes"]].concat();
        let told = ".spec.template.spec.volumes was taken away";
        assert_eq!(of(&[entry("relight", "Apply", &taken(&volumes).0)]).as_deref(), Some(told));
    }

    #[test]
    fn what_the_api_server_may_drop_is_not_asked_for() {
        for dropped in ["f:priorityClassName", "f:securityContext"] {
            let (own, _) = taken(&[&POD[..], &[dropped]].concat());
            assert_eq!(of(&[entry("relight", "Apply", &own)]), None, "{dropped}");
        }
    }

    #[test]
    fn an_entry_that_is_not_there_of_another_version_or_unreadable_tells_nothing() {
        let (own, theirs) = taken(&["f:spec", "f:replicas"]);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[entry("kubectl", "Update", &theirs)]), None);
        assert_eq!(of(&[entry("relight", "Update", &own)]), None, "what relight itself patched is no apply");
        let mut earlier = entry("relight", "Apply", &own);
        earlier["apiVersion"] = json!("apps/v1beta2");
        assert_eq!(of(&[earlier]), None);
        for unreadable in [json!("protobuf"), json!({ "f:metadata": [], "f:spec": [] })] {
            assert_eq!(of(&[entry("relight", "Apply", &unreadable)]), None, "{unreadable}");
        }
        let mut by_index = own;
        by_index["f:spec"]["f:template"]["f:spec"]["f:containers"] = json!({ "i:0": {} });
        by_index["f:spec"]["f:replicas"] = json!({});
        assert_eq!(of(&[entry("relight", "Apply", &by_index)]), None);
    }

    #[test]
    fn members_of_a_set_are_looked_up_by_value() {
        let said = json!({ "apiVersion": "v1", "metadata": { "name": "a", "finalizers": ["a/b", "c/d"] } });
        let live = |members: &Value| {
            let mut entry = entry("relight", "Apply", &json!({ "f:metadata": { "f:finalizers": members } }));
            entry["apiVersion"] = json!("v1");
            json!({ "metadata": { "managedFields": [entry] } })
        };
        let both = json!({ "v:\"a/b\"": {}, "v:\"c/d\"": {} });
        assert_eq!(drift(&said, &live(&both)), None);
        let one = json!({ "v:\"a/b\"": {} });
        assert_eq!(drift(&said, &live(&one)).as_deref(), Some(".metadata.finalizers[=\"c/d\"] was taken away"));
    }
}

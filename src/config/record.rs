//! What a run remembers of its settings, and how two such memories differ.

use super::settings::{
    CloudSettings, K3sSettings, NetworkSettings, RehearsalSecret, RehearsalSettings, S3Settings, SecretContent,
    SecretSettings, Settings, SpareSettings,
};
use crate::world::SecretFrom;
use serde_json::{json, Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

impl Settings {
    /// Everything that a run depends on, without secrets, with sorted keys: for the journal's first record. A value that the
    /// configuration holds itself is replaced by the start of its digest; paths are relative to the configuration.
    pub fn record(&self) -> Value {
        let Self {
            cluster,
            cloud,
            nodes,
            k3s,
            secrets,
            manifests,
            dns,
            health,
            rehearsal,
            spare,
            taken_down,
            recipients,
            timeouts,
            base,
        } = self;
        let nodes: Vec<Value> = nodes.iter().map(|n| json!({ "key": n.key, "labels": n.labels })).collect();
        let health: Vec<Value> = health
            .iter()
            .map(|h| json!({ "url": h.url, "status": h.status, "contains": h.contains, "stable_for": time(h.stable_for) }))
            .collect();
        let secrets: Map<String, Value> =
            secrets.iter().map(|s| (format!("{}/{}", s.namespace, s.name), content(s, base))).collect();
        let mut record = json!({
            "cluster": cluster,
            "cloud": cloud_record(cloud),
            "nodes": nodes,
            "k3s": k3s_record(k3s, base),
            "secrets": secrets,
            "manifests": { "paths": manifests.paths, "order": manifests.order, "external": manifests.external },
            "dns": { "zone": dns.zone, "ssl": dns.ssl, "proxied": dns.proxied, "hosts": dns.hosts },
            "health": health,
            "rehearsal": rehearsal_record(rehearsal, base),
            "spare": spare.as_ref().map(spare_record),
            "recipients": recipients,
            "timeouts": {
                "connect": time(timeouts.connect), "probe": time(timeouts.probe), "step": time(timeouts.step),
            },
        });
        // No other run's record has it.
        if let (Some(all), Some(what)) = (record.as_object_mut(), taken_down) {
            all.insert("taken_down".to_owned(), what.record());
        }
        record
    }
}

fn time(duration: Duration) -> Value {
    format!("{}s", duration.as_secs_f64()).into()
}

fn cloud_record(cloud: &CloudSettings) -> Value {
    let CloudSettings { server_types, locations, image, network, authorized_keys, user, api_access, keep_addresses } =
        cloud;
    let network = match network {
        NetworkSettings::Private { range, zone } => json!({ "private": { "range": range, "zone": zone } }),
        NetworkSettings::Public => "public".into(),
    };
    json!({
        "server_types": server_types, "locations": locations, "image": image, "network": network,
        "authorized_keys": authorized_keys, "user": user, "api_access": api_access,
        "keep_addresses": keep_addresses,
    })
}

fn k3s_record(k3s: &K3sSettings, base: &Path) -> Value {
    let K3sSettings { version, sha256, secrets_encryption, snapshots, traefik, pod_cidr, service_cidr } = k3s;
    let s3 = snapshots.s3.as_ref().map(|s3| {
        let S3Settings { endpoint, bucket, region, folder, access_key, secret_key } = s3;
        json!({
            "endpoint": endpoint, "bucket": bucket, "region": region, "folder": folder,
            "access_key": source(access_key, base), "secret_key": source(secret_key, base),
        })
    });
    json!({
        "version": version, "sha256": sha256, "secrets_encryption": secrets_encryption,
        "traefik": traefik.as_ref().map(|file| json!({ "path": file.path, "digest": digest(&file.text) })),
        "snapshots": { "schedule": snapshots.schedule, "retention": snapshots.retention, "s3": s3 },
        "pod_cidr": pod_cidr, "service_cidr": service_cidr,
    })
}

fn content(secret: &SecretSettings, base: &Path) -> Value {
    match &secret.content {
        SecretContent::Keys { kind, keys } => json!({ "type": kind, "keys": sources(keys, base) }),
        SecretContent::Registry { server, username, password } => {
            json!({ "registry": { "server": server, "username": username, "password": source(password, base) } })
        }
    }
}

fn rehearsal_record(rehearsal: &RehearsalSettings, base: &Path) -> Value {
    let RehearsalSettings { budget, expires_after, zone, hold_at_zero, secrets } = rehearsal;
    let secrets: Map<String, Value> = secrets
        .iter()
        .map(|(name, what)| match what {
            RehearsalSecret::SharedReadonly => (name.clone(), "shared-readonly".into()),
            RehearsalSecret::Overrides(keys) => (name.clone(), sources(keys, base)),
        })
        .collect();
    let mut record = json!({
        "budget": budget, "expires_after": expires_after.map(time), "hold_at_zero": hold_at_zero, "secrets": secrets,
    });
    // Records from before there were names have none.
    if let (Some(all), Some(zone)) = (record.as_object_mut(), zone) {
        all.insert("zone".to_owned(), zone.as_str().into());
    }
    record
}

fn spare_record(spare: &SpareSettings) -> Value {
    let SpareSettings { expires_after, closed_ports, budget, apart_from: _, differs } = spare;
    let differs: Vec<String> = differs.iter().map(ToString::to_string).collect();
    json!({ "expires_after": time(*expires_after), "closed_ports": closed_ports, "budget": budget, "differs": differs })
}

fn sources(keys: &BTreeMap<String, SecretFrom>, base: &Path) -> Value {
    keys.iter().map(|(key, from)| (key.clone(), source(from, base))).collect()
}

fn source(from: &SecretFrom, base: &Path) -> Value {
    let relative = |path: &Path| path.strip_prefix(base).unwrap_or(path).display().to_string();
    match from {
        SecretFrom::Env(name) => json!({ "env": name }),
        SecretFrom::File(path) => json!({ "file": relative(path) }),
        SecretFrom::Command(words) => json!({ "command": words }),
        SecretFrom::Age(path) => json!({ "age": relative(path) }),
        SecretFrom::Prompt(text) => json!({ "prompt": text }),
        SecretFrom::Value(text) => {
            json!({ "value": digest(text) })
        }
    }
}

/// Enough of a text's digest to tell it from another.
fn digest(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text)).chars().take(12).collect::<String>())
}

/// How two records of [`Settings::record`] differ, a line each: `k3s.version: v1.34.6+k3s1 -> v1.35.0+k3s1`.
pub fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", old, new, &mut lines);
    lines
}

fn compare(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (old, new) {
        _ if old == new => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let value = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                compare(&below(key), &value(a), &value(b), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) => match (by_name(a), by_name(b)) {
            (Some(old_map), Some(new_map)) => {
                let names = |list: &[Value]| list.iter().filter_map(name).map(Value::from).collect::<Vec<_>>();
                let kept = |list: &[Value], other: &Map<String, Value>| {
                    names(list).into_iter().filter(|n| n.as_str().is_some_and(|n| other.contains_key(n))).collect()
                };
                let (a, b): (Vec<Value>, Vec<Value>) = (kept(a, &new_map), kept(b, &old_map));
                if a != b {
                    lines.push(format!("{path}: order {} -> {}", words(&a.into()), words(&b.into())));
                }
                compare(path, &old_map.into(), &new_map.into(), lines);
            }
            _ => lines.push(format!("{path}: {} -> {}", words(old), words(new))),
        },
        _ => lines.push(format!("{path}: {} -> {}", words(old), words(new))),
    }
}

/// What tells the entries of a list of maps apart: a node's key, a health check's URL.
fn name(entry: &Value) -> Option<&str> {
    entry.get("key").or_else(|| entry.get("url")).and_then(Value::as_str)
}

fn by_name(list: &[Value]) -> Option<Map<String, Value>> {
    list.iter().map(|entry| name(entry).map(|n| (n.to_owned(), entry.clone()))).collect()
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(words).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_said_by_path() {
        let old = json!({"k3s": {"version": "v1"}, "hosts": ["a"], "nodes": [{"key": "n1", "labels": {}}, {"key": "n2", "labels": {}}]});
        let new = json!({"k3s": {"version": "v2", "sha256": "ff"}, "hosts": ["a", "b"],
            "nodes": [{"key": "n2", "labels": {"x": "y"}}, {"key": "n1", "labels": {}}]});
        let expected = [
            "hosts: [a] -> [a, b]",
            "k3s.sha256: none -> ff",
            "k3s.version: v1 -> v2",
            "nodes: order [n1, n2] -> [n2, n1]",
            "nodes.n2.labels.x: none -> y",
        ];
        assert_eq!(differences(&old, &new), expected);
        assert!(differences(&old, &old).is_empty());
    }

    #[test]
    fn a_value_of_the_configuration_is_recorded_by_its_digest_alone() {
        let record = source(&SecretFrom::Value("hunter2".into()), Path::new("/"));
        assert_eq!(record, json!({"value": "sha256:f52fbd32b2b3"}));
        assert_eq!(source(&SecretFrom::Age("/etc/c/s.age".into()), Path::new("/etc/c")), json!({"age": "s.age"}));
    }
}

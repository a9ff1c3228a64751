//! What K3s is told on each node, by network and role: pods must find the API at an address that no firewall closes.

use crate::life::{settings, Life};
use crate::public::over_public_addresses;
use relight::config::Settings;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Loss, MachineView};
use serde_json::{json, Value};
use std::collections::BTreeSet;

/// The nodes that a rebuild with these settings made, in order.
fn nodes(settings: Settings) -> Vec<MachineView> {
    let life = Life::lost_with(Loss::Gone, settings);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?}");
    let mut made = lock(&life.sandbox.model).machines();
    made.retain(|m| !m.k3s_config.is_null());
    made.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    assert_eq!(made.len(), 3);
    made
}

/// What is the same everywhere; addresses, token and role are not.
fn common() -> Value {
    json!({
        "cluster-cidr": "10.42.0.0/16",
        "disable": ["servicelb"],
        "etcd-s3": true,
        "etcd-s3-bucket": "honeydue-etcd",
        "etcd-s3-endpoint": "s3.eu-central-003.backblazeb2.com",
        "etcd-snapshot-retention": 5,
        "etcd-snapshot-schedule-cron": "0 */6 * * *",
        "kubelet-arg": ["container-log-max-size=10Mi", "container-log-max-files=3"],
        "secrets-encryption": true,
        "service-cidr": "10.43.0.0/16",
        "write-kubeconfig-mode": "0600",
    })
}

fn with(also: &Value) -> Value {
    let mut config = common();
    config.as_object_mut().unwrap().extend(also.as_object().unwrap().clone());
    config
}

/// The configurations without what is secret: the same on all nodes, and each another.
fn without_secrets(nodes: &[MachineView]) -> Vec<Value> {
    let mut all: Vec<Value> = nodes.iter().map(|m| m.k3s_config.clone()).collect();
    let mut secrets = BTreeSet::new();
    for key in ["token", "etcd-s3-access-key", "etcd-s3-secret-key"] {
        let values: BTreeSet<String> =
            all.iter_mut().map(|c| c.as_object_mut().unwrap().remove(key).unwrap().to_string()).collect();
        assert_eq!(values.len(), 1, "{key}");
        secrets.extend(values);
    }
    assert!(secrets.len() == 3 && secrets.iter().all(|s| s.len() == 66), "{secrets:?}");
    all
}

#[test]
fn over_a_private_network_the_api_is_advertised_at_the_private_address_which_no_firewall_closes() {
    let nodes = nodes(settings());
    let addresses: Vec<_> = nodes.iter().map(|m| (m.public.unwrap().to_string(), m.private[0].to_string())).collect();
    let first = &addresses[0].1;
    for (index, (config, (public, private))) in without_secrets(&nodes).into_iter().zip(&addresses).enumerate() {
        let role = match index {
            0 => json!({ "cluster-init": true }),
            _ => json!({ "server": format!("https://{first}:6443") }),
        };
        let mut wanted = with(&json!({
            "advertise-address": private,
            "node-external-ip": public,
            "node-ip": private,
            "node-name": format!("honeydue-node-{}", index + 1),
            "tls-san": [public, private],
        }));
        wanted.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
        assert_eq!(config, wanted);
    }
}

#[test]
fn over_public_addresses_everything_is_at_the_public_one_and_flannel_knows() {
    let nodes = nodes(over_public_addresses().settings);
    let first = nodes[0].public.unwrap().to_string();
    for (index, (config, node)) in without_secrets(&nodes).into_iter().zip(&nodes).enumerate() {
        assert!(node.private.is_empty(), "{node:?}");
        let public = node.public.unwrap().to_string();
        let role = match index {
            0 => json!({ "cluster-init": true }),
            _ => json!({ "server": format!("https://{first}:6443") }),
        };
        let mut wanted = with(&json!({
            "advertise-address": public,
            "flannel-external-ip": true,
            "node-external-ip": public,
            "node-ip": public,
            "node-name": format!("honeydue-node-{}", index + 1),
            "tls-san": [public],
        }));
        wanted.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
        assert_eq!(config, wanted);
    }
}

//! `relight adopt` on the real binary: a look that writes nothing, an adoption with the real OpenSSH client, and what works after it.

use super::place::{Ended, Place};
use super::{is_there, succeeded};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ADOPT: [&str; 5] = ["adopt", "--sandbox", "--json", "--confirm", "honeydue"];

fn ends(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(words.iter().all(|word| all.contains(word)), "{words:?}: {all}");
}

/// Every file below, with what is in it.
fn files(below: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { [(path.clone(), fs::read(&path).unwrap())].into() })
        .collect()
}

/// What the cloud lists, whole.
fn listed(place: &Place, what: &str) -> Value {
    let card = place.card();
    let word = |key: &str| card[key].as_str().unwrap().to_owned();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("{}/{what}", word("hcloud_endpoint"))).bearer_auth(word("hcloud_token"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() })
}

fn cloud(place: &Place) -> Vec<Value> {
    ["servers", "primary_ips", "firewalls", "networks"].iter().map(|what| listed(place, what)).collect()
}

fn first_address(place: &Place) -> String {
    listed(place, "servers")["servers"][0]["public_net"]["ipv4"]["ip"].as_str().unwrap().to_owned()
}

fn effects(place: &Place) -> usize {
    place.control("/status", &Value::Null)["ledger"]["effects"].as_array().unwrap().len()
}

#[test]
fn a_dry_run_shows_it_all_and_leaves_no_trace_anywhere() {
    let place = Place::new(&[]);
    ends(&place.run("none", &["adopt", "--dry-run", "--sandbox"]), 2, &["no sandbox of cluster honeydue runs"]);
    assert!(place.run("start", &["sandbox", "start", "--world", "hand-made"]).status.success());
    let state = place.path().join("state");
    let before = (files(&state), cloud(&place), effects(&place));
    let shown = place.run("dry", &["adopt", "--dry-run", "--sandbox"]);
    ends(
        &shown,
        0,
        &["ubuntu-8gb-nbg1-1 (id ", "relight-node=node-1", "SHA256:", "NOT in your known hosts", "nothing was written"],
    );
    let told: Value =
        serde_json::from_str(&place.run("json", &["adopt", "--dry-run", "--sandbox", "--json"]).stdout).unwrap();
    assert!(told["to_write"].as_array().unwrap().len() > 15 && told["left"].as_array().unwrap().len() == 1, "{told}");
    // Nobody types the name, or another one.
    ends(
        &place.run("nobody", &["adopt", "--sandbox", "--yes"]),
        4,
        &["--confirm honeydue", "will be written, and nothing else"],
    );
    ends(
        &place.run("wrong", &["adopt", "--sandbox", "--confirm", "otherdue"]),
        4,
        &["--confirm otherdue does not name it"],
    );
    let mut after = files(&state);
    after.retain(|(path, _)| !path.ends_with("lock"));
    let mut files_before = before.0;
    files_before.retain(|(path, _)| !path.ends_with("lock"));
    assert_eq!(after, files_before);
    assert_eq!((cloud(&place), effects(&place)), (before.1, before.2));
}

#[test]
fn an_adopted_cluster_is_reached_by_the_operators_own_key_and_taken_down_by_its_labels() {
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start", "--world", "hand-made"]).status.success());
    // The operator's own client knows another key for the first server.
    let known = place.path().join("state/sandbox/honeydue/operator/known_hosts");
    let at = first_address(&place);
    let theirs = fs::read_to_string(known.with_file_name("id_ed25519.pub")).unwrap();
    fs::write(&known, format!("[{at}]:10022 {theirs}")).unwrap();
    let refused = place.run("differs", &ADOPT);
    ends(&refused, 3, &["your known hosts have SHA256:", "ssh-keygen -R", "nothing was written"]);
    assert_eq!(
        fs::read_dir(known.parent().unwrap().parent().unwrap())
            .unwrap()
            .flatten()
            .filter(|e| e.path().join("journal.jsonl").exists())
            .count(),
        0
    );
    fs::remove_file(&known).unwrap();

    let mut killed = place.start("killed", &ADOPT);
    assert!(killed.said("\"step\":\"members\""), "{}", killed.end().stderr);
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.end().status.code(), None);
    let last = succeeded(&place.run("resume", &["resume", "--json"]));
    assert_eq!(last["recovery_seconds"], Value::Null, "nothing was recovered: {last}");
    for what in ["servers", "primary_ips", "firewalls"] {
        for thing in listed(&place, what)[what].as_array().unwrap() {
            assert_eq!(thing["labels"]["relight-cluster"], "honeydue", "{thing}");
        }
    }
    assert_eq!(listed(&place, "networks")["networks"][0]["labels"], serde_json::json!({}));

    let status = place.run("status", &["status"]);
    ends(&status, 0, &["of adopt (honeydue, sandbox, live)", "succeeded"]);
    ends(&place.run("kubeconfig", &["kubeconfig"]), 0, &["certificate-authority-data", &format!("deploy@{at}")]);
    if is_there("kubectl") {
        let nodes = place.run("nodes", &["kubectl", "--", "get", "nodes", "--no-headers"]);
        ends(&nodes, 0, &["ubuntu-8gb-nbg1-1", "ubuntu-8gb-nbg1-2", "ubuntu-8gb-nbg1-3"]);
    } else {
        println!("skipped: no kubectl on PATH");
    }
    succeeded(&place.run("down", &["teardown", "--live", "--sandbox", "--json", "--confirm", "honeydue"]));
    for (what, left) in [("servers", 0), ("primary_ips", 0), ("firewalls", 0), ("networks", 1)] {
        assert_eq!(listed(&place, what)[what].as_array().unwrap().len(), left, "{what}");
    }
}

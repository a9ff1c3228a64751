//! What a person does after a rebuild: look into the cluster, also when a node is off; and put the records of before back.

use super::place::Place;
use super::{is_there, succeeded, REBUILD};
use serde_json::{json, Value};

/// A call of the sandbox's Hetzner API.
fn cloud(place: &Place, method: reqwest::Method, path: &str) -> Value {
    let card = place.card();
    let url = format!("{}{path}", card["hcloud_endpoint"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, url).bearer_auth(card["hcloud_token"].as_str().unwrap());
        request.json(&json!({})).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    })
}

/// Cuts the power of a server, and waits until it is off.
fn power_off(place: &Place, name: &str) {
    let server = || cloud(place, reqwest::Method::GET, &format!("/servers?name={name}"))["servers"][0].clone();
    cloud(place, reqwest::Method::POST, &format!("/servers/{}/actions/poweroff", server()["id"]));
    super::place::until("the server is off", || server()["status"] == "off");
}

#[test]
fn kubectl_goes_through_another_node_when_the_first_is_off_and_says_which() {
    let place = Place::new(&[("KUBECONFIG".to_owned(), "/tmp/relight-nobodys-kubeconfig".to_owned())]);
    succeeded(&place.run("rebuild", &REBUILD));
    let nodes = ["kubectl", "--", "get", "nodes", "--no-headers"];
    if is_there("kubectl") {
        let first = place.run("first", &nodes);
        assert!(first.status.success() && first.stderr.contains("through node-1"), "{}", first.stderr);
        power_off(&place, "honeydue-node-1");
        let second = place.run("second", &nodes);
        assert!(second.status.success(), "{}", second.stderr);
        assert_eq!(second.stdout.lines().count(), 3, "{}", second.stdout);
        for part in ["node-1: ", "no SSH connection", "through node-2"] {
            assert!(second.stderr.contains(part), "{part}: {}", second.stderr);
        }
        for node in ["honeydue-node-2", "honeydue-node-3"] {
            power_off(&place, node);
        }
        let none = place.run("none", &nodes);
        assert_eq!(none.status.code(), Some(1), "{}", none.stderr);
        for part in ["node-1: ", "node-2: ", "node-3: ", "next: "] {
            assert!(none.stderr.contains(part), "{part}: {}", none.stderr);
        }
    }
}

#[test]
fn a_merged_kubeconfig_is_said_to_need_a_tunnel_that_can_be_typed_as_it_stands() {
    let home = tempfile::tempdir().unwrap();
    let mine = home.path().join("config").display().to_string();
    let place = Place::new(&[("KUBECONFIG".to_owned(), mine)]);
    let last = succeeded(&place.run("rebuild", &REBUILD));
    let merged = place.run("merge", &["kubeconfig", "--merge"]);
    assert!(merged.status.success(), "{}", merged.stderr);
    // The example has no `ssh_authorized_keys`: the run's own key alone gets in, at the sandbox's port.
    let key = std::path::Path::new(last["journal"].as_str().unwrap()).with_file_name("secrets").join("ssh_ed25519");
    for part in ["ssh -N -L 6443:127.0.0.1:6443", "-p 10022", &format!("-i {}", key.display()), "first"] {
        assert!(merged.stderr.contains(part), "{part}: {}", merged.stderr);
    }
    assert!(!merged.stderr.contains("ssh_authorized_keys"), "the example has none: {}", merged.stderr);
}

#[test]
fn what_runs_behind_the_addresses_of_before_is_shown_and_servers_that_are_off_want_the_name_typed() {
    let place = Place::new(&[]);
    let last = succeeded(&place.run("rebuild", &REBUILD));
    let run = last["run"].as_str().unwrap().to_owned();
    let records = || place.json(&["sandbox", "status", "--json"])["world"]["records"].clone();
    let before = records();
    let undo = ["dns", "undo", &run, "--sandbox", "--yes"];
    let asked = place.run("undo", &undo);
    assert_eq!((asked.status.code(), records()), (Some(4), before.clone()), "{}", asked.stderr);
    for part in ["is server honeydue-node-1-old-", "which does not run"] {
        assert!(asked.stderr.contains(part), "{part}: {}", asked.stderr);
    }
    assert!(asked.stdout.contains("--confirm honeydue"), "{}", asked.stdout);
    let accepted = place.run("accepted", &["resume", "--confirm", "honeydue"]);
    assert!(accepted.status.success(), "{}", accepted.stderr);
    assert_ne!(records(), before);
    assert!(!accepted.stdout.contains("recovered after"), "{}", accepted.stdout);
    assert!(!place.run("status", &["status"]).stdout.contains("recovered"), "nothing was recovered");
}

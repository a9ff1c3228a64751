//! `relight reconstruct` on the real binary: the state directory is lost in the middle of a rebuild, and what is said where there
//! is nothing, or more than one run, to go on with.

use super::place::{Ended, Place};
use super::{is_there, succeeded, REBUILD};
use nix::sys::signal::Signal;
use rand::{Rng, SeedableRng};
use serde_json::{json, Value};
use std::path::PathBuf;
use std::time::Duration;

const RECONSTRUCT: [&str; 2] = ["reconstruct", "--sandbox"];

fn ends(ended: &Ended, code: i32, words: &[&str]) -> String {
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{all}");
    let missing: Vec<_> = words.iter().filter(|word| !all.contains(**word)).collect();
    assert!(missing.is_empty(), "{missing:?}: {all}");
    all
}

/// The operator's own key opens the nodes too: the sandbox has made one.
fn with_own_key(place: &Place) {
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    edit(
        place,
        "  network: private",
        "  ssh_authorized_keys: [state/sandbox/honeydue/operator/id_ed25519.pub]\n  network: private",
    );
}

fn edit(place: &Place, from: &str, to: &str) {
    let file = place.path().join("relight.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "the example has changed");
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// The directory of the only run.
fn of_the_run(place: &Place) -> PathBuf {
    let all = std::fs::read_dir(place.path().join("state/sandbox/honeydue")).unwrap();
    let mut runs = all.map(|entry| entry.unwrap().path()).filter(|path| path.join("journal.jsonl").exists());
    let run = runs.next().expect("there is a run");
    assert_eq!(runs.next(), None);
    run
}

#[test]
fn a_state_directory_lost_in_the_middle_of_a_rebuild_is_made_anew_and_the_run_resumed() {
    let seed: u64 = std::env::var("RELIGHT_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("RELIGHT_SEED={seed}");
    let place = Place::new(&[]);
    with_own_key(&place);
    let mut life = place.start("life", &REBUILD);
    assert!(life.said("\"step\":\"boot[node-1]\""), "{}", life.end().stderr);
    std::thread::sleep(Duration::from_millis(rand::rngs::StdRng::seed_from_u64(seed).random_range(0..1500)));
    life.signal(Signal::SIGKILL);
    life.end();
    let directory = of_the_run(&place);
    let run = directory.file_name().unwrap().to_str().unwrap().to_owned();
    ends(&place.run("there", &RECONSTRUCT), 3, &["the journal of run", &run, "relight resume"]);
    std::fs::remove_dir_all(&directory).unwrap();

    edit(&place, "image: ubuntu-24.04", "image: debian-12");
    let changed = ["honeydue-node-1 was made from other settings", "relight.yaml"];
    ends(&place.run("changed", &RECONSTRUCT), 0, &changed);
    std::fs::remove_dir_all(&directory).unwrap();
    edit(&place, "image: debian-12", "image: ubuntu-24.04");

    let told = place.json(&["reconstruct", "--sandbox", "--json"]);
    assert_eq!((&told["run"], &told["differs"]), (&run.clone().into(), &json!([])), "{told}");
    assert!(told["found"]
        .as_array()
        .unwrap()
        .iter()
        .any(|line| line.as_str().unwrap().starts_with("server honeydue-node-1 ")));
    assert_eq!(of_the_run(&place), directory);
    // A server whose host key was not recorded yet is a question.
    let resume = ["resume", &run, "--json", "--yes", "--confirm", "honeydue"];
    let last = succeeded(&place.run("resume", &resume));
    assert_eq!(last["run"], run.as_str());
    place.is_as_wanted();
    let status = place.json(&["status", "--json"]);
    assert!(status["events"][0]["event"]["reconstructed"]["from"].is_array(), "{}", status["events"][0]);
    ends(&place.run("status", &["status"]), 0, &["succeeded", "made anew from labels"]);
    if !is_there("kubectl") {
        println!("skipped: no kubectl on PATH");
        return;
    }
    let nodes = ends(&place.run("nodes", &["kubectl", "--", "get", "nodes", "--no-headers"]), 0, &["honeydue-node-1"]);
    assert_eq!(nodes.matches(" Ready ").count(), 3, "{nodes}");
}

/// A server in the living cluster's project, made by the official API, as this run labels it.
fn plant(place: &Place, name: &str, run: &str) {
    let card = place.card();
    let word = |key: &str| card[key].as_str().unwrap().to_owned();
    let labels: Value = json!({
        "managed-by": "relight", "relight-cluster": "honeydue", "relight-run": run, "relight-mode": "live",
        "relight-step": "server.node-1", "relight-node": "node-1",
    });
    let body = json!({ "name": name, "server_type": "cx33", "image": "ubuntu-24.04", "labels": labels });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}/servers", word("hcloud_endpoint"))).bearer_auth(word("hcloud_token"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(request.json(&body).send()).unwrap().status().is_success());
}

#[test]
fn without_labels_there_is_nothing_to_go_on_with_and_of_several_runs_one_must_be_named() {
    let place = Place::new(&[]);
    ends(&place.run("no-sandbox", &RECONSTRUCT), 2, &["no sandbox of cluster honeydue runs"]);
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    ends(&place.run("nothing", &RECONSTRUCT), 3, &["nothing to go on with", "relight rebuild", "HCLOUD_TOKEN"]);
    plant(&place, "honeydue-node-1", "firstfirstfi");
    plant(&place, "honeydue-node-2", "secondsecond");
    let several = ["several runs", "firstfirstfi", "secondsecond", "server honeydue-node-2 (id ", "--run ID"];
    ends(&place.run("several", &RECONSTRUCT), 4, &several);
    let with = |run: &'static str| [RECONSTRUCT[0], RECONSTRUCT[1], "--run", run];
    ends(&place.run("wrong", &with("thirdthirdth")), 3, &["thirdthirdth", "firstfirstfi", "secondsecond"]);
    let runs = || std::fs::read_dir(place.path().join("state/sandbox/honeydue")).unwrap().flatten();
    assert!(
        !runs().any(|entry| entry.path().join("journal.jsonl").exists()),
        "nothing was chosen, and something was written"
    );
    let named = ends(
        &place.run("named", &with("secondsecond")),
        0,
        &["honeydue-node-2 (id ", "relight resume", "lost with the state"],
    );
    assert!(!named.contains("honeydue-node-1 (id"), "{named}");
    // The other one is not made beside it.
    ends(&place.run("other", &with("firstfirstfi")), 3, &["secondsecond", "is not finished"]);
}

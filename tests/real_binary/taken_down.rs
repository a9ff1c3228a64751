//! `relight teardown` and `relight sweep` on the real binary: what they say, what they ask, and what is left.

use super::place::{Ended, Place};
use super::succeeded;
use serde_json::{json, Value};

/// A server in the project of rehearsals, made by the official API, with these labels.
fn plant(place: &Place, name: &str, labels: &Value) {
    let card = place.card();
    let word = |key: &str| card[key].as_str().unwrap().to_owned();
    let body = json!({ "name": name, "server_type": "cx33", "image": "ubuntu-24.04", "labels": labels });
    let request =
        reqwest::Client::builder().no_proxy().build().unwrap().post(format!("{}/servers", word("hcloud_endpoint")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(request.bearer_auth(word("hcloud_token_rehearsal")).json(&body).send()).unwrap();
    assert!(reply.status().is_success(), "{reply:?}");
}

/// Names of all servers, of both projects.
fn servers(place: &Place) -> Vec<String> {
    let world = place.json(&["sandbox", "status", "--json"])["world"].clone();
    let name = |line: &Value| line.as_str().unwrap().split(' ').next().unwrap().to_owned();
    let mut names: Vec<String> = world["servers"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

fn ends(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(words.iter().all(|word| all.contains(word)), "{words:?}: {all}");
}

fn spare(run: &str, expires: u64) -> Value {
    json!({
        "managed-by": "relight", "relight-cluster": "honeydue", "relight-run": run, "relight-mode": "rehearsal",
        "relight-expires": expires.to_string(),
    })
}

/// Servers as rehearsals name them.
const OLD: &str = "honeydue-r-oldoldoldold-node-1";
const YOUNG: &str = "honeydue-r-youngyoungyo-node-1";

#[test]
fn what_has_expired_is_told_and_swept_from_cron_and_the_rest_is_taken_down_by_name() {
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start", "--world", "healthy"]).status.success());
    let living = servers(&place);
    plant(&place, OLD, &spare("oldoldoldold", 1));
    plant(&place, YOUNG, &spare("youngyoungyo", 99_999_999_999));
    plant(&place, "strangers", &json!({ "relight-expires": "1" }));
    let told = place.json(&["status", "--json", "--sandbox"])["expired"].clone();
    assert_eq!(
        (&told[0]["run"], &told[0]["servers"], told.as_array().unwrap().len()),
        (&"oldoldoldold".into(), &1.into(), 1)
    );
    ends(&place.run("status", &["status", "--sandbox"]), 0, &["expired: 1 servers", "oldoldoldold", "relight sweep"]);
    // Cron's job has no terminal, and nobody to ask.
    let swept = place.run("sweep", &["sweep", "--sandbox"]);
    ends(
        &swept,
        0,
        &[
            "17 * * * * cd ",
            "sweep",
            "--yes",
            "will be deleted:",
            &format!("server {OLD} (id "),
            "nothing of it is left",
        ],
    );
    assert!(!swept.stderr.contains(&format!("server {YOUNG}")), "{}", swept.stderr);
    let with = |more: &[&str]| {
        let mut all: Vec<String> = living.iter().cloned().chain(more.iter().map(ToString::to_string)).collect();
        all.sort();
        all
    };
    assert_eq!(servers(&place), with(&["strangers", YOUNG]));
    let again = place.run("again", &["sweep", "--sandbox", "--yes"]);
    ends(&again, 0, &[]);
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""), "cron sends what is said by mail");
    ends(&place.run("none", &["teardown", "--sandbox"]), 2, &["--rehearsals", "--run", "--live"]);
    ends(
        &place.run("other", &["teardown", "--run", "oldoldoldold", "--sandbox"]),
        0,
        &["nothing of rehearsal oldoldoldold"],
    );
    let mut down = place.start("down", &["teardown", "--run", "youngyoungyo", "--sandbox", "--json", "--yes"]);
    assert!(down.said("\"event\":\"intent\""), "{}", down.end().stderr);
    down.signal(nix::sys::signal::Signal::SIGKILL);
    let down = down.end();
    assert_eq!(down.status.code(), None, "it was over before it could be killed: {}", down.stderr);
    assert!(down.stderr.contains(&format!("server {YOUNG} (id ")), "{}", down.stderr);
    // What it takes down stands in its first record.
    succeeded(&place.run("resume", &["resume", "--json", "--yes"]));
    assert_eq!(servers(&place), with(&["strangers"]));
}

#[test]
fn the_living_cluster_goes_only_with_its_name_typed_and_where_no_name_is_left_behind() {
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start", "--world", "healthy"]).status.success());
    // Records that a person made point at it.
    let refused = place.run("by-hand", &["teardown", "--live", "--sandbox", "--confirm", "honeydue"]);
    ends(&refused, 3, &["without relight's comment", "honeydue-node-1", "remove these records"]);
    succeeded(&place.run("rebuild", &["rebuild", "--sandbox", "--json", "--yes"]));
    let before = servers(&place);
    assert_eq!(before.len(), 6, "three new ones, three fenced ones: {before:?}");
    let live = ["teardown", "--live", "--sandbox", "--json"];
    let with = |more: &[&'static str]| live.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    ends(
        &place.run("yes", &with(&["--yes"])),
        4,
        &["--confirm honeydue", "record api.myhoneydue.com A ", "fenced", "(id "],
    );
    ends(&place.run("wrong", &with(&["--yes", "--confirm", "otherdue"])), 4, &["--confirm otherdue does not name it"]);
    assert_eq!(servers(&place), before);
    let down = place.run("down", &with(&["--confirm", "honeydue"]));
    let last = succeeded(&down);
    assert_eq!(last["recovery_seconds"], Value::Null, "nothing was recovered: {last}");
    let world = place.json(&["sandbox", "status", "--json"])["world"].clone();
    for what in ["servers", "records"] {
        assert_eq!(world[what].as_array().unwrap().len(), 0, "{what}: {world}");
    }
    ends(&place.run("twice", &with(&["--confirm", "honeydue"])), 3, &["nothing of cluster honeydue is here"]);
}

//! Ctrl-C and SIGTERM while something hangs: the first signal lets calls in flight end, the second ends at once; each is resumable.

use super::place::{until, Ended, Place, Running};
use super::{last_line, succeeded, REBUILD, RESUME};
use nix::sys::signal::Signal;
use serde_json::{json, Value};

/// A place whose calls in flight have three seconds to end, and in whose sandbox the first protection of a server never
/// ends: it comes at the end, and a look finds it not done.
fn hung() -> (Place, Value) {
    let place = Place::new(&[]);
    let config = place.path().join("relight.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(!text.contains("\ntimeouts:"), "the example has changed");
    std::fs::write(&config, text + "\ntimeouts: { probe: 1s }\n").unwrap();
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    let fault = json!({ "on": { "op": "cloud.server.protect" }, "kind": "hung_action", "times": { "times": 1 } });
    let id = place.control("/fault", &fault)["id"].clone();
    (place, id)
}

fn fired(place: &Place, id: &Value) -> bool {
    place.control(&format!("/fault/{id}/fired"), &Value::Null)["fired"] == 1
}

/// A rebuild that waits for the action that never ends.
fn begun(place: &Place, id: &Value) -> Running {
    let run = place.start("run", &REBUILD);
    until("the fault fires", || fired(place, id));
    run
}

fn is_interrupted(ended: &Ended, code: i32) -> String {
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
    let last = last_line(ended);
    assert_eq!((&last["event"], &last["outcome"]), (&"run_finished".into(), &"interrupted".into()), "{last}");
    let run = last["run"].as_str().unwrap().to_owned();
    assert!(ended.stderr.contains("relight resume --config") && ended.stderr.contains(&run), "{}", ended.stderr);
    run
}

#[test]
fn sigterm_does_not_wait_for_what_hangs_and_the_run_is_resumed() {
    stopped_and_resumed(Signal::SIGTERM, 143);
}

#[test]
fn ctrl_c_does_not_wait_for_what_hangs_and_the_run_is_resumed() {
    stopped_and_resumed(Signal::SIGINT, 130);
}

fn stopped_and_resumed(signal: Signal, code: i32) {
    let (place, id) = hung();
    let run = begun(&place, &id);
    run.signal(signal);
    let run = is_interrupted(&run.end(), code);
    let status = place.json(&["status", "--json"]);
    assert_eq!((&status["run"], &status["alive"]), (&run.as_str().into(), &false.into()));
    succeeded(&place.run("resume", &RESUME));
    place.is_as_wanted();
}

#[test]
fn the_second_signal_ends_at_once_and_the_run_is_resumed() {
    let (place, id) = hung();
    let mut run = begun(&place, &id);
    run.signal(Signal::SIGINT);
    assert!(run.complained("finishing the calls in flight"));
    run.signal(Signal::SIGTERM);
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(143), "{}", ended.stderr);
    assert!(ended.stderr.contains("relight resume"), "{}", ended.stderr);
    assert_ne!(last_line(&ended)["event"], "run_finished", "it did not wait for an end");
    succeeded(&place.run("resume", &RESUME));
    place.is_as_wanted();
}

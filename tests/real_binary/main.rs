//! The binary as people run it, against a sandbox in another process: it rebuilds, it survives being killed at any instant, and
//! it keeps its secrets to itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

#[path = "../support/description.rs"]
#[allow(dead_code)]
mod description;
#[path = "../support/wire.rs"]
mod wire;

mod adopting;
mod afterwards;
mod canary;
mod described;
mod judged;
mod keeping;
mod place;
mod reconstructed;
mod sandbox_life;
mod signals;
mod taken_down;
mod trouble;

use nix::sys::signal::Signal;
use place::{Ended, Place};
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::time::Duration;

const REBUILD: [&str; 4] = ["rebuild", "--sandbox", "--json", "--yes"];
const RESUME: [&str; 3] = ["resume", "--json", "--yes"];
/// How often one run is killed.
const KILLS: usize = 12;

/// Checks that all of stdout is events, and gives the last one.
fn last_line(ended: &Ended) -> Value {
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    lines.last().unwrap_or_else(|| panic!("nothing on stdout: {}", ended.stderr)).clone()
}

fn succeeded(ended: &Ended) -> Value {
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let last = last_line(ended);
    assert_eq!((&last["event"], &last["outcome"]), (&"run_finished".into(), &"succeeded".into()), "{last}");
    last
}

fn is_there(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|place| place.join(program).is_file())
}

#[test]
fn one_command_rebuilds_the_cluster_and_its_last_line_says_so() {
    let place = Place::new(&[]);
    let ended = place.run("rebuild", &REBUILD);
    let last = succeeded(&ended);
    let steps = last["steps"].as_u64().unwrap();
    assert!(steps > 20, "{last}");
    let run = last["run"].as_str().unwrap();
    let journal = last["journal"].as_str().unwrap();
    assert!(journal.contains(run) && place.path().join(journal).exists(), "{last}");
    let (first, all) = (last["first_answer_seconds"].as_f64().unwrap(), last["recovery_seconds"].as_f64().unwrap());
    assert!(0.0 < first && first <= all, "{last}");
    place.is_as_wanted();
    let status = place.json(&["status", "--json"]);
    assert_eq!((&status["run"], &status["alive"]), (&last["run"], &false.into()));
    let again = place.run("again", &RESUME);
    assert_eq!(again.status.code(), Some(2), "nothing is left to resume: {}", again.stderr);
    if !is_there("kubectl") {
        println!("skipped: no kubectl on PATH");
        return;
    }
    let nodes = place.run("nodes", &["kubectl", "--", "get", "nodes", "--no-headers"]);
    assert_eq!(nodes.status.code(), Some(0), "{}", nodes.stderr);
    let ready = nodes.stdout.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready")).count();
    assert_eq!((ready, nodes.stdout.lines().count()), (3, 3), "{}", nodes.stdout);
}

#[test]
fn a_run_killed_at_any_instant_is_finished_by_resume() {
    let seed: u64 = std::env::var("RELIGHT_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("RELIGHT_SEED={seed}");
    let lives: Vec<_> =
        (0..2).map(|life| std::thread::spawn(move || killed_and_resumed(seed.wrapping_add(life)))).collect();
    for life in lives {
        life.join().unwrap();
    }
}

fn killed_and_resumed(seed: u64) {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    let (mut kills, mut lives) = (0, 0);
    let mut foreign = None;
    loop {
        let last = place.last_event();
        if last.as_ref().is_some_and(|e| e["event"] == "run_finished" && e["outcome"] == "succeeded") {
            break;
        }
        // What is there before the run does not survive the disaster, so it comes after it.
        if last.is_some() && foreign.is_none() {
            foreign = Some(judged::Foreign::plant(&place));
        }
        let arguments: &[&str] = if last.is_some() { &RESUME } else { &REBUILD };
        lives += 1;
        let mut life = place.start(&format!("life{lives}"), arguments);
        if kills < KILLS {
            // From its very start, or from its first word on: else a slow machine would only ever kill it while it starts.
            if random.random_bool(0.8) {
                life.said("\"event\":\"run_");
            }
            std::thread::sleep(Duration::from_millis(random.random_range(0..700)));
            if !life.ended() {
                life.signal(Signal::SIGKILL);
                kills += 1;
            }
            life.end();
        } else {
            succeeded(&life.end());
        }
    }
    println!("seed {seed}: {kills} kills, {lives} lives");
    assert!(kills >= 3, "the run was over after {kills} kills: nothing was tried");
    place.is_as_wanted();
    judged::kept(&place);
    foreign.expect("there was a life before the last").is_untouched(&place);
    let status = place.json(&["status", "--json"]);
    let starts = status["events"].as_array().unwrap().iter().filter(|e| e["event"]["event"] == "run_started").count();
    assert_eq!((starts, &status["alive"]), (1, &false.into()));
}

#[test]
fn a_second_run_is_refused_by_name_and_an_interrupted_one_is_finished_by_resume() {
    let place = Place::new(&[]);
    let mut first = place.start("first", &REBUILD);
    assert!(first.said("\"step_finished\""), "{}", first.end().stderr);
    let second = place.run("second", &REBUILD);
    assert_eq!(second.status.code(), Some(5), "{}", second.stderr);
    assert!(second.stderr.contains(&first.pid().to_string()), "the holder is not named: {}", second.stderr);
    assert_eq!(place.json(&["status", "--json"])["alive"], true);
    first.signal(Signal::SIGINT);
    let first = first.end();
    assert_eq!(first.status.code(), Some(130), "{}", first.stderr);
    let last = last_line(&first);
    assert_eq!((&last["event"], &last["outcome"]), (&"run_finished".into(), &"interrupted".into()), "{last}");
    succeeded(&place.run("resume", &RESUME));
    place.is_as_wanted();
}

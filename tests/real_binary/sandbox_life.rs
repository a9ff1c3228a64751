//! A sandbox is found by whoever needs it, however the one who started it died; and it does not outlive its state directory.

use super::place::{processes, until, Place};
use nix::sys::signal::Signal;
use relight::providers::{Holder, Lock};
use std::path::Path;

/// Whether processes can be looked at; says so where not.
fn can_look() -> bool {
    let can = Path::new("/proc/self").exists();
    if !can {
        println!("skipped: no /proc, other processes cannot be looked at");
    }
    can
}

#[test]
fn a_sandbox_whose_starter_was_killed_is_found_by_the_next_and_stays_the_only_one() {
    if !can_look() {
        return;
    }
    let place = Place::new(&[]);
    let starter = place.start("starter", &["sandbox", "start"]);
    // Killed between the start of the sandbox's process and its card, most of the time: it has hardly begun.
    until("a sandbox's process", || !place.sandboxes().is_empty());
    starter.signal(Signal::SIGKILL);
    starter.end();
    let left = place.sandboxes();
    assert_eq!(left.len(), 1);
    let next = place.run("next", &["sandbox", "start"]);
    assert!(next.status.success(), "{}", next.stderr);
    assert_eq!(place.card()["pid"].as_u64(), Some(left[0].into()));
    // One that was started beside it has ended before its starter did.
    assert_eq!(place.sandboxes(), left);
}

#[test]
fn of_many_that_start_a_sandbox_at_once_one_does_and_all_find_it() {
    if !can_look() {
        return;
    }
    let place = Place::new(&[]);
    let starters: Vec<_> = (0..4).map(|n| place.start(&format!("starter{n}"), &["sandbox", "start"])).collect();
    let said: Vec<_> = starters.into_iter().map(super::place::Running::end).collect();
    let card = place.card();
    for end in &said {
        assert!(end.status.success(), "{}", end.stderr);
        assert!(end.stdout.contains(card["uid"].as_str().unwrap()), "another sandbox: {}", end.stdout);
    }
    // Those who came second are gone with their starters: one that is late would take the lock of a sandbox that was stopped.
    let only = vec![u32::try_from(card["pid"].as_u64().unwrap()).unwrap()];
    assert_eq!(place.sandboxes(), only);
    let second = place.run("second", &["sandbox", "serve"]);
    assert_eq!(second.status.code(), Some(5), "{}", second.stderr);
    assert!(second.stderr.contains(&only[0].to_string()), "{}", second.stderr);
}

#[test]
fn a_sandbox_ends_with_its_state_directory() {
    if !can_look() {
        return;
    }
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    let first = place.sandboxes();
    assert_eq!(first.len(), 1);
    std::fs::remove_dir_all(place.path().join("state")).unwrap();
    // A new one may start at once; the old one goes by itself and leaves the new one's card alone.
    assert!(place.run("again", &["sandbox", "start"]).status.success());
    until("the end of the first sandbox", || !processes().iter().any(|(pid, _)| first.contains(pid)));
    assert_eq!(place.sandboxes(), vec![u32::try_from(place.card()["pid"].as_u64().unwrap()).unwrap()]);
    assert!(place.run("stop", &["sandbox", "stop"]).status.success());
    until("the end of the second sandbox", || place.sandboxes().is_empty());
}

#[test]
fn a_sandbox_starts_in_the_world_that_is_asked_for_and_keeps_it() {
    let place = Place::new(&[]);
    let wrong = place.run("wrong", &["sandbox", "start", "--world", "flood"]);
    assert!(wrong.status.code() == Some(2) && wrong.stderr.contains("hand-made"), "{}", wrong.stderr);
    let start = place.run("start", &["sandbox", "start", "--world", "hand-made"]);
    assert!(start.status.success(), "{}", start.stderr);
    let status = place.run("status", &["sandbox", "status"]);
    assert!(status.stdout.contains("ubuntu-8gb-nbg1-1 running"), "{}", status.stdout);
    let again = place.run("again", &["sandbox", "start", "--world", "healthy"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(again.stderr.contains("break healthy"), "{}", again.stderr);
    let broken = place.run("break", &["sandbox", "break", "healthy"]);
    assert!(broken.status.success(), "{}", broken.stderr);
    let status = place.run("after", &["sandbox", "status"]);
    assert!(
        status.stdout.contains("honeydue-node-1 running") && !status.stdout.contains("ubuntu"),
        "{}",
        status.stdout
    );
}

#[test]
fn the_world_is_not_broken_under_a_run_that_acts_in_it() {
    let place = Place::new(&[]);
    let start = place.run("start", &["sandbox", "start", "--world", "healthy"]);
    assert!(start.status.success(), "{}", start.stderr);
    let cluster = place.path().join("state/sandbox/honeydue");
    let holder = Holder { pid: std::process::id(), run: "aaaaaaaaaaaa".into(), since: "2026-11-24T01:00:00Z".into() };
    let refused = |what: &str| {
        for words in [&["sandbox", "break", "total-loss"][..], &["sandbox", "stop"]] {
            let broken = place.run(what, words);
            assert!(broken.status.code() == Some(5) && broken.stderr.contains("aaaaaaaaaaaa"), "{}", broken.stderr);
            assert!(broken.stderr.contains("next: "), "{}", broken.stderr);
        }
        let status = place.run("status", &["sandbox", "status"]);
        assert!(status.stdout.contains("honeydue-node-1 running"), "{}", status.stdout);
    };
    let live = Lock::take(&cluster, &holder).unwrap();
    refused("live");
    drop(live);
    // A rehearsal's lock lies in its run, from before its first record is whole.
    let run = cluster.join("aaaaaaaaaaaa");
    std::fs::create_dir_all(run.join("secrets")).unwrap();
    std::fs::write(run.join("journal.jsonl"), "{").unwrap();
    let acting = Lock::take(&run, &holder).unwrap();
    refused("rehearsal");
    drop(acting);
    assert!(place.run("broken", &["sandbox", "break", "total-loss"]).status.success());
    assert!(place.run("stopped", &["sandbox", "stop"]).status.success());
}

#[test]
fn another_profile_ends_no_sandbox_that_holds_anything_and_that_is_said() {
    let place = Place::new(&[]);
    let uid = |name: &str, words: &[&str]| {
        let ended = place.run(name, words);
        assert!(ended.status.success(), "{}", ended.stderr);
        (place.card()["uid"].as_str().unwrap().to_owned(), ended.stderr)
    };
    let (empty, _) = uid("start", &["sandbox", "start"]);
    let (other, told) = uid("other", &["sandbox", "start", "--profile", "fast"]);
    assert_ne!(other, empty, "nothing was in it: {told}");
    uid("healthy", &["sandbox", "break", "healthy"]);
    let (same, told) = uid("again", &["sandbox", "start"]);
    assert_eq!(same, other);
    assert!(told.contains("profile fast") && told.contains("relight sandbox") && told.contains("makes room"), "{told}");
    // What a rehearsal leaves alone, it does not end either. It is refused by its budget: that is enough to see.
    let rehearse = place.run("rehearse", &["rehearse", "--sandbox", "--yes", "--budget", "0.0001"]);
    assert_eq!(rehearse.status.code(), Some(3), "{}", rehearse.stderr);
    assert!(rehearse.stderr.contains("profile fast"), "{}", rehearse.stderr);
    assert_eq!(place.card()["uid"].as_str(), Some(other.as_str()));
    let status = place.run("status", &["sandbox", "status"]);
    assert!(status.stdout.contains("honeydue-node-1 running"), "{}", status.stdout);
}

#[test]
fn a_plan_that_is_looked_at_says_by_its_code_that_a_check_refuses() {
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start", "--world", "healthy"]).status.success());
    let refused = place.run("refused", &["plan", "rebuild", "--check", "--sandbox"]);
    assert_eq!(refused.status.code(), Some(3), "{}", refused.stdout);
    assert!(refused.stdout.contains("the old cluster still serves"), "{}", refused.stdout);
    assert!(!refused.stdout.contains("relight resume"), "there is no run: {}", refused.stdout);
    assert!(place.run("break", &["sandbox", "break", "total-loss"]).status.success());
    let lost = place.run("lost", &["plan", "rebuild", "--check", "--sandbox"]);
    assert_eq!(lost.status.code(), Some(0), "{}{}", lost.stdout, lost.stderr);
}

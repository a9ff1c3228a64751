//! The operator's own machine is in trouble: the disk is full, or the state directory cannot be read.

use super::place::Place;
use super::{last_line, succeeded, REBUILD, RESUME};
use std::os::unix::fs::{symlink, PermissionsExt};

#[test]
fn a_full_disk_ends_the_run_with_the_journals_code_and_a_resume_with_room_finishes_it() {
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    // Without --json, so that the journal is the longest of all files: it alone meets the limit.
    let full = place.cramped("full", 40 * 1024, &["rebuild", "--sandbox", "--yes"]);
    assert_eq!(full.status.code(), Some(6), "{}", full.stderr);
    assert!(full.stderr.contains("cannot be written") && full.stderr.contains("make room"), "{}", full.stderr);
    let again = place.cramped("again", 40 * 1024, &["resume", "--yes"]);
    assert_eq!(again.status.code(), Some(6), "there is still no room: {}", again.stderr);
    let run = last_run(&place);
    let resumed = place.run("resume", &RESUME);
    succeeded(&resumed);
    assert_eq!(last_line(&resumed)["run"], run.as_str());
    place.is_as_wanted();
}

#[test]
fn a_run_whose_directory_is_removed_ends_with_the_journals_code_and_touches_nothing_more() {
    let place = Place::new(&[]);
    let mut running = place.start("rebuild", &REBUILD);
    // Fencing, and with it all that is made, is yet to come.
    assert!(running.said("\"event\":\"step_finished\",\"step\":\"preflight\"") || running.said("step_started"));
    std::fs::remove_dir_all(place.path().join("state/sandbox/honeydue").join(only_run(&place))).unwrap();
    let ended = running.end();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.stderr);
    assert!(ended.stderr.contains("is gone") && ended.stderr.contains("relight reconstruct"), "{}", ended.stderr);
    let world = place.json(&["sandbox", "status", "--json"])["world"].clone();
    assert_eq!(world["servers"].as_array().unwrap().len(), 3, "nothing was made: {world}");
}

/// The only run's directory, while it is too young for anything else.
fn only_run(place: &Place) -> String {
    let entries = std::fs::read_dir(place.path().join("state/sandbox/honeydue")).unwrap().flatten();
    let mut runs = entries.filter(|entry| entry.path().join("journal.jsonl").exists());
    let run = runs.next().unwrap().file_name().into_string().unwrap();
    assert!(runs.next().is_none());
    run
}

#[test]
fn without_an_ssh_program_nothing_is_touched() {
    let place = Place::new(&[("PATH".to_owned(), "/nowhere".to_owned())]);
    let ended = place.run("rebuild", &REBUILD);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stdout.contains("there is no ssh program on this machine"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("\"intent\""), "{}", ended.stdout);
}

#[test]
fn logs_hold_no_control_characters_where_no_terminal_is() {
    let place = Place::new(&[("PATH", "/nowhere"), ("RUST_LOG", "trace")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let ended = place.run("rebuild", &REBUILD);
    assert!(ended.stderr.contains("TRACE") || ended.stderr.contains("DEBUG"), "{}", ended.stderr);
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
}

#[test]
fn a_broken_journal_is_told_before_the_sandbox_is_put_into_disaster() {
    let place = Place::new(&[]);
    succeeded(&place.run("rebuild", &REBUILD));
    let path = place.path().join("state/sandbox/honeydue").join(last_run(&place)).join("journal.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("honeydue", "honeybee", 1)).unwrap();
    let world = || place.json(&["sandbox", "status", "--json"])["world"]["servers"].clone();
    let before = world();
    let refused = place.run("again", &REBUILD);
    assert_eq!(refused.status.code(), Some(6), "{}", refused.stderr);
    assert_eq!(world(), before);
}

fn last_run(place: &Place) -> String {
    place.json(&["status", "--json"])["run"].as_str().unwrap().to_owned()
}

/// Every command that needs the state says that it cannot be read, and what to do.
fn is_told(place: &Place) {
    for (name, arguments) in
        [("status", &["status"][..]), ("resume", &RESUME), ("rebuild", &REBUILD), ("kubeconfig", &["kubeconfig"])]
    {
        let ended = place.run(name, arguments);
        assert_eq!(ended.status.code(), Some(2), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains("next: ") && ended.stderr.contains("state"), "{name}: {}", ended.stderr);
    }
}

#[test]
fn a_state_directory_that_leads_nowhere_is_told_with_what_to_do() {
    let place = Place::new(&[]);
    symlink("state", place.path().join("state")).unwrap();
    is_told(&place);
}

#[test]
fn a_state_directory_without_permission_is_told_with_what_to_do() {
    if nix::unistd::geteuid().is_root() {
        println!("skipped: root may read everything");
        return;
    }
    let place = Place::new(&[]);
    let state = place.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o000)).unwrap();
    is_told(&place);
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
}

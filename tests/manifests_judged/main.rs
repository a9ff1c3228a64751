//! Manifests are judged before anything is touched: what Kubernetes would refuse, or what would wait for ever there, is named with
//! the place of the very value, by `relight validate` and by a run before its first effect.

#![expect(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "a test ends where it fails")]

#[path = "../support/desk.rs"]
mod desk;
mod kinds;
mod references;
mod values;

use desk::Desk;
use relight::config::{load, manifests};
use std::fs;
use std::process::Command;

/// One slip: in which manifest, what stands there, what is written instead, which part of that is wrong, and what is said of it.
type Slip<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str]);

/// The text with the slip, and the line and column that are wrong.
fn slipped(text: &str, (file, old, new, wrong, _): &Slip<'_>) -> (String, String) {
    let at = text.find(old).unwrap_or_else(|| panic!("{file} does not contain {old}"));
    let changed = text.replacen(old, new, 1);
    let at = at + new.find(wrong).unwrap_or_else(|| panic!("{new} does not contain {wrong}"));
    let before = &changed[..at];
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    (changed.clone(), format!("manifests/{file}.yaml:{}:{column}: ", before.matches('\n').count() + 1))
}

/// Each slip alone: exactly this one line is said.
fn each_is_said(slips: &[Slip<'_>]) {
    for slip in slips {
        let (file, .., wrong, parts) = slip;
        let desk = Desk::new();
        let path = desk.path(&format!("manifests/{file}.yaml"));
        let (text, place) = slipped(&fs::read_to_string(&path).unwrap(), slip);
        fs::write(&path, text).unwrap();
        let (code, said) = validate(&desk);
        assert_eq!((code, said.lines().count()), (Some(2), 1), "{file} with {wrong}:\n{said}");
        assert!(said.starts_with(&place), "{said} is not at {place}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said} does not say {parts:?}");
    }
}

fn binary(desk: &Desk, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relight"));
    command.args(arguments).current_dir(desk.path("")).env_clear().stdin(std::process::Stdio::null());
    let ended = command.env("PATH", "/usr/bin:/bin").env("HOME", desk.path("")).output().unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code(), text.strip_prefix("relight: ").unwrap_or(&text).to_owned())
}

fn validate(desk: &Desk) -> (Option<i32>, String) {
    binary(desk, &["validate"])
}

fn is_valid(desk: &Desk) {
    let (code, said) = validate(desk);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn what_validate_refuses_a_run_and_its_rehearsal_refuse_too() {
    for (file, old, new) in [
        ("redis", "type: Recreate", "type: Recrate"),
        ("api", "cpu: 250m", "cpu: 100x"),
        ("disruption", "kind: PodDisruptionBudget", "kind: PodDisruptionBudge"),
        ("redis", "storageClassName: local-path", "storageClassName: local-pth"),
        ("worker", "replicas: 1", "replicaz: 1"),
    ] {
        let desk = Desk::new();
        let path = desk.path(&format!("manifests/{file}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} does not contain {old}");
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let settings = load(&desk.path("relight.yaml")).unwrap();
        for settings in [settings.rehearsed().unwrap(), settings] {
            let refused = manifests(&settings).unwrap_err().to_string();
            assert_eq!(refused.lines().count(), 1, "{refused}");
            assert!(refused.contains(&format!("{file}.yaml:")), "{refused}");
        }
    }
}

/// On fewer nodes than `minDomains` every node takes `maxSkew` of the pods, and the rest wait for ever.
#[test]
fn more_pods_than_so_few_nodes_may_ever_hold_are_found() {
    let desk = Desk::new();
    let config = desk.path("relight.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let one = text.replacen("  node-2: {}\n", "", 1).replacen("  node-3: {}\n", "", 1);
    assert_eq!(one.len() + "  node-2: {}\n  node-3: {}\n".len(), text.len());
    fs::write(&config, &one).unwrap();
    let (code, said) = validate(&desk);
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    let line = fs::read_to_string(desk.path("manifests/api.yaml")).unwrap();
    let line = line.lines().position(|line| line.contains("minDomains")).unwrap() + 1;
    assert!(said.starts_with(&format!("manifests/api.yaml:{line}:")), "{said}");
    for part in ["minDomains 3", "1 node", "1 of 3 pods", "replicas"] {
        assert!(said.contains(part), "{said} does not say {part}");
    }
    // As many as have room are no mistake, nor is one that only would rather have them apart.
    let api = desk.path("manifests/api.yaml");
    let text = fs::read_to_string(&api).unwrap();
    for (old, new) in [("maxSkew: 1", "maxSkew: 3"), ("replicas: 3", "replicas: 1")] {
        assert!(text.contains(old), "api does not contain {old}");
        fs::write(&api, text.replacen(old, new, 1)).unwrap();
        is_valid(&desk);
    }
}

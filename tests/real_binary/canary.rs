//! Secrets from the environment reach the cluster, and nothing else: no journal, no output, no command line, no other process.

use super::place::{self, Place, Running};
use super::{is_there, succeeded, REBUILD};
use base64::Engine;
use std::collections::BTreeSet;
use std::path::Path;

/// The variables that relight.yaml and relight itself name.
const VARIABLES: [&str; 7] = [
    "DATABASE_URL",
    "REGISTRY_PASSWORD",
    "ETCD_S3_KEY",
    "ETCD_S3_SECRET",
    "REHEARSAL_DATABASE_URL",
    "HCLOUD_TOKEN",
    "CLOUDFLARE_API_TOKEN",
];

fn holds(bytes: &[u8], needles: &[String]) -> bool {
    needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_bytes()))
}

/// Looks at all processes until the run ends: which of them hold a canary, and which of the run's own were seen at all.
fn watch(run: &mut Running, here: &str, needles: &[String]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut leaks, mut seen) = (BTreeSet::new(), BTreeSet::new());
    while !run.ended() {
        let processes = place::processes();
        let own = processes.iter().find(|(pid, _)| *pid == run.pid()).map(|(_, line)| line.clone()).unwrap_or_default();
        for (pid, line) in processes {
            let shown = line.replace('\0', " ");
            if holds(line.as_bytes(), needles) {
                leaks.insert(format!("command line: {shown}"));
            }
            // relight was given the canaries in its environment, and a child that has not yet become another program shows
            // its parent's. The command line was read first: where it is the child's, so is the environment.
            if pid == run.pid() || line == own || line.is_empty() {
                continue;
            }
            if line.contains(here) {
                seen.insert(shown.split(' ').next().unwrap_or_default().to_owned());
            }
            if std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| holds(&environ, needles)) {
                leaks.insert(format!("environment of: {shown}"));
            }
        }
        std::thread::sleep(place::LOOK);
    }
    (leaks, seen)
}

/// All files below that hold a needle, but for those of directories named `secrets`.
fn files_with(directory: &Path, needles: &[String], found: &mut Vec<String>, looked: &mut usize) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() && entry.file_name() != "secrets" {
            files_with(&path, needles, found, looked);
        } else if kind.is_file() {
            *looked += 1;
            if holds(&std::fs::read(&path).unwrap(), needles) {
                found.push(path.display().to_string());
            }
        }
    }
}

/// What relight made itself, from the run's `secrets`: tokens whole, keys by those lines that hold secret bytes.
fn made_by_the_run(place: &Place) -> Vec<String> {
    let secrets = place.path().join(
        place.json(&["status", "--json"])["run"]
            .as_str()
            .map_or_else(String::new, |run| format!("state/sandbox/honeydue/{run}/secrets")),
    );
    let (mut needles, mut names) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&secrets).unwrap().flatten() {
        names.push(entry.file_name().to_string_lossy().into_owned());
        let text = std::fs::read_to_string(entry.path()).unwrap();
        if text.starts_with("-----BEGIN") {
            // The first line of a key says only what it is.
            needles.extend(
                text.lines().skip(2).filter(|line| line.len() > 40 && !line.starts_with('-')).map(str::to_owned),
            );
        } else if let Some((_, key)) = text.split_once("client-key-data:") {
            needles.push(key.split_whitespace().next().unwrap().trim_matches('"').to_owned());
        } else {
            needles.push(text.trim().to_owned());
        }
    }
    for wanted in ["k3s-token", "kubeconfig", "ssh_ed25519", "host"] {
        assert!(names.iter().any(|name| name.contains(wanted)), "{wanted} is not among {names:?}");
    }
    assert!(needles.len() >= names.len() && needles.iter().all(|needle| needle.len() >= 32), "{names:?}");
    needles
}

#[test]
fn what_a_run_made_itself_and_what_a_failing_run_was_given_is_shown_by_nothing() {
    let canary = |name: &&str| ((*name).to_owned(), format!("canary-{:032x}", rand::random::<u128>()));
    let canaries: Vec<(String, String)> = VARIABLES.iter().map(canary).collect();
    let mut needles: Vec<String> = canaries.iter().map(|(_, value)| value.clone()).collect();
    let mut variables = canaries;
    variables.push(("RUST_LOG".to_owned(), "relight=trace".to_owned()));
    let place = Place::new(&variables);
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    let quota = serde_json::json!({ "on": { "op": "cloud.server.create" }, "kind": "quota", "times": { "times": 1 } });
    place.control("/fault", &quota);
    let failed = place.run("failed", &REBUILD);
    assert!(!failed.status.success() && failed.stderr.contains("server"), "{}", failed.stderr);
    succeeded(&place.run("resume", &super::RESUME));
    // Their words are files too, and are looked at with all others.
    for (name, arguments) in [
        ("status", &["status"][..]),
        ("plan", &["plan", "rebuild", "--sandbox"]),
        ("check", &["plan", "rebuild", "--check", "--sandbox"]),
    ] {
        let ended = place.run(name, arguments);
        assert!(ended.status.success() && !ended.stdout.is_empty(), "{name}: {}", ended.stderr);
    }
    needles.extend(made_by_the_run(&place));
    let (mut found, mut looked) = (Vec::new(), 0);
    files_with(place.path(), &needles, &mut found, &mut looked);
    assert!(found.is_empty(), "{found:#?}");
    assert!(looked > 12, "journal, words and logs are files");
}

#[test]
fn secrets_reach_the_cluster_and_nothing_else() {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let canaries: Vec<(String, String)> =
        VARIABLES.iter().map(|name| ((*name).to_owned(), format!("canary-{:032x}", rand::random::<u128>()))).collect();
    let needles: Vec<String> = canaries.iter().flat_map(|(_, canary)| [canary.clone(), base64(canary)]).collect();
    let mut variables = canaries.clone();
    variables.push(("RUST_LOG".to_owned(), "relight=trace".to_owned()));
    let place = Place::new(&variables);
    let mut run = place.start("rebuild", &REBUILD);
    let (leaks, seen) = watch(&mut run, &place.path().display().to_string(), &needles);
    succeeded(&run.end());
    assert!(leaks.is_empty(), "{leaks:#?}");
    if Path::new("/proc/self").exists() {
        assert!(seen.iter().any(|program| program.ends_with("ssh")), "no child was looked at: {seen:?}");
    } else {
        println!("skipped: no /proc, other processes cannot be looked at");
    }
    let (mut found, mut looked) = (Vec::new(), 0);
    files_with(place.path(), &needles, &mut found, &mut looked);
    assert!(found.is_empty(), "{found:#?}");
    assert!(looked > 5, "journal, output and log are files");
    if !is_there("kubectl") {
        println!("skipped: no kubectl on PATH, so nobody asks the cluster for its secret");
        return;
    }
    let get = ["kubectl", "--", "get", "secret", "-n", "honeydue", "app", "-o", "jsonpath={.data.DATABASE_URL}"];
    assert_eq!(place.run("secret", &get).stdout, base64(&canaries[0].1), "the cluster has the secret itself");
}

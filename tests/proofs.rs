//! A rehearsal leaves proof: from its journal alone, whatever was killed; and `relight status` says what it is still worth.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use async_trait::async_trait;
#[path = "support/desk.rs"]
mod desk;

use desk::Desk;
use relight::actions::{Mode, RunId, Scripts};
use relight::config::Settings;
use relight::engine::{
    step_records, Event, Journal, Listener, Outcome, RunFinished, RunStarted, StepRecord, Told, FORMAT,
};
use relight::playbook::{Binding, Plan, Source};
use relight::providers::RunFiles;
use relight::world::{sha256_hex, Clock};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that a test sets, in milliseconds since the epoch.
struct Hands(AtomicU64);

#[async_trait]
impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, _time: Duration) {}
}

struct Deaf;
impl Listener for Deaf {
    fn told(&self, _told: &Told) {}
}

/// What a run on disk is to be.
struct Kept<'a> {
    id: &'a str,
    world: &'a str,
    mode: Mode,
    days_ago: u64,
    residue: Result<(), &'a str>,
}

const REHEARSAL: Kept<'static> =
    Kept { id: "aaaaaaaaaaaa", world: "real", mode: Mode::Rehearsal, days_ago: 12, residue: Ok(()) };

impl Desk {
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relight"));
        command.args(args).current_dir(self.0.path()).env_clear().env("HOME", self.0.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
    fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"])).unwrap()
    }
    /// A run as its journal tells it, of a process that was killed right after the last record.
    fn keep(&self, kept: &Kept<'_>) -> PathBuf {
        let live = relight::config::load(&self.path("relight.yaml")).unwrap();
        let settings = if kept.mode == Mode::Live { live } else { live.rehearsed().unwrap() };
        let directory = self.path("state").join(kept.world).join(&settings.cluster).join(kept.id);
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let began = now - kept.days_ago * 86_400_000 - 3_600_000;
        let first = self.first(kept, &settings);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = Arc::new(Hands(AtomicU64::new(began)));
            let files = Arc::new(RunFiles::open(&directory).unwrap());
            let (journal, _) = Journal::open(kept.id, files, clock.clone(), Arc::new(Deaf)).await.unwrap();
            for (after, event) in events(first, kept.residue) {
                clock.0.store(began + after, Ordering::SeqCst);
                journal.append(event).await.unwrap();
            }
        });
        directory
    }
    fn first(&self, kept: &Kept<'_>, settings: &Settings) -> RunStarted {
        let (plan, scripts) = plan(settings, kept.mode);
        let id = RunId { id: kept.id.to_owned(), mode: kept.mode };
        let mut steps = step_records(&plan, settings, &id, &scripts);
        let needs = steps.iter().map(|s| s.id.clone()).collect();
        let (text, inputs) = ("look for what is left".to_owned(), String::new());
        steps.push(StepRecord { id: "residue".to_owned(), text, needs, expected_seconds: 2.0, inputs });
        RunStarted {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: kept.id.to_owned(),
            world: kept.world.to_owned(),
            world_uid: "w1".to_owned(),
            mode: kept.mode.word().to_owned(),
            cluster: settings.cluster.clone(),
            playbook: plan.name.clone(),
            playbook_digest: plan.digest.clone(),
            plan: steps,
            settings: settings.record(),
            forecast_seconds: plan.forecast().as_secs_f64(),
            wall_at: 0,
            digests: self.digests(settings, &plan, &scripts),
            left_out: Vec::new(),
            reconstructed: None,
        }
    }
    /// What the first record is documented to hold.
    fn digests(&self, settings: &Settings, plan: &Plan, scripts: &Scripts) -> BTreeMap<String, String> {
        let mut record = settings.record();
        for not_of_it in ["spare", "taken_down"] {
            record.as_object_mut().unwrap().remove(not_of_it);
        }
        let mut all = BTreeMap::from([
            ("binary".to_owned(), sha256_hex(&fs::read(env!("CARGO_BIN_EXE_relight")).unwrap())),
            ("configuration".to_owned(), sha256_hex(record.to_string().as_bytes())),
            ("playbook".to_owned(), plan.digest.clone()),
        ]);
        let pin = settings.k3s.sha256.as_ref().map(|digest| format!(" sha256:{digest}")).unwrap_or_default();
        all.insert("k3s".to_owned(), settings.k3s.version.clone() + &pin);
        all.extend(scripts.iter().map(|(name, text)| (format!("script {name}"), sha256_hex(text.as_bytes()))));
        let files = fs::read_dir(self.path("manifests")).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| !file.ends_with("traefik-helmchartconfig.yaml")) {
            let name = format!("manifest manifests/{}", file.file_name().unwrap().display());
            all.insert(name, sha256_hex(&fs::read(file).unwrap()));
        }
        all
    }
}

fn plan(settings: &Settings, mode: Mode) -> (Plan, Scripts) {
    let source = Source::embedded();
    let file = source.playbook("rebuild").unwrap().unwrap();
    let make = |name: &str, params: &Value| relight::actions::action(name, params);
    let (nodes, default_deadline) = (&settings.nodes, settings.timeouts.step);
    let binding = Binding { nodes, default_deadline, mode, actions: &make, source: &source };
    let plan = relight::playbook::load(&file.text, &file.file, &binding).unwrap();
    let script = |name: String| Some((name.clone(), source.script(&name).ok()??));
    (plan, source.scripts().into_iter().filter_map(script).collect())
}

/// Every step takes four seconds, one after the other.
fn events(first: RunStarted, residue: Result<(), &str>) -> Vec<(u64, Event)> {
    let steps: Vec<String> = first.plan.iter().map(|s| s.id.clone()).collect();
    let (count, rehearsal) = (steps.len(), first.mode == "rehearsal");
    let mut all = vec![(0, Event::RunStarted(Box::new(first)))];
    let mut at = 0;
    for step in steps {
        all.push((at, Event::StepStarted { step: step.clone() }));
        at += 4_000;
        let end = match residue {
            Err(error) if step == "residue" => {
                let (why, error, remedy) = ("failed".to_owned(), error.to_owned(), "`relight resume`".to_owned());
                Event::StepFailed { step, why, error, remedy }
            }
            _ => Event::StepFinished { step, outcome: Outcome::Done, facts: BTreeMap::new(), text: String::new() },
        };
        all.push((at, end));
    }
    let well = residue.is_ok();
    let end = RunFinished {
        outcome: if well { "succeeded" } else { "failed" }.to_owned(),
        over: well || rehearsal,
        steps: count,
        done: count - usize::from(!well),
        warnings: 0,
        journal: String::new(),
        first_answer_seconds: Some(130.0),
        recovery_seconds: well.then_some(221.0),
        cost: None,
    };
    all.push((at, Event::RunFinished(end)));
    all
}

fn proof(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("proof.json")).unwrap()).unwrap()
}

#[test]
fn a_rehearsal_killed_before_its_proof_was_written_is_proven_by_the_next_command() {
    let desk = Desk::new();
    let directory = desk.keep(&REHEARSAL);
    let text = desk.run(&["status"]);
    assert!(text.contains("proven 12 days ago, first answer 2m 10s, all 3m 41s (run aaaaaaaaaaaa)"), "{text}");
    assert!(text.contains("; nothing has changed since then"), "{text}");
    assert!(text.contains("not executed  workload worker: held at zero"), "{text}");
    let proof = proof(&directory);
    assert_eq!((&proof["proven"], &proof["demonstration"]), (&true.into(), &false.into()));
    assert_eq!(proof["residue"]["outcome"], "done");
    let readable = fs::read_to_string(directory.join("proof.md")).unwrap();
    assert!(readable.starts_with("# Rehearsal of cluster honeydue: proven\n"), "{readable}");
    // What is there stays; what was made of a shorter journal does not.
    fs::write(directory.join("proof.md"), "mine").unwrap();
    desk.run(&["status"]);
    assert_eq!(fs::read_to_string(directory.join("proof.md")).unwrap(), "mine");
    let json = fs::read_to_string(directory.join("proof.json")).unwrap();
    fs::write(directory.join("proof.json"), json.replace("\"records\": ", "\"records\": 1")).unwrap();
    desk.run(&["status"]);
    assert_ne!(fs::read_to_string(directory.join("proof.md")).unwrap(), "mine");
}

#[test]
fn status_names_what_has_changed_since_and_the_steps_that_are_unproven_by_it() {
    let desk = Desk::new();
    desk.keep(&REHEARSAL);
    let file = desk.path("manifests/api.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("replicas: 2", "replicas: 1") + "\n# changed\n").unwrap();
    let text = desk.run(&["status"]);
    assert!(text.contains("; since then changed: manifests/api.yaml"), "{text}");
    let proof = &desk.status()["proofs"][0];
    assert_eq!(proof["proof"]["changed"], serde_json::json!(["manifests/api.yaml"]));
    assert_eq!((&proof["world"], &proof["demonstration"]), (&"real".into(), &false.into()));
    let old = fs::read_to_string(desk.path("relight.yaml")).unwrap();
    fs::write(desk.path("relight.yaml"), old.replace("image: ubuntu-24.04", "image: ubuntu-22.04")).unwrap();
    let proof = desk.status()["proofs"][0]["proof"].clone();
    assert_eq!(proof["changed"][0], "configuration (cloud.image)");
    assert!(proof["unproven"].as_array().unwrap().contains(&"server[node-1]".into()), "{proof}");
}

#[test]
fn a_rehearsal_that_left_something_behind_leaves_a_proof_that_proves_nothing() {
    let desk = Desk::new();
    let directory = desk.keep(&Kept { residue: Err("server r-1 is still there"), ..REHEARSAL });
    let text = desk.run(&["status"]);
    assert!(text.contains("never rehearsed: nothing proves yet that cluster honeydue comes back"), "{text}");
    assert!(text.contains("proves nothing: step residue failed: server r-1 is still there"), "{text}");
    let proof = proof(&directory);
    assert_eq!((&proof["proven"], &proof["failed"][0]["step"]), (&false.into(), &"residue".into()));
}

#[test]
fn in_the_sandbox_it_is_a_demonstration_and_a_live_run_is_none() {
    let desk = Desk::new();
    assert!(desk.run(&["status"]).contains("never rehearsed: "), "before any run");
    let live = desk.keep(&Kept { id: "bbbbbbbbbbbb", mode: Mode::Live, ..REHEARSAL });
    let sandbox = desk.keep(&Kept { world: "sandbox", ..REHEARSAL });
    let text = desk.run(&["status"]);
    assert!(text.contains("never rehearsed: ") && text.contains("demonstrated 12 days ago, "), "{text}");
    assert!(!live.join("proof.json").exists());
    assert_eq!(proof(&sandbox)["demonstration"], true);
    let text = desk.run(&["status", "--sandbox"]);
    assert!(!text.contains("never rehearsed") && text.contains("a demonstration, and no proof"), "{text}");
}

#[test]
fn three_runs_make_a_history_that_the_plan_is_forecast_by() {
    let desk = Desk::new();
    for (days_ago, id) in [(3, "aaaaaaaaaaaa"), (2, "bbbbbbbbbbbb")] {
        desk.keep(&Kept { id, days_ago, mode: Mode::Live, ..REHEARSAL });
    }
    assert!(!desk.run(&["plan"]).contains("earlier runs"), "two are too few");
    desk.keep(&Kept { id: "cccccccccccc", days_ago: 1, ..REHEARSAL });
    let text = desk.run(&["plan"]);
    for words in ["from 3 earlier runs", "4.0s (4.0s)", "begun now it ends at about "] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json: Value = serde_json::from_str(&desk.run(&["plan", "--json"])).unwrap();
    assert_eq!(json["history"]["preflight"], serde_json::json!({ "p50": 4.0, "p90": 4.0, "runs": 3 }));
    assert!(json["late_forecast_seconds"].as_f64().unwrap() >= json["forecast_seconds"].as_f64().unwrap());
    let sandbox: Value = serde_json::from_str(&desk.run(&["plan", "--json", "--sandbox"])).unwrap();
    assert_eq!(sandbox["history"], serde_json::json!({}), "the real world's history is not the sandbox's");
}

//! The binary as a person meets it: exit codes, what stands on stdout and stderr, and mistakes that it stops.
//! No network: what would reach one is stopped before.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "../support/desk.rs"]
mod desk;
mod mistakes;
mod secrets;

use desk::Desk;
use relight::actions::{Mode, RunId};
use relight::cli::Exit;
use relight::engine::{Event, Journal, Listener, Outcome, RunStarted, Told, FORMAT};
use relight::providers::{Holder, Lock, RunFiles, SystemClock};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

impl Desk {
    fn change(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(old), "{file} does not contain {old}");
        fs::write(self.path(file), text.replace(old, new)).unwrap();
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relight"));
        command.args(args).current_dir(self.0.path()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.0.path()).stdin(std::process::Stdio::null());
        // Whatever slips through ends at a closed port of loopback.
        command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
        command
    }
    fn run(&self, args: &[&str]) -> Ended {
        told(self.command(args).output().unwrap())
    }
    fn with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ended {
        told(self.command(args).envs(variables.iter().copied()).output().unwrap())
    }
    /// What a live run keeps: as if a process had begun it and died in its first step.
    fn begin_live_run(&self, id: &str, token: &str) -> PathBuf {
        self.begin_run(id, token, Mode::Live)
    }
    fn begin_run(&self, id: &str, token: &str, mode: Mode) -> PathBuf {
        let settings = relight::config::load(&self.path("relight.yaml")).unwrap();
        let directory = self.path("state").join("real").join(&settings.cluster).join(id);
        let source = relight::playbook::Source::embedded();
        let file = source.playbook("rebuild").unwrap().unwrap();
        let make = |name: &str, params: &serde_json::Value| relight::actions::action(name, params);
        let (nodes, default_deadline) = (&settings.nodes, settings.timeouts.step);
        let binding =
            relight::playbook::Binding { nodes, default_deadline, mode: Mode::Live, actions: &make, source: &source };
        let plan = relight::playbook::load(&file.text, &file.file, &binding).unwrap();
        let scripts =
            source.scripts().into_iter().filter_map(|name| Some((name.clone(), source.script(&name).ok()??))).collect();
        let run = RunId { id: id.to_owned(), mode };
        let first = RunStarted {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: id.to_owned(),
            world: "real".to_owned(),
            world_uid: relight::world::sha256_hex(token.as_bytes()).chars().take(16).collect(),
            mode: run.mode.word().to_owned(),
            cluster: settings.cluster.clone(),
            playbook: plan.name.clone(),
            playbook_digest: plan.digest.clone(),
            plan: relight::engine::step_records(&plan, &settings, &run, &scripts),
            settings: settings.record(),
            forecast_seconds: plan.forecast().as_secs_f64(),
            wall_at: 0,
            digests: std::collections::BTreeMap::new(),
            left_out: Vec::new(),
            reconstructed: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let files = Arc::new(RunFiles::open(&directory).unwrap());
            let clock = Arc::new(SystemClock::wall());
            let (journal, _) = Journal::open(id, files, clock, Arc::new(Deaf)).await.unwrap();
            journal.append(Event::RunStarted(Box::new(first))).await.unwrap();
            journal.append(Event::StepStarted { step: "preflight".to_owned() }).await.unwrap();
        });
        directory
    }
    /// Adds to what a run keeps.
    fn went_on(directory: &Path, id: &str, event: Event) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let files = Arc::new(RunFiles::open(directory).unwrap());
            let (journal, _) = Journal::open(id, files, Arc::new(SystemClock::wall()), Arc::new(Deaf)).await.unwrap();
            journal.append(event).await.unwrap();
        });
    }
}

struct Deaf;
impl Listener for Deaf {
    fn told(&self, _told: &Told) {}
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn told(output: Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let it = Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    for trace in ["panicked", "RUST_BACKTRACE", "stack backtrace", "   0:"] {
        assert!(!it.err.contains(trace), "a person is shown a trace: {}", it.err);
    }
    assert!(!it.out.contains('\u{1b}') && !it.err.contains('\u{1b}'), "control characters without a terminal");
    it
}

impl Ended {
    fn ends(&self, exit: Exit, words: &[&str]) -> &Self {
        assert_eq!(self.code, i32::from(exit.code()), "stdout: {}\nstderr: {}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "\"{word}\" is not in: {}", self.err);
        }
        self
    }
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

const TOKENS: [(&str, &str); 2] = [("HCLOUD_TOKEN", "live-token"), ("CLOUDFLARE_API_TOKEN", "dns-token")];

#[test]
fn help_and_version_are_answers_and_no_errors() {
    let desk = Desk::new();
    let help = desk.run(&["--help"]);
    help.ends(Exit::Done, &[]);
    for word in ["rebuild", "resume", "status", "plan", "validate", "sandbox", "kubectl", "completions", "--sandbox"] {
        assert!(help.out.contains(word), "{word} is not in the help");
    }
    let version = desk.run(&["--version"]);
    version.ends(Exit::Done, &[]);
    assert_eq!(version.out.trim(), format!("relight {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unknown_command_or_option_is_wrong_usage() {
    let desk = Desk::new();
    desk.run(&["rebuidl"]).ends(Exit::Usage, &["rebuidl", "rebuild"]);
    desk.run(&["rebuild", "--profile", "slow"]).ends(Exit::Usage, &["slow", "instant"]);
    desk.run(&[]).ends(Exit::Usage, &["Usage"]);
}

#[test]
fn the_schema_is_the_one_that_the_configuration_points_its_editor_at() {
    let schema = Desk::new().run(&["schema"]).json();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("steps/relight.schema.json");
    let kept: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(schema, kept);
}

#[test]
fn completions_are_a_script_for_the_shell() {
    let desk = Desk::new();
    let bash = desk.run(&["completions", "bash"]);
    bash.ends(Exit::Done, &[]);
    assert!(bash.out.contains("_relight()") && bash.out.contains("complete -F _relight"), "{}", bash.out);
    desk.run(&["completions", "powersh"]).ends(Exit::Usage, &["powersh"]);
}

#[test]
fn a_valid_configuration_is_said_to_be_valid_as_text_and_as_json() {
    let desk = Desk::new();
    let text = desk.run(&["validate"]);
    text.ends(Exit::Done, &[]);
    assert!(text.out.contains("relight.yaml: valid"), "{}", text.out);
    let json = desk.run(&["validate", "--json"]).json();
    assert_eq!((&json["valid"], &json["cluster"], &json["nodes"]), (&true.into(), &"honeydue".into(), &3.into()));
}

#[test]
fn a_misspelt_key_is_named_with_its_place() {
    let desk = Desk::new();
    desk.change("relight.yaml", "server_types:", "server_typos:");
    let text = fs::read_to_string(desk.path("relight.yaml")).unwrap();
    let line = text.lines().position(|l| l.contains("server_typos")).unwrap() + 1;
    for command in [&["validate"][..], &["plan"], &["status"], &["rebuild", "--sandbox"], &["resume"]] {
        desk.run(command).ends(Exit::Usage, &[&format!("relight.yaml:{line}:3: "), "server_typos"]);
    }
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let desk = Desk::new();
    desk.run(&["validate", "--config", "elsewhere.yaml"]).ends(Exit::Usage, &["elsewhere.yaml"]);
}

#[test]
fn an_image_named_latest_does_not_validate() {
    let desk = Desk::new();
    let text = fs::read_to_string(desk.path("manifests/worker.yaml")).unwrap();
    let image = text.lines().find_map(|l| l.trim().strip_prefix("image:")).unwrap().trim().to_owned();
    desk.change("manifests/worker.yaml", &image, "registry.example.net/worker:latest");
    desk.run(&["validate"]).ends(Exit::Usage, &["worker.yaml:", "is tagged latest", "image@sha256:"]);
}

#[test]
fn the_plan_is_shown_offline_as_text_and_as_json() {
    let desk = Desk::new();
    let text = desk.run(&["plan", "rebuild"]);
    text.ends(Exit::Done, &[]);
    assert!(text.out.contains("server[node-3]") && text.out.contains("zone myhoneydue.com"), "{}", text.out);
    let json = desk.run(&["plan", "rebuild", "--json"]).json();
    let steps = json["steps"].as_array().unwrap();
    assert!(steps.len() > 50 && steps.iter().any(|s| s["id"] == "dns-first[node-1]"), "{json}");
    assert!(json["critical_path"].as_array().unwrap().len() > 5);
    assert!(json["forecast_seconds"].as_f64().unwrap() > 0.0);
    desk.run(&["plan", "rebuidl"]).ends(Exit::Usage, &["no playbook rebuidl", "rebuild"]);
    assert!(!desk.path("state").exists(), "looking at a plan leaves nothing behind");
}

#[test]
fn status_without_runs_says_so() {
    let desk = Desk::new();
    let text = desk.run(&["status"]);
    text.ends(Exit::Done, &[]);
    assert!(text.out.contains("no run of cluster honeydue"), "{}", text.out);
    assert_eq!(desk.run(&["status", "--json"]).json()["run"], serde_json::Value::Null);
    desk.run(&["resume"]).ends(Exit::Usage, &["no run is unfinished", "relight rebuild"]);
}

#[test]
fn a_run_that_does_not_exist_is_not_shown_as_if_there_were_none_yet() {
    let desk = Desk::new();
    desk.begin_live_run("aaaaaaaaaaaa", "live-token");
    desk.run(&["status", "bbbbbbbbbbbb"]).ends(Exit::Usage, &["bbbbbbbbbbbb"]);
    desk.run(&["resume", "bbbbbbbbbbbb"]).ends(Exit::Usage, &["there is no run bbbbbbbbbbbb", "relight status"]);
    let shown = desk.run(&["status", "aaaaaaaaaaaa"]);
    shown.ends(Exit::Done, &[]);
    assert!(shown.out.contains("aaaaaaaaaaaa"), "{}", shown.out);
}

#[test]
fn a_live_run_refuses_variables_that_a_sandbox_left_over() {
    let desk = Desk::new();
    for (name, value) in [("HCLOUD_ENDPOINT", "http://127.0.0.1:1/v1"), ("CLOUDFLARE_BASE_URL", "http://127.0.0.1:2")] {
        let mut variables = TOKENS.to_vec();
        variables.push((name, value));
        let told = desk.with(&variables, &["rebuild"]);
        told.ends(Exit::Usage, &[name, value, &format!("unset {name}"), "--sandbox"]);
        assert!(!desk.path("state").exists(), "nothing was begun");
        desk.with(&variables, &["plan", "--check"]).ends(Exit::Usage, &[name, "unset"]);
    }
}

#[test]
fn a_live_run_without_tokens_names_the_missing_variable() {
    let desk = Desk::new();
    desk.run(&["rebuild"]).ends(Exit::Usage, &["HCLOUD_TOKEN is not set", "export HCLOUD_TOKEN", "--sandbox"]);
    let only = &TOKENS[..1];
    desk.with(only, &["rebuild"]).ends(Exit::Usage, &["CLOUDFLARE_API_TOKEN is not set"]);
}

#[test]
fn a_second_run_is_refused_while_another_holds_the_lock_and_names_it() {
    let desk = Desk::new();
    let directory = desk.begin_live_run("aaaaaaaaaaaa", "live-token");
    let holder = Holder { pid: std::process::id(), run: "aaaaaaaaaaaa".to_owned(), since: "just now".to_owned() };
    let lock = Lock::take(directory.parent().unwrap(), &holder).unwrap();
    let pid = std::process::id().to_string();
    for command in [&["rebuild"][..], &["resume"], &["resume", "aaaaaaaaaaaa"]] {
        desk.with(&TOKENS, command).ends(Exit::Locked, &["aaaaaaaaaaaa", &pid]);
    }
    drop(lock);
    // Now it is refused for another reason: the first one is not finished.
    desk.with(&TOKENS, &["rebuild"]).ends(Exit::Refused, &["run aaaaaaaaaaaa", "relight resume aaaaaaaaaaaa"]);
}

#[test]
fn a_configuration_that_changed_since_the_run_began_is_accepted_by_a_person_only() {
    let desk = Desk::new();
    let directory = desk.begin_live_run("aaaaaaaaaaaa", "live-token");
    let before = fs::read(directory.join(relight::engine::JOURNAL));
    desk.change("relight.yaml", "image: ubuntu-24.04", "image: ubuntu-22.04");
    // No network is there in a test; the header says so, and the question comes before the first step.
    let told = desk.with(&TOKENS, &["resume"]);
    told.ends(Exit::NeedsPerson, &["cloud.image", "server[node-1]", "--yes"]);
    let after = fs::read(directory.join(relight::engine::JOURNAL));
    assert_eq!(before.unwrap(), after.unwrap(), "nothing was written without an answer");
}

#[test]
fn a_node_that_was_renamed_after_its_server_was_made_is_refused_with_the_way_back() {
    let desk = Desk::new();
    let directory = desk.begin_live_run("aaaaaaaaaaaa", "live-token");
    let made = Event::StepFinished {
        step: "server[node-3]".to_owned(),
        outcome: Outcome::Done,
        facts: [("server.id[node-3]".to_owned(), "1003".to_owned())].into(),
        text: String::new(),
    };
    Desk::went_on(&directory, "aaaaaaaaaaaa", made);
    desk.change("relight.yaml", "node-3", "node-4");
    let told = desk.with(&TOKENS, &["resume", "--yes"]);
    told.ends(Exit::Refused, &["server 1003 for node node-3", "put node node-3 back into `nodes`"]);
}

#[test]
fn a_broken_journal_is_named_and_nothing_is_done() {
    let desk = Desk::new();
    let directory = desk.begin_live_run("aaaaaaaaaaaa", "live-token");
    let path = directory.join(relight::engine::JOURNAL);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("honeydue", "honeybee", 1)).unwrap();
    for command in [&["resume"][..], &["status"], &["rebuild"]] {
        desk.with(&TOKENS, command).ends(Exit::Journal, &["journal", "restore"]);
    }
}

#[test]
fn a_run_whose_journal_was_lost_is_not_taken_for_none() {
    let desk = Desk::new();
    let directory = desk.begin_live_run("aaaaaaaaaaaa", "live-token");
    fs::write(directory.join(relight::engine::JOURNAL), "").unwrap();
    // What a crash before the first record leaves is no run.
    desk.with(&TOKENS, &["resume"]).ends(Exit::Usage, &["no run is unfinished"]);
    fs::create_dir(directory.join("secrets")).unwrap();
    for command in [&["resume"][..], &["status"], &["rebuild"]] {
        desk.with(&TOKENS, command).ends(Exit::Journal, &["aaaaaaaaaaaa", "the first record is missing", "restore"]);
    }
}

#[test]
fn what_fails_before_a_live_run_began_is_nothing_to_resume() {
    let desk = Desk::new();
    let told = desk.with(&TOKENS, &["rebuild", "--confirm", "honeydue"]);
    told.ends(Exit::Failed, &["GET /servers", "run this again"]);
    assert!(!told.err.contains("resume"), "{}", told.err);
    let runs = fs::read_dir(desk.path("state/real/honeydue")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir());
    assert_eq!(runs.count(), 0, "an empty directory is left");
}

#[test]
fn a_state_directory_that_cannot_be_read_is_named() {
    let desk = Desk::new();
    // A file in the place of a directory: unreadable for root as well.
    fs::write(desk.path("state"), "").unwrap();
    for command in [&["status"][..], &["resume"], &["rebuild"]] {
        desk.with(&TOKENS, command).ends(Exit::Usage, &["state", "next: "]);
    }
}

#[test]
fn a_run_whose_sandbox_is_gone_says_so() {
    let desk = Desk::new();
    let live = desk.begin_live_run("aaaaaaaaaaaa", "live-token");
    let sandbox = desk.path("state").join("sandbox").join("honeydue");
    fs::create_dir_all(&sandbox).unwrap();
    fs::rename(live, sandbox.join("aaaaaaaaaaaa")).unwrap();
    let told = desk.run(&["resume"]);
    told.ends(Exit::Refused, &["the sandbox of this run is gone", "relight rebuild --sandbox"]);
    desk.run(&["sandbox", "env"]).ends(Exit::Usage, &["no sandbox of cluster honeydue runs", "relight sandbox start"]);
}

#[test]
fn a_kubeconfig_before_any_run_is_not_there_and_says_what_makes_one() {
    let desk = Desk::new();
    desk.run(&["kubeconfig"]).ends(Exit::Usage, &["no run has fetched a kubeconfig yet", "relight rebuild"]);
    desk.run(&["kubeconfig", "--merge"]).ends(Exit::Usage, &["no run has fetched a kubeconfig yet"]);
    assert!(!desk.path(".kube").exists());
}

#[test]
fn a_rehearsal_under_way_is_seen_by_its_own_lock() {
    let desk = Desk::new();
    let directory = desk.begin_run("aaaaaaaaaaaa", "spare-token", Mode::Rehearsal);
    let alive = || {
        let told = desk.with(&[], &["status", "--json"]);
        serde_json::from_str::<serde_json::Value>(&told.out).unwrap()["alive"].clone()
    };
    assert_eq!(alive(), false);
    let holder = Holder { pid: std::process::id(), run: "aaaaaaaaaaaa".to_owned(), since: "just now".to_owned() };
    let _lock = Lock::take(&directory, &holder).unwrap();
    assert_eq!(alive(), true);
    assert!(!desk.with(&[], &["status"]).out.contains("its process is gone"));
}

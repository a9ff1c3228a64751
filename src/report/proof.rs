//! What a rehearsal proves: `proof.json`, made from its journal and from nothing else.
//!
//! These are types of their own, as everything that is stored: a field that a later version adds must have a default.

use super::past::{Past, StepEnd, StepPast};
use super::words::rfc3339;
use crate::engine::{Event, Outcome, RunStarted, StepRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the proof's format that this binary writes.
pub const PROOF_FORMAT: u32 = 1;

/// The step that compares the project's whole inventory with the one from before.
const RESIDUE: &str = "residue";
/// How the settings' table of differences marks a value that is production's own: with it nothing was left undone.
const SHARED: &str = ": production's value";
/// Facts by which a run tells what it was forecast to cost, and what it did cost.
const COSTS: [&str; 2] = ["cost.forecast", "cost.actual"];

/// A rehearsal's outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// [`PROOF_FORMAT`].
    pub v: u32,
    /// Whether the rehearsal succeeded and left nothing behind. With `demonstration` it proves that relight works, and nothing
    /// of the cluster.
    pub proven: bool,
    /// Whether it was in an emulated world: only the real one proves anything.
    pub demonstration: bool,
    /// Why it is not proven; empty where it is.
    pub why_not: Vec<String>,
    /// The cluster's name.
    pub cluster: String,
    /// `real`, `sandbox`, `lab`.
    pub world: String,
    /// The run's id.
    pub run: String,
    /// The playbook's name.
    pub playbook: String,
    /// The version of relight that began the run.
    pub version: String,
    /// When the run began, in its clock: RFC 3339.
    pub began: String,
    /// When it ended.
    pub ended: String,
    /// When it ended, milliseconds since the epoch.
    pub ended_ms: u64,
    /// `succeeded`, `failed`, `refused`, `needs_person`, `interrupted`.
    pub outcome: String,
    /// How long it took.
    pub seconds: ProofSeconds,
    /// How often a later process took the run up.
    pub resumed: usize,
    /// What the run was made of: SHA-256 by name, K3s by its version and pinned digest.
    pub digests: BTreeMap<String, String>,
    /// Of those, what was another when a later process took the run up: it is not proven by the whole run.
    pub changed_underway: Vec<String>,
    /// Every step of the plan, in its order.
    pub steps: Vec<ProvenStep>,
    /// Steps that ended badly, and did not end well later.
    pub failed: Vec<FailedStep>,
    /// What a live run does and this one did not.
    pub not_executed: Vec<String>,
    /// What was left behind; none where the run never came to look.
    pub residue: Option<Residue>,
    /// What it cost.
    pub cost: ProofCost,
    /// The journal that all this was made from.
    pub journal: JournalMark,
}

/// Clock seconds, without those in which a person was waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofSeconds {
    /// From the first record until the first health answer.
    pub first_answer: Option<f64>,
    /// From the first record until everything was verified.
    pub recovery: Option<f64>,
    /// From the first record to the last, what was taken down again included.
    pub whole: f64,
    /// Left out of all three: from questions to their answers.
    pub waited_for_people: f64,
    /// Left out of all three: between a process that ended and the next.
    pub interrupted: f64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvenStep {
    /// Its id.
    pub id: String,
    /// What it does, in words.
    pub text: String,
    /// `done`, `already`, `adopted`, `accepted`, `warning`, `failed`, `not run`.
    pub outcome: String,
    /// When it began.
    pub began: Option<String>,
    /// How long it took, without waiting for people.
    pub seconds: Option<f64>,
    /// How often it was tried.
    pub attempts: u32,
    /// A warning's or an acceptance's reason; else what a person should know of it, mostly nothing.
    pub note: String,
    /// Digest of what of the configuration it depends on.
    pub inputs: String,
}

/// A step that ended badly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedStep {
    /// Its id.
    pub step: String,
    /// `refused`, `failed`, `needs_person`, `interrupted`.
    pub why: String,
    /// What happened.
    pub error: String,
    /// What to do next.
    pub remedy: String,
}

/// What the look for leftovers came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residue {
    /// The outcome of the step that looked, as in [`ProvenStep::outcome`].
    pub outcome: String,
    /// What it said.
    pub text: String,
}

/// What a rehearsal cost, as `EUR 0.05`; null where nobody told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProofCost {
    /// Said before.
    pub forecast: Option<String>,
    /// Billed by the started hour, at the end.
    pub actual: Option<String>,
}

/// The journal that a proof was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalMark {
    /// How many records it had.
    pub records: usize,
    /// SHA-256 of its last line, which chains all before it.
    pub head: String,
}

impl ProvenStep {
    /// Whether the rehearsal did it, or found it as wanted. What a person accepted and what warned is not proven.
    pub fn executed(&self) -> bool {
        ["done", "already", "adopted"].contains(&self.outcome.as_str())
    }
}

/// The proof of a rehearsal that has ended, well or badly, from its whole journal: moments in milliseconds since the epoch,
/// events, and the digest of the last line. None of any other run.
pub fn proof<'e>(events: impl IntoIterator<Item = (u64, &'e Event)>, head: &str) -> Option<Proof> {
    let past = Past::of(events);
    let ((began, first), (ended, end)) = (past.first.as_ref()?, past.end.as_ref()?);
    // A run that takes down what others made rehearses nothing.
    if first.mode != "rehearsal" || first.settings.get("taken_down").is_some_and(|what| !what.is_null()) {
        return None;
    }
    let steps: Vec<ProvenStep> = past.plan.iter().map(|record| step(record, past.steps.get(&record.id))).collect();
    let failed = failed(&past);
    let residue = steps.iter().find(|s| s.id == RESIDUE && s.outcome != NOT_RUN);
    let clean = residue.is_some_and(ProvenStep::executed);
    let residue = residue.map(|s| Residue { outcome: s.outcome.clone(), text: s.note.clone() });
    let why_not = why_not(&end.outcome, &failed, residue.as_ref(), clean);
    let since = |seconds: f64| past.waits.without(*began, began.saturating_add(millis(seconds)));
    Some(Proof {
        v: PROOF_FORMAT,
        proven: why_not.is_empty(),
        demonstration: first.world != "real",
        why_not,
        cluster: first.cluster.clone(),
        world: first.world.clone(),
        run: first.run.clone(),
        playbook: first.playbook.clone(),
        version: first.version.clone(),
        began: rfc3339(*began),
        ended: rfc3339(*ended),
        ended_ms: *ended,
        outcome: end.outcome.clone(),
        seconds: ProofSeconds {
            first_answer: end.first_answer_seconds.map(since),
            recovery: end.recovery_seconds.map(since),
            whole: past.waits.without(*began, *ended),
            waited_for_people: past.waits.asked(*ended),
            interrupted: past.waits.paused(*ended),
        },
        resumed: past.resumed,
        digests: first.digests.clone(),
        changed_underway: past.changed.iter().cloned().collect(),
        not_executed: not_executed(first, &past.settings, &steps),
        steps,
        failed,
        residue,
        cost: cost(&past),
        journal: JournalMark { records: past.records, head: head.to_owned() },
    })
}

const NOT_RUN: &str = "not run";

fn millis(seconds: f64) -> u64 {
    let duration = std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn step(record: &StepRecord, past: Option<&StepPast>) -> ProvenStep {
    let end: Option<&StepEnd> = past.and_then(|p| p.end.as_ref());
    let failed = past.is_some_and(|p| p.failure.is_some());
    let outcome = end.map_or(if failed { "failed" } else { NOT_RUN }, |e| word(e.outcome));
    ProvenStep {
        id: record.id.clone(),
        text: record.text.clone(),
        outcome: outcome.to_owned(),
        began: end.map(|e| rfc3339(e.began)),
        seconds: end.map(|e| e.seconds),
        attempts: past.map_or(0, |p| p.attempts),
        note: end.map(|e| e.text.clone()).unwrap_or_default(),
        inputs: record.inputs.clone(),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Already => "already",
        Outcome::Adopted => "adopted",
        Outcome::Accepted => "accepted",
        Outcome::Warning => "warning",
    }
}

fn failed(past: &Past) -> Vec<FailedStep> {
    let of = |record: &StepRecord| {
        let (why, error, remedy) = past.steps.get(&record.id)?.failure.clone()?;
        Some(FailedStep { step: record.id.clone(), why, error, remedy })
    };
    past.plan.iter().filter_map(of).collect()
}

fn why_not(outcome: &str, failed: &[FailedStep], residue: Option<&Residue>, clean: bool) -> Vec<String> {
    let mut reasons: Vec<String> = failed.iter().map(|f| format!("step {} {}: {}", f.step, f.why, f.error)).collect();
    if outcome != "succeeded" && reasons.is_empty() {
        reasons.push(format!("the run ended: {}", outcome.replace('_', " ")));
    }
    match residue {
        None => reasons.push(format!("no step `{RESIDUE}` looked for what was left behind")),
        Some(told) if !clean && outcome == "succeeded" => {
            reasons.push(format!("step {RESIDUE} ended with: {} {}", told.outcome, told.text).trim_end().to_owned());
        }
        Some(_) => {}
    }
    reasons
}

/// What a live run does and this one did not: as the settings differed, steps of the playbook's live form alone, steps whose
/// end proves nothing.
fn not_executed(first: &RunStarted, settings: &Value, steps: &[ProvenStep]) -> Vec<String> {
    let list = |pointer: &str| settings.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all = Vec::new();
    if list("/dns/hosts").is_empty() {
        all.push("edge and DNS: no hostname led to the rehearsal; each node was asked directly".to_owned());
    }
    let rows = list("/spare/differs").into_iter().filter_map(|row| row.as_str().map(str::to_owned));
    // What has another name was executed by that one.
    let named = |row: &String| row.starts_with("host ") && row.contains(": as ");
    all.extend(rows.filter(|row| !row.contains(SHARED) && !named(row)));
    if !first.left_out.is_empty() {
        all.push(format!("steps of a live run alone: {}", super::words::together(&first.left_out)));
    }
    for step in steps.iter().filter(|s| !s.executed()) {
        let note = if step.note.is_empty() { String::new() } else { format!(": {}", step.note) };
        all.push(format!("step {}: {}{note}", step.id, step.outcome));
    }
    all
}

/// From facts, if a step found them; what a later step of the plan found counts.
fn cost(past: &Past) -> ProofCost {
    let [forecast, actual] = COSTS.map(|name| {
        let of = |record: &StepRecord| past.steps.get(&record.id)?.end.as_ref()?.facts.get(name).cloned();
        past.plan.iter().rev().find_map(of)
    });
    ProofCost { forecast, actual }
}

//! What a run tells: durable events, which are the journal's records, and progress, which may be dropped.
//!
//! These are types of their own: nothing stored is another module's struct, and every field that a later version adds must
//! have a default, so that old journals stay readable.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the journal's format that this binary writes.
pub const FORMAT: u32 = 1;

/// A durable event: one record of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first record: what this run is. Frozen.
    RunStarted(Box<RunStarted>),
    /// A later process took the run up.
    RunResumed {
        /// relight's version.
        version: String,
        /// Steps that an earlier process finished.
        finished: usize,
        /// Steps whose intent has no result: their outcome is unknown until a look settles it.
        unknown: Vec<String>,
        /// What this process runs with, as in [`RunStarted::digests`].
        #[serde(default)]
        digests: BTreeMap<String, String>,
    },
    /// The configuration, playbook or a script changed since the first record, and a person accepted it.
    PlanChanged {
        /// What differs, in words.
        what: Vec<String>,
        /// Steps whose inputs changed.
        steps: Vec<String>,
        /// The settings now, as in [`RunStarted::settings`].
        settings: serde_json::Value,
        /// The steps now.
        plan: Vec<StepRecord>,
    },
    /// A step began.
    StepStarted {
        /// Its id.
        step: String,
    },
    /// A look was taken before anything was done (or after an unknown outcome).
    StepChecked {
        /// Its id.
        step: String,
        /// What was found.
        found: Found,
        /// In words.
        text: String,
    },
    /// About to be done: on disk before the call leaves.
    Intent {
        /// The step's id.
        step: String,
        /// 1 for the first.
        attempt: u32,
        /// What it is aimed at.
        target: String,
        /// What will be done.
        what: String,
    },
    /// An attempt failed and will be repeated after a look.
    StepRetry {
        /// The step's id.
        step: String,
        /// The attempt that failed.
        attempt: u32,
        /// `transient`, `unknown`, `branch`.
        class: String,
        /// What happened.
        error: String,
        /// Clock milliseconds until the next.
        wait_ms: u64,
    },
    /// A question was put.
    GateAsked {
        /// The step's id.
        step: String,
        /// The question.
        text: String,
        /// Raised by evidence.
        evidence: bool,
    },
    /// A question was answered.
    GateAnswered {
        /// The step's id.
        step: String,
        /// The question's text, so that a resume knows whether it is the same.
        text: String,
        /// Whether to go on.
        yes: bool,
    },
    /// A step ended well (or as a warning): its result.
    StepFinished {
        /// Its id.
        step: String,
        /// How.
        outcome: Outcome,
        /// Its facts, by name: `node.address[node-1]`.
        facts: BTreeMap<String, String>,
        /// A warning's or an acceptance's reason; else what a person should know of it, mostly nothing.
        text: String,
    },
    /// A step ended badly; the run ends, after the steps under way.
    StepFailed {
        /// Its id.
        step: String,
        /// `refused`, `failed`, `needs_person`, `interrupted`.
        why: String,
        /// What happened.
        error: String,
        /// What to do next.
        remedy: String,
    },
    /// The run ended in this process.
    RunFinished(RunFinished),
    /// A record of a newer version.
    #[serde(other)]
    Unknown,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Already as wanted.
    Done,
    /// To be done.
    Needed,
    /// Under way by itself.
    Pending,
    /// Exists but differs.
    Refused,
}

/// How a step ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done by this process.
    Done,
    /// Found done, without an intent of this run: nothing was to do.
    Already,
    /// Found done after an intent whose outcome was unknown.
    Adopted,
    /// A person accepted what was found.
    Accepted,
    /// It failed, and may: a warning.
    Warning,
}

/// The first record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// [`FORMAT`].
    pub format: u32,
    /// relight's version.
    pub version: String,
    /// The run's id.
    pub run: String,
    /// `real`, `sandbox`, `lab`.
    pub world: String,
    /// Tells one sandbox or project from another.
    pub world_uid: String,
    /// `live`, `rehearsal`.
    pub mode: String,
    /// The cluster's name.
    pub cluster: String,
    /// The playbook's name.
    pub playbook: String,
    /// The playbook's digest.
    pub playbook_digest: String,
    /// Its steps, in order.
    pub plan: Vec<StepRecord>,
    /// The settings without secrets.
    pub settings: serde_json::Value,
    /// Clock seconds the plan is expected to take.
    pub forecast_seconds: f64,
    /// Milliseconds since the epoch by the wall's clock, from which a sandbox's differs; 0 in an old journal.
    #[serde(default)]
    pub wall_at: u64,
    /// What the run is made of, by its name: `binary`, `configuration`, `playbook`, `script harden.sh`,
    /// `manifest manifests/api.yaml` by SHA-256, `k3s` by version and pinned digest. Empty in old journals.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// Steps that the playbook has in a live run and not in this one: what a rehearsal does not rehearse.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Set where the journal before this one was lost, and this one was made from the labels of what the run had made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconstructed: Option<Reconstructed>,
}

/// What a lost run's journal was made from. When, says the record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reconstructed {
    /// What carries the run's labels, a line each.
    pub from: Vec<String>,
    /// What was made from other settings than the present ones, a line each.
    pub differs: Vec<String>,
    /// What the labels tell, by name as in [`Event::StepFinished`].
    pub facts: BTreeMap<String, String>,
}

/// One step of the plan, as the first record lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its id.
    pub id: String,
    /// What it does, in words.
    pub text: String,
    /// Ids of the steps it waits for.
    pub needs: Vec<String>,
    /// Clock seconds.
    pub expected_seconds: f64,
    /// Digest of what of the configuration it depends on.
    pub inputs: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    /// `succeeded`, `failed`, `refused`, `needs_person`, `interrupted`.
    pub outcome: String,
    /// Whether a resume has nothing left to do.
    #[serde(default)]
    pub over: bool,
    /// Steps of the plan.
    pub steps: usize,
    /// Of those, done.
    pub done: usize,
    /// Of those, warnings.
    pub warnings: usize,
    /// Where the journal is.
    pub journal: String,
    /// Clock seconds from the first record until the first health answer through the edge.
    pub first_answer_seconds: Option<f64>,
    /// Clock seconds from the first record until everything was verified.
    pub recovery_seconds: Option<f64>,
    /// What the cluster's servers cost a month, by the cloud's price list; none where it could not be read, or in an old
    /// journal.
    #[serde(default)]
    pub cost: Option<Cost>,
}

/// What the cluster's servers cost a month at most, their public addresses included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// `EUR`.
    pub currency: String,
    /// The servers that this run made.
    pub servers: usize,
    /// What they cost, without VAT.
    pub monthly_net: f64,
    /// With VAT.
    pub monthly_gross: f64,
    /// The cluster's other servers: fenced ones, which are off and cost all the same until somebody deletes them.
    pub fenced: usize,
    /// What those cost, without VAT.
    pub fenced_monthly_net: f64,
    /// With VAT.
    pub fenced_monthly_gross: f64,
}

/// What a run tells whoever draws it.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A durable event, already on disk.
    Durable {
        /// The run's id.
        run: String,
        /// Its place in the journal, from 0.
        seq: u64,
        /// Milliseconds since the epoch, in the run's clock.
        at: u64,
        /// The event.
        event: Event,
    },
    /// What goes on inside a step. May be dropped.
    Progress {
        /// The step's id.
        step: String,
        /// In words.
        text: String,
    },
}

/// Whoever is told. Called on the run's own task: must not block.
pub trait Listener: Send + Sync {
    /// Something happened.
    fn told(&self, told: &Told);
}

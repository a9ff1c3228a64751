//! A run's state: a fold over its journal.

use super::event::{Event, Outcome, RunFinished, RunStarted};
use super::journal::Record;
use crate::actions::{Fact, FactKind, Facts};
use std::collections::{BTreeMap, BTreeSet};

/// What the journal remembers of a run. Memory, not truth: a resume looks again.
#[derive(Debug, Clone, Default)]
pub struct RunState {
    /// The first record.
    pub started: Option<RunStarted>,
    /// Clock milliseconds of the first record.
    pub started_at: u64,
    /// Clock milliseconds of the last record.
    pub last_at: u64,
    /// The settings in force: the first record's, or those of the last accepted change.
    pub settings: serde_json::Value,
    /// Digest of each step's inputs, in force.
    pub inputs: BTreeMap<String, String>,
    /// What the last process ran with, as in [`RunStarted::digests`].
    pub digests: BTreeMap<String, String>,
    /// Steps that were begun.
    pub begun: BTreeSet<String>,
    /// How each finished step ended, and when.
    pub finished: BTreeMap<String, (Outcome, u64)>,
    /// Steps with an intent and no result.
    pub open: BTreeSet<String>,
    /// Steps that failed last, with why and error.
    pub failed: BTreeMap<String, (String, String)>,
    /// All facts of finished steps.
    pub facts: Facts,
    /// Questions that were answered with yes, by step.
    pub answered: BTreeSet<(String, String)>,
    /// The last end of a process of this run, and whether anything happened since.
    pub ended: Option<RunFinished>,
}

impl RunState {
    /// Folds all records.
    pub fn of(records: &[Record]) -> Self {
        records.iter().fold(Self::default(), Self::then)
    }

    fn then(mut self, record: &Record) -> Self {
        self.last_at = record.at;
        match &record.event {
            Event::RunStarted(first) => {
                self.started_at = record.at;
                self.settings = first.settings.clone();
                self.inputs = first.plan.iter().map(|s| (s.id.clone(), s.inputs.clone())).collect();
                self.digests = first.digests.clone();
                if let Some(lost) = &first.reconstructed {
                    self.facts.learn(&facts_of(&lost.facts));
                }
                self.started = Some((**first).clone());
            }
            Event::RunResumed { digests, .. } => {
                self.ended = None;
                self.digests.extend(digests.clone());
            }
            Event::PlanChanged { settings, plan, .. } => {
                self.settings = settings.clone();
                self.inputs = plan.iter().map(|s| (s.id.clone(), s.inputs.clone())).collect();
            }
            Event::Intent { step, .. } => {
                self.open.insert(step.clone());
            }
            Event::GateAnswered { step, text, yes: true } => {
                self.answered.insert((step.clone(), text.clone()));
            }
            Event::StepFinished { step, outcome, facts, .. } => {
                self.open.remove(step);
                self.failed.remove(step);
                self.finished.entry(step.clone()).or_insert((*outcome, record.at));
                self.facts.learn(&facts_of(facts));
            }
            Event::StepFailed { step, why, error, .. } => {
                self.failed.insert(step.clone(), (why.clone(), error.clone()));
            }
            Event::RunFinished(end) => self.ended = Some(end.clone()),
            Event::StepStarted { step } => {
                self.begun.insert(step.clone());
            }
            Event::StepChecked { .. }
            | Event::StepRetry { .. }
            | Event::GateAsked { .. }
            | Event::GateAnswered { .. }
            | Event::Unknown => {}
        }
        self
    }

    /// Whether all went well.
    pub fn succeeded(&self) -> bool {
        self.ended.as_ref().is_some_and(|e| e.outcome == "succeeded")
    }

    /// Whether a resume has nothing left to do. (Journals from before rehearsals do not say so of a success.)
    pub fn over(&self) -> bool {
        self.succeeded() || self.ended.as_ref().is_some_and(|e| e.over)
    }

    /// Clock seconds from the first record until a step first finished.
    pub fn seconds_until(&self, step: &str) -> Option<f64> {
        let (_, at) = self.finished.get(step)?;
        Some(std::time::Duration::from_millis(at.saturating_sub(self.started_at)).as_secs_f64())
    }
}

/// A record's facts; those of a newer version are left out.
fn facts_of(record: &BTreeMap<String, String>) -> Facts {
    let mut found = Facts::none();
    record.iter().filter_map(|(name, value)| fact(name, value)).for_each(|f| found.insert(f));
    found
}

fn fact(name: &str, value: &str) -> Option<Fact> {
    let (kind, node) = match name.strip_suffix(']').and_then(|n| n.split_once('[')) {
        Some((kind, node)) => (kind, Some(node.to_owned())),
        None => (name, None),
    };
    Some(Fact { kind: FactKind::from_name(kind)?, node, value: value.to_owned() })
}

/// Facts as a record keeps them.
pub fn fact_record(facts: &Facts) -> BTreeMap<String, String> {
    facts
        .iter()
        .map(|f| match &f.node {
            Some(node) => (format!("{}[{node}]", f.kind.name()), f.value.clone()),
            None => (f.kind.name().to_owned(), f.value.clone()),
        })
        .collect()
}

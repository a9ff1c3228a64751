//! A run's past, over all its processes: how each step came to its good end, and how long nothing went on because a person was
//! waited for. What proofs and forecasts are made of.
//!
//! Other than the board, which shows the last look: a step that was done and is found done by a later process keeps the time
//! that doing it took.

use super::words::seconds_between;
use crate::engine::{Event, Outcome, RunFinished, RunStarted, StepRecord};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What became of a run so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    /// The first record, and when.
    pub(super) first: Option<(u64, RunStarted)>,
    /// The settings and the steps in force: the first record's, or those of the last accepted change.
    pub(super) settings: Value,
    pub(super) plan: Vec<StepRecord>,
    /// By id.
    pub(super) steps: BTreeMap<String, StepPast>,
    /// The last record, where it says how the run ended.
    pub(super) end: Option<(u64, RunFinished)>,
    pub(super) waits: Waits,
    /// How often a later process took it up.
    pub(super) resumed: usize,
    /// Names of what a later process ran with that differs from the first record's.
    pub(super) changed: BTreeSet<String>,
    /// How many records there are.
    pub(super) records: usize,
    last: u64,
}

/// One step's past.
#[derive(Debug, Clone, Default)]
pub(super) struct StepPast {
    /// Its good end, where it has one.
    pub(super) end: Option<StepEnd>,
    /// Why it failed last: `why`, error, remedy. None once it ended well.
    pub(super) failure: Option<(String, String, String)>,
    /// How often it was tried, until its good end.
    pub(super) attempts: u32,
    tries: u32,
    began: Option<u64>,
    asked: Option<u64>,
    thought: u64,
    intended: bool,
}

/// How a step ended well.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StepEnd {
    pub(super) outcome: Outcome,
    /// Milliseconds since the epoch.
    pub(super) began: u64,
    pub(super) ended: u64,
    /// Without the time that it waited for a person.
    pub(super) seconds: f64,
    pub(super) text: String,
    /// Its facts, by name.
    pub(super) facts: BTreeMap<String, String>,
    /// Whether the seconds are those of the whole step: a single process did it, or had nothing to do but look.
    pub(super) whole: bool,
}

impl StepPast {
    fn begin(&mut self, at: u64) {
        (self.began, self.asked, self.thought, self.tries) = (Some(at), None, 0, 1);
    }
    fn answered(&mut self, at: u64) {
        if let Some(asked) = self.asked.take() {
            self.thought += at.saturating_sub(asked);
        }
    }
    fn well(&mut self, at: u64, outcome: Outcome, text: &str, facts: &BTreeMap<String, String>) {
        self.answered(at);
        let began = self.began.take().unwrap_or(at);
        let tries = std::mem::take(&mut self.tries);
        self.failure = None;
        let good = |end: &StepEnd| end.outcome != Outcome::Warning;
        if outcome == Outcome::Already && self.end.as_ref().is_some_and(good) {
            return;
        }
        let whole = outcome == Outcome::Done || outcome == Outcome::Already && !self.intended;
        let seconds = seconds_between(began + self.thought, at);
        let (text, facts) = (text.to_owned(), facts.clone());
        self.end = Some(StepEnd { outcome, began, ended: at, seconds, text, facts, whole });
        self.attempts += tries;
    }
    fn badly(&mut self, why: &str, error: &str, remedy: &str) {
        self.failure = Some((why.to_owned(), error.to_owned(), remedy.to_owned()));
        self.end = None;
        self.attempts += std::mem::take(&mut self.tries);
        self.began = None;
    }
}

/// Stretches of time in which a person was waited for, in milliseconds since the epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits {
    /// From a question to its answer.
    gates: Vec<(u64, u64)>,
    /// From the end of a process to the next one.
    pauses: Vec<(u64, u64)>,
    open: BTreeMap<String, u64>,
}

impl Waits {
    fn close(&mut self, step: &str, at: u64) {
        self.gates.extend(self.open.remove(step).map(|asked| (asked, at)));
    }
    fn close_all(&mut self, at: u64) {
        self.gates.extend(std::mem::take(&mut self.open).into_values().map(|asked| (asked, at)));
    }
    /// Seconds until then in which a question was open; several at once count once.
    pub(super) fn asked(&self, until: u64) -> f64 {
        covered(self.gates.clone(), until)
    }
    /// Seconds until then in which no process was there.
    pub(super) fn paused(&self, until: u64) -> f64 {
        covered(self.pauses.clone(), until)
    }
    /// Seconds from one moment to another without both.
    pub(super) fn without(&self, from: u64, until: u64) -> f64 {
        let waited = covered(self.gates.iter().chain(&self.pauses).copied().collect(), until);
        (seconds_between(from, until) - waited).max(0.0)
    }
}

/// How many seconds before `until` lie in at least one of the stretches.
fn covered(mut stretches: Vec<(u64, u64)>, until: u64) -> f64 {
    stretches.sort_unstable();
    let (mut sum, mut reached) = (0, 0);
    for (from, to) in stretches {
        let (from, to) = (from.max(reached), to.min(until));
        sum += to.saturating_sub(from);
        reached = reached.max(to);
    }
    seconds_between(0, sum)
}

impl Past {
    /// Folds a whole journal: moments in milliseconds since the epoch, and events.
    pub(super) fn of<'e>(events: impl IntoIterator<Item = (u64, &'e Event)>) -> Self {
        let mut past = Self::default();
        for (at, event) in events {
            past.take(at, event);
            past.last = at;
            past.records += 1;
        }
        past
    }

    fn take(&mut self, at: u64, event: &Event) {
        match event {
            Event::RunStarted(first) => {
                (self.settings, self.plan) = (first.settings.clone(), first.plan.clone());
                self.first = Some((at, (**first).clone()));
            }
            Event::PlanChanged { settings, plan, .. } => {
                (self.settings, self.plan) = (settings.clone(), plan.clone());
            }
            Event::RunResumed { digests, .. } => self.resume(at, digests),
            Event::RunFinished(end) => {
                self.waits.close_all(at);
                self.end = Some((at, end.clone()));
            }
            Event::StepStarted { step } => self.step(step).begin(at),
            Event::Intent { step, .. } => self.step(step).intended = true,
            Event::StepRetry { step, .. } => self.step(step).tries += 1,
            Event::GateAsked { step, .. } => {
                self.step(step).asked = Some(at);
                self.waits.open.insert(step.clone(), at);
            }
            Event::GateAnswered { step, .. } => {
                self.step(step).answered(at);
                self.waits.close(step, at);
            }
            Event::StepFinished { step, outcome, facts, text } => {
                self.waits.close(step, at);
                self.step(step).well(at, *outcome, text, facts);
            }
            Event::StepFailed { step, why, error, remedy } => {
                self.waits.close(step, at);
                self.step(step).badly(why, error, remedy);
            }
            Event::StepChecked { .. } | Event::Unknown => {}
        }
    }

    fn resume(&mut self, at: u64, digests: &BTreeMap<String, String>) {
        self.resumed += 1;
        self.end = None;
        self.waits.close_all(self.last);
        self.waits.pauses.push((self.last, at));
        for step in self.steps.values_mut() {
            step.attempts += std::mem::take(&mut step.tries);
            (step.began, step.asked) = (None, None);
        }
        let Some((_, first)) = &self.first else { return };
        let names: BTreeSet<&String> = first.digests.keys().chain(digests.keys()).collect();
        let differs = names.into_iter().filter(|name| first.digests.get(*name) != digests.get(*name));
        self.changed.extend(differs.cloned());
    }

    fn step(&mut self, id: &str) -> &mut StepPast {
        self.steps.entry(id.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{begin, end, good_run, pairs, plan, retry, started};

    fn resumed() -> Event {
        Event::RunResumed { version: String::new(), finished: 0, unknown: Vec::new(), digests: BTreeMap::new() }
    }
    fn asked(step: &str) -> Event {
        Event::GateAsked { step: step.to_owned(), text: String::new(), evidence: false }
    }
    fn answered(step: &str) -> Event {
        Event::GateAnswered { step: step.to_owned(), text: String::new(), yes: true }
    }
    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.001
    }

    #[test]
    fn a_step_that_a_later_process_finds_done_keeps_the_time_that_doing_it_took() {
        let events = [
            (0, started(plan(), 65.0)),
            (0, begin("dns")),
            (2_000, retry("dns", 1, "transient", "")),
            (30_000, end("dns", Outcome::Done, "")),
            (90_000, resumed()),
            (90_000, begin("dns")),
            (90_100, end("dns", Outcome::Already, "")),
        ];
        let past = Past::of(pairs(&events));
        let step = past.steps.get("dns").unwrap();
        let end = step.end.as_ref().unwrap();
        assert_eq!((end.outcome, step.attempts, end.whole), (Outcome::Done, 2, true));
        assert!(close(end.seconds, 30.0), "{end:?}");
    }

    #[test]
    fn a_step_that_was_begun_before_a_kill_is_no_measure_of_its_time() {
        let intent = Event::Intent { step: "dns".to_owned(), attempt: 1, target: String::new(), what: String::new() };
        let events = [
            (0, started(plan(), 65.0)),
            (0, begin("dns")),
            (10, intent),
            (90_000, resumed()),
            (90_000, begin("dns")),
            (91_000, end("dns", Outcome::Adopted, "")),
        ];
        let past = Past::of(pairs(&events));
        let step = past.steps.get("dns").unwrap();
        assert_eq!((step.attempts, step.end.as_ref().unwrap().whole), (2, false));
    }

    #[test]
    fn questions_at_the_same_time_are_waited_for_once_and_a_pause_ends_an_open_one() {
        let events = [
            (0, started(plan(), 65.0)),
            (10_000, asked("a")),
            (12_000, asked("b")),
            (15_000, answered("a")),
            (20_000, answered("b")),
            (30_000, asked("c")),
            (31_000, begin("d")),
            (60_000, resumed()),
            (70_000, begin("c")),
        ];
        let waits = Past::of(pairs(&events)).waits;
        assert!(close(waits.asked(70_000), 11.0) && close(waits.paused(70_000), 29.0), "{waits:?}");
        assert!(close(waits.without(0, 70_000), 30.0) && close(waits.without(0, 11_000), 10.0), "{waits:?}");
    }

    #[test]
    fn a_steps_time_is_without_the_time_that_a_person_took() {
        let past = Past::of(pairs(&good_run()));
        let dns = past.steps.get("dns").unwrap().end.clone().unwrap();
        assert!(close(dns.seconds, 30.001), "{dns:?}");
        assert_eq!((past.records, past.resumed), (18, 0));
    }
}

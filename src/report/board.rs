//! A run as its events tell it: the fold that everything is drawn from.

use super::words::{plain, seconds_between};
use crate::engine::{Event, Found, Outcome, RunFinished, StepRecord};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a run so far. All texts in it are safe to print.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    pub(super) run: String,
    pub(super) world: String,
    pub(super) mode: String,
    pub(super) cluster: String,
    pub(super) playbook: String,
    pub(super) forecast_seconds: f64,
    /// Its journal was made anew, from labels.
    pub(super) reconstructed: bool,
    /// In the plan's order.
    pub(super) steps: Vec<Line>,
    /// When the run began, and when the last event was; milliseconds since the epoch.
    pub(super) began: Option<u64>,
    pub(super) last: u64,
    /// How often a later process took it up.
    pub(super) resumed: usize,
    pub(super) finished: Option<RunFinished>,
}

/// One step.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) text: String,
    needs: Vec<String>,
    expected_seconds: f64,
    pub(super) state: State,
    pub(super) began: Option<u64>,
    pub(super) ended: Option<u64>,
    /// Since when a person is asked, and how long persons have been asked before, in milliseconds.
    asked: Option<u64>,
    thought: u64,
    /// 0 before the first.
    pub(super) attempt: u32,
    /// What it waits for or is at; after its end the reason of a warning.
    pub(super) note: String,
    /// Whether the outcome of one of its effects was unknown at some time.
    pub(super) was_unknown: bool,
    /// Whether there is an intent without a result.
    pub(super) intended: bool,
    pub(super) failure: Option<Failure>,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running,
    /// A person is asked.
    Asking,
    Ended(Outcome),
    Failed,
    /// It was interrupted, or nobody answered: nothing failed, a resume goes on there.
    Held,
}

/// Why a step ended badly.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) error: String,
    pub(super) remedy: String,
}

impl Line {
    fn new(record: &StepRecord) -> Self {
        Self {
            id: plain(&record.id),
            text: plain(&record.text),
            needs: record.needs.iter().map(|n| plain(n)).collect(),
            expected_seconds: record.expected_seconds,
            state: State::Waiting,
            began: None,
            ended: None,
            asked: None,
            thought: 0,
            attempt: 0,
            note: String::new(),
            was_unknown: false,
            intended: false,
            failure: None,
        }
    }
    /// Whether it runs or asks.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state, State::Running | State::Asking)
    }
    /// How long it took, in the process that ended it, without the time that it waited for a person.
    pub(super) fn seconds(&self) -> Option<f64> {
        Some(seconds_between(self.began? + self.thought, self.ended?))
    }
    /// A person was asked until this moment.
    fn answered(&mut self, at: u64) {
        if let Some(asked) = self.asked.take() {
            self.thought += at.saturating_sub(asked);
        }
    }
}

impl Board {
    /// Folds a whole journal: moments in milliseconds since the epoch, and events.
    pub(super) fn of<'e>(events: impl IntoIterator<Item = (u64, &'e Event)>) -> Self {
        let mut board = Self::default();
        board.take_all(events);
        board
    }
    /// Takes in several events.
    pub(super) fn take_all<'e>(&mut self, events: impl IntoIterator<Item = (u64, &'e Event)>) {
        for (at, event) in events {
            self.take(at, event);
        }
    }
    /// Takes in one event.
    pub(super) fn take(&mut self, at: u64, event: &Event) {
        self.began.get_or_insert(at);
        self.last = self.last.max(at);
        match event {
            Event::RunStarted(first) => {
                self.run = plain(&first.run);
                self.world = plain(&first.world);
                self.mode = plain(&first.mode);
                self.cluster = plain(&first.cluster);
                self.playbook = plain(&first.playbook);
                self.forecast_seconds = first.forecast_seconds;
                self.reconstructed = first.reconstructed.is_some();
                self.steps = first.plan.iter().map(Line::new).collect();
            }
            Event::RunResumed { unknown, .. } => self.resume(unknown),
            Event::PlanChanged { plan, .. } => self.change(plan),
            Event::RunFinished(end) => self.finished = Some(end.clone()),
            Event::StepStarted { step } => self.edit(step, |line| {
                line.state = State::Running;
                line.began = Some(at);
                line.ended = None;
                line.asked = None;
                line.thought = 0;
                line.failure = None;
                line.attempt = 0;
                line.note = String::new();
            }),
            Event::StepChecked { step, found, text } => self.edit(step, |line| {
                if *found == Found::Pending || *found == Found::Needed {
                    line.note = plain(text);
                }
            }),
            Event::Intent { step, attempt, what, .. } => self.edit(step, |line| {
                line.attempt = line.attempt.max(*attempt);
                line.intended = true;
                line.note = plain(what);
            }),
            Event::StepRetry { step, attempt, class, error, .. } => self.edit(step, |line| {
                line.attempt = attempt.saturating_add(1);
                line.note = format!("again after: {}", plain(error));
                line.was_unknown |= class == "unknown";
            }),
            Event::GateAsked { step, .. } => self.edit(step, |line| {
                line.state = State::Asking;
                line.asked = Some(at);
                "asks a person".clone_into(&mut line.note);
            }),
            Event::GateAnswered { step, .. } => self.edit(step, |line| {
                line.answered(at);
                line.state = State::Running;
                line.note = String::new();
            }),
            Event::StepFinished { step, outcome, text, .. } => self.edit(step, |line| {
                line.state = State::Ended(*outcome);
                line.intended = false;
                line.ended = Some(at);
                line.note = plain(text);
            }),
            Event::StepFailed { step, why, error, remedy } => self.edit(step, |line| {
                line.answered(at);
                let held = ["interrupted", "needs_person"].contains(&why.as_str());
                line.state = if held { State::Held } else { State::Failed };
                line.ended = Some(at);
                line.failure = Some(Failure { why: plain(why), error: plain(error), remedy: plain(remedy) });
            }),
            Event::Unknown => {}
        }
    }
    /// Takes in what goes on inside a step.
    pub(super) fn progress(&mut self, step: &str, text: &str) {
        self.edit(step, |line| line.note = plain(text));
    }
    /// The step of this id.
    pub(super) fn line(&self, step: &str) -> Option<&Line> {
        self.steps.iter().find(|l| l.id == step)
    }
    /// Clock seconds since the run began.
    pub(super) fn elapsed(&self, at: u64) -> f64 {
        seconds_between(self.began.unwrap_or(at), at)
    }
    /// How many steps are in states of this sort.
    pub(super) fn count(&self, of: impl Fn(State) -> bool) -> usize {
        self.steps.iter().filter(|l| of(l.state)).count()
    }
    /// Clock seconds that are left as far as the forecast goes: the longest chain of what has not ended.
    pub(super) fn left(&self, at: u64) -> f64 {
        let mut ends: BTreeMap<&str, f64> = BTreeMap::new();
        for line in &self.steps {
            let own = match (line.state, line.began) {
                (State::Ended(_), _) => 0.0,
                (State::Running | State::Asking, Some(began)) => {
                    (line.expected_seconds - seconds_between(began, at)).max(0.0)
                }
                _ => line.expected_seconds,
            };
            let before = line.needs.iter().filter_map(|n| ends.get(n.as_str())).copied().fold(0.0, f64::max);
            ends.insert(&line.id, before + own);
        }
        ends.into_values().fold(0.0, f64::max)
    }
    /// The chain of steps that decided when the run ended: from the step that ended last back through the needs that ended
    /// last, first to last.
    pub(super) fn slowest_path(&self) -> Vec<&Line> {
        let mut path = Vec::new();
        let mut seen = BTreeSet::new();
        let mut at = self.steps.iter().filter(|l| l.ended.is_some()).max_by_key(|l| l.ended);
        while let Some(line) = at.filter(|l| seen.insert(l.id.as_str())) {
            path.push(line);
            at = line.needs.iter().filter_map(|n| self.line(n)).filter(|l| l.ended.is_some()).max_by_key(|l| l.ended);
        }
        path.reverse();
        path
    }

    /// What an earlier process left under way is waiting again.
    fn resume(&mut self, unknown: &[String]) {
        self.resumed += 1;
        self.finished = None;
        for line in &mut self.steps {
            if !matches!(line.state, State::Ended(_)) {
                line.state = State::Waiting;
                line.note = String::new();
                line.failure = None;
            }
            line.was_unknown |= unknown.contains(&line.id);
        }
    }
    /// A changed plan keeps what is known of the steps that it still has.
    fn change(&mut self, plan: &[StepRecord]) {
        let mut known: BTreeMap<String, Line> =
            std::mem::take(&mut self.steps).into_iter().map(|l| (l.id.clone(), l)).collect();
        self.steps = plan
            .iter()
            .map(|record| {
                let new = Line::new(record);
                match known.remove(&new.id) {
                    Some(old) => {
                        Line { text: new.text, needs: new.needs, expected_seconds: new.expected_seconds, ..old }
                    }
                    None => new,
                }
            })
            .collect();
    }
    fn edit(&mut self, step: &str, change: impl FnOnce(&mut Line)) {
        if let Some(line) = self.steps.iter_mut().find(|l| l.id == step) {
            change(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{begin, end, good_run, pairs, plan, record, started};

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.001
    }

    #[test]
    fn what_is_left_is_the_longest_chain_of_what_has_not_ended() {
        let mut board = Board::of([(0, &started(plan(), 65.0))]);
        assert!(close(board.left(0), 65.0));
        board.take(5_000, &begin("preflight"));
        assert!(close(board.left(7_000), 63.0), "two seconds of it are over");
        assert!(close(board.left(60_000), 60.0), "a step that takes longer has nothing left, what waits for it has");
        board.take(60_000, &end("preflight", Outcome::Done, ""));
        board.take(60_000, &end("server[node-1]", Outcome::Done, ""));
        assert!(close(board.left(60_000), 60.0), "the other server is still to come");
    }

    #[test]
    fn the_slowest_path_goes_through_the_needs_that_ended_last() {
        let run = good_run();
        let board = Board::of(pairs(&run));
        let ids: Vec<&str> = board.slowest_path().iter().map(|l| l.id.as_str()).collect();
        assert_eq!(ids, ["preflight", "server[node-2]", "dns", "late"]);
    }

    #[test]
    fn a_changed_plan_keeps_what_is_known() {
        let mut board = Board::of(pairs(&good_run()));
        let change = Event::PlanChanged {
            what: Vec::new(),
            steps: Vec::new(),
            settings: serde_json::Value::Null,
            plan: vec![record("new", 1.0, &[]), record("dns", 99.0, &["new"])],
        };
        board.take(1, &change);
        let states: Vec<State> = board.steps.iter().map(|l| l.state).collect();
        assert_eq!(states, [State::Waiting, State::Ended(Outcome::Done)]);
    }

    #[test]
    fn a_resume_lets_what_was_under_way_wait_again_and_remembers_the_unknown() {
        let mut board = Board::of(pairs(&good_run()[..7]));
        assert_eq!(board.count(|s| s == State::Running), 2);
        let unknown = vec!["server[node-1]".to_owned()];
        board.take(9, &Event::RunResumed { version: String::new(), finished: 1, unknown, digests: BTreeMap::new() });
        assert_eq!((board.count(|s| s == State::Running), board.count(|s| s == State::Waiting)), (0, 4));
        assert!(board.line("server[node-1]").unwrap().was_unknown);
        assert!(!board.line("server[node-2]").unwrap().was_unknown);
    }
}

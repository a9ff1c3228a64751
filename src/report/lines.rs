//! One plain line per event worth telling, for where there is no terminal.

use super::board::{Board, Line};
use super::repeats::Repeats;
use super::words::{count, plain, time};
use crate::engine::{Event, Found, Listener, Outcome, Told};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Writes plain lines: clock time since the run began, step, what happened. No control characters but the line's end.
pub struct Lines<W: Write + Send> {
    state: Mutex<(W, Board, Repeats)>,
}

impl<W: Write + Send> Lines<W> {
    /// Writes to this; the header (world, project, zone) first.
    pub fn new(mut out: W, header: &str) -> Self {
        for line in header.lines() {
            // A reader that is gone must not stop a recovery.
            let _ = writeln!(out, "{}", plain(line));
        }
        Self { state: Mutex::new((out, Board::default(), Repeats::default())) }
    }
    /// Takes in what earlier processes told of this run (each event with its moment in milliseconds since the epoch), without
    /// writing it: for a resume, before anything is told.
    pub fn recall<'e>(&self, events: impl IntoIterator<Item = (u64, &'e Event)>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.take_all(events);
    }
}

impl<W: Write + Send> Listener for Lines<W> {
    fn told(&self, told: &Told) {
        let Told::Durable { at, event, .. } = told else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, board, repeats) = &mut *state;
        board.take(*at, event);
        if let Some(text) = line(board, event).filter(|_| repeats.is_news(*at, event)) {
            let _ = writeln!(out, "{:>8}  {text}", time(board.elapsed(*at)));
            let _ = out.flush();
        }
    }
}

/// The event in words, where it is worth a line: what a person must know to follow, not each look. The board has taken it in.
pub(super) fn line(board: &Board, event: &Event) -> Option<String> {
    let of = |step: &str, text: String| Some(format!("{}: {text}", plain(step)));
    match event {
        Event::RunStarted(first) => {
            let (steps, about) = (count(first.plan.len(), "step"), time(first.forecast_seconds));
            Some(plain(&format!("run {} of {}: {steps}, about {about}", first.run, first.playbook)))
        }
        Event::RunResumed { finished, unknown, .. } => {
            let done = format!("run taken up again: {} finished before", count(*finished, "step"));
            let names = if unknown.is_empty() { String::new() } else { format!(" ({})", unknown.join(", ")) };
            Some(plain(&format!("{done}, {} of unknown outcome{names}", unknown.len())))
        }
        Event::PlanChanged { what, steps, .. } => Some(plain(&format!(
            "a change was accepted: {}; steps looked at again: {}",
            what.join("; "),
            steps.join(", ")
        ))),
        Event::StepStarted { step } => of(step, "started".to_owned()),
        Event::StepChecked { step, found: Found::Pending, text } => of(step, format!("waits: {}", plain(text))),
        Event::StepChecked { step, found: Found::Refused, text } => of(step, format!("refused: {}", brief(text))),
        Event::StepChecked { .. } | Event::Unknown => None,
        Event::Intent { step, attempt, target, what } => {
            let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            of(step, format!("{}{again} [{}]", plain(what), plain(target)))
        }
        Event::StepRetry { step, attempt, class, error, wait_ms } => {
            let wait = time(std::time::Duration::from_millis(*wait_ms).as_secs_f64());
            // Before the first attempt it is a look that failed.
            let what = if *attempt == 0 { "a look".to_owned() } else { format!("attempt {attempt}") };
            of(step, format!("{what} failed ({}): {}; again in {wait}", plain(class), plain(error)))
        }
        Event::GateAsked { step, text, .. } => of(step, format!("asks: {}", plain(text))),
        Event::GateAnswered { step, yes, .. } => of(step, format!("answered: {}", if *yes { "yes" } else { "no" })),
        Event::StepFinished { step, outcome, text, .. } => of(step, ended(board.line(step), *outcome, &brief(text))),
        Event::StepFailed { step, why, error, remedy } => {
            let next = if remedy.is_empty() { String::new() } else { format!("; next: {}", plain(remedy)) };
            let what = if why == error { String::new() } else { format!(": {}", plain(error)) };
            of(step, format!("{}{what}{next}", why_in_words(why)))
        }
        Event::RunFinished(end) => {
            let warnings =
                if end.warnings > 0 { format!(", {}", count(end.warnings, "warning")) } else { String::new() };
            Some(format!("run {}: {} of {} done{warnings}", plain(&end.outcome), end.done, count(end.steps, "step")))
        }
    }
}

/// More lines than this are a list, which is shown where a person is asked about it.
const LIST: usize = 5;

/// A text in one line; of a list the first one.
fn brief(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    match text.lines().count() {
        lines if lines > LIST => format!("{} ({} more lines, in the journal)", plain(first), lines - 1),
        _ => plain(text),
    }
}

fn ended(line: Option<&Line>, outcome: Outcome, text: &str) -> String {
    let seconds = line.and_then(Line::seconds).map(|s| format!(" in {}", time(s))).unwrap_or_default();
    let reason = if text.is_empty() { String::new() } else { format!(": {text}") };
    match outcome {
        Outcome::Done => format!("done{seconds}{reason}"),
        Outcome::Already => {
            let after = line.and_then(Line::seconds).filter(|s| *s >= 1.0).map(|s| format!(", seen after {}", time(s)));
            format!("as it should be{}{reason}", after.unwrap_or_default())
        }
        Outcome::Adopted => format!("found done after an unknown outcome{seconds}{reason}"),
        Outcome::Accepted => format!("accepted by a person{reason}"),
        Outcome::Warning => format!("failed, and the run goes on{reason}"),
    }
}

/// The words of [`Event::StepFailed`]'s `why`.
pub(super) fn why_in_words(why: &str) -> String {
    match why {
        "needs_person" => "needs a person".to_owned(),
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{begin, good_run, retry, tell, Paper, HEADER};

    #[test]
    fn a_run_reads_as_plain_lines() {
        let paper = Paper::default();
        let lines = Lines::new(paper.clone(), HEADER);
        tell(&lines, &good_run());
        let text = paper.text();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        insta::assert_snapshot!(text, @r#"
        sandbox · project demo (0 servers) · zone example.org
            0.0s  run abcdefghijkl of rebuild: 5 steps, about 1m 05s
            0.0s  preflight: started
            4.0s  preflight: as it should be, seen after 4.0s
            4.0s  server[node-1]: started
            4.0s  server[node-2]: started
            4.1s  server[node-1]: create a server [new server demo-server[node-1]]
            4.1s  server[node-2]: create a server [new server demo-server[node-2]]
            5.0s  server[node-1]: waits: the server is starting
            9.0s  server[node-2]: attempt 1 failed (unknown): the reply was lost\u{1b}[31m after 5 s; again in 2.5s
           34.0s  server[node-1]: done in 30.0s
          1m 01s  server[node-2]: found done after an unknown outcome in 57.0s
          1m 01s  dns: started
          1m 01s  dns: asks: All A records of example.org will be changed. Go on?
          1m 05s  dns: answered: yes
          1m 35s  dns: done in 30.0s
          1m 35s  late: started
          2m 11s  late: failed, and the run goes on: no package mirror answers
          2m 11s  run succeeded: 4 of 5 steps done, 1 warning
        "#);
    }

    #[test]
    fn a_resumed_run_counts_from_its_beginning() {
        let (before, after) = (&good_run()[..12], &good_run()[14..15]);
        let paper = Paper::default();
        let lines = Lines::new(paper.clone(), "");
        lines.recall(before.iter().map(|(at, event)| (*at, event)));
        tell(&lines, after);
        assert_eq!(paper.text(), "  1m 35s  dns: done in 34.0s\n");
    }

    #[test]
    fn resume_change_and_failure_say_what_to_do() {
        let unknown = vec!["server[node-1]".to_owned()];
        let change = Event::PlanChanged {
            what: vec!["dns.proxied is now false".to_owned()],
            steps: vec!["dns".to_owned()],
            settings: serde_json::Value::Null,
            plan: Vec::new(),
        };
        let failed = Event::StepFailed {
            step: "dns".to_owned(),
            why: "needs_person".to_owned(),
            error: "the zone is another account's".to_owned(),
            remedy: "give a token of the zone's account".to_owned(),
        };
        let events = [
            (0, good_run()[0].1.clone()),
            (
                60_000,
                Event::RunResumed {
                    version: "0.1.0".to_owned(),
                    finished: 1,
                    unknown,
                    digests: std::collections::BTreeMap::new(),
                },
            ),
            (60_001, change),
            (61_000, failed),
        ];
        let paper = Paper::default();
        let lines = Lines::new(paper.clone(), HEADER);
        tell(&lines, &events);
        insta::assert_snapshot!(paper.text(), @r#"
        sandbox · project demo (0 servers) · zone example.org
            0.0s  run abcdefghijkl of rebuild: 5 steps, about 1m 05s
          1m 00s  run taken up again: 1 step finished before, 1 of unknown outcome (server[node-1])
          1m 00s  a change was accepted: dns.proxied is now false; steps looked at again: dns
          1m 01s  dns: needs a person: the zone is another account's; next: give a token of the zone's account
        "#);
    }

    #[test]
    fn a_step_that_waits_long_does_not_fill_the_log_and_is_not_forgotten_either() {
        let no = |text: &str| retry("voters", 0, "transient", text);
        let mut events = vec![(0, good_run()[0].1.clone()), (0, begin("voters"))];
        events.extend((1..600).map(|second| (second * 2_000, no("etcd has no majority"))));
        events.push((1_200_000, no("the server is busy")));
        let paper = Paper::default();
        let lines = Lines::new(paper.clone(), "");
        tell(&lines, &events);
        let text = paper.text();
        assert!(!text.contains("attempt 0"), "{text}");
        let told = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(told("the server is busy"), 1, "another reason is told at once: {text}");
        let waiting = told("etcd has no majority");
        assert!((4..=8).contains(&waiting), "twenty minutes in {waiting} lines: {text}");
        // It begins anew with the step.
        tell(&lines, &[(1_300_000, begin("voters")), (1_300_001, no("etcd has no majority"))]);
        assert_eq!(paper.text().matches("etcd has no majority").count(), waiting + 1);
    }
}

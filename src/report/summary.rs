//! The text at a run's end.

use super::board::{Board, Line, State};
use super::lines::why_in_words;
use super::words::{count, cut, plain, table, time};
use crate::engine::{Event, Outcome};
use std::fmt::Write;

/// How many of the slowest steps are listed.
const LISTED: usize = 12;

/// What a run came to, from all its events (each with its moment in milliseconds since the epoch): outcome, both times, what
/// was done, adopted and settled, warnings and failures with what to do, the slowest path and the steps by time.
pub fn summary<'e>(header: &str, events: impl IntoIterator<Item = (u64, &'e Event)>) -> String {
    let board = Board::of(events);
    let mut out = String::new();
    for line in header.lines() {
        out.push_str(&plain(line));
        out.push('\n');
    }
    out.push_str(&outcome(&board));
    out.push_str(&facts(&board));
    out.push_str(&reasons(&board));
    // Where a person has to go on, nothing stands between the reason and the prompt.
    if board.finished.as_ref().is_some_and(|end| end.outcome == "succeeded") {
        out.push_str(&slowest(&board));
        out.push_str(&by_time(&board));
    }
    out
}

fn outcome(board: &Board) -> String {
    let end = board.finished.as_ref().map_or("unfinished", |e| e.outcome.as_str());
    let sentence = match end {
        "succeeded" => "succeeded",
        "failed" => "failed, and can be resumed",
        "refused" => "was refused by a check",
        "needs_person" => "needs a person",
        "interrupted" => "was interrupted, and can be resumed",
        "unfinished" => "is unfinished",
        other => return format!("Run {} of {} ended: {}\n", board.run, board.playbook, plain(other)),
    };
    format!("Run {} of {} {sentence}.\n", board.run, board.playbook)
}

fn facts(board: &Board) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    let forecast = format!("(forecast {})", time(board.forecast_seconds));
    if let Some(end) = &board.finished {
        if let Some(seconds) = end.first_answer_seconds {
            row("first answer after", time(seconds));
        }
        if let Some(seconds) = end.recovery_seconds {
            row("recovered after", format!("{} {forecast}", time(seconds)));
        }
    }
    row("ran for", time(board.elapsed(board.last)) + &taken_up(board.resumed));
    row("steps", counts(board));
    let settled: Vec<String> = board.steps.iter().filter(|l| l.was_unknown).map(settled).collect();
    if !settled.is_empty() {
        row("unknown outcomes", settled.join(", "));
    }
    if let Some(cost) = board.finished.as_ref().and_then(|e| e.cost.as_ref()) {
        if cost.servers > 0 {
            row("costs", month(&cost.currency, cost.servers, cost.monthly_net, cost.monthly_gross));
        }
        if cost.fenced > 0 {
            let text = month(&cost.currency, cost.fenced, cost.fenced_monthly_net, cost.fenced_monthly_gross);
            row("fenced cost", format!("{text}, until they are deleted"));
        }
    } else if board.finished.as_ref().is_some_and(|e| e.outcome == "succeeded") {
        row("costs", "the cloud's price list could not be read".to_owned());
    }
    if let Some(end) = board.finished.as_ref().filter(|e| !e.journal.is_empty()) {
        row("journal", plain(&end.journal));
    }
    table(&rows)
}

/// `EUR 20.97 a month, EUR 24.95 with VAT: 3 servers`.
fn month(currency: &str, servers: usize, net: f64, gross: f64) -> String {
    let currency = plain(currency);
    format!("{currency} {net:.2} a month, {currency} {gross:.2} with VAT: {}", count(servers, "server"))
}

fn taken_up(resumed: usize) -> String {
    match resumed {
        0 => String::new(),
        n => format!(", pauses included; resumed {}", count(n, "time")),
    }
}

/// `41 steps: 30 done, 9 as they should be, 1 adopted, 1 waiting`.
pub(super) fn counts(board: &Board) -> String {
    let sorts = [
        (State::Ended(Outcome::Done), "done"),
        (State::Ended(Outcome::Already), "as they should be"),
        (State::Ended(Outcome::Adopted), "adopted"),
        (State::Ended(Outcome::Accepted), "accepted by a person"),
        (State::Ended(Outcome::Warning), "with a warning"),
        (State::Failed, "failed"),
        (State::Held, "interrupted or unanswered"),
        (State::Running, "under way"),
        (State::Asking, "asking a person"),
        (State::Waiting, "waiting"),
    ];
    let told: Vec<String> = sorts
        .iter()
        .map(|(state, word)| (board.count(|s| s == *state), word))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    format!("{}: {}", count(board.steps.len(), "step"), told.join(", "))
}

/// How an unknown outcome was settled.
pub(super) fn settled(line: &Line) -> String {
    let how = match line.state {
        State::Ended(Outcome::Adopted | Outcome::Already) => "a look found it done",
        State::Ended(Outcome::Accepted) => "a person accepted it",
        State::Ended(Outcome::Done) => "a look found it not done, and it was done",
        State::Ended(Outcome::Warning) | State::Failed => "not settled: it failed",
        State::Waiting | State::Running | State::Asking | State::Held => "not settled yet",
    };
    format!("{} ({how})", line.id)
}

/// Warnings, and failures with what to do next.
pub(super) fn reasons(board: &Board) -> String {
    let mut out = String::new();
    let mut push = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for line in board.steps.iter().filter(|l| l.state == State::Ended(Outcome::Warning)) {
        push(format!("\nWarning: {}: {}", line.id, line.note));
    }
    let well = [Outcome::Done, Outcome::Already, Outcome::Adopted].map(State::Ended);
    for line in board.steps.iter().filter(|l| well.contains(&l.state) && !l.note.is_empty()) {
        push(format!("\nNote: {}: {}", line.id, line.note));
    }
    for (line, failure) in board.steps.iter().filter_map(|l| Some((l, l.failure.as_ref()?))) {
        let what = if failure.why == failure.error { String::new() } else { format!(": {}", failure.error) };
        push(format!("\n{}: {}{what}", line.id, why_in_words(&failure.why)));
        if !failure.remedy.is_empty() {
            push(format!("  next: {}", failure.remedy));
        }
    }
    if board.finished.as_ref().is_none_or(|e| e.outcome != "succeeded") {
        push(format!("\nTo go on: relight resume {}", board.run));
    }
    out
}

fn slowest(board: &Board) -> String {
    let path = board.slowest_path();
    if path.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = path.iter().map(|l| cells(l)).collect();
    let work: f64 = path.iter().filter_map(|l| l.seconds()).sum();
    format!("\nSlowest path, {} of work:\n{}", time(work), table(&rows))
}

fn by_time(board: &Board) -> String {
    let mut steps: Vec<&Line> = board.steps.iter().filter(|l| l.ended.is_some()).collect();
    steps.sort_by(|a, b| b.seconds().unwrap_or(0.0).total_cmp(&a.seconds().unwrap_or(0.0)));
    let (listed, rest) = steps.split_at(steps.len().min(LISTED));
    if listed.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = listed.iter().map(|l| cells(l)).collect();
    let mut out = format!("\nSteps by time:\n{}", table(&rows));
    if let Some(longest) = rest.first().and_then(|l| l.seconds()) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  and {} more, none over {}", rest.len(), time(longest));
    }
    out
}

fn cells(line: &Line) -> Vec<String> {
    let attempts = if line.attempt > 1 { format!("{} attempts", line.attempt) } else { String::new() };
    vec![line.id.clone(), time(line.seconds().unwrap_or(0.0)), attempts, cut(&line.text, 60)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{begin, end, finished, good_run, pairs, record, retry, started, HEADER};

    #[test]
    fn a_good_run_ends_with_its_times_its_slowest_path_and_what_was_settled() {
        insta::assert_snapshot!(summary(HEADER, pairs(&good_run())), @r#"
        sandbox · project demo (0 servers) · zone example.org
        Run abcdefghijkl of rebuild succeeded.
          first answer after  1m 35s
          recovered after     2m 11s (forecast 1m 05s)
          ran for             2m 11s
          steps               5 steps: 2 done, 1 as they should be, 1 adopted, 1 with a warning
          unknown outcomes    server[node-2] (a look found it done)
          costs               EUR 13.98 a month, EUR 16.64 with VAT: 2 servers
          fenced cost         EUR 6.99 a month, EUR 8.32 with VAT: 1 server, until they are deleted
          journal             state/sandbox/demo/abcdefghijkl/journal.jsonl

        Warning: late: no package mirror answers

        Slowest path, 2m 06s of work:
          preflight       4.0s               do what preflight does
          server[node-2]  57.0s  2 attempts  do what server[node-2] does
          dns             30.0s              do what dns does
          late            35.5s              do what late does

        Steps by time:
          server[node-2]  57.0s  2 attempts  do what server[node-2] does
          late            35.5s              do what late does
          dns             30.0s              do what dns does
          server[node-1]  30.0s              do what server[node-1] does
          preflight       4.0s               do what preflight does
        "#);
    }

    #[test]
    fn a_failed_run_ends_with_what_to_do_and_how_to_go_on() {
        let mut events = good_run();
        events.truncate(5);
        let at = events[0].0;
        let failed = Event::StepFailed {
            step: "server[node-2]".to_owned(),
            why: "failed".to_owned(),
            error: "no location has cx33\x07".to_owned(),
            remedy: "add a server type to cloud.server_types".to_owned(),
        };
        events.push((at + 9_000, retry("server[node-2]", 1, "transient", "503")));
        events.push((at + 20_000, failed));
        events.push((at + 20_001, finished("failed", 5, 1, 0)));
        insta::assert_snapshot!(summary(HEADER, pairs(&events)), @r#"
        sandbox · project demo (0 servers) · zone example.org
        Run abcdefghijkl of rebuild failed, and can be resumed.
          ran for  20.0s
          steps    5 steps: 1 as they should be, 1 failed, 1 under way, 2 waiting
          journal  state/sandbox/demo/abcdefghijkl/journal.jsonl

        server[node-2]: failed: no location has cx33\u{7}
          next: add a server type to cloud.server_types

        To go on: relight resume abcdefghijkl
        "#);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let ids: Vec<String> = (0..20).map(|i| format!("s{i}")).collect();
        let mut events = vec![(0, started(ids.iter().map(|id| record(id, 1.0, &[])).collect(), 1.0))];
        for (i, id) in ids.iter().enumerate() {
            events.push((0, begin(id)));
            events.push((i as u64 * 1000, end(id, Outcome::Done, "")));
        }
        events.push((20_000, finished("succeeded", 20, 20, 0)));
        let text = summary("", pairs(&events));
        let listed = text.split("Steps by time:").nth(1).unwrap();
        assert!(listed.trim_start().starts_with("s19"), "slowest first: {listed}");
        assert!(text.contains("  and 8 more, none over 7.0s\n"), "{text}");
    }

    #[test]
    fn what_was_interrupted_is_told_once() {
        let mut events = good_run()[..4].to_vec();
        let (step, why, error) = ("server[node-1]".to_owned(), "interrupted".to_owned(), "interrupted".to_owned());
        events.push((9_000, Event::StepFailed { step, why, error, remedy: String::new() }));
        let text = summary(HEADER, pairs(&events));
        assert!(text.contains("server[node-1]: interrupted\n"), "{text}");
    }
}

//! The last run, looked at from outside.

use super::board::{Board, Line};
use super::summary::{counts, reasons, settled};
use super::words::{plain, rfc3339, table, time};
use crate::engine::Event;

/// A run's state from all its events (each with its moment in milliseconds since the epoch): since when, how far, what is under
/// way or failed, and how to go on. `alive` is whether a process holds the run's lock.
pub fn status<'e>(header: &str, events: impl IntoIterator<Item = (u64, &'e Event)>, alive: bool) -> String {
    let board = Board::of(events);
    let mut out: String = header.lines().map(|l| plain(l) + "\n").collect();
    let Some(began) = board.began else { return out + "No run yet.\n" };
    let state = match (&board.finished, alive) {
        (Some(end), _) => plain(&end.outcome).replace('_', " "),
        (None, true) => "running".to_owned(),
        (None, false) => "interrupted: its process is gone".to_owned(),
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("run", format!("{} of {} ({}, {}, {})", board.run, board.playbook, board.cluster, board.world, board.mode));
    row("state", state);
    row("began", rfc3339(began));
    if board.reconstructed {
        row("journal", "made anew from labels when it began; what came before is lost".to_owned());
    }
    row("last event", format!("{}, {} later", rfc3339(board.last), time(board.elapsed(board.last))));
    row("steps", counts(&board));
    if let Some(end) = &board.finished {
        let times = [("first answer", end.first_answer_seconds), ("recovered", end.recovery_seconds)];
        for (name, seconds) in times.into_iter().filter_map(|(n, s)| Some((n, s?))) {
            row(name, format!("after {}", time(seconds)));
        }
    } else {
        row("left", format!("about {}", time(board.left(board.last))));
    }
    let gone = board.finished.is_none() && !alive;
    for line in board.steps.iter().filter(|l| l.is_under_way()) {
        row(if gone { "was under way" } else { "under way" }, under_way(line));
    }
    for line in board.steps.iter().filter(|l| l.was_unknown || gone && l.intended) {
        row("unknown outcome", settled(line));
    }
    out.push_str(&table(&rows));
    if board.finished.is_some() || !alive {
        out.push_str(&reasons(&board));
    }
    out
}

fn under_way(line: &Line) -> String {
    if line.note.is_empty() {
        line.id.clone()
    } else {
        format!("{}: {}", line.id, line.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{good_run, pairs, HEADER};

    #[test]
    fn a_run_under_way_says_how_far_it_is() {
        let mut events = good_run();
        events.truncate(9);
        insta::assert_snapshot!(status(HEADER, pairs(&events), true), @r#"
        sandbox · project demo (0 servers) · zone example.org
          run              abcdefghijkl of rebuild (demo, sandbox, live)
          state            running
          began            2023-11-14T22:13:20.000Z
          last event       2023-11-14T22:13:29.000Z, 9.0s later
          steps            5 steps: 1 as they should be, 2 under way, 2 waiting
          left             about 55.0s
          under way        server[node-1]: the server is starting
          under way        server[node-2]: again after: the reply was lost\u{1b}[31m after 5 s
          unknown outcome  server[node-2] (not settled yet)
        "#);
    }

    #[test]
    fn a_killed_run_says_how_to_go_on() {
        let mut events = good_run();
        events.truncate(9);
        insta::assert_snapshot!(status(HEADER, pairs(&events), false), @r#"
        sandbox · project demo (0 servers) · zone example.org
          run              abcdefghijkl of rebuild (demo, sandbox, live)
          state            interrupted: its process is gone
          began            2023-11-14T22:13:20.000Z
          last event       2023-11-14T22:13:29.000Z, 9.0s later
          steps            5 steps: 1 as they should be, 2 under way, 2 waiting
          left             about 55.0s
          was under way    server[node-1]: the server is starting
          was under way    server[node-2]: again after: the reply was lost\u{1b}[31m after 5 s
          unknown outcome  server[node-1] (not settled yet)
          unknown outcome  server[node-2] (not settled yet)

        To go on: relight resume abcdefghijkl
        "#);
    }

    #[test]
    fn a_finished_run_tells_its_times_and_where_there_was_none_it_says_so() {
        insta::assert_snapshot!(status(HEADER, pairs(&good_run()), false), @r#"
        sandbox · project demo (0 servers) · zone example.org
          run              abcdefghijkl of rebuild (demo, sandbox, live)
          state            succeeded
          began            2023-11-14T22:13:20.000Z
          last event       2023-11-14T22:15:30.510Z, 2m 11s later
          steps            5 steps: 2 done, 1 as they should be, 1 adopted, 1 with a warning
          first answer     after 1m 35s
          recovered        after 2m 11s
          unknown outcome  server[node-2] (a look found it done)

        Warning: late: no package mirror answers
        "#);
        assert_eq!(status("", [], false), "No run yet.\n");
    }
}

//! Live drawing on a terminal: finished steps scroll away as plain lines, what is under way has a line each, and one bar
//! shows the whole against the forecast.
//!
//! Never more than [`ROWS`] lines move, so that a plan of any size fits a small terminal. Colours follow `NO_COLOR` (the
//! console crate reads it).

use super::board::{Board, Line, State};
use super::lines::line;
use super::repeats::Repeats;
use super::whole::{whole_text, Whole};
use super::words::{fit, plain, time};
use crate::engine::{Event, Listener, Told};
use dialoguer::console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Steps under way that are drawn at once; the rest is a number in the bar's line.
const ROWS: usize = 14;
/// Columns of a spinner and the space after it, and the last one: a terminal that is full to it may break the line.
const SPINNER: usize = 3;
/// Wall time between two pictures of a spinner and a clock.
const TICK: Duration = Duration::from_millis(120);

/// Draws on a terminal.
pub struct Bars {
    multi: MultiProgress,
    /// Where to draw, made anew after a pause.
    target: Box<dyn Fn() -> ProgressDrawTarget + Send + Sync>,
    factor: f64,
    /// How many columns there are now.
    columns: Columns,
    state: Mutex<Drawn>,
}

type Columns = Arc<dyn Fn() -> usize + Send + Sync>;

struct Drawn {
    board: Board,
    repeats: Repeats,
    /// Steps under way, by id: since when by the wall's clock, and their line where they have one.
    under_way: BTreeMap<String, (Instant, Option<ProgressBar>)>,
    /// Steps that ask a person, and since when by the wall's clock.
    asked: BTreeMap<String, Instant>,
    whole: ProgressBar,
    /// What the bar's own thread reads. Never locked while indicatif is called: that thread holds indicatif's lock.
    shown: Arc<Mutex<Whole>>,
    /// Lines held back while somebody else has the terminal.
    held: Option<Vec<String>>,
    begun: bool,
}

impl Bars {
    /// Draws on stderr; the header (world, project, zone) first. `factor`: clock seconds in a wall second.
    pub fn new(header: &str, factor: f64) -> Self {
        let columns = Arc::new(|| usize::from(Term::stderr().size().1));
        Self::on(Box::new(ProgressDrawTarget::stderr), columns, header, factor)
    }
    fn on(
        target: Box<dyn Fn() -> ProgressDrawTarget + Send + Sync>,
        columns: Columns,
        header: &str,
        factor: f64,
    ) -> Self {
        let multi = MultiProgress::with_draw_target(target());
        for line in header.lines() {
            print(&multi, &fit(&plain(line), columns()));
        }
        let since = Instant::now();
        let whole = Whole { since, elapsed: 0.0, left: 0.0, done: 0, steps: 0, waiting: 0, hidden: 0 };
        let shown = Arc::new(Mutex::new(whole));
        let drawn = Drawn {
            board: Board::default(),
            repeats: Repeats::default(),
            under_way: BTreeMap::new(),
            asked: BTreeMap::new(),
            whole: ProgressBar::hidden(),
            shown,
            held: None,
            begun: false,
        };
        Self { multi, target, factor, columns, state: Mutex::new(drawn) }
    }
    /// Takes in what earlier processes told of this run (each event with its moment in milliseconds since the epoch), without
    /// drawing it: for a resume, before anything is told.
    pub fn recall<'e>(&self, events: impl IntoIterator<Item = (u64, &'e Event)>) {
        self.state().board.take_all(events);
    }
    /// Leaves the terminal to somebody else (a question) until the value is dropped. The run goes on; its lines are held back.
    pub fn quiet(&self) -> Quiet<'_> {
        let mut state = self.state();
        state.held.get_or_insert_default();
        let _ = self.multi.clear();
        self.multi.set_draw_target(ProgressDrawTarget::hidden());
        Quiet(self)
    }

    fn state(&self) -> MutexGuard<'_, Drawn> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn begin(&self, state: &mut Drawn) {
        let (shown, factor, columns) = (Arc::clone(&state.shown), self.factor, Arc::clone(&self.columns));
        let text = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let whole = *shown.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = out.write_str(&whole_text(
                &whole,
                whole.since.elapsed().as_secs_f64() * factor,
                columns().saturating_sub(SPINNER),
            ));
        };
        let style = style("{spinner:.green} {whole}").with_key("whole", text);
        state.whole = self.multi.add(ProgressBar::new_spinner().with_style(style));
        state.whole.enable_steady_tick(TICK);
    }
    /// Brings lines and bar up to date with the board.
    fn draw(&self, state: &mut Drawn, at: u64) {
        let board = &state.board;
        let now = Instant::now();
        state.under_way.retain(|id, (_, bar)| {
            let stays = board.line(id).is_some_and(Line::is_under_way);
            if let Some(bar) = bar.as_ref().filter(|_| !stays) {
                bar.finish_and_clear();
                self.multi.remove(bar);
            }
            stays
        });
        let mut rows = state.under_way.values().filter(|(_, bar)| bar.is_some()).count();
        for line in board.steps.iter().filter(|l| l.is_under_way()) {
            let (since, bar) = state.under_way.entry(line.id.clone()).or_insert((now, None));
            if bar.is_none() && rows < ROWS {
                rows += 1;
                let new = ProgressBar::new_spinner().with_style(self.row(*since, widest(board)));
                let new = self.multi.insert_before(&state.whole, new.with_prefix(line.id.clone()));
                new.enable_steady_tick(TICK);
                *bar = Some(new);
            }
            if let Some(bar) = bar {
                bar.set_message(row_text(line));
            }
        }
        let whole = Whole {
            since: now,
            elapsed: board.elapsed(at),
            left: board.left(at),
            done: board.count(|s| matches!(s, State::Ended(_))),
            steps: board.steps.len(),
            waiting: board.count(|s| s == State::Waiting),
            hidden: state.under_way.len() - rows.min(state.under_way.len()),
        };
        *state.shown.lock().unwrap_or_else(PoisonError::into_inner) = whole;
        state.whole.tick();
    }
    /// A step's clock stands still while a person is asked.
    fn thinking(&self, state: &mut Drawn, event: &Event) {
        match event {
            Event::GateAsked { step, .. } => {
                state.asked.insert(step.clone(), Instant::now());
            }
            Event::GateAnswered { step, .. } => {
                let asked = state.asked.remove(step).map(|since| since.elapsed()).unwrap_or_default();
                if let Some((since, bar)) = state.under_way.get_mut(step) {
                    *since += asked;
                    if let Some(bar) = bar {
                        bar.set_style(self.row(*since, widest(&state.board)));
                    }
                }
            }
            _ => {}
        }
    }
    fn row(&self, since: Instant, widest: usize) -> ProgressStyle {
        let factor = self.factor;
        let clock = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:>7}", time(since.elapsed().as_secs_f64() * factor));
        };
        style(&format!("{{spinner:.cyan}} {{prefix:{widest}}} {{clock}}  {{wide_msg}}")).with_key("clock", clock)
    }
    fn end(&self, state: &mut Drawn) {
        for (_, bar) in std::mem::take(&mut state.under_way).into_values() {
            bar.inspect(ProgressBar::finish_and_clear);
        }
        state.whole.finish_and_clear();
        let _ = self.multi.clear();
    }
}

impl Listener for Bars {
    fn told(&self, told: &Told) {
        let mut state = self.state();
        let state = &mut *state;
        match told {
            Told::Progress { step, text } => {
                state.board.progress(step, text);
                let bar = state.under_way.get(step).and_then(|(_, bar)| bar.as_ref());
                if let Some((bar, line)) = bar.zip(state.board.line(step)) {
                    bar.set_message(row_text(line));
                }
            }
            Told::Durable { at, event, .. } => {
                state.board.take(*at, event);
                self.thinking(state, event);
                if !std::mem::replace(&mut state.begun, true) {
                    self.begin(state);
                }
                let news = state.repeats.is_news(*at, event) && scrolls(event);
                if let Some(text) = line(&state.board, event).filter(|_| news) {
                    let text = fit(&format!("{:>8}  {text}", time(state.board.elapsed(*at))), (self.columns)());
                    match &mut state.held {
                        Some(held) => held.push(text),
                        None => print(&self.multi, &text),
                    }
                }
                self.draw(state, *at);
                if matches!(event, Event::RunFinished(_)) {
                    self.end(state);
                }
            }
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.end(&mut state);
    }
}

/// While it lives, [`Bars`] leaves the terminal alone.
pub struct Quiet<'b>(&'b Bars);

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        self.0.multi.set_draw_target((self.0.target)());
        for text in state.held.take().unwrap_or_default() {
            print(&self.0.multi, &text);
        }
    }
}

/// A line above the bars. A terminal that is gone must not stop a recovery.
fn print(multi: &MultiProgress, text: &str) {
    let _ = multi.println(text);
}

/// What stays on the terminal: ends, failures, retries and answers; the rest is seen in the moving lines.
fn scrolls(event: &Event) -> bool {
    !matches!(
        event,
        Event::StepStarted { .. } | Event::StepChecked { .. } | Event::Intent { .. } | Event::GateAsked { .. }
    )
}

fn style(template: &str) -> ProgressStyle {
    // The templates are fixed but for a width: the unstyled spinner stands for a mistake in them.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn widest(board: &Board) -> usize {
    board.steps.iter().map(|l| l.id.chars().count()).max().unwrap_or_default().min(32)
}

fn row_text(line: &Line) -> String {
    let attempt = if line.attempt > 1 { format!("attempt {}  ", line.attempt) } else { String::new() };
    format!("{attempt}{}", if line.note.is_empty() { &line.text } else { &line.note })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Outcome;
    use crate::report::samples::{
        as_told, begin, end, finished, good_run, record, retry, started, tell, Terminal, HEADER,
    };

    fn bars(terminal: &Terminal) -> Bars {
        let terminal = terminal.clone();
        // Without a limit of pictures a second, so that every change is drawn.
        let target = move || ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        Bars::on(Box::new(target), Arc::new(|| 200), HEADER, 30.0)
    }

    #[test]
    fn ends_scroll_by_and_what_outside_said_cannot_steer_the_terminal() {
        let terminal = Terminal::default();
        let bars = bars(&terminal);
        tell(&bars, &good_run());
        drop(bars);
        let text = terminal.text();
        assert!(text.starts_with(HEADER), "{text}");
        assert!(text.contains("server[node-2]: found done after an unknown outcome in 57.0s"), "{text}");
        assert!(text.contains("late: failed, and the run goes on: no package mirror answers"), "{text}");
        assert!(text.contains("the reply was lost\\u{1b}[31m after 5 s"), "{text}");
        assert!(!text.contains('\x1b'), "no colours without a terminal, none from outside: {text:?}");
    }

    #[test]
    fn a_hundred_steps_under_way_fit_a_small_terminal() {
        let ids: Vec<String> = (0..100).map(|i| format!("s{i}")).collect();
        let mut events = vec![(0, started(ids.iter().map(|id| record(id, 1.0, &[])).collect(), 1.0))];
        events.extend(ids.iter().map(|id| (1, begin(id))));
        let terminal = Terminal::default();
        let bars = bars(&terminal);
        tell(&bars, &events);
        {
            let state = bars.state();
            assert_eq!(state.under_way.values().filter(|(_, bar)| bar.is_some()).count(), ROWS);
            assert_eq!(state.shown.lock().unwrap().hidden, 100 - ROWS);
        }
        let ends: Vec<_> = ids.iter().take(90).map(|id| (2, end(id, Outcome::Done, ""))).collect();
        tell(&bars, &ends);
        let state = bars.state();
        assert_eq!(
            state.under_way.values().filter(|(_, bar)| bar.is_some()).count(),
            10,
            "all that is left has a line"
        );
        assert_eq!(state.shown.lock().unwrap().hidden, 0);
        let most = terminal.most();
        assert!((ROWS..=24).contains(&most), "{most} lines at once");
    }

    #[test]
    fn a_resumed_run_knows_all_its_steps() {
        let terminal = Terminal::default();
        let bars = bars(&terminal);
        let run = good_run();
        bars.recall(run[..12].iter().map(|(at, event)| (*at, event)));
        let before = terminal.text();
        tell(&bars, &run[14..15]);
        assert!(before.trim_end().ends_with(HEADER), "what was told before is not drawn again: {before}");
        let shown = *bars.state().shown.lock().unwrap();
        assert_eq!((shown.done, shown.steps, shown.waiting), (4, 5, 1));
        assert!(terminal.text().contains("dns: done in 34.0s"));
    }

    #[test]
    fn what_happens_during_a_question_is_shown_after_it() {
        let terminal = Terminal::default();
        let bars = bars(&terminal);
        let told = as_told(&[
            (0, started(vec![record("a", 1.0, &[])], 1.0)),
            (1, begin("a")),
            (2, retry("a", 1, "transient", "too many requests")),
            (3, end("a", Outcome::Done, "")),
            (4, finished("succeeded", 1, 1, 0)),
        ]);
        bars.told(&told[0]);
        bars.told(&told[1]);
        let quiet = bars.quiet();
        let before = terminal.text();
        bars.told(&told[2]);
        bars.told(&told[3]);
        assert_eq!(terminal.text(), before, "nothing is drawn while somebody is asked");
        drop(quiet);
        assert!(terminal.text().contains("a: attempt 1 failed (transient): too many requests; again in 2.5s"));
        bars.told(&told[4]);
        assert!(terminal.text().contains("run succeeded: 1 of 1 step done"), "{}", terminal.text());
    }
}

//! How a run is shown: bars on a terminal, lines without one, JSON for programs.

use super::args::Global;
use crate::engine::{Listener, Record, Told};
use crate::report::{Bars, Json, Lines};
use dialoguer::console::Term;
use std::io::IsTerminal;
use std::sync::Arc;

/// The way of showing that fits the terminal and the options.
#[derive(Clone)]
pub enum Drawing {
    /// On stderr, which is a terminal.
    Bars(Arc<Bars>),
    /// On stdout, one line an event.
    Lines(Arc<Lines<std::io::Stdout>>),
    /// On stdout, one JSON object an event.
    Json(Arc<Json<std::io::Stdout>>),
}

impl Drawing {
    /// `factor`: clock seconds in a wall second. On a terminal the header has been shown already where it is empty.
    pub fn new(global: &Global, header: &str, factor: f64) -> Self {
        if global.json {
            eprintln!("{header}");
            return Self::Json(Arc::new(Json::new(std::io::stdout())));
        }
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !dumb {
            return Self::Bars(Arc::new(Bars::new(header, factor)));
        }
        Self::Lines(Arc::new(Lines::new(std::io::stdout(), header)))
    }

    /// Takes in what earlier processes told of this run, so that counts and times go on from there; for programs the first
    /// record comes again, because it lists all steps.
    pub fn recall(&self, run: &str, records: &[Record]) {
        let events = records.iter().map(|r| (r.at, &r.event));
        match self {
            Self::Bars(bars) => bars.recall(events),
            Self::Lines(lines) => lines.recall(events),
            Self::Json(json) => {
                if let Some(Record { seq, at, event, .. }) = records.first() {
                    json.told(&Told::Durable { run: run.to_owned(), seq: *seq, at: *at, event: event.clone() });
                }
            }
        }
    }

    /// [`Drawing::quiet`], to be handed to another thread.
    pub fn quieting(&self) -> super::person::Quiet {
        let drawing = self.clone();
        Arc::new(move |then| drawing.quiet(then))
    }

    /// Runs something that needs the terminal for itself.
    pub fn quiet(&self, then: &mut dyn FnMut()) {
        match self {
            Self::Bars(bars) => {
                let _quiet = bars.quiet();
                then();
            }
            Self::Lines(_) | Self::Json(_) => then(),
        }
    }
}

impl Listener for Drawing {
    fn told(&self, told: &Told) {
        match self {
            Self::Bars(bars) => bars.told(told),
            Self::Lines(lines) => lines.told(told),
            Self::Json(json) => json.told(told),
        }
    }
}

/// How many columns a terminal has; `None` where the stream is none, and lines may be as long as they are.
pub fn columns(stream: &Term) -> Option<usize> {
    stream.is_term().then(|| usize::from(stream.size().1))
}

/// The text as this stream shows it best: on a terminal no line is broken within a word.
pub fn fitted(text: &str, stream: &Term) -> String {
    columns(stream).map_or_else(|| text.to_owned(), |columns| crate::report::fit(text, columns))
}

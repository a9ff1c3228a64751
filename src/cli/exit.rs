//! Exit codes: one table, the same for every command.

use super::runs::ASIDE;
use crate::engine::{Broken, JOURNAL};
use std::fmt;
use std::path::Path;

/// How relight ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed; `relight resume` goes on where it stopped, if a run had begun.
    Failed = 1,
    /// Wrong usage or configuration; nothing was touched.
    Usage = 2,
    /// A check refused; its evidence is shown.
    Refused = 3,
    /// A person must answer; the flag that answers beforehand is shown.
    NeedsPerson = 4,
    /// Another relight holds the lock; it is named.
    Locked = 5,
    /// The journal is broken or cannot be written; nothing is done without it.
    Journal = 6,
    /// Interrupted (SIGINT); `relight resume` goes on where it stopped.
    Interrupted = 130,
    /// Terminated (SIGTERM); `relight resume` goes on where it stopped.
    Terminated = 143,
}

impl Exit {
    /// The code that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }
    /// The code of a run's outcome, as its last record has it.
    pub fn of_outcome(outcome: &str) -> Self {
        match outcome {
            "succeeded" => Self::Done,
            "refused" => Self::Refused,
            "needs_person" => Self::NeedsPerson,
            "interrupted" => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// An end with a reason: what happened and what to do next. Printed to stderr without a trace.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub what: String,
    /// What to do next; may be empty.
    pub remedy: String,
}

impl Stop {
    /// An end with this code.
    pub fn new(exit: Exit, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { exit, what: what.into(), remedy: remedy.into() }
    }
    /// Wrong usage or configuration.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, remedy)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  next: {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Stop {}

/// There is no room for what only this process needs.
pub fn no_temporary_directory(error: &std::io::Error) -> Stop {
    Stop::usage(
        format!("no temporary directory: {error}"),
        "let TMPDIR name a directory that can be written, or unset it",
    )
}

/// An error from the outside before there is a run: nothing is there to resume.
pub fn before_a_run(error: crate::world::Error) -> Stop {
    let stop = Stop::from(error);
    Stop { remedy: stop.remedy.replace("`relight resume`", "run this again"), ..stop }
}

impl From<crate::world::Error> for Stop {
    fn from(error: crate::world::Error) -> Self {
        let exit = match error.class {
            crate::world::Class::Refused => Exit::Refused,
            _ => Exit::Failed,
        };
        Self::new(exit, error.what, error.remedy)
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        let remedy = match &broken {
            Broken::Write { .. } | Broken::Beside { .. } => {
                "make room or mend the disk, then `relight resume`; nothing is done without the journal".to_owned()
            }
            Broken::Gone { place, .. } => {
                let run = Path::new(place).file_name().unwrap_or_default().to_string_lossy();
                format!(
                    "put its directory back from a copy, then `relight resume`; where there is none, `relight reconstruct --run {run}` \
                     makes the journal anew from the labels of what the run made (with --sandbox in the sandbox)"
                )
            }
            Broken::Line { place, .. } | Broken::Read { place, .. } => {
                let run = place.strip_suffix(&format!("/{JOURNAL}")).unwrap_or(place);
                format!(
                    "restore the journal from a copy, or set the run aside: `mv {run} {run}{ASIDE}`; a new run looks at the \
                     world before it does anything"
                )
            }
        };
        Self::new(Exit::Journal, broken.to_string(), remedy)
    }
}

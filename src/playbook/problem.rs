//! Collects the mistakes in one playbook, so that all are told at once.

use crate::config::{nearest, Place, Problem, Problems};
use std::path::PathBuf;

/// The mistakes found so far.
pub(super) struct Findings {
    file: PathBuf,
    problems: Problems,
}

impl Findings {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.into(), problems: Problems::default() }
    }
    pub(super) fn add(&mut self, at: Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.add(&self.file, at, what, remedy);
    }
    /// All, in the order of the file.
    pub(super) fn sorted(self) -> Vec<Problem> {
        self.problems.or(()).map_or_else(|problems| problems.0, |()| Vec::new())
    }
}

/// The remedy for a name that is not one of a closed list: the nearest one, or else the whole list.
pub(super) fn instead_of(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("write one of: {}", known.join(", ")),
    }
}

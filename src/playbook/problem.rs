//! A mistake in a playbook: where it stands, what it is, and what to do.

use std::fmt;

/// A place in a file. Both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Line.
    pub(super) line: u64,
    /// Column, in characters.
    pub(super) column: u64,
}

impl From<serde_saphyr::Location> for At {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// One mistake. Displayed as `file:line:column: what; what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}; {}", self.file, self.line, self.column, self.what, self.remedy)
    }
}

impl std::error::Error for Problem {}

/// Collects mistakes, so that all are told at once.
pub(super) struct Findings {
    file: String,
    problems: Vec<Problem>,
}

impl Findings {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), problems: Vec::new() }
    }
    pub(super) fn add(&mut self, at: At, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            what: what.into(),
            remedy: remedy.into(),
        });
    }
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
    /// All, in the order of the file.
    pub(super) fn sorted(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (p.line, p.column));
        self.problems
    }
}

/// The remedy for a name that is not one of a closed list: the nearest one, or else the whole list.
pub(super) fn instead_of(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("write one of: {}", known.join(", ")),
    }
}

/// The known name that a slip of the keyboard most likely meant: at most two changes away, or a third of its length.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let far = (name.chars().count() / 3).max(2);
    known
        .iter()
        .map(|k| (distance(name, k), *k))
        .filter(|(d, k)| *d <= far && *d < k.chars().count())
        .min()
        .map(|(_, k)| k)
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (y, (above, diagonal)) in b.iter().zip(row.iter().skip(1).zip(row.iter())) {
            left = (left + 1).min(above + 1).min(diagonal + usize::from(x != *y));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_changed_added_and_removed_characters() {
        assert_eq!(distance("needs", "needs"), 0);
        assert_eq!(distance("need", "needs"), 1);
        assert_eq!(distance("expcted", "expected"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_slip_is_answered_with_the_nearest_name_and_a_stranger_with_the_list() {
        assert_eq!(instead_of("deadlin", &["needs", "deadline"]), "did you mean `deadline`?");
        assert_eq!(instead_of("colour", &["id", "do"]), "write one of: id, do");
    }
}

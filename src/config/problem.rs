//! What is wrong in a file that a person wrote, where, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};
use strsim::osa_distance;

/// A place in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl From<serde_saphyr::Location> for Place {
    /// The parser's unknown location (0:0) becomes the start of the file: a person needs some place to look at.
    fn from(at: serde_saphyr::Location) -> Self {
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Self { line: count(at.line()), column: count(at.column()) }
    }
}

/// One mistake. Reads `file:line:column: what; what to do`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as a person would name it from here.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong. Never holds a secret's value.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, what, remedy } = self;
        write!(f, "{}:{line}:{column}: {what}; {remedy}", file.display())
    }
}

impl std::error::Error for Problem {}

/// Every mistake that was found, one per line when shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes one more.
    pub fn add(&mut self, file: &Path, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        let (what, remedy) = (what.into(), remedy.into());
        self.0.push(Problem { file: file.to_owned(), line: place.line, column: place.column, what, remedy });
    }
    /// `value` where nothing was found, else all problems in the order of the files and lines.
    pub fn or<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort();
        Err(self)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A path as it is shortest from here: relative to the working directory where it lies below it.
pub(super) fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_owned()
}

/// The known word that a misspelt one most likely means: at most a third of its letters wrong.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known.into_iter().map(|k| (osa_distance(word, k), k)).filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

/// What one may have meant, or what there is.
pub fn known<'a>(word: &str, names: impl Iterator<Item = &'a str>, none: &str) -> String {
    let names: Vec<&str> = names.collect();
    match nearest(word, names.iter().copied()) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None if names.is_empty() => none.to_owned(),
        None => format!("known here: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("clsuter", ["blaster", "cluster"]), Some("cluster"));
        assert_eq!(nearest("locatoins", ["image", "locations", "network"]), Some("locations"));
        assert_eq!(nearest("host", ["hosts", "zone"]), Some("hosts"));
        assert_eq!(nearest("banana", ["hosts", "zone"]), None);
    }

    #[test]
    fn problems_read_as_file_line_column_what_and_what_to_do() {
        let mut problems = Problems::default();
        problems.add(Path::new("b.yaml"), Place { line: 2, column: 3 }, "it is wrong", "make it right");
        problems.add(Path::new("a.yaml"), Place::START, "no", "yes");
        let shown = problems.or(()).unwrap_err().to_string();
        assert_eq!(shown, "a.yaml:1:1: no; yes\nb.yaml:2:3: it is wrong; make it right");
    }
}

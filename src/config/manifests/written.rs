//! Objects as they are written, for whoever finds a mistake in one and has to say where it is.

use super::super::problem::{Place, Problem};
use super::super::yaml::Yaml;
use super::Document;
use serde_json::Value;
use std::fmt;

/// One object of a manifest, and the places of everything in it.
pub(super) struct Written<'a> {
    /// The object as the API has it.
    pub object: Value,
    document: &'a Document,
}

impl<'a> Written<'a> {
    pub fn of(document: &'a Document) -> Self {
        Self { object: document.yaml.to_json(), document }
    }
    /// Its namespace, as kubectl has it: `default` where none is written.
    pub fn namespace(&self) -> &str {
        self.document.namespace()
    }
    /// Its kind.
    pub fn kind(&self) -> &str {
        self.document.kind()
    }
    /// Its name.
    pub fn name(&self) -> &str {
        self.document.name()
    }
    /// `namespace/name`.
    pub fn full(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }
    /// The text at a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        let (mut here, mut left) = (&self.document.yaml, path);
        while !left.is_empty() {
            let (_, value, rest) = step(here, left.trim_start_matches('.'))?;
            (here, left) = (value, rest);
        }
        here.text()
    }
    /// A mistake at the value of this path (`spec.rules[0].host`), or at the innermost part of the path that is there.
    pub fn problem(&self, path: &str, what: impl AsRef<str>, remedy: impl Into<String>) -> Problem {
        self.at(self.find(path).1, what.as_ref(), remedy.into())
    }
    /// The same at the key, for one that should not be there.
    pub fn problem_at_key(&self, path: &str, what: impl AsRef<str>, remedy: impl Into<String>) -> Problem {
        self.at(self.find(path).0, what.as_ref(), remedy.into())
    }
    fn at(&self, Place { line, column }: Place, what: &str, remedy: String) -> Problem {
        Problem { file: self.document.file.clone(), line, column, what: format!("{self}: {what}"), remedy }
    }
    /// Places of the key and of the value at a path.
    fn find(&self, path: &str) -> (Place, Place) {
        let (mut here, mut key, mut left) = (&self.document.yaml, self.document.yaml.place, path);
        while !left.is_empty() {
            let Some((at, value, rest)) = step(here, left.trim_start_matches('.')) else { break };
            (here, key, left) = (value, at, rest);
        }
        (key, here.place)
    }
}

/// The first part of a path: the place of its key, the value there, and the path's rest. A key may hold dots itself, as
/// `app.kubernetes.io/name` does: the longest one that fits is meant.
fn step<'a, 'b>(yaml: &'a Yaml, path: &'b str) -> Option<(Place, &'a Yaml, &'b str)> {
    if let Some((number, rest)) = path.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        let item = yaml.items().get(number.parse::<usize>().ok()?)?;
        return Some((item.place, item, rest));
    }
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
    let fitting = yaml.entries().iter().filter_map(|(key, value)| {
        let rest = path.strip_prefix(key.name.as_str()).filter(|rest| ends(rest))?;
        Some((key.place, value, rest))
    });
    fitting.min_by_key(|(_, _, rest)| rest.len())
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.document.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_path_leads_to_its_place_or_as_far_as_there_is_one() {
        let text = "kind: A\nspec:\n  list:\n    - { a.b/c: 1, a: 2 }\n";
        let yaml = Yaml::documents(Path::new("m.yaml"), text).unwrap().remove(0);
        let document = Document { file: "m.yaml".into(), yaml };
        let written = Written::of(&document);
        let places = |path| {
            let (key, value) = written.find(path);
            ((key.line, key.column), (value.line, value.column))
        };
        assert_eq!(places("spec.list[0].a.b/c"), ((4, 9), (4, 16)));
        assert_eq!(places("spec.list[0].a"), ((4, 19), (4, 22)));
        assert_eq!(places("spec.list[3].a").0, (3, 3), "there is no such item: the list itself");
    }
}

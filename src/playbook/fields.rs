//! Reading maps whose keys are known: unknown keys, missing keys and wrong types become findings.

use super::duration::duration;
use super::problem::{instead_of, Findings};
use super::tree::{Key, Node, Value};
use crate::config::Place;
use std::time::Duration;

/// A map and the findings of reading it.
pub(super) struct Fields<'t, 'f> {
    at: Place,
    entries: &'t [(Key, Node)],
    pub(super) findings: &'f mut Findings,
}

impl<'t, 'f> Fields<'t, 'f> {
    /// The node as a map with no keys but these; anything else is a finding and `None`. `what` names it: `a step`.
    pub(super) fn of(node: &'t Node, what: &str, known: &[&str], findings: &'f mut Findings) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let found = node.value.kind();
            findings.add(node.at, format!("{what} is {found}"), format!("write a map with: {}", known.join(", ")));
            return None;
        };
        for (key, _) in entries.iter().filter(|(k, _)| !known.contains(&k.name.as_str())) {
            findings.add(key.at, format!("unknown key `{}` in {what}", key.name), instead_of(&key.name, known));
        }
        Some(Self { at: node.at, entries, findings })
    }
    /// The value of a key.
    pub(super) fn find(&self, key: &str) -> Option<&'t Node> {
        self.entries.iter().find(|(k, _)| k.name == key).map(|(_, v)| v)
    }
    /// The value of a key that must be there.
    pub(super) fn required(&mut self, key: &str, remedy: &str) -> Option<&'t Node> {
        let found = self.find(key);
        if found.is_none() {
            self.findings.add(self.at, format!("`{key}` is missing"), remedy);
        }
        found
    }
    /// A text that must be there and not be empty.
    pub(super) fn required_text(&mut self, key: &str, remedy: &str) -> Option<(String, Place)> {
        let node = self.required(key, remedy)?;
        text(node, key, self.findings)
    }
    /// A text that may be there.
    pub(super) fn text(&mut self, key: &str) -> Option<(String, Place)> {
        text(self.find(key)?, key, self.findings)
    }
    /// A duration that may be there.
    pub(super) fn duration(&mut self, key: &str) -> Option<(Duration, Place)> {
        let node = self.find(key)?;
        let (read, written) = match &node.value {
            Value::Text(text) => (duration(text), text.clone()),
            _ => (None, node.json().to_string().chars().take(40).collect()),
        };
        if read.is_none() {
            self.findings.add(
                node.at,
                format!("`{key}` is no duration: `{written}`"),
                "write a number with a unit, such as 30s, 5m or 1m30s",
            );
        }
        read.map(|d| (d, node.at))
    }
    /// A `true` or `false`; false where it is not there.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.find(key).map(|n| (n.at, &n.value)) {
            None => false,
            Some((_, Value::Bool(b))) => *b,
            Some((at, other)) => {
                self.findings.add(at, format!("`{key}` is {}", other.kind()), "write true or false");
                false
            }
        }
    }
    /// One of a closed list of words; `otherwise` where it is not there or wrong.
    pub(super) fn one_of<T: Copy>(&mut self, key: &str, words: &[(&str, T)], otherwise: T) -> T {
        let Some((word, at)) = self.text(key) else { return otherwise };
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == word) {
            return *value;
        }
        let known: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        self.findings.add(at, format!("unknown {key} `{word}`"), instead_of(&word, &known));
        otherwise
    }
}

/// The node as a text that is not empty.
pub(super) fn text(node: &Node, what: &str, findings: &mut Findings) -> Option<(String, Place)> {
    match &node.value {
        Value::Text(text) if !text.trim().is_empty() => Some((text.clone(), node.at)),
        Value::Text(_) | Value::Null => {
            findings.add(node.at, format!("`{what}` is empty"), "write a text");
            None
        }
        other => {
            findings.add(node.at, format!("`{what}` is {}", other.kind()), "write a text, in quotes if need be");
            None
        }
    }
}

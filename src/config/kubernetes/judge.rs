//! What the API server would refuse of one object by its values. Its shape is judged in `shape.rs`; a value of the wrong type is
//! told there alone.

use super::numbers::{is_port_name, share, Number, NUMBERS};
use super::quantity::quantity;
use super::schema::{split_api_version, Schema};
use super::together::{Count, TOGETHER, WANTED};
use super::words::WORDS;
use super::{compare, pods};
use crate::config::nearest;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One value that the API server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// `spec.strategy.type`. Keys may hold dots themselves.
    pub path: String,
    /// Whether the key is what is wrong, and not the value.
    pub key: bool,
    /// What is wrong with it, without its path.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings(Vec<Invalid>);

impl Findings {
    pub fn add(&mut self, path: String, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Invalid { path, key: false, what: what.into(), remedy: remedy.into() });
    }
    pub fn at_key(&mut self, path: String, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Invalid { path, key: true, what: what.into(), remedy: remedy.into() });
    }
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What a field may hold.
#[derive(Clone, Copy)]
enum Rule {
    Words(&'static [&'static str]),
    Number(Number),
}

static RULES: LazyLock<BTreeMap<(&'static str, &'static str), Rule>> = LazyLock::new(|| {
    let words = WORDS.iter().map(|(of, field, words)| ((*of, *field), Rule::Words(words)));
    let numbers = NUMBERS.iter().flat_map(|(of, fields, number)| {
        fields.split_whitespace().map(move |field| ((*of, field), Rule::Number(*number)))
    });
    words.chain(numbers).collect()
});

/// Everything that the API server would refuse of an object by its values; nothing for a kind that the description does not have.
pub fn invalid(object: &Value) -> Vec<Invalid> {
    let mut found = Findings::default();
    let (group, version) = split_api_version(text(object, "apiVersion"));
    let schema = Schema::of_kind(group, version, text(object, "kind"));
    if let (Some(map), false) = (object.as_object(), schema.name().is_empty()) {
        fields(object, map, schema, "", &mut found);
        pods::check(object, &mut found);
    }
    found.0
}

fn fields(value: &Value, map: &Map<String, Value>, schema: Schema<'_>, path: &str, found: &mut Findings) {
    together(value, schema.name(), path, found);
    compare::check(value, schema.name(), path, found);
    for (field, inner) in map {
        // The status is the controllers' own.
        if inner.is_null() || (path.is_empty() && field == "status") {
            continue;
        }
        let here = join(path, field);
        if let Some(rule) = RULES.get(&(schema.name(), field.as_str())) {
            rule.check(inner, &here, found);
        } else if let Some((below, _)) = schema.field(field, path.is_empty()) {
            walk(inner, below, &here, found);
        }
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

fn walk(value: &Value, schema: Schema<'_>, path: &str, found: &mut Findings) {
    if schema.name() == "api.resource.Quantity" {
        return amount(value, path, found);
    }
    match value {
        Value::Object(map) => fields(value, map, schema, path, found),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, schema.items(), &format!("{path}[{i}]"), found);
            }
        }
        _ => {}
    }
}

fn amount(value: &Value, path: &str, found: &mut Findings) {
    match quantity(value) {
        None => found.add(
            path.to_owned(),
            format!("{value} is no quantity"),
            "write a number with a unit where it needs one, such as 100m, 0.5, 512Mi or 2Gi",
        ),
        Some(amount) if amount < 0 => {
            found.add(path.to_owned(), format!("{value} is below zero"), "write a quantity from 0");
        }
        Some(_) => {}
    }
}

impl Rule {
    fn check(self, value: &Value, path: &str, found: &mut Findings) {
        match (self, value) {
            (_, Value::Array(items)) => {
                for (i, item) in items.iter().enumerate() {
                    self.check(item, &format!("{path}[{i}]"), found);
                }
            }
            // The API server completes an empty text as one that is not there.
            (Self::Words(words), Value::String(word)) if !word.is_empty() && !words.contains(&word.as_str()) => {
                found.add(
                    path.to_owned(),
                    format!("\"{word}\" is not what Kubernetes knows here"),
                    one_of(word, words),
                );
            }
            (Self::Words(_), _) => {}
            (Self::Number(number), _) => number.check(value, path, found),
        }
    }
}

/// What was meant, or all there is.
pub(super) fn one_of(word: &str, words: &[&str]) -> String {
    let all = words.join(", ");
    let same = words.iter().find(|known| known.eq_ignore_ascii_case(word)).copied();
    match same.or_else(|| nearest(word, words.iter().copied())) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write {}{all}", if words.len() == 1 { "" } else { "one of " }),
    }
}

impl Number {
    fn check(self, value: &Value, path: &str, found: &mut Findings) {
        let mut refuse = |what: String, remedy: String| found.add(path.to_owned(), what, remedy);
        let name = |text: &str| {
            let remedy =
                "write a number from 1 to 65535, or a name of at most 15 lower-case letters, digits and hyphens";
            (!is_port_name(text)).then(|| (format!("\"{text}\" is no port"), remedy.to_owned()))
        };
        let wrong = match (self, value) {
            (Self::PortOrName, Value::Number(_)) => return Self::Between(1, 65_535).check(value, path, found),
            (Self::CountOrShare, Value::Number(_)) => {
                return Self::Between(0, i64::from(i32::MAX)).check(value, path, found)
            }
            (Self::Between(low, high), Value::Number(number)) => {
                let fits = number.as_i64().is_some_and(|n| (low..=high).contains(&n));
                // A fraction is told by its type.
                let whole = number.is_i64() || number.is_u64();
                let remedy = if high == i64::from(i32::MAX) {
                    format!("write a whole number from {low}")
                } else {
                    format!("write a whole number from {low} to {high}")
                };
                (whole && !fits).then(|| (format!("{number} is out of range"), remedy))
            }
            (Self::PortOrName | Self::PortName, Value::String(text)) => name(text),
            (Self::CountOrShare, Value::String(text)) => share(text).is_none_or(|n| n > 100).then(|| {
                (format!("\"{text}\" is no percentage"), "write a whole number, or a percentage such as 25%".to_owned())
            }),
            (Self::PortOrName, _) => Some(("it is no port".to_owned(), "write a number or a name".to_owned())),
            (Self::CountOrShare, _) => {
                Some(("it is no number".to_owned(), "write a number or a percentage".to_owned()))
            }
            _ => None,
        };
        if let Some((what, remedy)) = wrong {
            refuse(what, remedy);
        }
    }
}

fn together(value: &Value, of: &str, path: &str, found: &mut Findings) {
    let Some(map) = value.as_object() else { return };
    let there = |field: &&str| map.get(*field).is_some_and(|v| !v.is_null() && v.as_str() != Some(""));
    for (_, count, fields) in TOGETHER.iter().filter(|(known, ..)| *known == of) {
        let all: Vec<&str> = match fields {
            [] => map.keys().map(String::as_str).filter(|key| *key != "name").collect(),
            some => some.to_vec(),
        };
        let present: Vec<&str> = all.iter().copied().filter(there).collect();
        match present.as_slice() {
            [] if *count == Count::One => {
                let what = format!("it has none of {}", all.join(", "));
                found.add(path.to_owned(), what, "write one of them");
            }
            [first, second, ..] => {
                let what = format!("{first} and {second} exclude each other");
                found.at_key(join(path, second), what, "keep one of the two");
            }
            _ => {}
        }
    }
    for (_, wanted) in WANTED.iter().filter(|(known, _)| *known == of) {
        let is = wanted.split('.').try_fold(value, |here, key| here.get(key)).filter(|v| !v.is_null());
        if is.is_none_or(|v| v.as_array().is_some_and(Vec::is_empty)) {
            found.add(join(path, wanted), "it is missing", "add it: Kubernetes refuses it without");
        }
    }
}

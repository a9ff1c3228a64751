//! Holds a YAML tree against the configuration's JSON Schema and finds every misspelt key, wrong type and missing entry at
//! once. The schema is made from the raw input types, so what is checked here, what an editor knows and what is read are one.
//!
//! Understands what the schema of `raw.rs` uses: `$ref`, `type`, `properties`, `required`, `additionalProperties`, `items`,
//! `const`, `enum`, `minimum`, `maximum`, and alternatives that differ in type or in their single key.

use super::problem::{nearest, Problems};
use super::yaml::{Shape, Yaml};
use serde_json::Value;
use std::path::Path;

/// Adds what is wrong with `yaml` to `problems`.
pub(super) fn check(schema: &Value, file: &Path, yaml: &Yaml, problems: &mut Problems) {
    Walk { root: schema, file, problems }.value(schema, yaml, "");
}

struct Walk<'a> {
    root: &'a Value,
    file: &'a Path,
    problems: &'a mut Problems,
}

impl<'a> Walk<'a> {
    fn value(&mut self, schema: &'a Value, yaml: &Yaml, path: &str) {
        let schema = self.resolve(schema);
        let branches = self.branches(schema);
        if !branches.is_empty() {
            return self.alternatives(&branches, yaml, path);
        }
        if !accepts(schema, yaml) {
            return self.wrong(&[schema], yaml, path);
        }
        match &yaml.shape {
            Shape::Map(_) => self.map(schema, yaml, path),
            Shape::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.value(schema.get("items").unwrap_or(&Value::Null), item, &format!("{path}[{i}]"));
                }
            }
            Shape::Scalar(value) => self.scalar(schema, value, yaml, path),
        }
    }

    fn alternatives(&mut self, branches: &[&'a Value], yaml: &Yaml, path: &str) {
        let words: Vec<&str> = branches.iter().flat_map(|b| words(b)).collect();
        let fitting: Vec<&'a Value> = branches.iter().copied().filter(|b| accepts(b, yaml)).collect();
        match fitting.as_slice() {
            [] => self.wrong(branches, yaml, path),
            [one] => self.value(one, yaml, path),
            _ if !words.is_empty() => {
                if !yaml.text().is_some_and(|t| words.contains(&t)) {
                    self.word(&words, yaml, path);
                }
            }
            several => self.one_key_of(several, yaml, path),
        }
    }

    /// Alternatives that are maps with one key each: `{ env: X }` or `{ file: X }`.
    fn one_key_of(&mut self, branches: &[&'a Value], yaml: &Yaml, path: &str) {
        let keys: Vec<&str> = branches.iter().flat_map(|b| properties(b)).map(|(k, _)| k).collect();
        let [(key, value)] = yaml.entries() else {
            let what = format!("{} needs exactly one key", named(path));
            return self.problems.add(self.file, yaml.place, what, format!("write one of {}", keys.join(", ")));
        };
        match branches.iter().flat_map(|b| properties(b)).find(|(k, _)| *k == key.name) {
            Some((_, schema)) => self.value(schema, value, &join(path, &key.name)),
            None => self.unknown(key, &keys, path),
        }
    }

    fn map(&mut self, schema: &'a Value, yaml: &Yaml, path: &str) {
        let known: Vec<(&str, &Value)> = properties(schema);
        let names: Vec<&str> = known.iter().map(|(k, _)| *k).collect();
        let open = schema.get("additionalProperties").filter(|s| s.is_object());
        let mut meant: Vec<&str> = Vec::new();
        for (key, value) in yaml.entries() {
            let below = join(path, &key.name);
            match (known.iter().find(|(k, _)| *k == key.name).map(|(_, s)| *s), open) {
                (Some(_), _) if value.shape == Shape::Scalar(Value::Null) => {
                    self.problems.add(
                        self.file,
                        key.place,
                        format!("{below} is empty"),
                        "give it a value or leave it out",
                    );
                }
                (Some(schema), _) | (None, Some(schema)) => self.value(schema, value, &below),
                (None, None) => {
                    let free = names.iter().copied().filter(|n| !yaml.entries().iter().any(|(k, _)| k.name == *n));
                    meant.extend(nearest(&key.name, free));
                    self.unknown(key, &names, path);
                }
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for name in required.filter(|n| !yaml.entries().iter().any(|(k, _)| k.name == **n) && !meant.contains(n)) {
            let about = known.iter().find(|(k, _)| *k == name).and_then(|(_, s)| self.about(s));
            let remedy = about.map_or_else(|| format!("add {name}"), |a| format!("add {name} ({a})"));
            self.problems.add(self.file, yaml.place, format!("{} lacks the key \"{name}\"", named(path)), remedy);
        }
    }

    fn scalar(&mut self, schema: &'a Value, value: &Value, yaml: &Yaml, path: &str) {
        let allowed = words(schema);
        if !allowed.is_empty() && !yaml.text().is_some_and(|t| allowed.contains(&t)) {
            self.word(&allowed, yaml, path);
        }
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let Some(number) = value.as_f64() else { return };
        if bound("minimum").is_some_and(|m| number < m) || bound("maximum").is_some_and(|m| number > m) {
            let limits = match (bound("minimum"), bound("maximum")) {
                (Some(low), Some(high)) => format!("write a number from {low} to {high}"),
                (Some(low), None) => format!("write a number from {low} on"),
                _ => "write a smaller number".to_owned(),
            };
            self.problems.add(self.file, yaml.place, format!("{} cannot be {value}", named(path)), limits);
        }
    }

    fn unknown(&mut self, key: &super::yaml::Key, known: &[&str], path: &str) {
        let place = if path.is_empty() { String::new() } else { format!(" in {path}") };
        let remedy = super::problem::known(&key.name, known.iter().copied(), "there are none");
        self.problems.add(self.file, key.place, format!("unknown key \"{}\"{place}", key.name), remedy);
    }

    fn word(&mut self, allowed: &[&str], yaml: &Yaml, path: &str) {
        let is = yaml.text().unwrap_or_default();
        let what = format!("{} cannot be \"{is}\"", named(path));
        let remedy = match nearest(is, allowed.iter().copied()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("write {}", allowed.join(" or ")),
        };
        self.problems.add(self.file, yaml.place, what, remedy);
    }

    /// The value's type fits no schema.
    fn wrong(&mut self, schemas: &[&Value], yaml: &Yaml, path: &str) {
        let mut kinds: Vec<&str> = schemas.iter().flat_map(|s| types(s)).filter(|t| *t != "null").map(spoken).collect();
        kinds.dedup();
        let is = match &yaml.shape {
            Shape::Map(_) => "a map",
            Shape::List(_) => "a list",
            Shape::Scalar(Value::Null) => "empty",
            Shape::Scalar(Value::Bool(_)) => "true or false",
            Shape::Scalar(Value::Number(_)) => "a number",
            Shape::Scalar(_) => "a text",
        };
        let scalar = matches!(&yaml.shape, Shape::Scalar(v) if !v.is_null());
        let remedy = match (kinds.as_slice(), scalar) {
            (["a text"], true) => "put it in quotes".to_owned(),
            (["a list"], true) => "put it in brackets: [...]".to_owned(),
            _ => format!("write {}", kinds.join(" or ")),
        };
        let what = format!("{} must be {}, not {is}", named(path), kinds.join(" or "));
        self.problems.add(self.file, yaml.place, what, remedy);
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        target.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    /// The alternatives of a schema, resolved, without null.
    fn branches(&self, schema: &'a Value) -> Vec<&'a Value> {
        let listed = ["anyOf", "oneOf"].iter().filter_map(|k| schema.get(*k)).filter_map(Value::as_array).flatten();
        let resolved: Vec<&Value> = listed.map(|b| self.resolve(b)).collect();
        resolved
            .into_iter()
            .filter(|b| b.get("type").and_then(Value::as_str) != Some("null"))
            .flat_map(|b| {
                let inner = self.branches(b);
                if inner.is_empty() {
                    vec![b]
                } else {
                    inner
                }
            })
            .collect()
    }

    /// The first sentence of a schema's description.
    fn about(&self, schema: &'a Value) -> Option<&'a str> {
        let own = schema.get("description").or_else(|| self.resolve(schema).get("description"))?;
        own.as_str().and_then(|text| text.split(". ").next()).map(|text| text.trim_end_matches('.'))
    }
}

/// A path as a person reads it.
fn named(path: &str) -> &str {
    if path.is_empty() {
        "the configuration"
    } else {
        path
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn properties(schema: &Value) -> Vec<(&str, &Value)> {
    let map = schema.get("properties").and_then(Value::as_object);
    map.into_iter().flatten().map(|(k, v)| (k.as_str(), v)).collect()
}

/// The words that a text may be; empty: any.
fn words(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).filter_map(Value::as_str).collect()
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn accepts(schema: &Value, yaml: &Yaml) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|t| match (&yaml.shape, *t) {
            (Shape::Map(_), "object") | (Shape::List(_), "array") => true,
            (Shape::Scalar(Value::Null), t) => t == "null",
            (Shape::Scalar(Value::Bool(_)), t) => t == "boolean",
            (Shape::Scalar(Value::String(_)), t) => t == "string",
            (Shape::Scalar(Value::Number(n)), "integer") => n.is_u64() || n.is_i64(),
            (Shape::Scalar(Value::Number(_)), t) => t == "number",
            _ => false,
        })
}

fn spoken(kind: &str) -> &str {
    match kind {
        "object" => "a map",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

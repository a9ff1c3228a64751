//! Sets of fields, as `managedFields` keep them (`fieldsV1`), and how they follow from an object and its schema.
//!
//! Source of the form: sigs.k8s.io/structured-merge-diff, `fieldpath`: `f:name` a field, `k:{...}` a list item by its keys,
//! `v:...` a member of a set, `.` the thing itself.

use super::schema::{ListKind, Schema};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One step of a path, in its written form.
pub type Element = String;

/// A set of paths as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Whether the path that ends here is in the set.
    pub member: bool,
    /// What lies below.
    pub below: BTreeMap<Element, FieldSet>,
}

/// The element of a field.
pub fn field(name: &str) -> Element {
    format!("f:{name}")
}

/// The element of a list's item, `None` where a key is missing and has no default.
pub fn item(list: &ListKind, schema: Schema<'_>, value: &Value) -> Option<Element> {
    match list {
        ListKind::Atomic => None,
        ListKind::Set => Some(format!("v:{value}")),
        ListKind::Map(keys) => {
            let mut named = Map::new();
            for key in keys {
                // A missing key counts with its default, or as absent where another key is there (structured-merge-diff).
                if let Some(v) = value.get(key).or_else(|| schema.default_of(key)) {
                    named.insert(key.clone(), v.clone());
                }
            }
            // Written with sorted keys whatever order the map keeps.
            let sorted: BTreeMap<_, _> = named.iter().collect();
            if sorted.is_empty() {
                return None;
            }
            serde_json::to_string(&sorted).ok().map(|text| format!("k:{text}"))
        }
    }
}

impl FieldSet {
    /// The set of everything that an object says.
    pub fn of(value: &Value, schema: Schema<'_>) -> Self {
        let mut set = Self::default();
        set.collect(value, schema, true);
        set
    }
    /// The set of everything that a part of an object says.
    pub fn below_top(value: &Value, schema: Schema<'_>) -> Self {
        let mut set = Self::default();
        set.collect(value, schema, false);
        set
    }
    fn collect(&mut self, value: &Value, schema: Schema<'_>, top: bool) {
        match value {
            Value::Object(map) if !schema.atomic_map() => {
                for (name, inner) in map {
                    let (below, declared) = schema.field(name, top).unwrap_or((Schema::free(), false));
                    let child = self.below.entry(field(name)).or_default();
                    child.collect(inner, below, false);
                    let empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                    child.member |= empty || !declared;
                }
            }
            Value::Array(items) if schema.list() != ListKind::Atomic => {
                let list = schema.list();
                for inner in items {
                    if let Some(element) = item(&list, schema.items(), inner) {
                        let child = self.below.entry(element).or_default();
                        child.collect(inner, schema.items(), false);
                        child.member = true;
                    }
                }
            }
            _ => self.member = true,
        }
    }
    /// Whether it holds no path.
    pub fn is_empty(&self) -> bool {
        !self.member && self.below.values().all(Self::is_empty)
    }
    /// Removes what the predicate's set holds.
    pub fn subtract(&mut self, other: &Self) {
        if other.member {
            self.member = false;
        }
        for (element, theirs) in &other.below {
            if let Some(mine) = self.below.get_mut(element) {
                mine.subtract(theirs);
            }
        }
        self.below.retain(|_, s| !s.is_empty());
    }
    /// Removes this path and everything below it.
    pub fn cut(&mut self, path: &[&str]) {
        match path {
            [] => *self = Self::default(),
            [last] => drop(self.below.remove(*last)),
            [first, rest @ ..] => {
                if let Some(child) = self.below.get_mut(*first) {
                    child.cut(rest);
                    if child.is_empty() {
                        self.below.remove(*first);
                    }
                }
            }
        }
    }
    /// Adds what the other holds.
    pub fn add(&mut self, other: &Self) {
        self.member |= other.member;
        for (element, theirs) in &other.below {
            self.below.entry(element.clone()).or_default().add(theirs);
        }
    }
    /// What both hold.
    pub fn common(&self, other: &Self) -> Self {
        let below = self
            .below
            .iter()
            .filter_map(|(e, mine)| Some((e.clone(), mine.common(other.below.get(e)?))))
            .filter(|(_, s)| !s.is_empty())
            .collect();
        Self { member: self.member && other.member, below }
    }
    /// The set below an element.
    pub fn under(&self, element: &str) -> Option<&Self> {
        self.below.get(element)
    }
    /// Every path in it, as API messages write it: `.spec.template.spec.containers[name="api"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.write("", &mut all);
        all
    }
    fn write(&self, prefix: &str, all: &mut Vec<String>) {
        if self.member && !prefix.is_empty() {
            all.push(prefix.to_owned());
        }
        for (element, child) in &self.below {
            child.write(&format!("{prefix}{}", spoken(element)), all);
        }
    }
    /// As `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.below.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (element, child) in &self.below {
            map.insert(element.clone(), child.to_json());
        }
        Value::Object(map)
    }
    /// From `fieldsV1`.
    pub fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        if let Some(map) = value.as_object() {
            set.member = map.is_empty() || map.contains_key(".");
            set.below = map.iter().filter(|(k, _)| *k != ".").map(|(k, v)| (k.clone(), Self::from_json(v))).collect();
        }
        set
    }
}

fn spoken(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = element.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys: BTreeMap<String, Value> =
        element.strip_prefix("k:").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let keys: Vec<_> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("[{}]", keys.join(","))
}

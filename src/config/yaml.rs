//! YAML as it stands in a file: every value with its place. What people write is read into this first, so that whatever is
//! wrong with it later can be pointed at.
//!
//! Scalars are read as kubectl reads them (YAML 1.1: `yes` is true, `0644` is 420), merge keys and aliases are resolved, and a
//! key that is written twice is a mistake. Source: tokens compared with `kubectl annotate --local -o json`.

use super::problem::{Place, Problem};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::fmt;
use std::path::Path;

/// A value with the place where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Yaml {
    pub place: Place,
    pub shape: Shape,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// null, a boolean, a number or a text.
    Scalar(Value),
    List(Vec<Yaml>),
    Map(Vec<(Key, Yaml)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub place: Place,
    pub name: String,
}

/// How YAML is read everywhere in relight: kubectl's scalars, and no excerpt of the file in an error (it may hold a secret).
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false }
}

impl Yaml {
    /// All documents of a text; empty ones are left out. The first mistake ends the reading: nothing behind it can be trusted.
    pub fn documents(file: &Path, text: &str) -> Result<Vec<Self>, Problem> {
        serde_saphyr::from_multiple_with_options::<Self>(text, options()).map_err(|e| syntax_problem(file, &e))
    }
    /// The value below `key`, where this is a map that has it and it is not null.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Shape::Map(entries) = &self.shape else { return None };
        entries.iter().find(|(k, _)| k.name == key).map(|(_, v)| v).filter(|v| v.shape != Shape::Scalar(Value::Null))
    }
    /// The value at the end of a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |here, key| here.get(key))
    }
    /// The text, where this is one.
    pub fn text(&self) -> Option<&str> {
        if let Shape::Scalar(Value::String(text)) = &self.shape {
            Some(text)
        } else {
            None
        }
    }
    /// The items, where this is a list; else none.
    pub fn items(&self) -> &[Self] {
        if let Shape::List(items) = &self.shape {
            items
        } else {
            &[]
        }
    }
    /// The entries, where this is a map; else none.
    pub fn entries(&self) -> &[(Key, Self)] {
        if let Shape::Map(entries) = &self.shape {
            entries
        } else {
            &[]
        }
    }
    /// As JSON.
    pub fn to_json(&self) -> Value {
        match &self.shape {
            Shape::Scalar(value) => value.clone(),
            Shape::List(items) => items.iter().map(Self::to_json).collect(),
            Shape::Map(entries) => entries.iter().map(|(k, v)| (k.name.clone(), v.to_json())).collect(),
        }
    }
}

/// A parser's error as a problem: its position is said once, in front.
pub(super) fn syntax_problem(file: &Path, error: &serde_saphyr::Error) -> Problem {
    let place = error.location().map_or(Place::START, Place::from);
    let text = error.without_snippet().to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before);
    let what = what.split_once(", set DuplicateKeyPolicy").map_or(what, |(before, _)| before).to_owned();
    let remedy = if what.starts_with("duplicate mapping key") {
        "keep one of the two"
    } else {
        "mend the YAML here or in the line before"
    };
    Problem { file: file.to_owned(), line: place.line, column: place.column, what, remedy: remedy.into() }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Self { place: referenced.into(), shape: value })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }
    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Shape, E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number that JSON cannot hold"))?;
        Ok(Shape::Scalar(Value::Number(number)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Shape::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Yaml>()? {
            entries.push((Key { place: key.referenced.into(), name: key.value }, value));
        }
        Ok(Shape::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_what_kubectl_makes_of_them_and_know_their_place() {
        let text =
            "a: yes\nb: 0644\nc: [1.5, ~, 0x1f]\nd: 2020-01-01\n---\n# nothing\n---\nbase: &x {k: v}\nuse:\n  <<: *x\n";
        let docs = Yaml::documents(Path::new("t.yaml"), text).unwrap();
        assert_eq!(docs[0].to_json(), json!({"a": true, "b": 420, "c": [1.5, null, 31], "d": "2020-01-01"}));
        assert_eq!(docs[1].to_json(), json!({"base": {"k": "v"}, "use": {"k": "v"}}));
        assert_eq!(docs[0].get("c").unwrap().items()[2].place, Place { line: 3, column: 13 });
        assert_eq!(docs[1].place.line, 8);
    }

    #[test]
    fn a_syntax_error_has_a_place_and_says_it_once() {
        let error = |text| Yaml::documents(Path::new("t.yaml"), text).unwrap_err().to_string();
        assert_eq!(error("a: 1\na: 2\n"), "t.yaml:2:1: duplicate mapping key: a; keep one of the two");
        assert!(error("a: 1\n---\nb: [\n").starts_with("t.yaml:3:4: unclosed bracket '['; "));
    }
}

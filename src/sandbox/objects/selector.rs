//! Label and field selectors.

use super::failure::Failure;
use super::read::{list, map, text};
use serde_json::Value;

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq)]
enum Need {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// A label selector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels(Vec<Need>);

impl Labels {
    /// Reads the written form: `a=b,c!=d,e in (f,g),h,!i`.
    pub fn parse(written: &str) -> Result<Self, Failure> {
        let mut needs = Vec::new();
        for part in split_outside_brackets(written) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let set = |rest: &str| -> Vec<String> {
                rest.trim()
                    .trim_start_matches('(')
                    .trim_end_matches(')')
                    .split(',')
                    .map(|v| v.trim().to_owned())
                    .collect()
            };
            needs.push(if let Some((key, rest)) = part.split_once(" notin ") {
                Need::NotIn(key.trim().into(), set(rest))
            } else if let Some((key, rest)) = part.split_once(" in ") {
                Need::In(key.trim().into(), set(rest))
            } else if let Some((key, value)) = part.split_once("!=") {
                Need::NotIn(key.trim().into(), vec![value.trim().into()])
            } else if let Some((key, value)) = part.split_once('=') {
                Need::In(key.trim().into(), vec![value.trim_start_matches('=').trim().into()])
            } else if let Some(key) = part.strip_prefix('!') {
                Need::Missing(key.trim().into())
            } else {
                Need::Exists(part.into())
            });
        }
        let odd = |key: &String| key.is_empty() || key.contains(|c: char| c.is_whitespace() || "()!=,".contains(c));
        let broken = needs.iter().any(|n| match n {
            Need::In(k, _) | Need::NotIn(k, _) | Need::Exists(k) | Need::Missing(k) => odd(k),
        });
        if broken {
            return Err(Failure::bad_request(format!("unable to parse requirement: {written}")));
        }
        Ok(Self(needs))
    }
    /// Reads a `LabelSelector` (`matchLabels`, `matchExpressions`). An empty one matches everything.
    pub fn of(selector: &Value) -> Self {
        let mut needs: Vec<Need> = map(selector, "/matchLabels")
            .into_iter()
            .flatten()
            .map(|(k, v)| Need::In(k.clone(), vec![v.as_str().unwrap_or_default().to_owned()]))
            .collect();
        for e in list(selector, "/matchExpressions") {
            needs.push(Self::expression(e));
        }
        Self(needs)
    }
    /// Reads one term of `matchExpressions`.
    fn expression(e: &Value) -> Need {
        let key = text(e, "/key").to_owned();
        let values = list(e, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        match text(e, "/operator") {
            "NotIn" => Need::NotIn(key, values),
            "Exists" => Need::Exists(key),
            "DoesNotExist" => Need::Missing(key),
            _ => Need::In(key, values),
        }
    }
    /// Whether an object's labels match.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = map(object, "/metadata/labels");
        let get = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        self.0.iter().all(|need| match need {
            Need::In(key, values) => get(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Need::NotIn(key, values) => !get(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Need::Exists(key) => get(key).is_some(),
            Need::Missing(key) => get(key).is_none(),
        })
    }
}

fn split_outside_brackets(written: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_u32);
    for c in written.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

/// Whether an object matches a field selector (`metadata.name=a,status.phase!=Running`).
pub fn fields_match(object: &Value, written: &str) -> bool {
    written.split(',').filter(|p| !p.trim().is_empty()).all(|part| {
        let (path, value, equal) = match part.split_once("!=") {
            Some((path, value)) => (path, value, false),
            None => part.split_once('=').map_or((part, "", true), |(p, v)| (p, v.trim_start_matches('='), true)),
        };
        let found = object.pointer(&format!("/{}", path.trim().replace('.', "/")));
        let found = match found {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        (found == value.trim()) == equal
    })
}

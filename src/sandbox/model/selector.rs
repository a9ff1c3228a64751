//! Label selectors. Source: Hetzner Cloud API overview, "Label Selector".

use super::ApiError;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Is(String, String),
    IsNot(String, String),
    Has(String),
    HasNot(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

/// A parsed selector: all terms must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

impl Selector {
    /// Reads `k=v`, `k==v`, `k!=v`, `k`, `!k`, `k in (a,b)`, `k notin (a,b)`, joined by commas. Empty selects everything.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        split(text)?.into_iter().map(|t| term(t.trim())).collect::<Result<_, _>>().map(Self)
    }
    /// Whether these labels are selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| match term {
            Term::Is(k, v) => labels.get(k) == Some(v),
            Term::IsNot(k, v) => labels.get(k) != Some(v),
            Term::Has(k) => labels.contains_key(k),
            Term::HasNot(k) => !labels.contains_key(k),
            Term::In(k, set) => labels.get(k).is_some_and(|v| set.contains(v)),
            Term::NotIn(k, set) => !labels.get(k).is_some_and(|v| set.contains(v)),
        })
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Result<Vec<&str>, ApiError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut depth, mut from, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err(bad(text));
    }
    parts.extend(text.get(from..));
    Ok(parts)
}

fn bad(text: &str) -> ApiError {
    ApiError::invalid("label_selector", &format!("cannot be read: {text}"))
}

fn key(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if text.is_empty() || !text.chars().all(allowed) {
        return Err(bad(text));
    }
    Ok(text.to_owned())
}

fn set(text: &str) -> Result<Vec<String>, ApiError> {
    let inner = text.trim().strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or_else(|| bad(text))?;
    Ok(inner.split(',').map(|v| v.trim().to_owned()).collect())
}

fn term(text: &str) -> Result<Term, ApiError> {
    if let Some((k, v)) = text.split_once("!=") {
        return Ok(Term::IsNot(key(k)?, v.trim().to_owned()));
    }
    if let Some((k, v)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Term::Is(key(k)?, v.trim().to_owned()));
    }
    if let Some((k, v)) = text.split_once(" notin ") {
        return Ok(Term::NotIn(key(k)?, set(v)?));
    }
    if let Some((k, v)) = text.split_once(" in ") {
        return Ok(Term::In(key(k)?, set(v)?));
    }
    match text.strip_prefix('!') {
        Some(k) => Ok(Term::HasNot(key(k)?)),
        None => Ok(Term::Has(key(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_of_the_api_selects_as_documented() {
        let labels: BTreeMap<_, _> = [("env".to_owned(), "prod".to_owned()), ("x".to_owned(), String::new())].into();
        let yes =
            ["", "env", "env=prod", "env==prod", "env!=dev", "!nope", "env in (dev,prod)", "nope notin (a)", "x=,env"];
        let no = ["nope", "env=dev", "env!=prod", "!env", "env in (a,b)", "env notin (prod)", "env=prod,nope"];
        for text in yes {
            assert!(Selector::parse(text).unwrap().selects(&labels), "{text}");
        }
        for text in no {
            assert!(!Selector::parse(text).unwrap().selects(&labels), "{text}");
        }
        for text in ["a b", "env in prod", "(", ","] {
            assert_eq!(Selector::parse(text).unwrap_err().status, 422, "{text}");
        }
    }
}

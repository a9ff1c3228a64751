//! Fields, their types and their values, by what is known of Kubernetes' API. Kinds that its description does not have, custom
//! resources above all, are not judged.

use super::super::kubernetes::{described, invalid, Unknown};
use super::super::problem::Problem;
use super::Written;
use serde_json::Value;

pub(super) fn check(written: &Written<'_>, problems: &mut Vec<Problem>) {
    let Some(shape) = described(&written.object) else { return };
    for Unknown { path, meant } in &shape.unknown {
        let remedy = match meant {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("remove it, or look at `kubectl explain {}`", written.kind().to_lowercase()),
        };
        problems.push(written.problem_at_key(path, format!("there is no field {path}"), remedy));
    }
    for (path, wanted) in &shape.mistyped {
        // Never the value itself: it may be a secret's.
        let is = at(&written.object, path).map_or("something else", word);
        let remedy = match (wanted.as_str(), is) {
            ("string", "a number" | "a boolean") => "put it in quotes".to_owned(),
            _ => format!("write {}", wanted_word(wanted)),
        };
        let what = format!("{path} is {is} where Kubernetes wants {}", wanted_word(wanted));
        problems.push(written.problem(path, what, remedy));
    }
    for path in &shape.missing {
        problems.push(written.problem(path, format!("{path} is missing"), "add it: Kubernetes refuses it without"));
    }
    for wrong in invalid(&written.object) {
        let what = format!("{}: {}", wrong.path, wrong.what);
        let at = if wrong.key { Written::problem_at_key } else { Written::problem };
        problems.push(at(written, &wrong.path, &what, wrong.remedy));
    }
}

/// The value at a path as the description's judge writes it. A key may hold dots itself.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.trim_start_matches('.');
    if path.is_empty() {
        return Some(value);
    }
    if let Some((number, rest)) = path.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        return at(value.get(number.parse::<usize>().ok()?)?, rest);
    }
    let ends = |rest: &&str| rest.is_empty() || rest.starts_with(['.', '[']);
    value.as_object()?.iter().find_map(|(key, inner)| at(inner, path.strip_prefix(key.as_str()).filter(ends)?))
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn wanted_word(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a map",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    }
}

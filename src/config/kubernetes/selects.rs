//! Label selectors.

use serde_json::Value;

/// Whether a label selector selects the objects that this template makes. An empty one selects nothing that anybody meant.
/// Source: Kubernetes, "Labels and Selectors", resources that support set-based requirements.
pub fn selects(selector: &Value, template: &Value) -> bool {
    let label = |key: &str| template.pointer("/metadata/labels").and_then(|labels| labels.get(key));
    let equal = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut terms = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let term = |term: &Value| {
        let text = |key: &str| term.get(key).and_then(Value::as_str).unwrap_or_default();
        let values = term.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is = label(text("key"));
        match text("operator") {
            "NotIn" => !is.is_some_and(|is| values.contains(is)),
            "Exists" => is.is_some(),
            "DoesNotExist" => is.is_none(),
            _ => is.is_some_and(|is| values.contains(is)),
        }
    };
    let some = selector.as_object().is_some_and(|s| !s.is_empty());
    some && equal.into_iter().all(|(key, value)| label(key) == Some(value)) && terms.all(term)
}

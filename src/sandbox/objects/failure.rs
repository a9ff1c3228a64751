//! Why the API server refuses: a Kubernetes `Status`.

use super::kinds::Served;
use serde_json::{json, Value};

/// A refusal, as the API server words it. Reasons and codes are those of Kubernetes' `apimachinery/pkg/api/errors`.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    /// `NotFound`, `Conflict`, `Invalid`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Kind, name and causes.
    pub details: Value,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u32>,
}

impl Failure {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}), retry_after: None }
    }
    fn about(served: &Served, name: &str, code: u16, reason: &'static str, message: String) -> Self {
        let details = json!({"name": name, "group": served.group, "kind": served.plural});
        Self { details, ..Self::new(code, reason, message) }
    }
    /// 404 for an object.
    pub fn not_found(served: &Served, name: &str) -> Self {
        Self::about(served, name, 404, "NotFound", format!("{} \"{name}\" not found", served.resource()))
    }
    /// 404 for a path or kind that is not served.
    pub fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }
    /// 409: it is there already.
    pub fn exists(served: &Served, name: &str) -> Self {
        Self::about(served, name, 409, "AlreadyExists", format!("{} \"{name}\" already exists", served.resource()))
    }
    /// 409: it has changed since it was read, or may not be changed now.
    pub fn conflict(served: &Served, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", served.resource());
        Self::about(served, name, 409, "Conflict", message)
    }
    /// 422 with one cause for each field and what is wrong with it.
    pub fn invalid(served: &Served, name: &str, causes: &[(String, String)]) -> Self {
        let words: Vec<_> = causes.iter().map(|(field, why)| format!("{field}: {why}")).collect();
        let all = if words.len() == 1 { words.concat() } else { format!("[{}]", words.join(", ")) };
        let gk =
            if served.group.is_empty() { served.kind.clone() } else { format!("{}.{}", served.kind, served.group) };
        let mut failure = Self::about(served, name, 422, "Invalid", format!("{gk} \"{name}\" is invalid: {all}"));
        failure.with_causes(
            causes.iter().map(|(f, why)| json!({"reason": "FieldValueInvalid", "message": why, "field": f})),
        );
        failure
    }
    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }
    /// 410: a watch begins before what is remembered.
    pub fn gone() -> Self {
        Self::new(410, "Expired", "too old resource version")
    }
    /// Adds causes.
    pub fn with_causes(&mut self, causes: impl Iterator<Item = Value>) {
        if let Some(details) = self.details.as_object_mut() {
            details.insert("causes".into(), causes.collect());
        }
    }
    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut details = self.details.clone();
        if let (Some(after), Some(map)) = (self.retry_after, details.as_object_mut()) {
            map.insert("retryAfterSeconds".into(), after.into());
        }
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": details, "code": self.code})
    }
}

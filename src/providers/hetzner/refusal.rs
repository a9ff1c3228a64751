//! What a refusal of the Hetzner API means for a run.

use crate::providers::transport::{Answer, Endpoint};
use crate::world::{Class, Error};
use http::{Method, StatusCode};
use serde_json::Value;
use std::fmt::Write;

/// The error for a reply that is not a success. The class is decided by the code, where the reply has one, else by the status.
///
/// Source: Hetzner Cloud API overview, "Errors" (`{"error": {"code", "message", "details"}}`), and the codes of the calls.
pub(super) fn class(endpoint: &Endpoint, method: &Method, path: &str, answer: &Answer) -> Error {
    let reply = answer.json().unwrap_or(Value::Null);
    let said = |pointer: &str| reply.pointer(pointer).and_then(Value::as_str);
    let code = said("/error/code").unwrap_or_default();
    let (class, remedy) = meaning(answer.status, code, *method == Method::GET);
    let mut what = format!("{}: {method} {path}: {}", endpoint.name(), answer.status.as_u16());
    for part in [code, said("/error/message").unwrap_or_default()] {
        if !part.is_empty() {
            what.push_str(": ");
            what.push_str(part);
        }
    }
    if let Some(details) = details(&reply) {
        let _ = write!(what, " ({details})");
    }
    if let Some(id) = answer.header("x-correlation-id") {
        let _ = write!(what, " [correlation id {id}]");
    }
    let mut error = Error::new(class, what).remedy(remedy);
    if !code.is_empty() {
        error = error.code(code);
    }
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        let after = endpoint.budget.refused(answer.retry_after());
        error = error.retry_after(after);
    }
    error
}

/// The names of the fields or limits that the API complains of.
fn details(reply: &Value) -> Option<String> {
    let details = reply.pointer("/error/details")?;
    let list = details.get("fields").or_else(|| details.get("limits"))?.as_array()?;
    let names: Vec<&str> = list.iter().filter_map(|entry| entry.get("name")?.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The class and the remedy. `reads`: the request changes nothing.
fn meaning(status: StatusCode, code: &str, reads: bool) -> (Class, &'static str) {
    match code {
        "unauthorized" => (Class::Fatal, "set HCLOUD_TOKEN to a valid API token of the project"),
        "token_readonly" => (Class::Fatal, "set HCLOUD_TOKEN to an API token with read and write permission"),
        "resource_limit_exceeded" => {
            (Class::Fatal, "delete what is not needed or ask Hetzner for a higher limit, then `relight resume`")
        }
        "maintenance" => {
            (Class::Transient, "Hetzner is under maintenance: see status.hetzner.com, then `relight resume`")
        }
        "not_found" => (Class::Fatal, "it is gone: `relight resume` looks at everything again"),
        "uniqueness_error" => {
            (Class::Refused, "something of this name exists already: look at it, and rename or delete it")
        }
        "conflict" | "locked" => {
            (Class::Transient, "another action runs on it; if this stays, look at it in the console")
        }
        "resource_in_use" => (Class::Transient, "something still uses it; if this stays, look at it in the console"),
        "protected" => (Class::Refused, "it is protected: take the protection off in the console if it may go"),
        "resource_unavailable" | "placement_error" => {
            (Class::Branch, "sold out here: add locations or server types to relight.yaml")
        }
        "rate_limit_exceeded" => {
            (Class::Transient, "the project's API allowance is used up: wait, or stop what else uses it")
        }
        "deprecated_api_endpoint" => (Class::Fatal, "the API has changed: use a newer relight"),
        "server_not_stopped"
        | "must_be_unassigned"
        | "already_in_placement_group"
        | "primary_ip_assigned"
        | "primary_ip_datacenter_mismatch" => (Class::Refused, "its state forbids this: look at it in the console"),
        "firewall_managed_by_label_selector" => (
            Class::Refused,
            "a label selector puts the firewall there: in the console, take off the label, or the selector",
        ),
        _ => by_status(status, reads),
    }
}

fn by_status(status: StatusCode, reads: bool) -> (Class, &'static str) {
    match status.as_u16() {
        401 | 403 => (Class::Fatal, "set HCLOUD_TOKEN to an API token of this project that may do this"),
        409 | 423 | 425 | 429 => (Class::Transient, "if this stays, see status.hetzner.com"),
        408 | 500..=599 if reads => (Class::Transient, "if this stays, see status.hetzner.com"),
        408 | 500..=599 => (Class::Unknown, "see status.hetzner.com; `relight resume` looks whether it was done"),
        300..=399 => (Class::Fatal, "the API's address leads elsewhere: check HCLOUD_ENDPOINT"),
        _ => (Class::Fatal, "correct what the message names, then `relight resume`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_decides_before_its_status() {
        let of = |status, code, reads| meaning(StatusCode::from_u16(status).unwrap(), code, reads).0;
        assert_eq!(of(403, "resource_limit_exceeded", false), Class::Fatal);
        assert_eq!(of(403, "maintenance", false), Class::Transient);
        assert_eq!(of(403, "forbidden", false), Class::Fatal);
        assert_eq!(of(412, "resource_unavailable", false), Class::Branch);
        assert_eq!(of(422, "placement_error", false), Class::Branch);
        assert_eq!(of(422, "invalid_input", false), Class::Fatal);
        assert_eq!(of(423, "protected", false), Class::Refused);
        assert_eq!(of(423, "locked", false), Class::Transient);
        assert_eq!(of(422, "firewall_managed_by_label_selector", false), Class::Refused);
        assert_eq!(of(504, "timeout", false), Class::Unknown);
        assert_eq!(of(504, "timeout", true), Class::Transient);
        assert_eq!(of(409, "a new word", false), Class::Transient);
        assert_eq!(of(418, "a new word", false), Class::Fatal);
    }
}

//! What a refusal of Cloudflare's API means for a run.

use super::reply::{Complaint, Envelope};
use crate::providers::transport::{Answer, Endpoint};
use crate::world::{Class, Error};
use http::{Method, StatusCode};
use std::fmt::Write;

/// The token is missing, malformed, unknown, or may not do this. Sources: Cloudflare API docs "Troubleshooting"; codes as
/// users report them.
const TOKEN_CODES: [i64; 5] = [6003, 6111, 9106, 9109, 10000];
/// A record is there already (81053: one that excludes it; 81057, 81058: the same one). Source: certbot's and external-dns's
/// handling of Cloudflare's replies.
const CLASH_CODES: [i64; 3] = [81053, 81057, 81058];
/// There is no such record.
const GONE_CODE: i64 = 81044;
/// What is sent is not what the API takes; its cause is in the chain.
pub(super) const VALIDATION_CODES: [i64; 3] = [1004, 9005, 9207];

/// The error for a reply that is not a success.
pub(super) fn class(
    endpoint: &Endpoint,
    method: &Method,
    path: &str,
    answer: &Answer,
    said: Option<&Envelope>,
) -> Error {
    let complaints = said.and_then(|envelope| envelope.errors.as_deref()).unwrap_or_default();
    let code = complaints.first().map_or(0, |complaint| complaint.code);
    let (class, remedy) = meaning(answer.status, code, *method == Method::GET);
    let mut what = format!("{}: {method} {path}: {}", endpoint.name(), answer.status.as_u16());
    for complaint in complaints {
        tell(&mut what, complaint);
    }
    if let Some(ray) = answer.header("cf-ray") {
        let _ = write!(what, " [ray {ray}]");
    }
    let mut error = Error::new(class, what).remedy(remedy);
    if code != 0 {
        error = error.code(code.to_string());
    }
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        error = error.retry_after(endpoint.budget.refused(answer.retry_after()));
    }
    error
}

fn tell(what: &mut String, complaint: &Complaint) {
    let _ = write!(what, ": {} {}", complaint.code, complaint.message);
    for cause in complaint.error_chain.as_deref().unwrap_or_default() {
        tell(what, cause);
    }
}

fn meaning(status: StatusCode, code: i64, reads: bool) -> (Class, &'static str) {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return (
            Class::Transient,
            "Cloudflare blocks all calls for up to 5 minutes: wait, or stop what else uses the token",
        );
    }
    if TOKEN_CODES.contains(&code) || matches!(status.as_u16(), 401 | 403) {
        let remedy = "set CLOUDFLARE_API_TOKEN to a token with Zone:Read and DNS:Edit on this zone";
        return (Class::Fatal, remedy);
    }
    if CLASH_CODES.contains(&code) {
        return (
            Class::Refused,
            "the zone has other records of this name than were seen: `relight resume` looks again",
        );
    }
    if code == GONE_CODE {
        return (Class::Refused, "somebody else deleted the record: `relight resume` looks again");
    }
    if VALIDATION_CODES.contains(&code) {
        return (Class::Fatal, "correct the record in relight.yaml, then `relight resume`");
    }
    match status.as_u16() {
        409 | 425 => (Class::Transient, "if this stays, see www.cloudflarestatus.com"),
        408 | 500..=599 if reads => (Class::Transient, "if this stays, see www.cloudflarestatus.com"),
        408 | 500..=599 => (Class::Unknown, "see www.cloudflarestatus.com; `relight resume` looks whether it was done"),
        404 => (Class::Refused, "it is gone, or the token does not see it: `relight resume` looks again"),
        _ => (Class::Fatal, "correct what the message names, then `relight resume`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_a_bad_token_from_a_bad_record() {
        let of = |status, code, reads| meaning(StatusCode::from_u16(status).unwrap(), code, reads).0;
        assert_eq!(of(400, 6003, true), Class::Fatal);
        assert_eq!(of(403, 10000, false), Class::Fatal);
        assert_eq!(of(400, 1004, false), Class::Fatal);
        assert_eq!(of(400, 81057, false), Class::Refused);
        assert_eq!(of(404, 81044, false), Class::Refused);
        assert_eq!(of(429, 10000, false), Class::Transient);
        assert_eq!(of(502, 0, true), Class::Transient);
        assert_eq!(of(502, 0, false), Class::Unknown);
    }
}

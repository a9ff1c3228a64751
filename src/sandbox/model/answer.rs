//! What the modelled APIs answer: values, errors in the API's own words, and replies that never came.

use serde_json::{json, Value};
use std::time::Duration;

/// An error reply of a modelled HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `uniqueness_error`, or Cloudflare's number as text: `81058`.
    pub code: String,
    /// For people.
    pub message: String,
    /// The API's `details` (Hetzner) or `error_chain` (Cloudflare); null where it gives none.
    pub details: Value,
}

impl ApiError {
    /// An error without details.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), details: Value::Null }
    }
    /// With details.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
    /// 422 for one field. Source: Hetzner Cloud API overview, "Errors".
    pub fn invalid(field: &str, why: &str) -> Self {
        Self::new(422, "invalid_input", format!("invalid input in field '{field}'"))
            .details(json!({"fields": [{"name": field, "messages": [why]}]}))
    }
    /// 404.
    pub fn not_found(what: &str, id: i64) -> Self {
        Self::new(404, "not_found", format!("{what} with ID '{id}' not found"))
    }
    /// 409: the name or key is taken.
    pub fn taken(field: &str, message: &str) -> Self {
        Self::new(409, "uniqueness_error", message).details(json!({"fields": [{"name": field}]}))
    }
    /// 403: a quota. Source: replies captured live in public issues (`server limit exceeded`, `primary_ip_limit`).
    pub fn limit(message: &str, name: &str) -> Self {
        Self::new(403, "resource_limit_exceeded", message).details(json!({"limits": [{"name": name}]}))
    }
    /// 423: forbidden by protection.
    pub fn protected(what: &str) -> Self {
        Self::new(423, "protected", format!("{what} is protected"))
    }
    /// 423: another action runs.
    pub fn locked(what: &str) -> Self {
        Self::new(423, "locked", format!("{what} is locked by another running action"))
    }
}

/// Why a call has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The API answered with an error.
    Api(ApiError),
    /// The connection ended without a reply. The caller cannot know which of the two it was.
    Dropped {
        /// Whether the call had its effect.
        applied: bool,
    },
}

/// The rate limit after a call, as the reply's headers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Requests in a full bucket.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// Unix seconds at which the bucket is full again.
    pub reset: u64,
}

/// The outcome of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// For the `RateLimit-*` headers.
    pub budget: Budget,
    /// How long the API asks the caller to wait (429).
    pub retry_after: Option<Duration>,
    /// What came back.
    pub result: Result<T, Failure>,
}

/// Who calls: the token as sent, and, where the door knows it, which run and step act.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The bearer token.
    pub token: String,
    /// The run's id; empty where the door cannot know.
    pub run: String,
    /// The step's id; empty where the door cannot know.
    pub step: String,
    /// The record of the run's journal that is the intent; 0 where the door cannot know.
    pub intent: u64,
}

impl Caller {
    /// A caller of whom only the token is known.
    pub fn token(token: impl Into<String>) -> Self {
        Self { token: token.into(), ..Self::default() }
    }
}

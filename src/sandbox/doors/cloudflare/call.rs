//! One call through the door: who asks, and the envelope round what the model answers.

use super::{records, zones};
use crate::sandbox::doors::broken::drop_connection;
use crate::sandbox::model::{lock, ApiError, Caller, Failure, Model, Shared};
use crate::world::Clock;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Requests in a window for each token; a breach blocks every call until the window ends. Source: Cloudflare's "API rate
/// limits".
const REQUESTS: u32 = 1200;
const WINDOW: Duration = Duration::from_secs(300);

/// Cloudflare's API of one sandbox.
#[derive(Clone)]
pub struct CloudflareDoor(Arc<Inner>);

struct Inner {
    model: Shared,
    clock: Arc<dyn Clock>,
    /// By token: when its window began, and how many requests it has made since.
    used: Mutex<BTreeMap<String, (Duration, u32)>>,
}

/// Who calls and what is in the query.
pub(super) struct Call {
    caller: Caller,
    malformed: bool,
    pub(super) query: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim).unwrap_or_default();
        let malformed = token.is_empty() || token.contains(char::is_whitespace);
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self { caller: Caller::token(token), malformed, query: query.into_owned().collect() })
    }
}

impl Call {
    /// The first value of this key; empty where there is none.
    pub(super) fn value(&self, key: &str) -> &str {
        self.query.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str())
    }
    /// Whether the token belongs to an account rather than to a user.
    pub(super) fn of_account(&self) -> bool {
        self.caller.token.starts_with("cfat_")
    }
    fn number(&self, key: &str, default: usize) -> usize {
        self.value(key).parse().ok().filter(|n| *n > 0).unwrap_or(default)
    }
}

/// What a reply shows.
pub(super) struct Shown {
    result: Value,
    info: Option<Value>,
    message: Option<Value>,
}

impl Shown {
    /// One thing.
    pub(super) fn one(result: Value) -> Self {
        Self { result, info: None, message: None }
    }
    /// With a message beside it.
    pub(super) fn message(mut self, code: i64, text: &str) -> Self {
        self.message = Some(json!({ "code": code, "message": text, "type": null }));
        self
    }
    /// One page of a list; a page past the end is empty, which is how the official clients know that they are done.
    pub(super) fn page(call: &Call, all: Vec<Value>, per_page: usize) -> Self {
        let (page, per_page) = (call.number("page", 1), call.number("per_page", per_page));
        let total = all.len();
        let items: Vec<Value> = all.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
        let info = json!({
            "page": page, "per_page": per_page, "count": items.len(), "total_count": total,
            "total_pages": total.div_ceil(per_page),
        });
        Self { result: Value::Array(items), info: Some(info), message: None }
    }
}

impl CloudflareDoor {
    /// A door to this model, at the clock's time.
    pub fn new(model: Shared, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { model, clock, used: Mutex::default() }))
    }

    /// The API, below `/client/v4`.
    pub fn router(self) -> Router {
        let unknown = any(|State(door): State<Self>, call: Call| async move {
            door.ask(&call, |_, _, _| Err::<(), _>(Failure::Api(no_route())), |()| Shown::one(Value::Null))
        });
        let routes = zones::routes().merge(records::routes());
        Router::new().nest("/client/v4", routes).fallback(unknown).with_state(self)
    }

    /// Makes one call of the model and shows its value.
    pub(super) fn ask<T>(
        &self,
        call: &Call,
        act: impl FnOnce(&mut Model, Duration, &Caller) -> Result<T, Failure>,
        show: impl FnOnce(T) -> Shown,
    ) -> Response {
        let now = self.0.clock.now();
        let (left, until_full) = self.spend(&call.caller.token, now);
        let result = match (left, call.malformed) {
            (None, _) => {
                let why = ApiError::new(429, "10429", "Rate limited. Please wait and consider throttling your speed");
                Err(Failure::Api(why.details(json!({ "retry_after": until_full.as_secs().max(1) }))))
            }
            (_, true) => {
                let chain = json!([{ "code": 6111, "message": "Invalid format for Authorization header" }]);
                Err(Failure::Api(ApiError::new(400, "6003", "Invalid request headers").details(chain)))
            }
            _ => act(&mut lock(&self.0.model), now, &call.caller),
        };
        let mut response = match result {
            Ok(value) => envelope(show(value)),
            Err(Failure::Api(error)) => refusal(&error),
            Err(Failure::Dropped { .. }) => drop_connection(),
        };
        let window = format!("\"default\";r={};t={}", left.unwrap_or(0), until_full.as_secs());
        for (name, value) in [("ratelimit", window.as_str()), ("ratelimit-policy", "\"default\";q=1200;w=300")] {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    /// Refuses a body that cannot be read; a token that is none is told so first.
    pub(super) fn refuse(&self, call: &Call, why: ApiError) -> Response {
        let act = |model: &mut Model, now: Duration, caller: &Caller| {
            model.dns_verify(now, caller)?;
            Err::<(), _>(Failure::Api(why))
        };
        self.ask(call, act, |()| Shown::one(Value::Null))
    }

    /// Counts a request. Returns what is left, `None` where nothing was, and how long the window lasts.
    fn spend(&self, token: &str, now: Duration) -> (Option<u32>, Duration) {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = used.entry(token.to_owned()).or_insert((now, 0));
        if now.saturating_sub(*began) >= WINDOW {
            (*began, *count) = (now, 0);
        }
        let left = (*count < REQUESTS).then(|| {
            *count += 1;
            REQUESTS - *count
        });
        (left, (*began + WINDOW).saturating_sub(now))
    }
}

/// Source: Cloudflare's API: 7000 for a path that leads nowhere.
fn no_route() -> ApiError {
    ApiError::new(404, "7000", "No route for that URI")
}

fn envelope(shown: Shown) -> Response {
    let messages: Vec<Value> = shown.message.into_iter().collect();
    let mut body = json!({ "success": true, "errors": [], "messages": messages, "result": shown.result });
    if let (Some(info), Some(members)) = (shown.info, body.as_object_mut()) {
        members.insert("result_info".to_owned(), info);
    }
    Json(body).into_response()
}

fn refusal(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code: i64 = error.code.parse().unwrap_or(0);
    let mut complaint = json!({ "code": code, "message": error.message });
    if let (true, Some(members)) = (error.details.is_array(), complaint.as_object_mut()) {
        members.insert("error_chain".to_owned(), error.details.clone());
    }
    let body = json!({ "success": false, "errors": [complaint], "messages": [], "result": null });
    let mut response = (status, Json(body)).into_response();
    if let Some(wait) = error.details.get("retry_after").and_then(Value::as_u64) {
        response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    response
}

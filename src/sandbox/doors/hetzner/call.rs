//! One call through the door: who asks, what the model answers, and the reply with the API's headers.

use crate::sandbox::doors::broken::drop_connection;
use crate::sandbox::model::{lock, Answer, ApiError, Budget, Caller, Failure, Model, Shared};
use crate::world::Clock;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{header, HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde_json::{json, Value};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Which form the replies have. Source: Hetzner Cloud API changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As in December 2025: `datacenter` beside `location`, `image.deprecated`, `server_type.deprecated`.
    December2025,
    /// As at the end of 2026: `location` alone, `image.deprecation`, primary IPs that are `unassigned`, no data centres.
    Late2026,
}

/// The Hetzner API of one sandbox: every project of its model, told apart by token.
#[derive(Clone)]
pub struct HetznerDoor(Arc<Inner>);

struct Inner {
    model: Shared,
    clock: Arc<dyn Clock>,
    shape: Shape,
    serial: AtomicU64,
}

/// Who calls and what is in the query.
pub(super) struct Call {
    caller: Caller,
    path: String,
    query: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self {
            caller: Caller::token(token.trim()),
            path: parts.uri.path().to_owned(),
            query: query.into_owned().collect(),
        })
    }
}

impl Call {
    /// The first value of this key; empty where there is none.
    pub(super) fn value(&self, key: &str) -> &str {
        self.query.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str())
    }
    /// All values of this key.
    pub(super) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// A positive number, where the query has one.
    fn number(&self, key: &str) -> Option<usize> {
        self.value(key).parse().ok().filter(|n| *n > 0)
    }
}

/// What a reply shows.
pub(super) struct Shown {
    status: StatusCode,
    body: Option<Value>,
    link: Option<String>,
}

impl Shown {
    /// 200.
    pub(super) fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body), link: None }
    }
    /// 201.
    pub(super) fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok(body) }
    }
    /// 204.
    pub(super) fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, link: None }
    }
    /// One page of a list, with `meta.pagination` and the `Link` header. Source: Hetzner Cloud API overview, "Pagination": 25
    /// entries where nothing is said, 50 at most.
    pub(super) fn page(call: &Call, key: &str, mut all: Vec<Value>) -> Self {
        sort(call, &mut all);
        let (page, per_page) = (call.number("page").unwrap_or(1), call.number("per_page").unwrap_or(25).min(50));
        let total = all.len();
        let last = total.div_ceil(per_page).max(1);
        let next = (page < last).then_some(page + 1);
        let items: Vec<Value> = all.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
        let to = |page: usize, rel: &str| format!("<{}?page={page}&per_page={per_page}>; rel={rel}", call.path);
        let mut links = vec![to(last, "last")];
        links.extend(next.map(|page| to(page, "next")));
        let previous = (page > 1).then(|| page - 1);
        links.extend(previous.map(|page| to(page, "prev")));
        let pagination = json!({
            "page": page, "per_page": per_page, "previous_page": previous, "next_page": next, "last_page": last,
            "total_entries": total,
        });
        let body = json!({ key: items, "meta": { "pagination": pagination } });
        Self { link: Some(links.join(", ")), ..Self::ok(body) }
    }
}

/// Orders a list as `sort=name:desc` says; lists are in the order of ids without it.
fn sort(call: &Call, all: &mut [Value]) {
    let wanted: Vec<&str> = call.values("sort").collect();
    for order in wanted.into_iter().rev() {
        let (field, direction) = order.split_once(':').unwrap_or((order, "asc"));
        all.sort_by(|a, b| {
            let text = |v: &Value| v.get(field).and_then(Value::as_str).map(str::to_owned);
            let number = |v: &Value| v.get(field).and_then(Value::as_i64);
            let way = (number(a), text(a)).cmp(&(number(b), text(b)));
            if direction == "desc" {
                way.reverse()
            } else {
                way
            }
        });
    }
}

impl HetznerDoor {
    /// A door to this model, at the clock's time.
    pub fn new(model: Shared, clock: Arc<dyn Clock>, shape: Shape) -> Self {
        Self(Arc::new(Inner { model, clock, shape, serial: AtomicU64::new(1) }))
    }
    /// The form of its replies.
    pub(super) fn shape(&self) -> Shape {
        self.0.shape
    }

    /// Makes one call of the model and shows its value.
    pub(super) fn ask<T>(
        &self,
        call: &Call,
        act: impl FnOnce(&mut Model, Duration, &Caller) -> Answer<T>,
        show: impl FnOnce(&Model, T) -> Shown,
    ) -> Response {
        let now = self.0.clock.now();
        let (budget, retry_after, shown) = {
            let mut model = lock(&self.0.model);
            let answer = act(&mut model, now, &call.caller);
            (answer.budget, answer.retry_after, answer.result.map(|value| show(&model, value)))
        };
        let mut response = match shown {
            Ok(shown) => reply(shown),
            Err(Failure::Api(error)) => refusal(&error),
            Err(Failure::Dropped { .. }) => drop_connection(),
        };
        self.label(response.headers_mut(), budget, retry_after);
        response
    }

    /// Refuses a body that cannot be read: as the API does, only after the token was found to be allowed to write.
    pub(super) fn refuse(&self, call: &Call, why: ApiError) -> Response {
        let act = |model: &mut Model, now: Duration, caller: &Caller| {
            let mut answer = model.probe_write(now, caller);
            if matches!(&answer.result, Err(Failure::Api(error)) if error.status == 422) {
                answer.result = Err(Failure::Api(why));
            }
            answer
        };
        self.ask(call, act, |_, ()| Shown::nothing())
    }

    fn label(&self, headers: &mut HeaderMap, budget: Budget, retry_after: Option<Duration>) {
        let serial = self.0.serial.fetch_add(1, Ordering::Relaxed);
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        };
        put("x-correlation-id", format!("sandbox-{serial:08x}"));
        if budget.limit > 0 {
            put("ratelimit-limit", budget.limit.to_string());
            put("ratelimit-remaining", budget.remaining.to_string());
            put("ratelimit-reset", budget.reset.to_string());
        }
        if let Some(wait) = retry_after {
            put("retry-after", wait.as_secs().max(1).to_string());
        }
    }
}

fn reply(shown: Shown) -> Response {
    let mut response = match shown.body {
        Some(body) => (shown.status, Json(body)).into_response(),
        None => shown.status.into_response(),
    };
    if let Some(link) = shown.link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// Source: Hetzner Cloud API overview, "Errors".
fn refusal(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "error": { "code": error.code, "message": error.message, "details": error.details } });
    (status, Json(body)).into_response()
}

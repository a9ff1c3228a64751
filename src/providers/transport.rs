//! One request to a JSON API, and what a missing or unreadable reply means.

use super::Budget;
use crate::config::Timeouts;
use crate::world::{Class, Error, Result, Secret};
use http::{header, HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::redirect::Policy;
use serde_json::Value;
use std::time::Duration;

/// A reply longer than this is not read to its end: no reply that relight asks for comes near it.
const LONGEST_REPLY: usize = 16 << 20;

/// One API at one address, with one token: sends requests at the rate that the budget allows.
///
/// A time-out or a lost connection is `Transient` for a request that only reads, and for any request whose connection was
/// never made; for one that changes something it is `Unknown`, because the change may have been made.
pub struct Endpoint {
    name: &'static str,
    base: String,
    client: reqwest::Client,
    authorization: HeaderValue,
    pub(super) budget: Budget,
    reading: Duration,
}

/// A reply, whatever its status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `None` where it is none. An empty body is `null`.
    pub(super) fn json(&self) -> Option<Value> {
        if self.body.is_empty() {
            return Some(Value::Null);
        }
        serde_json::from_slice(&self.body).ok()
    }
    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    /// `Retry-After` in seconds.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.header("retry-after")?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(3600)))
    }
}

impl Endpoint {
    /// An API by its name, its base URL without a slash at the end, and a token. Plain HTTP is refused but for loopback, so
    /// that a token never crosses a network unencrypted. Errors are `Fatal`.
    ///
    /// `timeouts.probe` bounds a read; a change may take three times that, since giving it up early costs a look.
    pub fn new(name: &'static str, base: &str, token: &Secret, budget: Budget, timeouts: &Timeouts) -> Result<Self> {
        let url = url::Url::parse(base)
            .map_err(|e| Error::fatal(format!("{name}: `{base}` is no URL: {e}")).remedy("correct the address"))?;
        let loopback = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(Error::fatal(format!("{name}: `{base}` would send the token unencrypted"))
                .remedy("use an https address; plain http is for loopback alone"));
        }
        let mut authorization = token
            .expose_str()
            .and_then(|text| HeaderValue::from_str(&format!("Bearer {}", text.trim())).ok())
            .ok_or_else(|| {
                Error::fatal(format!("the token for {name} holds characters that no token has")).remedy("copy it again")
            })?;
        authorization.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("relight/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            .redirect(Policy::none())
            .tcp_nodelay(true);
        if loopback {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| Error::fatal(format!("{name}: no HTTP client: {}", chain(&e))))?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { name, base, client, authorization, budget, reading: timeouts.probe })
    }

    /// What the API is called in messages.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Sends a request and reads the whole reply. `path` starts with a slash.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let reads = *method == Method::GET;
        self.budget.take().await;
        let timeout = if reads { self.reading } else { self.reading * 3 };
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.base))
            .query(query)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json")
            .timeout(timeout);
        if let Some(body) = body {
            request = request.json(body);
        }
        let lost = |e: &reqwest::Error| {
            let class = if reads || e.is_connect() { Class::Transient } else { Class::Unknown };
            let what = if e.is_timeout() { format!("no reply within {timeout:?}") } else { chain(e) };
            Error::new(class, format!("{}: {method} {path}: {what}", self.name))
                .remedy(format!("check the network and the status page of {}, then `relight resume`", self.name))
        };
        let mut response = request.send().await.map_err(|e| lost(&e))?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.budget.learn(&headers);
        let mut whole = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|e| lost(&e))? {
            whole.extend_from_slice(&part);
            if whole.len() > LONGEST_REPLY {
                return Err(self.unreadable(method, path, "the reply is too long"));
            }
        }
        // Bodies are never logged: a reply to a server's creation may hold its root password.
        tracing::debug!(api = self.name, %method, path, status = status.as_u16(), "asked");
        Ok(Answer { status, headers, body: whole })
    }

    /// The error for a reply that says yes but cannot be understood.
    pub(super) fn unreadable(&self, method: &Method, path: &str, why: &str) -> Error {
        let class = if *method == Method::GET { Class::Transient } else { Class::Unknown };
        Error::new(class, format!("{}: {method} {path}: {why}", self.name))
            .remedy("if this stays, something between relight and the API changes its replies, or the API has changed")
    }
}

/// An error and its causes in one line, without the URL (whose query may be long).
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        cause = inner.source();
    }
    if text.is_empty() {
        return "the request failed".to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::SystemClock;
    use super::*;
    use std::sync::Arc;

    fn endpoint(base: &str, token: &str) -> Result<Endpoint> {
        let budget = Budget::new(Arc::new(SystemClock::wall()), 10, Duration::from_secs(1));
        Endpoint::new("Some API", base, &Secret::new(token), budget, &Timeouts::default())
    }

    #[test]
    fn a_token_never_goes_unencrypted_to_another_machine() {
        assert!(endpoint("http://127.0.0.1:4010/v1", "t").is_ok());
        assert!(endpoint("http://localhost:4010/v1/", "t").is_ok());
        assert!(endpoint("https://api.example.com/v1", "t").is_ok());
        for bad in ["http://api.example.com/v1", "http://10.0.0.1/v1", "ftp://127.0.0.1/", "nonsense"] {
            let Err(error) = endpoint(bad, "canary-token") else { panic!("{bad} was taken") };
            assert_eq!(error.class, Class::Fatal);
            assert!(!error.what.contains("canary") && !error.remedy.is_empty());
        }
    }

    #[test]
    fn a_token_with_a_line_break_inside_is_refused_without_being_shown() {
        let Err(error) = endpoint("https://api.example.com", "canary\ntoken") else { panic!("taken") };
        assert!(!format!("{error:?}").contains("canary"));
        assert!(
            endpoint("https://api.example.com", "token\n").is_ok(),
            "a trailing newline is a file's, not the token's"
        );
    }

    #[tokio::test]
    async fn a_connection_that_was_never_made_changed_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let endpoint = endpoint(&base, "t").unwrap();
        let Err(error) = endpoint.send(&Method::POST, "/x", &[], None).await else { panic!("answered") };
        assert_eq!(error.class, Class::Transient, "{error:?}");
    }
}

//! One request to the Hetzner API, or all pages of a list.

use super::refusal;
use crate::providers::transport::Endpoint;
use crate::world::{Error, Result};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

/// The largest page that the API gives. Source: Hetzner Cloud API overview, "Pagination".
const PER_PAGE: &str = "50";
/// A list longer than this is not one that relight made; also ends an API that never ends.
const MOST_PAGES: u32 = 200;

/// The API of one project.
pub(super) struct Api(pub(super) Endpoint);

impl Api {
    /// Sends a request; a refusal becomes an error of its class.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let answer = self.0.send(&method, path, query, body).await?;
        if !answer.status.is_success() {
            return Err(refusal::class(&self.0, &method, path, &answer));
        }
        answer.json().ok_or_else(|| self.0.unreadable(&method, path, "the reply is no JSON"))
    }

    /// Sends a request with one of the crate's request models as its body.
    pub(super) async fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<Value> {
        self.call(Method::POST, path, &[], Some(&as_json(path, body)?)).await
    }

    /// As [`Api::post`], to replace.
    pub(super) async fn put(&self, path: &str, body: &impl serde::Serialize) -> Result<Value> {
        self.call(Method::PUT, path, &[], Some(&as_json(path, body)?)).await
    }

    /// One object, `None` where the API says that there is none.
    pub(super) async fn one<T: DeserializeOwned>(&self, path: &str, key: &str) -> Result<Option<T>> {
        match self.call(Method::GET, path, &[], None).await {
            Ok(reply) => self.part(&Method::GET, path, &reply, key).map(Some),
            Err(error) if error.is("not_found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every object of a list, page by page. A list that changed between two pages may have skipped an object, so it is an
    /// error (`Transient`) rather than a short list.
    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>> {
        let (mut found, mut ids) = (Vec::new(), BTreeSet::new());
        for page in 1..=MOST_PAGES {
            let number = page.to_string();
            let mut asked = query.to_vec();
            asked.extend([("page", number.as_str()), ("per_page", PER_PAGE)]);
            let reply = self.call(Method::GET, path, &asked, None).await?;
            let items: Vec<Value> = self.part(&Method::GET, path, &reply, key)?;
            for item in items {
                if item.get("id").and_then(Value::as_i64).is_none_or(|id| ids.insert(id)) {
                    found.push(self.read(&Method::GET, path, item)?);
                }
            }
            let pagination = reply.pointer("/meta/pagination");
            if pagination.and_then(|p| p.get("next_page")).is_some_and(Value::is_u64) {
                continue;
            }
            let total = pagination.and_then(|p| p.get("total_entries")).and_then(Value::as_u64);
            if total.is_some_and(|total| total != found.len() as u64) {
                return Err(Error::transient(format!("{}: the list {path} changed while it was read", self.0.name())));
            }
            return Ok(found);
        }
        Err(Error::fatal(format!("{}: the list {path} does not end", self.0.name())).remedy("use a project of its own"))
    }

    /// The part of a reply under this key.
    pub(super) fn part<T: DeserializeOwned>(&self, method: &Method, path: &str, reply: &Value, key: &str) -> Result<T> {
        let part =
            reply.get(key).ok_or_else(|| self.0.unreadable(method, path, &format!("the reply has no `{key}`")))?;
        self.read(method, path, part.clone())
    }

    fn read<T: DeserializeOwned>(&self, method: &Method, path: &str, value: Value) -> Result<T> {
        serde_json::from_value(value)
            .map_err(|e| self.0.unreadable(method, path, &format!("the reply has another shape than it should: {e}")))
    }
}

fn as_json(path: &str, body: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(body).map_err(|e| {
        Error::fatal(format!("the request to {path} cannot be written: {e}")).remedy("this is a bug in relight")
    })
}

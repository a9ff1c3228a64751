//! One request to Cloudflare's API, or all pages of a list.

use super::refusal;
use super::reply::Envelope;
use crate::providers::transport::Endpoint;
use crate::world::{Error, Result};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Records in one page. Source: Cloudflare API docs, "List DNS Records" (default 100).
const PER_PAGE: usize = 100;
/// Ends a list that never ends.
const MOST_PAGES: u32 = 200;

/// The API as one token sees it.
pub(super) struct Api(pub(super) Endpoint);

impl Api {
    /// Sends a request and returns `result`; a refusal becomes an error of its class.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T> {
        let answer = self.0.send(&method, path, query, body).await?;
        let said: Option<Envelope> = answer.json().and_then(|value| serde_json::from_value(value).ok());
        let refused = said.as_ref().is_some_and(|envelope| !envelope.success && envelope.complains());
        if !answer.status.is_success() || refused {
            return Err(refusal::class(&self.0, &method, path, &answer, said.as_ref()));
        }
        let Some(envelope) = said.filter(|envelope| envelope.success) else {
            return Err(self.0.unreadable(&method, path, "the reply is none of Cloudflare's"));
        };
        serde_json::from_value(envelope.result)
            .map_err(|e| self.0.unreadable(&method, path, &format!("the reply has another shape than it should: {e}")))
    }

    /// Every item of a list: pages are asked for until one is not full, because `total_pages` is not always given.
    pub(super) async fn all<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let per_page = PER_PAGE.to_string();
        for page in 1..=MOST_PAGES {
            let number = page.to_string();
            let mut asked = query.to_vec();
            asked.extend([("page", number.as_str()), ("per_page", per_page.as_str())]);
            let items: Vec<T> = self.call(Method::GET, path, &asked, None).await?;
            let full = items.len() >= PER_PAGE;
            found.extend(items);
            if !full {
                return Ok(found);
            }
        }
        Err(Error::fatal(format!("{}: the list {path} does not end", self.0.name())).remedy("name fewer records"))
    }
}

//! HTTP requests by the direct door: nodes, the edge, and the K3s release's checksum file.

use super::entry::Entry;
use crate::sandbox::model::Visit;
use crate::world::{Error, Get, Http, Reply, Result};
use async_trait::async_trait;
use std::net::IpAddr;

/// HTTP, for one process.
pub(super) struct DirectHttp(pub Entry);

#[async_trait]
impl Http for DirectHttp {
    async fn get(&self, get: &Get) -> Result<Reply> {
        let url = url::Url::parse(&get.url)
            .map_err(|e| Error::fatal(format!("{}: {e}", get.url)).remedy("correct the URL in the configuration"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let https = url.scheme() == "https";
        let visit = self
            .0
            .request(None, |model, now| match get.node {
                Some(IpAddr::V4(node)) => model.port80(now, node, &host, &path),
                Some(IpAddr::V6(_)) => Visit::Silent,
                None => model.edge_get(now, &host, &path, https),
            })
            .await;
        let why = match visit {
            Visit::Reply { status, body, location } => return Ok(Reply { status, location, body: body.into_bytes() }),
            Visit::NoSuchName => "the name does not resolve",
            Visit::NoCertificate => "TLS failed: no certificate for this name",
            Visit::Refused => "connection refused",
            Visit::Silent => {
                self.0.clock.wait(self.0.latency.silence.min(get.timeout)).await;
                "no answer in time"
            }
        };
        Err(Error::transient(format!("{}: {why}", get.url)))
    }
}

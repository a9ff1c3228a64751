//! Plain HTTP requests: health checks, of a node directly or through the edge, and release checksums.

use super::Result;
use async_trait::async_trait;
use std::net::IpAddr;
use std::time::Duration;

/// One GET. Redirects are never followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    /// `https://api.myhoneydue.com/api/health/`.
    pub url: String,
    /// Connect here instead of what the name resolves to, by plain HTTP on port 80 with the URL's host as Host header: a node
    /// directly. `None`: through the edge, as a visitor.
    pub node: Option<IpAddr>,
    /// For everything: connect, TLS, headers, body. Wall time.
    pub timeout: Duration,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Where a redirect points.
    pub location: Option<String>,
    /// At most the first MiB.
    pub body: Vec<u8>,
}

/// HTTP.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends the request. Errors are `Transient`: nobody answered, or not in time, or TLS failed.
    async fn get(&self, get: &Get) -> Result<Reply>;
}

//! Cloudflare, as far as relight uses it.

use super::{Permit, Result};
use async_trait::async_trait;

/// A DNS zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Cloudflare's id.
    pub id: String,
    /// `myhoneydue.com`.
    pub name: String,
    /// `active`, `pending`, ...
    pub status: String,
}

/// A DNS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Cloudflare's id.
    pub id: String,
    /// `A`, `AAAA`, `CNAME`, ...
    pub kind: String,
    /// Absolute, without trailing dot.
    pub name: String,
    /// The address or name.
    pub content: String,
    /// Whether the edge stands before it.
    pub proxied: bool,
    /// Seconds; 1 is automatic.
    pub ttl: u32,
    /// At most 100 characters on the free plan.
    pub comment: Option<String>,
}

/// A record that shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// `A`.
    pub kind: String,
    /// Absolute, without trailing dot.
    pub name: String,
    /// The address.
    pub content: String,
    /// Whether the edge stands before it.
    pub proxied: bool,
    /// Seconds; 1 is automatic, and required where proxied.
    pub ttl: u32,
    /// At most 100 characters.
    pub comment: String,
}

/// Changes made together or not at all: deletes first, then changes in place, then new ones. Source: Cloudflare's batch
/// endpoint, which executes them in this order in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Ids to delete.
    pub deletes: Vec<String>,
    /// Records to change in place, by id.
    pub patches: Vec<(String, NewRecord)>,
    /// Records to make.
    pub posts: Vec<NewRecord>,
}

impl Batch {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.patches.is_empty() && self.posts.is_empty()
    }
}

/// Cloudflare.
#[async_trait]
pub trait Dns: Send + Sync {
    /// Whether the token is valid and active.
    async fn prove_token(&self) -> Result<()>;
    /// Proves that the token may write records of this zone, by a request that cannot succeed.
    async fn prove_writable(&self, zone: &Zone) -> Result<()>;
    /// The zone of this name, `None` where the token does not see it.
    async fn zone(&self, name: &str) -> Result<Option<Zone>>;
    /// The zone's SSL mode: `off`, `flexible`, `full`, `strict`; `None` where the token may not read it.
    async fn ssl_mode(&self, zone: &Zone) -> Result<Option<String>>;
    /// All records of these names, of every type.
    async fn records(&self, zone: &Zone, names: &[String]) -> Result<Vec<Record>>;
    /// Makes all changes in one transaction.
    async fn change(&self, permit: &Permit, zone: &Zone, batch: &Batch) -> Result<()>;
}

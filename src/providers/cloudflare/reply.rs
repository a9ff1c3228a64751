//! What Cloudflare's replies hold, as far as relight reads them.

use crate::world::{NewRecord, Record, Zone};
use serde::{Deserialize, Serialize};

/// The envelope round every reply.
#[derive(Deserialize)]
pub(super) struct Envelope {
    #[serde(default)]
    pub(super) success: bool,
    #[serde(default)]
    pub(super) errors: Option<Vec<Complaint>>,
    #[serde(default)]
    pub(super) result: serde_json::Value,
}

impl Envelope {
    /// Whether it says what is wrong.
    pub(super) fn complains(&self) -> bool {
        self.errors.as_ref().is_some_and(|errors| !errors.is_empty())
    }
}

/// One error; its causes may be more telling than itself.
#[derive(Deserialize)]
pub(super) struct Complaint {
    #[serde(default)]
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) error_chain: Option<Vec<Complaint>>,
}

#[derive(Deserialize)]
pub(super) struct ZoneReply {
    id: String,
    name: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    pub(super) account: Option<AccountReply>,
}

#[derive(Deserialize)]
pub(super) struct AccountReply {
    pub(super) id: Option<String>,
}

impl From<ZoneReply> for Zone {
    fn from(reply: ZoneReply) -> Self {
        Self { id: reply.id, name: reply.name, status: reply.status.unwrap_or_default() }
    }
}

/// A record of any type: what has no `content` (a type of structured data) is kept with an empty one.
#[derive(Deserialize)]
pub(super) struct RecordReply {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    content: Option<String>,
    proxied: Option<bool>,
    ttl: Option<f64>,
    comment: Option<String>,
}

impl From<RecordReply> for Record {
    fn from(reply: RecordReply) -> Self {
        // Seconds; 1 is automatic, and what the API means when it says nothing.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
        let ttl = reply.ttl.unwrap_or(1.0) as u32;
        Self {
            id: reply.id,
            kind: reply.kind,
            name: reply.name,
            content: reply.content.unwrap_or_default(),
            proxied: reply.proxied.unwrap_or(false),
            ttl,
            comment: reply.comment.filter(|text| !text.is_empty()),
        }
    }
}

/// A record to make, or (with its id) what becomes of one that is there.
#[derive(Serialize)]
pub(super) struct RecordRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    content: &'a str,
    proxied: bool,
    ttl: u32,
    /// Empty on a record that is there: what it says is taken away. Left out, it would stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
}

impl<'a> RecordRequest<'a> {
    pub(super) fn new(id: Option<&'a str>, record: &'a NewRecord) -> Self {
        let NewRecord { kind, name, content, proxied, ttl, comment } = record;
        let comment = Some(comment.as_str()).filter(|text| id.is_some() || !text.is_empty());
        Self { id, kind, name, content, proxied: *proxied, ttl: *ttl, comment }
    }
}

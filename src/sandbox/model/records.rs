//! DNS records: what they are, and what the API checks before it takes one.

use super::dns::DnsZone;
use super::ApiError;
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A record as Cloudflare keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// Cloudflare's id.
    pub id: String,
    /// `A`.
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
    /// Clock time.
    pub created: Duration,
    /// Clock time.
    pub modified: Duration,
}

/// Fields of a record that is made or changed; `None`: not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordChange {
    /// `A`.
    pub kind: Option<String>,
    /// Absolute, relative, or `@`.
    pub name: Option<String>,
    /// The address or name.
    pub content: Option<String>,
    /// Whether the edge stands before it.
    pub proxied: Option<bool>,
    /// Seconds; 1 is automatic.
    pub ttl: Option<u32>,
    /// `Some(None)` takes the comment away.
    pub comment: Option<Option<String>>,
}

impl RecordChange {
    /// A whole address record.
    pub fn address(name: &str, content: &str, proxied: bool, comment: Option<&str>) -> Self {
        Self {
            kind: Some("A".to_owned()),
            name: Some(name.to_owned()),
            content: Some(content.to_owned()),
            proxied: Some(proxied),
            ttl: Some(1),
            comment: Some(comment.map(str::to_owned)),
        }
    }
}

impl DnsRecord {
    pub(super) fn made(id: String, change: &RecordChange, now: Duration) -> Self {
        let empty = Self {
            id,
            kind: String::new(),
            name: String::new(),
            content: String::new(),
            proxied: false,
            ttl: 1,
            comment: None,
            created: now,
            modified: now,
        };
        empty.patched(change, now)
    }
    pub(super) fn patched(mut self, change: &RecordChange, now: Duration) -> Self {
        let set = |to: &mut String, from: &Option<String>| {
            if let Some(from) = from {
                from.clone_into(to);
            }
        };
        set(&mut self.kind, &change.kind);
        set(&mut self.name, &change.name);
        set(&mut self.content, &change.content);
        self.proxied = change.proxied.unwrap_or(self.proxied);
        self.ttl = change.ttl.unwrap_or(self.ttl);
        if let Some(comment) = &change.comment {
            self.comment.clone_from(comment);
        }
        self.modified = now;
        self
    }
}

/// Source: Cloudflare's API: 1004 with an error chain for what is malformed.
fn invalid(code: u32, why: &str) -> ApiError {
    ApiError::new(400, "1004", "DNS Validation Error").details(json!([{ "code": code, "message": why }]))
}

/// `@`, relative and absolute names become absolute without trailing dot.
fn absolute(name: &str, zone: &str) -> String {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name == "@" || name == zone {
        return zone.to_owned();
    }
    if name.ends_with(&format!(".{zone}")) {
        return name;
    }
    format!("{name}.{zone}")
}

/// Checks a record against the others of its zone, and completes its name.
pub(super) fn check_record(zone: &DnsZone, mut record: DnsRecord) -> Result<DnsRecord, ApiError> {
    if record.name.is_empty() {
        return Err(invalid(9000, "DNS name is invalid."));
    }
    record.name = absolute(&record.name, &zone.name);
    match record.kind.as_str() {
        "A" if record.content.parse::<Ipv4Addr>().is_err() => {
            return Err(invalid(9005, "Content for A record must be a valid IPv4 address."));
        }
        "AAAA" if record.content.parse::<Ipv6Addr>().is_err() => {
            return Err(invalid(9006, "Content for AAAA record must be a valid IPv6 address."));
        }
        "A" | "AAAA" | "CNAME" => {}
        "" => return Err(invalid(9004, "DNS record type is invalid.")),
        _ if record.proxied => return Err(invalid(9041, "This DNS record cannot be proxied.")),
        _ => {}
    }
    if record.ttl != 1 && !(60..=86_400).contains(&record.ttl) {
        return Err(invalid(9021, "TTL must be between 60 and 86400 seconds, or 1 for Automatic."));
    }
    if record.comment.as_ref().is_some_and(|c| c.chars().count() > 100 || c.contains(['\n', '\r'])) {
        return Err(invalid(9213, "Comment exceeds the limit of 100 characters or holds a line break."));
    }
    if record.proxied {
        record.ttl = 1;
    }
    let here = || zone.records.values().filter(|r| r.name == record.name && r.id != record.id);
    let is_address = |kind: &str| matches!(kind, "A" | "AAAA");
    let in_the_way = |other: &DnsRecord| {
        let pair = (record.kind.as_str(), other.kind.as_str());
        pair.0 == "CNAME" && (is_address(pair.1) || pair.1 == "CNAME") || pair.1 == "CNAME" && is_address(pair.0)
    };
    if let Some(same) = here().find(|r| r.kind == record.kind && r.content == record.content) {
        let identical = same.proxied == record.proxied && same.ttl == record.ttl && same.comment == record.comment;
        let (code, why) = if identical {
            ("81058", "An identical record already exists.")
        } else {
            ("81057", "The record already exists.")
        };
        return Err(ApiError::new(400, code, why));
    }
    if here().any(in_the_way) {
        return Err(ApiError::new(400, "81053", "An A, AAAA, or CNAME record with that host already exists."));
    }
    Ok(record)
}

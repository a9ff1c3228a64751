//! Cloudflare as far as relight uses it: zones, records, batches. Reading and changing only; checks of records are in
//! `records.rs`.

use super::faults::Stage;
use super::records::{check_record, DnsRecord, RecordChange};
use super::{ApiError, Caller, Entry, Failure, FaultKind, LedgerOutcome, Model};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Source: Cloudflare's documentation of batch record changes: 200 records a call on the free plan.
pub const BATCH_LIMIT: usize = 200;

/// A zone of the modelled DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsZone {
    /// Cloudflare's id.
    pub id: String,
    /// `example.org`.
    pub name: String,
    /// `active`, `pending`.
    pub status: String,
    /// `off`, `flexible`, `full`, `strict`.
    pub ssl: String,
    /// The cloud project whose addresses its records may name.
    pub project: String,
    /// By id.
    pub records: BTreeMap<String, DnsRecord>,
}

/// What a DNS token may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsToken {
    /// `active`, `disabled`, `expired`.
    pub status: String,
    /// Zones by name that it sees.
    pub zones: BTreeSet<String>,
    /// Whether it may change records.
    pub edit: bool,
    /// Whether it may read zone settings.
    pub settings: bool,
}

impl DnsToken {
    /// An active token that may do everything in these zones.
    pub fn full(zones: &[&str]) -> Self {
        let zones = zones.iter().map(|z| (*z).to_owned()).collect();
        Self { status: "active".to_owned(), zones, edit: true, settings: true }
    }
}

/// All zones and tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct Zones {
    pub zones: Vec<DnsZone>,
    pub tokens: BTreeMap<String, DnsToken>,
}

/// Changes made together or not at all. Executed in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsBatch {
    /// Ids.
    pub deletes: Vec<String>,
    /// Fields to change, by id; what is not given stays.
    pub patches: Vec<(String, RecordChange)>,
    /// Whole records, by id; what is not given falls to its default.
    pub puts: Vec<(String, RecordChange)>,
    /// New records.
    pub posts: Vec<RecordChange>,
}

/// What a batch did, in the order of its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsBatchDone {
    /// As they were.
    pub deletes: Vec<DnsRecord>,
    /// As they are.
    pub patches: Vec<DnsRecord>,
    /// As they are.
    pub puts: Vec<DnsRecord>,
    /// As they are.
    pub posts: Vec<DnsRecord>,
}

fn authentication() -> ApiError {
    ApiError::new(403, "10000", "Authentication error")
}

impl Model {
    /// Adds a zone whose records should name addresses of this cloud project.
    pub fn add_zone(&mut self, name: &str, ssl: &str, project: &str) {
        let zone = DnsZone {
            id: self.random.hex(16),
            name: name.to_owned(),
            status: "active".to_owned(),
            ssl: ssl.to_owned(),
            project: project.to_owned(),
            records: BTreeMap::new(),
        };
        self.zones.zones.push(zone);
    }
    /// Adds or changes a DNS token.
    pub fn set_dns_token(&mut self, token: &str, may: DnsToken) {
        self.zones.tokens.insert(token.to_owned(), may);
    }
    /// The truth about a zone, without a token.
    pub fn zone_truth(&self, name: &str) -> Option<&DnsZone> {
        self.zones.zones.iter().find(|z| z.name == name)
    }
    /// Puts a record into a zone as the world had it before, without any check.
    pub fn place_record(&mut self, zone: &str, change: &RecordChange) {
        let record = DnsRecord::made(self.random.hex(16), change, self.now);
        if let Some(zone) = self.zones.zones.iter_mut().find(|z| z.name == zone) {
            zone.records.insert(record.id.clone(), record);
        }
    }
    /// Changes a zone's SSL mode.
    pub fn set_ssl(&mut self, zone: &str, ssl: &str) {
        if let Some(zone) = self.zones.zones.iter_mut().find(|z| z.name == zone) {
            ssl.clone_into(&mut zone.ssl);
        }
    }

    fn dns_gate(&mut self, now: Duration, caller: &Caller, op: &str, target: &str) -> Result<DnsToken, Failure> {
        self.advance(now);
        let token = self.zones.tokens.get(&caller.token).cloned();
        let token = token.ok_or_else(|| Failure::Api(ApiError::new(401, "1000", "Invalid API Token")))?;
        match self.faults.take(Stage::Before, op, target) {
            None => {}
            Some(FaultKind::TooMany(wait)) => {
                let why =
                    ApiError::new(429, "10429", "Rate limited. Please wait and consider throttling your request speed");
                return Err(Failure::Api(why.details(serde_json::json!({ "retry_after": wait.as_secs().max(1) }))));
            }
            Some(FaultKind::ServerError { status, .. }) => {
                return Err(Failure::Api(ApiError::new(status, "10500", "Internal error")))
            }
            Some(FaultKind::Down) => return Err(Failure::Api(ApiError::new(503, "10503", "Service unavailable"))),
            Some(_) => return Err(Failure::Dropped { applied: false }),
        }
        Ok(token)
    }
    fn seen_zone(&self, token: &DnsToken, id: &str) -> Result<usize, Failure> {
        let found = self.zones.zones.iter().position(|z| z.id == id && token.zones.contains(&z.name));
        found.ok_or_else(|| Failure::Api(ApiError::new(403, "9109", "Unauthorized to access requested resource")))
    }
    /// The token's id and status.
    pub fn dns_verify(&mut self, now: Duration, caller: &Caller) -> Result<(String, String), Failure> {
        let token = self.dns_gate(now, caller, "dns.verify", "")?;
        let id = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(caller.token.as_bytes()));
        Ok((id.chars().take(32).collect(), token.status))
    }
    fn usable(token: DnsToken) -> Result<DnsToken, Failure> {
        if token.status == "active" {
            return Ok(token);
        }
        Err(Failure::Api(authentication()))
    }
    /// Zones that the token sees; `name` empty: all.
    pub fn dns_zones(&mut self, now: Duration, caller: &Caller, name: &str) -> Result<Vec<DnsZone>, Failure> {
        let token = Self::usable(self.dns_gate(now, caller, "dns.zones.list", name)?)?;
        let shown = |z: &&DnsZone| token.zones.contains(&z.name) && (name.is_empty() || z.name == name);
        Ok(self.zones.zones.iter().filter(shown).cloned().collect())
    }
    /// The zone's SSL mode. Error 9109 where the token may not read settings.
    pub fn dns_ssl(&mut self, now: Duration, caller: &Caller, zone: &str) -> Result<String, Failure> {
        let token = Self::usable(self.dns_gate(now, caller, "dns.ssl.get", zone)?)?;
        let index = self.seen_zone(&token, zone)?;
        if !token.settings {
            return Err(Failure::Api(ApiError::new(403, "9109", "Unauthorized to access requested resource")));
        }
        Ok(self.zones.zones.get(index).map(|z| z.ssl.clone()).unwrap_or_default())
    }
    /// All records of a zone, in the order of name, type and content.
    pub fn dns_records(&mut self, now: Duration, caller: &Caller, zone: &str) -> Result<Vec<DnsRecord>, Failure> {
        let token = Self::usable(self.dns_gate(now, caller, "dns.records.list", zone)?)?;
        let index = self.seen_zone(&token, zone)?;
        let records = self.zones.zones.get(index).map(|z| &z.records);
        let mut all: Vec<DnsRecord> = records.into_iter().flat_map(BTreeMap::values).cloned().collect();
        all.sort_by(|a, b| (&a.name, &a.kind, &a.content, &a.id).cmp(&(&b.name, &b.kind, &b.content, &b.id)));
        Ok(all)
    }
    /// Changes records: all or none. Single changes are batches of one. Fault operation: `dns.batch`.
    pub fn dns_change(
        &mut self,
        now: Duration,
        caller: &Caller,
        zone: &str,
        batch: &DnsBatch,
    ) -> Result<DnsBatchDone, Failure> {
        let names = self.batch_names(zone, batch);
        let target = names.join(",");
        let token = self.dns_gate(now, caller, "dns.batch", &target).and_then(Self::usable)?;
        let index = self.seen_zone(&token, zone)?;
        let result = self.try_batch(&token, index, batch).map_err(Failure::Api);
        let lost = match &result {
            Ok(_) => self.faults.take(Stage::After, "dns.batch", &target),
            Err(_) => None,
        };
        let outcome = match &result {
            Err(Failure::Api(why)) => LedgerOutcome::Refused(why.code.clone()),
            _ => LedgerOutcome::Applied,
        };
        self.ledger.entries.push(Entry {
            at: self.now,
            who: caller.clone(),
            op: "dns.batch".to_owned(),
            target,
            id: None,
            labels: BTreeMap::new(),
            project: None,
            names,
            outcome,
            reply_lost: lost.is_some(),
        });
        if let Ok(done) = &result {
            let changed = done.patches.iter().chain(&done.puts).chain(&done.posts);
            let pairs: Vec<(String, String)> = changed.map(|r| (r.name.clone(), r.content.clone())).collect();
            self.check_named(index, &pairs);
        }
        match lost {
            Some(FaultKind::ServerError { status, .. }) => {
                Err(Failure::Api(ApiError::new(status, "10500", "Internal error")))
            }
            Some(_) => Err(Failure::Dropped { applied: true }),
            None => result,
        }
    }
    fn batch_names(&self, zone: &str, batch: &DnsBatch) -> Vec<String> {
        let records = self.zones.zones.iter().find(|z| z.id == zone).map(|z| &z.records);
        let by_id = |id: &String| records.and_then(|r| r.get(id)).map(|r| r.name.clone());
        let old = batch
            .deletes
            .iter()
            .chain(batch.patches.iter().map(|(id, _)| id))
            .chain(batch.puts.iter().map(|(id, _)| id));
        let changed = batch.patches.iter().chain(&batch.puts).map(|(_, c)| c).chain(&batch.posts);
        let new = changed.filter_map(|c| c.name.clone());
        let all: BTreeSet<String> = old.filter_map(by_id).chain(new).collect();
        all.into_iter().collect()
    }
    fn try_batch(&mut self, token: &DnsToken, index: usize, batch: &DnsBatch) -> Result<DnsBatchDone, ApiError> {
        if !token.edit {
            return Err(authentication());
        }
        if batch.deletes.len() + batch.patches.len() + batch.puts.len() + batch.posts.len() > BATCH_LIMIT {
            return Err(ApiError::new(400, "81015", "Batch is limited to 200 records"));
        }
        let zone = self.zones.zones.get(index).ok_or_else(authentication)?;
        let mut after = zone.clone();
        let mut done = DnsBatchDone::default();
        let missing = || ApiError::new(404, "81044", "Record does not exist.");
        for id in &batch.deletes {
            done.deletes.push(after.records.remove(id).ok_or_else(missing)?);
        }
        for (id, change) in &batch.patches {
            let old = after.records.remove(id).ok_or_else(missing)?;
            let record = check_record(&after, old.patched(change, self.now))?;
            done.patches.push(record.clone());
            after.records.insert(id.clone(), record);
        }
        for (id, change) in &batch.puts {
            after.records.remove(id).ok_or_else(missing)?;
            let record = check_record(&after, DnsRecord::made(id.clone(), change, self.now))?;
            done.puts.push(record.clone());
            after.records.insert(id.clone(), record);
        }
        for change in &batch.posts {
            let record = check_record(&after, DnsRecord::made(self.random.hex(16), change, self.now))?;
            done.posts.push(record.clone());
            after.records.insert(record.id.clone(), record);
        }
        if let Some(zone) = self.zones.zones.get_mut(index) {
            *zone = after;
        }
        Ok(done)
    }
    fn check_named(&mut self, zone: usize, named: &[(String, String)]) {
        let Some(zone) = self.zones.zones.get(zone) else { return };
        let project = zone.project.clone();
        for (name, content) in named {
            let Ok(address) = content.parse::<Ipv4Addr>() else { continue };
            if !self.project_holds(&project, address) {
                let by = format!("record {name}");
                self.stranger("dns.batch", by, IpAddr::V4(address));
            }
        }
    }
}

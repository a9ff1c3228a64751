//! DNS by the direct door.

use super::entry::{classed, Entry};
use crate::sandbox::model::{Caller, DnsBatch, Failure, Model, RecordChange};
use crate::world::{Batch, Dns, Error, NewRecord, Permit, Record, Result, Target, Zone};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::time::Duration;

/// Cloudflare, for one process.
pub(super) struct DirectDns(pub Entry);

fn change(new: &NewRecord) -> RecordChange {
    RecordChange {
        kind: Some(new.kind.clone()),
        name: Some(new.name.clone()),
        content: Some(new.content.clone()),
        proxied: Some(new.proxied),
        ttl: Some(new.ttl),
        comment: Some(Some(new.comment.clone())),
    }
}

/// Cloudflare tells the wait of a 429 in `retry-after`; the model keeps it in the details.
fn wait_of(failure: &Failure) -> Option<Duration> {
    match failure {
        Failure::Api(error) => error.details.get("retry_after")?.as_u64().map(Duration::from_secs),
        Failure::Dropped { .. } => None,
    }
}

impl DirectDns {
    async fn read<T: Send>(
        &self,
        what: &str,
        act: impl FnOnce(&mut Model, Duration, &Caller) -> std::result::Result<T, Failure> + Send,
    ) -> Result<T> {
        let caller = self.0.caller(None);
        let result = self.0.request(None, |model, now| act(model, now, &caller)).await;
        result.map_err(|failure| {
            let wait = wait_of(&failure);
            classed(what, false, failure, wait)
        })
    }
    async fn all(&self, zone: &Zone) -> Result<Vec<Record>> {
        let found =
            self.read("list DNS records", |model, now, caller| model.dns_records(now, caller, &zone.id)).await?;
        let record = |r: crate::sandbox::model::DnsRecord| Record {
            id: r.id,
            kind: r.kind,
            name: r.name,
            content: r.content,
            proxied: r.proxied,
            ttl: r.ttl,
            comment: r.comment,
        };
        Ok(found.into_iter().map(record).collect())
    }
}

#[async_trait]
impl Dns for DirectDns {
    async fn prove_token(&self) -> Result<()> {
        let (_, status) = self.read("verify the DNS token", Model::dns_verify).await?;
        if status == "active" {
            return Ok(());
        }
        Err(Error::fatal(format!("the DNS token is {status}")).remedy("make a new API token and set it"))
    }
    async fn prove_writable(&self, zone: &Zone) -> Result<()> {
        // A deletion of a record that cannot exist: 81044 where the token may write, 10000 where it may not.
        let batch = DnsBatch { deletes: vec!["0".repeat(32)], ..DnsBatch::default() };
        let act = |model: &mut Model, now, caller: &Caller| model.dns_change(now, caller, &zone.id, &batch);
        match self.read("prove that the DNS token may write", act).await {
            Err(error) if error.is("81044") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::fatal("a record that cannot exist was deleted")),
        }
    }
    async fn zone(&self, name: &str) -> Result<Option<Zone>> {
        let found = self.read("list zones", |model, now, caller| model.dns_zones(now, caller, name)).await?;
        Ok(found.into_iter().next().map(|z| Zone { id: z.id, name: z.name, status: z.status }))
    }
    async fn ssl_mode(&self, zone: &Zone) -> Result<Option<String>> {
        match self.read("read the zone's SSL mode", |model, now, caller| model.dns_ssl(now, caller, &zone.id)).await {
            Ok(mode) => Ok(Some(mode)),
            Err(error) if error.is("9109") => Ok(None),
            Err(error) => Err(error),
        }
    }
    async fn records(&self, zone: &Zone, names: &[String]) -> Result<Vec<Record>> {
        let all = self.all(zone).await?;
        Ok(all.into_iter().filter(|r| names.contains(&r.name)).collect())
    }
    async fn change(&self, permit: &Permit, zone: &Zone, batch: &Batch) -> Result<()> {
        let before = self.all(zone).await?;
        let old = batch.deletes.iter().chain(batch.patches.iter().map(|(id, _)| id));
        let old = old.filter_map(|id| before.iter().find(|r| r.id == *id)).map(|r| r.name.clone());
        let new = batch.patches.iter().map(|(_, r)| r).chain(&batch.posts).map(|r| r.name.clone());
        let Target::Dns { names: may, .. } = permit.target() else {
            return permit.covers(&Target::Dns { zone: zone.name.clone(), names: Vec::new() });
        };
        // The permit names what the plan may touch; a batch may need less of it, never more.
        let touched: BTreeSet<String> = old.chain(new).collect();
        let names = if touched.iter().all(|n| may.contains(n)) { may.clone() } else { touched.into_iter().collect() };
        permit.covers(&Target::Dns { zone: zone.name.clone(), names })?;
        let made = DnsBatch {
            deletes: batch.deletes.clone(),
            patches: batch.patches.iter().map(|(id, r)| (id.clone(), change(r))).collect(),
            puts: Vec::new(),
            posts: batch.posts.iter().map(change).collect(),
        };
        let caller = self.0.caller(Some(permit));
        let what = format!("change DNS records of {}", zone.name);
        let id = &zone.id;
        let result = self.0.request(Some(&what), |model, now| model.dns_change(now, &caller, id, &made)).await;
        result.map(|_| ()).map_err(|failure| {
            let wait = wait_of(&failure);
            classed(&what, true, failure, wait)
        })
    }
}

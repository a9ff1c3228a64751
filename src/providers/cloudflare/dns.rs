//! The world's DNS, by Cloudflare's API.

use super::api::Api;
use super::refusal::VALIDATION_CODES;
use super::reply::{RecordReply, RecordRequest, ZoneReply};
use crate::config::Timeouts;
use crate::providers::{Budget, Endpoint};
use crate::world::{Batch, Class, Clock, Dns, Error, NewRecord, Permit, Record, Result, Secret, Target, Zone};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

/// Cloudflare's DNS, as one token sees it.
pub struct Cloudflare {
    api: Api,
}

#[derive(Deserialize)]
struct TokenReply {
    status: String,
}

#[derive(Deserialize)]
struct SettingReply {
    value: Value,
}

impl Cloudflare {
    /// Where the API is. Source: Cloudflare API docs.
    pub const BASE: &'static str = "https://api.cloudflare.com/client/v4";

    /// The API at [`Cloudflare::BASE`] or at the sandbox's `http://127.a.b.c:port/client/v4`. Nothing is sent. Errors are
    /// `Fatal`: an address that would send the token unencrypted, a token that cannot be one.
    pub fn new(base: &str, token: &Secret, clock: Arc<dyn Clock>, timeouts: &Timeouts) -> Result<Self> {
        let budget = Budget::new(clock, 1200, Duration::from_secs(300));
        Ok(Self { api: Api(Endpoint::new("Cloudflare", base, token, budget, timeouts)?) })
    }

    /// A token of an account is unknown to `/user/tokens/verify`; it has an address of its own below each account that it
    /// sees, and the zones tell their account. Source: Cloudflare API docs, "Account owned tokens".
    async fn prove_account_token(&self, refused: Error) -> Result<TokenReply> {
        let Ok(zones) = self.api.call::<Vec<ZoneReply>>(Method::GET, "/zones", &[("per_page", "5")], None).await else {
            return Err(refused);
        };
        let account = zones.into_iter().find_map(|zone| zone.account?.id).ok_or(refused)?;
        self.api.call(Method::GET, &format!("/accounts/{account}/tokens/verify"), &[], None).await
    }
}

#[async_trait]
impl Dns for Cloudflare {
    async fn prove_token(&self) -> Result<()> {
        let token = match self.api.call(Method::GET, "/user/tokens/verify", &[], None).await {
            Err(error) if error.class == Class::Fatal => self.prove_account_token(error).await?,
            reply => reply?,
        };
        if token.status == "active" {
            return Ok(());
        }
        Err(Error::fatal(format!("Cloudflare: the token is {}", token.status))
            .remedy("set CLOUDFLARE_API_TOKEN to an active token"))
    }

    /// A record whose address is none: a token that may write is told so (1004), one that may not is told that (10000).
    async fn prove_writable(&self, zone: &Zone) -> Result<()> {
        let record = NewRecord {
            kind: "A".to_owned(),
            name: format!("relight-proof.{}", zone.name),
            content: "this is no address".to_owned(),
            proxied: false,
            ttl: 1,
            comment: String::new(),
        };
        let body = json!(RecordRequest::new(None, &record));
        let path = format!("/zones/{}/dns_records", zone.id);
        match self.api.call::<Value>(Method::POST, &path, &[], Some(&body)).await {
            Err(error) if VALIDATION_CODES.iter().any(|code| error.is(&code.to_string())) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::fatal("Cloudflare took an address that is none")
                .remedy(format!("delete the record {} and check which API the configuration names", record.name))),
        }
    }

    async fn zone(&self, name: &str) -> Result<Option<Zone>> {
        let zones: Vec<ZoneReply> = self.api.call(Method::GET, "/zones", &[("name", name)], None).await?;
        Ok(zones.into_iter().map(Zone::from).find(|zone| zone.name == name))
    }

    async fn ssl_mode(&self, zone: &Zone) -> Result<Option<String>> {
        let path = format!("/zones/{}/settings/ssl", zone.id);
        match self.api.call::<SettingReply>(Method::GET, &path, &[], None).await {
            Ok(setting) => Ok(setting.value.as_str().map(str::to_owned)),
            // Reading settings is a permission of its own, which relight does not ask for.
            Err(error) if error.class == Class::Fatal => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn records(&self, zone: &Zone, names: &[String]) -> Result<Vec<Record>> {
        let path = format!("/zones/{}/dns_records", zone.id);
        let mut found = Vec::new();
        for name in names {
            let list: Vec<RecordReply> = self.api.all(&path, &[("name", name)]).await?;
            // The filter is the API's; what is not of this name is not ours to see.
            found.extend(list.into_iter().map(Record::from).filter(|record| record.name.eq_ignore_ascii_case(name)));
        }
        Ok(found)
    }

    async fn change(&self, permit: &Permit, zone: &Zone, batch: &Batch) -> Result<()> {
        let Target::Dns { zone: named, names } = permit.target() else {
            return permit.covers(&Target::Dns { zone: zone.name.clone(), names: vec![] });
        };
        permit.covers(&Target::Dns { zone: zone.name.clone(), names: names.clone() })?;
        let mut posts = batch.patches.iter().map(|(_, record)| record).chain(&batch.posts);
        if let Some(record) = posts.find(|record| !names.contains(&record.name)) {
            let what = format!("step {} has leave for other names of {named} than {}", permit.step(), record.name);
            return Err(Error::fatal(what).remedy("this is a bug in relight; nothing was sent"));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let deletes: Vec<Value> = batch.deletes.iter().map(|id| json!({ "id": id })).collect();
        let patches: Vec<_> = batch.patches.iter().map(|(id, record)| RecordRequest::new(Some(id), record)).collect();
        let posts: Vec<_> = batch.posts.iter().map(|record| RecordRequest::new(None, record)).collect();
        let body = json!({ "deletes": deletes, "patches": patches, "posts": posts });
        let path = format!("/zones/{}/dns_records/batch", zone.id);
        self.api.call::<Value>(Method::POST, &path, &[], Some(&body)).await.map(|_| ())
    }
}

//! `teardown.names`, `teardown.unprotect`, `teardown.dns`: what comes before the living cluster's servers can go. Nobody's name
//! is left pointing at an address that a stranger gets next.

use super::dns::{change, is_marked, save, zone};
use super::going::{self, whose};
use super::teardown::first_error;
use super::{Action, Check, Facts, Place, StepContext};
use crate::world::{Batch, Record, Result, Server, Target};
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{json, Value};

/// No record that relight may not remove points at a server that goes, and the servers that the others point at are here.
pub(super) struct Names;

#[async_trait]
impl Action for Names {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("make sure that no name is left pointing at a server {}", whose(place))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "zone": place.settings.dns.zone, "hosts": place.settings.dns.hosts })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let (servers, named) = (going::servers(cx).await?, going::named(cx.world, cx.settings()).await?);
        if let Some((why, remedy)) = going::in_the_way(cx.settings(), &servers, &named) {
            return Ok(Check::Refused(format!("{why}; {remedy}")));
        }
        for record in named.iter().filter(|r| !is_marked(r, &cx.settings().cluster)) {
            let Record { name, kind, content, .. } = record;
            cx.effects.note(&format!("record {name} {kind} {content} is not relight's: left as it is"));
        }
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Lifts the protection of what goes.
pub(super) struct Unprotect;

impl Unprotect {
    async fn protected(cx: &StepContext<'_>) -> Result<Vec<Server>> {
        Ok(going::servers(cx).await?.into_iter().filter(|s| s.delete_protected).collect())
    }
}

#[async_trait]
impl Action for Unprotect {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("lift the protection of the servers {}, to delete it all for good", whose(place))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let names: Vec<String> = Self::protected(cx).await?.into_iter().map(|s| s.name).collect();
        Ok(match names.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("protected: {}", names.join(", "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let protected = Self::protected(cx).await?;
        let lifted = protected.iter().map(|server| async move {
            let target = Target::Cloud { kind: "server", id: server.id };
            let permit = cx.effects.permit(target, &format!("lift the protection of {}", server.name)).await?;
            cx.world.cloud.protect_server(&permit, server.id, false).await
        });
        first_error(join_all(lifted).await)
    }
}

/// Removes the records that relight made for the cluster's names.
pub(super) struct Records;

#[async_trait]
impl Action for Records {
    fn describe(&self, place: &Place<'_>) -> String {
        let dns = &place.settings.dns;
        match dns.hosts.is_empty() {
            true => format!("leave zone {} alone: no name pointed at anything {}", dns.zone, whose(place)),
            false => format!("remove relight's records of {}", dns.hosts.join(", ")),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "zone": place.settings.dns.zone, "hosts": place.settings.dns.hosts })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let records = going::own_records(cx).await?;
        Ok(match records.len() {
            0 => Check::Done(Facts::none()),
            count => Check::Needed(format!("{count} records to be removed")),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let records = going::own_records(cx).await?;
        if records.is_empty() {
            return Ok(());
        }
        let zone = zone(cx).await?;
        save(cx, &records).await?;
        let mut names: Vec<String> = records.iter().map(|r| r.name.clone()).collect();
        names.sort();
        names.dedup();
        let target = Target::Dns { zone: zone.name.clone(), names };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        let batch = Batch { deletes: records.into_iter().map(|r| r.id).collect(), ..Batch::default() };
        change(&permit, cx, &zone, &batch).await
    }
}

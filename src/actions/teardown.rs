//! `teardown.servers`, `teardown.things`, `teardown.empty`: takes down what a run made, found by its labels and not by a
//! remembered list, until there is nothing left.

use super::going::{self, whose};
use super::server_end;
use super::{Action, Check, Facts, Place, StepContext};
use crate::world::{Class, Error, Result, Target, ThingKind};
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{json, Value};

/// Everything but servers that a run makes; a network or a firewall goes only once no server uses it.
pub(super) const KINDS: [ThingKind; 4] =
    [ThingKind::Firewall, ThingKind::Network, ThingKind::PlacementGroup, ThingKind::SshKey];

/// Deletes the servers, and with them their own addresses.
pub(super) struct Servers;

#[async_trait]
impl Action for Servers {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("delete the servers {}", whose(place))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let servers = going::servers(cx).await?;
        let names: Vec<&str> = servers.iter().map(|s| s.name.as_str()).collect();
        Ok(match names.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("to be deleted: {}", names.join(", "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let target = |id| Target::Cloud { kind: "server", id };
        server_end::end(cx, &going::servers(cx).await?, target, "it is taken down").await
    }
}

/// Deletes everything else.
pub(super) struct Things;

#[async_trait]
impl Action for Things {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("delete the firewall, network, placement group and SSH key {}", whose(place))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let names: Vec<String> = going::rest(cx).await?.iter().map(going::Rest::words).collect();
        Ok(match names.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("to be deleted: {}", names.join(", "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let all = going::rest(cx).await?;
        let gone = all.iter().map(|rest| async move {
            let target = Target::Cloud { kind: rest.word, id: rest.id };
            let permit = cx.effects.permit(target, &format!("delete {}", rest.name)).await?;
            let end = match rest.kind {
                Some(kind) => cx.world.cloud.delete_thing(&permit, kind, rest.id).await,
                None => cx.world.cloud.delete_primary_ip(&permit, rest.id).await,
            };
            end.map_err(soon_free)
        });
        first_error(join_all(gone).await)
    }
}

/// Nothing is left.
pub(super) struct Empty;

#[async_trait]
impl Action for Empty {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("look that nothing is left {}", whose(place))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let mut left: Vec<String> = going::servers(cx).await?.iter().map(|s| format!("server {}", s.name)).collect();
        left.extend(going::rest(cx).await?.iter().map(going::Rest::words));
        let records = going::records(cx.world, cx.settings()).await?;
        left.extend(records.iter().map(|r| format!("record {} {}", r.name, r.content)));
        Ok(match left.is_empty() {
            true => Check::Done(Facts::none()),
            // A list may lag behind what was deleted: looked at again until it is empty, or the deadline is over.
            false => Check::Pending(format!("left: {}", left.join(", "))),
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// A server that was just deleted may still count as a user of its firewall, and its address as its own. Source: Hetzner Cloud
/// API, `resource_in_use`, `must_be_unassigned`.
fn soon_free(error: Error) -> Error {
    match error.is("resource_in_use") || error.is("must_be_unassigned") {
        true => Error { class: Class::Transient, ..error },
        false => error,
    }
}

pub(super) fn first_error(ends: Vec<Result<()>>) -> Result<()> {
    ends.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}

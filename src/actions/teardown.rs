//! `teardown.servers`, `teardown.things`: takes down what a run made, found by its labels and not by a remembered list, until
//! there is nothing left.

use super::{Action, Check, Facts, Place, StepContext};
use crate::world::{self, Class, Error, Result, Target, Thing, ThingKind};
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{json, Value};

/// Everything but servers that a run makes; a network or a firewall goes only once no server uses it.
pub(super) const KINDS: [ThingKind; 4] =
    [ThingKind::Firewall, ThingKind::Network, ThingKind::PlacementGroup, ThingKind::SshKey];

/// The selector of what this run made.
fn of_run(cx: &StepContext<'_>) -> String {
    world::selector(&cx.settings().cluster, Some(&cx.place.run.id))
}

/// Deletes the run's servers, and with them their own addresses.
pub(super) struct Servers;

#[async_trait]
impl Action for Servers {
    fn describe(&self, _place: &Place<'_>) -> String {
        "delete the servers that this run made".to_owned()
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let servers = cx.world.cloud.servers(&of_run(cx)).await?;
        let names: Vec<&str> = servers.iter().map(|s| s.name.as_str()).collect();
        Ok(match names.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("to be deleted: {}", names.join(", "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let servers = cx.world.cloud.servers(&of_run(cx)).await?;
        let gone = servers.iter().map(|server| async move {
            let target = Target::Cloud { kind: "server", id: server.id };
            let permit = cx.effects.permit(target, &format!("delete {}", server.name)).await?;
            cx.world.cloud.delete_server(&permit, server.id).await
        });
        first_error(join_all(gone).await)
    }
}

/// Deletes the run's other things.
pub(super) struct Things;

impl Things {
    async fn all(cx: &StepContext<'_>) -> Result<Vec<(ThingKind, Thing)>> {
        let mut all = Vec::new();
        for kind in KINDS {
            all.extend(cx.world.cloud.things(kind, &of_run(cx)).await?.into_iter().map(|thing| (kind, thing)));
        }
        Ok(all)
    }
}

#[async_trait]
impl Action for Things {
    fn describe(&self, _place: &Place<'_>) -> String {
        "delete the firewall, network, placement group and SSH key that this run made".to_owned()
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let all = Self::all(cx).await?;
        let names: Vec<String> = all.iter().map(|(kind, t)| format!("{} {}", kind.word(), t.name)).collect();
        Ok(match names.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("to be deleted: {}", names.join(", ").replace('_', " "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let all = Self::all(cx).await?;
        let gone = all.iter().map(|(kind, thing)| async move {
            let target = Target::Cloud { kind: kind.word(), id: thing.id };
            let permit = cx.effects.permit(target, &format!("delete {}", thing.name)).await?;
            cx.world.cloud.delete_thing(&permit, *kind, thing.id).await.map_err(soon_free)
        });
        first_error(join_all(gone).await)
    }
}

/// A server that was just deleted may still count as a user of its firewall. Source: Hetzner Cloud API, `resource_in_use`.
fn soon_free(error: Error) -> Error {
    match error.is("resource_in_use") {
        true => Error { class: Class::Transient, ..error },
        false => error,
    }
}

fn first_error(ends: Vec<Result<()>>) -> Result<()> {
    ends.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}

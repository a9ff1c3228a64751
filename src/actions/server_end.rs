//! The end of servers, several together: nobody lets them in as a peer any more, they are powered off, and then deleted.
//!
//! In this order because an address that is given back is soon a stranger's: a run may be stopped between two of them, and what
//! then still ran would let that stranger in to its etcd.

use super::teardown::first_error;
use super::thing::PEER;
use super::StepContext;
use crate::world::{self, Result, Server, ServerStatus, Target, ThingKind, ThingSpec};
use futures::future::join_all;

/// Ends these servers; `target` is what the guard is asked for, `why` what is told of each.
pub(super) async fn end(
    cx: &StepContext<'_>,
    servers: &[Server],
    target: impl Fn(i64) -> Target + Copy,
    why: &str,
) -> Result<()> {
    close(cx, servers).await?;
    let running = servers.iter().filter(|server| server.status != ServerStatus::Off);
    first_error(join_all(running.map(|server| power_off(cx, server, target(server.id)))).await)?;
    first_error(join_all(servers.iter().map(|server| delete(cx, server, target(server.id), why))).await)
}

/// No rule of the cluster's firewalls lets in, as a peer, an address that is about to be given back.
async fn close(cx: &StepContext<'_>, servers: &[Server]) -> Result<()> {
    let freed: Vec<String> = servers.iter().filter_map(|s| Some(format!("{}/32", s.public_ip?))).collect();
    let selector = world::selector(&cx.settings().cluster, None);
    for firewall in cx.world.cloud.things(ThingKind::Firewall, &selector).await? {
        let ThingSpec::Firewall(rules) = &firewall.spec else { continue };
        let mut left = rules.clone();
        for rule in left.iter_mut().filter(|rule| rule.description == PEER) {
            rule.addresses.retain(|address| !freed.contains(address));
        }
        left.retain(|rule| rule.description != PEER || !rule.addresses.is_empty());
        if left != *rules {
            let target = Target::Cloud { kind: "firewall", id: firewall.id };
            let permit = cx.effects.permit(target, "let in no peer that goes").await?;
            cx.world.cloud.set_firewall_rules(&permit, firewall.id, &left).await?;
        }
    }
    Ok(())
}

async fn power_off(cx: &StepContext<'_>, server: &Server, target: Target) -> Result<()> {
    let permit = cx.effects.permit(target, &format!("power off {}", server.name)).await?;
    cx.world.cloud.power_off(&permit, server.id).await
}

async fn delete(cx: &StepContext<'_>, server: &Server, target: Target, why: &str) -> Result<()> {
    let permit = cx.effects.permit(target, &format!("delete {}: {why}", server.name)).await?;
    cx.world.cloud.delete_server(&permit, server.id).await
}

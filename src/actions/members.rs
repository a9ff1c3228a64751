//! After a server was lost while the run went on: whom its node joins, and how the lost server's etcd member leaves.
//!
//! Only a node that has had another server before asks any of this: everything else is as the configuration says.

use super::node::well;
use super::{access, FactKind, StepContext};
use crate::config::NodeSettings;
use crate::world::{ApiAt, Error, Kind, Result, Secret, Target};
use std::collections::BTreeMap;

/// A node as `etcd.sh check` tells it.
struct Seen {
    /// Whether an etcd datastore is on its disk.
    datastore: bool,
    /// The members, where it votes and there is a majority; else none.
    members: Vec<String>,
}

/// Whether the node has had another server before, or may have.
pub(super) fn replaced(cx: &StepContext<'_>, node: &str) -> bool {
    cx.facts.find(FactKind::EarlierServer, Some(node)).is_some()
}

/// Nodes of which a server was lost while the run went on, as far as that is known.
fn lost<'a>(cx: &StepContext<'a>) -> Vec<&'a str> {
    let nodes = cx.settings().nodes.iter().map(|n| n.key.as_str());
    nodes.filter(|node| replaced(cx, node) && !cx.facts.is_from_before(node)).collect()
}

/// The other nodes that may have joined a cluster: none does before its own host key is known.
fn others<'a>(cx: &StepContext<'a>) -> Result<Vec<&'a NodeSettings>> {
    let this = &cx.node()?.key;
    let known = |n: &&NodeSettings| n.key != *this && cx.facts.find(FactKind::HostKey, Some(&n.key)).is_some();
    Ok(cx.settings().nodes.iter().filter(known).collect())
}

async fn ask(cx: &StepContext<'_>, node: &str) -> Result<Seen> {
    let script = access::script(cx, "etcd.sh", "check", BTreeMap::new())?;
    let ended = well("etcd.sh", "check", cx.world.shell.look(&access::host(cx, node).await?, &script).await?)?;
    let members = ended.value("members").unwrap_or_default();
    let names = members.split(',').filter_map(|member| member.split(':').next()).filter(|name| !name.is_empty());
    Ok(Seen { datastore: ended.value("datastore") == Some("yes"), members: names.map(str::to_owned).collect() })
}

/// Whom the first node joins instead of starting a cluster, because its server was lost and others have joined the cluster of
/// that one; `None` where nobody has. Not to know it is an error: a second cluster is worse than a late one.
pub(super) async fn living(cx: &StepContext<'_>) -> Result<Option<String>> {
    let mut holders = Vec::new();
    for other in others(cx)? {
        let unsure = |e: Error| Error { what: format!("whether {} is of the cluster: {}", other.key, e.what), ..e };
        let seen = ask(cx, &other.key).await.map_err(unsure)?;
        if !seen.members.is_empty() {
            return Ok(Some(other.key.clone()));
        }
        if seen.datastore {
            holders.push(other.key.as_str());
        }
    }
    match holders.is_empty() {
        true => Ok(None),
        false => Err(Error::transient(no_majority(cx, &holders))),
    }
}

/// Why etcd on this node may stay without an answer for ever: its majority was lost with other nodes' servers.
pub(super) async fn without_majority(cx: &StepContext<'_>) -> Result<Option<String>> {
    if lost(cx).is_empty() {
        return Ok(None);
    }
    let mut holders = vec![cx.node()?.key.as_str()];
    for other in others(cx)? {
        match ask(cx, &other.key).await {
            Ok(seen) if !seen.members.is_empty() => return Ok(None),
            Ok(seen) if seen.datastore => holders.push(&other.key),
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(no_majority(cx, &holders)))
}

fn no_majority(cx: &StepContext<'_>, holders: &[&str]) -> String {
    let servers: Vec<String> = holders.iter().map(|node| cx.place.server_name(node)).collect();
    format!(
        "etcd has no majority without the lost server of {}: if it stays so, delete {} in the cloud's console, then `relight \
         resume`, which makes them again (what they keep on their disks is lost)",
        lost(cx).join(", "),
        servers.join(", ")
    )
}

/// Takes the lost server of the step's node out of the cluster, as the node `through` sees it. K3s removes the etcd member and the
/// node's password with the Node object; while a dead member is listed, nobody joins, and a name that is taken never does.
/// Sources: docs.k3s.io, "Architecture" (node passwords); k3s `pkg/etcd/member_controller.go`; k3s issue 2533.
pub(super) async fn forget(cx: &StepContext<'_>, through: &str) -> Result<()> {
    let name = cx.place.server_name(&cx.node()?.key);
    let at = ApiAt { host: access::host(cx, through).await?, kubeconfig: kubeconfig(cx, through).await? };
    let kind = Kind::new("v1", "Node");
    if cx.world.cluster.get(&at, &kind, None, &name).await?.is_some() {
        let target = Target::Objects { address: at.host.address, what: format!("Node {name}") };
        let permit = cx.effects.permit(target, &format!("delete Node {name}: its server is lost")).await?;
        cx.world.cluster.delete(&permit, &at, &kind, None, &name).await?;
    }
    let of_node =
        |member: &String| member.strip_prefix(&name).is_some_and(|rest| rest.len() == 9 && rest.starts_with('-'));
    match ask(cx, through).await?.members.into_iter().find(of_node) {
        None => Ok(()),
        // One that had not yet learnt enough to be registered has no Node; K3s gives it up after five minutes.
        Some(member) => Err(Error::transient(format!("the lost server's etcd member {member} has not left yet"))),
    }
}

/// The admin kubeconfig as the node has it: the run may not have fetched one yet.
async fn kubeconfig(cx: &StepContext<'_>, node: &str) -> Result<Secret> {
    let script = access::script(cx, "kubeconfig.sh", "check", BTreeMap::new())?;
    let looked = cx.world.shell.look(&access::host(cx, node).await?, &script).await?;
    well("kubeconfig.sh", "check", looked).map(|ended| Secret::new(ended.stdout))
}

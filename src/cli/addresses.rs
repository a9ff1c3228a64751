//! Which addresses of the nodes are new after a rebuild, which they had before, and who has to be told.

use crate::actions::earlier_addresses;
use crate::config::Settings;
use crate::report;
use crate::world::{of_run, PrimaryIp, Server, World, NODE};
use std::fmt::Write;
use std::time::Duration;

/// An address that is older than its server by more than this was not made with it.
const TOGETHER: Duration = Duration::from_secs(60);

/// Lines of the hand-over: each new server's address, and what it was before; then what the names pointed at besides.
pub(super) async fn lines(world: &World, settings: &Settings, new: &[&Server], all: &[Server]) -> String {
    let known = world.cloud.primary_ips().await.unwrap_or_default();
    let mut before = earlier_addresses(world).await;
    let (mut text, mut changed) = (String::new(), false);
    for server in new {
        let Some(address) = server.public_ip.map(|ip| ip.to_string()) else { continue };
        before.retain(|old| *old != address);
        if taken_up(&known, server) {
            let _ = writeln!(text, "  same address  {} {address}, taken up again", server.name);
            continue;
        }
        changed = true;
        let old = old_of(settings, server, all);
        before.retain(|other| Some(other) != old.as_ref());
        let old = old.map(|old| format!(", before {old}")).unwrap_or_default();
        let _ = writeln!(text, "  new address   {} {address}{old}", server.name);
    }
    if !before.is_empty() {
        let before: Vec<String> = before.iter().map(|old| report::plain(old)).collect();
        let _ = writeln!(text, "  old address   {}: the names pointed there before", before.join(", "));
    }
    if changed {
        let _ = writeln!(
            text,
            "  allow-lists   whoever lets the nodes in by their addresses has to be told of the new ones: the database, the mail \
             server, senders and receivers of webhooks{}",
            match settings.cloud.keep_addresses {
                true => ". They are kept from now on",
                false => "; `cloud.keep_addresses: true` spares that next time",
            }
        );
    }
    text
}

fn taken_up(known: &[PrimaryIp], server: &Server) -> bool {
    let made = known.iter().find(|ip| ip.assignee == Some(server.id)).and_then(|ip| ip.created);
    made.zip(server.created).is_some_and(|(ip, server)| ip + TOGETHER < server)
}

/// The address of the node's server of before, where that still stands and has it.
fn old_of(settings: &Settings, server: &Server, all: &[Server]) -> Option<String> {
    let node = server.labels.get(NODE)?;
    let run = server.labels.get(crate::world::RUN)?;
    let of_node = |s: &&Server| s.labels.get(NODE) == Some(node) && !of_run(&s.labels, &settings.cluster, run);
    all.iter().filter(of_node).max_by_key(|s| s.created).and_then(|s| s.public_ip).map(|ip| ip.to_string())
}

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
    // What is on a server that still stands is told there.
    before.retain(|old| !all.iter().any(|s| s.public_ip.is_some_and(|ip| ip.to_string() == *old)));
    told(&known, &before, settings, new, all)
}

fn told(known: &[PrimaryIp], before: &[String], settings: &Settings, new: &[&Server], all: &[Server]) -> String {
    let (mut text, mut changed) = (String::new(), false);
    for server in new {
        let Some(address) = server.public_ip else { continue };
        if taken_up(known, server) {
            let _ = writeln!(text, "  same address  {} {address}, taken up again", server.name);
            continue;
        }
        changed = true;
        let old = old_of(settings, server, all).map(|old| format!(", before {old}")).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Labels, ServerStatus, CLUSTER, MANAGED_BY, RUN};
    use std::net::Ipv4Addr;
    use std::path::Path;

    fn server(id: i64, node: &str, run: &str, last: u8, created: u64) -> Server {
        let labels = [(MANAGED_BY, "relight"), (CLUSTER, "honeydue"), (NODE, node), (RUN, run)];
        Server {
            id,
            name: format!("honeydue-{node}{}", if run == "now" { "" } else { "-old" }),
            status: ServerStatus::Running,
            server_type: String::new(),
            location: String::new(),
            public_ip: (last > 0).then(|| Ipv4Addr::new(192, 0, 2, last)),
            private_ips: Vec::new(),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            delete_protected: false,
            rebuild_protected: false,
            placement_group: None,
            firewalls: Vec::new(),
            created: Some(Duration::from_secs(created)),
        }
    }

    fn on(server: i64, last: u8, created: u64) -> PrimaryIp {
        PrimaryIp {
            id: i64::from(last),
            name: String::new(),
            address: Ipv4Addr::new(192, 0, 2, last),
            labels: Labels::new(),
            location: String::new(),
            assignee: Some(server),
            auto_delete: false,
            created: Some(Duration::from_secs(created)),
        }
    }

    #[test]
    fn each_new_address_is_told_with_the_old_one_and_who_must_know_and_a_kept_one_is_the_same() {
        let mut settings = crate::config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).unwrap();
        let all = [
            server(1, "node-1", "then", 11, 100),
            server(2, "node-1", "now", 21, 9_000),
            server(3, "node-2", "now", 22, 9_000),
            server(4, "node-3", "then", 0, 100),
            server(5, "node-3", "now", 13, 9_000),
        ];
        let known = [on(2, 21, 9_001), on(3, 22, 8_999), on(5, 13, 100)];
        let new: Vec<&Server> = all.iter().filter(|s| s.labels.get(RUN).is_some_and(|run| run == "now")).collect();
        insta::assert_snapshot!(told(&known, &["192.0.2.12".to_owned()], &settings, &new, &all), @r"
        new address   honeydue-node-1 192.0.2.21, before 192.0.2.11
        new address   honeydue-node-2 192.0.2.22
        same address  honeydue-node-3 192.0.2.13, taken up again
        old address   192.0.2.12: the names pointed there before
        allow-lists   whoever lets the nodes in by their addresses has to be told of the new ones: the database, the mail server, senders and receivers of webhooks; `cloud.keep_addresses: true` spares that next time
        ");
        settings.cloud.keep_addresses = true;
        let (kept, text) = (&new[2..], told(&known, &[], &settings, &new[..1], &all));
        assert!(text.ends_with("webhooks. They are kept from now on\n"), "{text}");
        assert_eq!(
            told(&known, &[], &settings, kept, &all),
            "  same address  honeydue-node-3 192.0.2.13, taken up again\n"
        );
    }
}

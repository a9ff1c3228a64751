//! Nodes that talk over public addresses: each lets its peers in, by name, and nobody else.

use crate::judged::{all, from, resumed, thinned, AFTERS};
use crate::life::{settings, End, Life};
use crate::living::somebody;
use relight::config::NetworkSettings;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Filter, Loss, Reach, ThingState};
use relight::world::ThingKind;
use std::collections::BTreeSet;

/// All is lost, and what is made anew shall have no private network.
pub fn over_public_addresses() -> Life {
    let mut settings = settings();
    settings.cloud.network = NetworkSettings::Public;
    Life::lost_with(Loss::Gone, settings)
}

#[test]
fn a_rebuild_over_public_addresses_lets_each_node_in_at_the_others_and_nobody_else() {
    let life = over_public_addresses();
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?}");
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let nodes = model.servers(now, &somebody(), &Filter::labels("relight-run")).result.unwrap();
    let addresses: BTreeSet<String> = nodes.iter().map(|s| s.public.as_ref().unwrap().address.to_string()).collect();
    assert_eq!(addresses.len(), 3);
    let walls = model.things(now, &somebody(), ThingKind::Firewall, &Filter::labels("relight-run")).result.unwrap();
    let [wall] = walls.as_slice() else { panic!("{walls:?}") };
    let ThingState::Firewall { rules } = &wall.state else { panic!("{wall:?}") };
    let mut ports = BTreeSet::new();
    for rule in rules.iter().filter(|r| r.addresses.iter().any(|a| a.ends_with("/32"))) {
        let let_in: BTreeSet<String> = rule.addresses.iter().map(|a| a.trim_end_matches("/32").to_owned()).collect();
        assert_eq!(let_in, addresses, "{rule:?}");
        ports.insert(format!("{} {}", rule.protocol, rule.port.as_deref().unwrap()));
    }
    let wanted = ["tcp 10250", "tcp 2379-2380", "tcp 6443", "udp 8472"];
    assert_eq!(ports, wanted.into_iter().map(str::to_owned).collect());
    for node in &nodes {
        let address = node.public.as_ref().unwrap().address;
        let machine = model.machines().into_iter().find(|m| m.public == Some(address)).unwrap();
        let peers: BTreeSet<String> = machine.peers.iter().map(ToString::to_string).collect();
        let others: BTreeSet<String> = addresses.iter().filter(|a| **a != address.to_string()).cloned().collect();
        assert_eq!(peers, others);
        assert_eq!([6443, 2379, 10250].map(|port| model.reach(now, address, port)), [Reach::Silent; 3]);
    }
}

#[test]
fn a_rebuild_over_public_addresses_may_be_killed_at_a_sample_of_points_and_round_every_change_of_peers() {
    let wanted = from(over_public_addresses);
    let points: Vec<(usize, &String)> = wanted.points.iter().enumerate().collect();
    let of_peers = |name: &str| name.contains("peers.sh") || name.contains("firewall");
    let mut chosen: Vec<_> = points.iter().copied().filter(|(_, name)| of_peers(name)).collect();
    assert!(chosen.len() >= 8, "{chosen:?}");
    chosen.extend(thinned(points).into_iter().step_by(3));
    let schedules: Vec<_> = chosen.into_iter().zip(AFTERS.into_iter().cycle()).collect();
    all("killed once, public network", &schedules, |((point, name), after)| {
        let (life, wire) = (over_public_addresses(), Tripwire::at(*point));
        let end = life.process(&wire);
        assert!(matches!(end, End::Killed), "not killed at point {point}: {end:?}");
        assert_eq!(wire.points().last(), Some(*name), "the schedule is not the undisturbed one");
        let wrong = resumed(&life, *after, &wanted);
        wrong.into_iter().map(|w| format!("killed at {point} ({name}, {after:?}): {w}")).collect()
    });
}

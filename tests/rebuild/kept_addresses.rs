//! Where addresses are kept they outlive their servers, and the next servers take them up: nobody outside has to be told of others.

use crate::judged::{all, finished, from, After, Kills, AFTERS};
use crate::life::{settings, End, Life};
use crate::living::somebody;
use crate::lost_again::lose;
use crate::worlds::{after, taking_down};
use relight::actions::Mode;
use relight::config::TakenDown;
use relight::engine::Event;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Fault, FaultKind, Filter, Loss, Matcher, Model, Power, PrimaryIp, Start, Times};
use relight::world::{label_value, Labels, CLUSTER, MANAGED_BY, MODE, NODE};
use std::collections::BTreeMap;
use std::time::Duration;

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
/// The run after the first.
const SECOND: &str = "bcdefghijklm";

fn keeping() -> Life {
    let mut settings = settings();
    settings.cloud.keep_addresses = true;
    Life::lost_with(Loss::Gone, settings)
}

fn succeeds(life: &Life) {
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {:#?}", told(life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

/// What the run told, besides what it did.
fn told(life: &Life) -> Vec<String> {
    let note = |event| match event {
        Event::StepFinished { step, text, .. } if !text.is_empty() => Some(format!("{step}: {text}")),
        Event::StepFailed { step, error, .. } => Some(format!("{step} failed: {error}")),
        _ => None,
    };
    life.events().into_iter().filter_map(|(_, event)| note(event)).collect()
}

fn addresses(life: &Life) -> Vec<PrimaryIp> {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    model.primary_ips(now, &somebody(), &Filter::default()).result.unwrap()
}

/// By node: the address of the server that has the node's name, and where that is.
fn of_nodes(life: &Life) -> BTreeMap<String, (String, String)> {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let servers = model.servers(now, &somebody(), &Filter::default()).result.unwrap();
    let node = |name: &str| NODES.into_iter().find(|node| name == format!("honeydue-{node}")).map(str::to_owned);
    let of = |s: &relight::sandbox::model::CloudServer| {
        Some((node(&s.name)?, (s.public.as_ref()?.address.to_string(), s.location.name.clone())))
    };
    servers.iter().filter_map(of).collect()
}

/// The cluster's records, with their ids.
fn records(life: &Life) -> Vec<String> {
    let mut lines = lock(&life.sandbox.model).in_words();
    lines.retain(|line| line.starts_with("record "));
    lines
}

/// What became of the servers of the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// Deleted in the console.
    Gone,
    /// Powered off: they still have their addresses.
    Off,
    /// They run.
    Running,
}

/// A second rebuild, on a disk of its own.
fn another(life: &Life, ends: Ends) -> Life {
    for node in NODES {
        match ends {
            Ends::Gone => lose(life, node),
            Ends::Off => off(life, node),
            Ends::Running => {}
        }
    }
    life.pass(Duration::from_secs(900));
    lock(&life.sandbox.model).ledger.strangers.clear();
    after(life, SECOND, "rebuild", Mode::Live, life.settings.clone())
}

fn off(life: &Life, node: &str) {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let filter = Filter { name: format!("honeydue-{node}"), ..Filter::default() };
    let server = model.servers(now, &somebody(), &filter).result.unwrap().remove(0).id;
    drop(model);
    power_off(life, server);
}

fn power_off(life: &Life, server: i64) {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    assert!(model.power(now, &somebody(), server, Power::Off).result.is_ok());
}

fn effects(life: &Life, op: &str) -> usize {
    let model = lock(&life.sandbox.model);
    let entries: Vec<_> = model.ledger.applied().collect();
    entries.iter().filter(|e| e.op == op && e.who.run == life.id.id).count()
}

/// A cluster with kept addresses that is lost, and the run that is to rebuild it.
fn again(ends: Ends) -> Life {
    let life = keeping();
    succeeds(&life);
    another(&life, ends)
}

#[test]
fn a_second_rebuild_takes_up_the_addresses_of_the_first_and_changes_no_record() {
    for ends in [Ends::Gone, Ends::Off] {
        let life = keeping();
        succeeds(&life);
        let (first, named) = (of_nodes(&life), records(&life));
        assert_eq!(first.len(), 3);
        let kept = addresses(&life).into_iter().filter(|ip| !ip.auto_delete && ip.name.starts_with("honeydue-"));
        assert_eq!(kept.map(|ip| ip.name).collect::<Vec<_>>(), NODES.map(|node| format!("honeydue-{node}")));
        let life = another(&life, ends);
        succeeds(&life);
        assert_eq!(of_nodes(&life), first, "{ends:?}");
        assert_eq!(records(&life), named, "{ends:?}");
        assert_eq!(effects(&life, "dns.batch"), 0, "{ends:?}");
        assert_eq!(effects(&life, "cloud.primary_ip.unassign"), if ends == Ends::Off { 3 } else { 0 });
        assert_eq!(effects(&life, "cloud.primary_ip.update"), 0, "they were kept already");
        let labels = addresses(&life).into_iter().find(|ip| ip.name == "honeydue-node-1").unwrap().labels;
        assert_eq!(labels, of("node-1"));
    }
}

fn of(node: &str) -> Labels {
    [(MANAGED_BY, "relight"), (CLUSTER, "honeydue"), (NODE, node), (MODE, "live")]
        .map(|(key, value)| (key.to_owned(), label_value(value)))
        .into()
}

/// A world in which an address is kept for each node, in the second of the places that are listed.
fn kept_elsewhere(keep: bool) -> (Life, Vec<PrimaryIp>) {
    let mut settings = settings();
    settings.cloud.keep_addresses = keep;
    let mut model = Model::total_loss(&settings, &Start::default(), Loss::Gone);
    let place = settings.cloud.locations[1].clone();
    let kept = NODES.map(|node| model.place_primary_ip("live", &format!("any-{node}"), &place, of(node)).unwrap());
    (Life::around(model, settings), kept.into())
}

#[test]
fn the_place_of_the_kept_address_is_tried_first() {
    let (life, kept) = kept_elsewhere(true);
    succeeds(&life);
    for (node, ip) in NODES.iter().zip(&kept) {
        assert_eq!(of_nodes(&life)[*node], (ip.address.to_string(), "fsn1".to_owned()));
    }
    assert_eq!(told(&life).iter().filter(|note| note.contains("taken up")).count(), 0, "{:?}", told(&life));
}

#[test]
fn where_its_place_is_sold_out_a_node_gets_a_new_address_and_the_old_one_is_told() {
    let (life, kept) = kept_elsewhere(true);
    let sold_out = |kind: &str| Fault {
        on: Matcher::op("cloud.server.create").at(format!("honeydue-node-2 {kind}/fsn1")),
        kind: FaultKind::SoldOut,
        times: Times::Always,
    };
    ["cx33", "cpx32"].into_iter().for_each(|kind| {
        lock(&life.sandbox.model).faults.plan(sold_out(kind));
    });
    succeeds(&life);
    let nodes = of_nodes(&life);
    assert_eq!(nodes["node-1"].0, kept[0].address.to_string());
    assert_ne!(nodes["node-2"].1, "fsn1");
    let old = kept[1].address.to_string();
    let notes = told(&life);
    let note = notes.iter().find(|note| note.contains("address-keep[node-2]")).unwrap_or_else(|| panic!("{notes:?}"));
    assert!(note.contains(&old) && note.contains(&nodes["node-2"].0) && note.contains("still costs"), "{note}");
    let after = addresses(&life);
    let left = after.iter().find(|ip| ip.id == kept[1].id).unwrap();
    assert_eq!((left.server, &left.labels), (None, &kept[1].labels));
    let new = after.iter().find(|ip| ip.address.to_string() == nodes["node-2"].0).unwrap();
    assert!(!new.auto_delete && new.labels == of("node-2"), "{new:?}");
}

#[test]
fn an_address_on_a_server_that_is_only_cut_off_is_left_there_and_told() {
    let life = keeping();
    succeeds(&life);
    let first = of_nodes(&life);
    let life = another(&life, Ends::Running);
    lock(&life.sandbox.model).faults.plan(Fault {
        on: Matcher::op("cloud.server.poweroff").at("node-2"),
        kind: FaultKind::HungAction,
        times: Times::Always,
    });
    succeeds(&life);
    let (second, notes) = (of_nodes(&life), told(&life));
    assert_eq!((&second["node-1"], &second["node-3"]), (&first["node-1"], &first["node-3"]));
    assert_ne!(second["node-2"], first["node-2"]);
    let note = notes.iter().find(|note| note.contains("address-free[node-2]")).unwrap_or_else(|| panic!("{notes:?}"));
    assert!(note.contains(&first["node-2"].0) && note.contains("node-2 gets a new one"), "{note}");
    assert_eq!(addresses(&life).iter().filter(|ip| ip.labels == of("node-2") && ip.server.is_some()).count(), 2);
}

#[test]
fn without_the_setting_nothing_of_it_is_touched_and_an_address_of_an_earlier_time_is_told() {
    let (life, kept) = kept_elsewhere(false);
    succeeds(&life);
    let after = addresses(&life);
    for ip in &kept {
        assert_eq!(after.iter().find(|one| one.id == ip.id), Some(ip));
        assert!(told(&life).iter().any(|note| note.contains(&ip.address.to_string())), "{:?}", told(&life));
    }
    let others = after.iter().filter(|ip| ip.server.is_some());
    assert!(others.clone().count() >= 3);
    assert!(others.clone().all(|ip| ip.auto_delete && ip.labels.is_empty()));
    let model = lock(&life.sandbox.model);
    assert!(!model.ledger.entries.iter().any(|e| e.op.starts_with("cloud.primary_ip.")));
}

#[test]
fn a_server_that_is_lost_on_the_way_is_made_again_with_its_address() {
    let (life, wire) = (keeping(), Tripwire::new());
    life.process(&wire);
    let point = wire.points().iter().rposition(|point| point.starts_with("after k3s.sh start")).unwrap();
    let life = keeping();
    assert!(matches!(life.process(&Tripwire::at(point)), End::Killed));
    life.pass(Duration::from_secs(60));
    let before = of_nodes(&life);
    lose(&life, "node-3");
    succeeds(&life);
    assert_eq!(of_nodes(&life), before);
}

/// The points of the steps that this is about.
fn theirs(points: &[String]) -> Vec<usize> {
    let about = |point: &String| ["primary IP", "create server"].iter().any(|what| point.contains(what));
    points.iter().enumerate().filter(|(_, point)| about(point)).map(|(index, _)| index).collect()
}

#[test]
fn killed_at_any_point_of_these_steps_it_comes_out_the_same() {
    for (what, ends) in [("first", None), ("gone", Some(Ends::Gone)), ("off", Some(Ends::Off))] {
        let begin = || ends.map_or_else(keeping, again);
        let wanted = from(begin);
        let points = theirs(&wanted.points);
        assert!(points.len() >= 6, "{what}: {:?}", wanted.points);
        let schedules: Vec<(usize, After)> = points.into_iter().zip(AFTERS.into_iter().cycle()).collect();
        all(what, &schedules, |(point, after)| {
            let (life, mut kills) = (begin(), Kills::default());
            let killed = life.process(&Tripwire::at(*point));
            assert!(matches!(killed, End::Killed), "not killed at {point}: {killed:?}");
            kills.crash(&life, *after);
            let at = &wanted.points[*point];
            finished(&life, &kills, &wanted).into_iter().map(|w| format!("{what} at {point} ({at}): {w}")).collect()
        });
    }
}

#[test]
fn a_lost_reply_of_any_of_these_calls_does_no_harm() {
    for op in ["cloud.primary_ip.update", "cloud.primary_ip.unassign", "cloud.server.create"] {
        let lost =
            |life: &Life| lock(&life.sandbox.model).faults.plan(Fault::once(Matcher::op(op), FaultKind::LostReply));
        let life = keeping();
        // An address is made one of ours by the first run; the others of these calls are the second's.
        if op.ends_with("update") {
            lost(&life);
        }
        succeeds(&life);
        let first = of_nodes(&life);
        let life = another(&life, Ends::Off);
        if !op.ends_with("update") {
            lost(&life);
        }
        succeeds(&life);
        assert_eq!(of_nodes(&life), first, "{op}");
        let model = lock(&life.sandbox.model);
        assert!(model.ledger.lost().iter().any(|e| e.op == op), "{op}: no reply was lost");
    }
}

const GONE: FaultKind = FaultKind::ServerError { status: 503, applied: false };

#[test]
fn what_fails_once_of_these_steps_is_tried_again() {
    let retried = |life: &Life, name: &str| {
        let events = life.events();
        events.iter().any(|(_, e)| matches!(e, Event::StepRetry { step, .. } if step.starts_with(name)))
    };
    let fails = |life: &Life, op: &str| {
        lock(&life.sandbox.model).faults.plan(Fault::once(Matcher::op(op), GONE));
    };
    let life = keeping();
    fails(&life, "cloud.primary_ip.update");
    succeeds(&life);
    assert!(retried(&life, "address-keep["));
    let first = of_nodes(&life);
    let life = another(&life, Ends::Off);
    fails(&life, "cloud.primary_ip.unassign");
    succeeds(&life);
    assert!(retried(&life, "address-free["));
    assert_eq!(of_nodes(&life), first);
}

#[test]
fn an_address_that_cannot_be_freed_or_kept_holds_up_no_rebuild_and_is_a_warning() {
    let life = again(Ends::Off);
    for op in ["cloud.primary_ip.unassign", "cloud.primary_ip.update"] {
        let (on, times) = (Matcher::op(op), Times::Always);
        lock(&life.sandbox.model).faults.plan(Fault { on, kind: GONE, times });
    }
    let end = life.process(&Tripwire::new());
    let End::Finished(end) = end else { panic!("{end:?}") };
    assert_eq!((end.outcome.as_str(), end.warnings), ("succeeded", 6), "{:#?}", told(&life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    assert_eq!(of_nodes(&life).len(), 3);
}

#[test]
fn an_adopted_clusters_addresses_are_kept_and_taken_up_too() {
    let mut settings = settings();
    settings.cloud.keep_addresses = true;
    let life = Life::hand_made_with(settings);
    succeeds(&life);
    let mut kept: Vec<PrimaryIp> = addresses(&life);
    kept.retain(|ip| ip.labels.contains_key(NODE));
    assert!(kept.len() == 3 && kept.iter().all(|ip| !ip.auto_delete && life.by_hand.contains(&ip.id)), "{kept:?}");
    let servers: Vec<i64> = kept.iter().map(|ip| ip.server.unwrap()).collect();
    servers.into_iter().for_each(|server| power_off(&life, server));
    life.pass(Duration::from_secs(900));
    let life = after(&life, SECOND, "rebuild", Mode::Live, life.settings.clone());
    succeeds(&life);
    for ip in kept {
        assert_eq!(of_nodes(&life)[&ip.labels[NODE]].0, ip.address.to_string());
    }
}

#[test]
fn a_teardown_of_the_living_cluster_leaves_no_kept_address() {
    let life = again(Ends::Off);
    succeeds(&life);
    let life = taking_down(&life, "teardownaaaa", TakenDown::Living);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {:#?}", told(&life));
    let left: Vec<PrimaryIp> =
        addresses(&life).into_iter().filter(|ip| ip.labels.get(CLUSTER).is_some_and(|c| c == "honeydue")).collect();
    assert_eq!(left, []);
}

//! A server that is lost while the run goes on is made again: what was known of the old one is forgotten, its etcd member leaves,
//! and never is a second cluster started beside a living one.

use crate::judged::{all, difference, undisturbed, Wanted};
use crate::life::{End, Life};
use crate::living::somebody;
use relight::engine::Event;
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::{lock, Filter, Loss, Model};
use std::time::Duration;

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

/// Points at which the run is killed: the first whose name begins so. From the host keys on, each finds other things to be known
/// of the server that is then lost.
const KILLED_AT: [&str; 6] = [
    "before hostkey.sh rotate",
    "before harden.sh confirm",
    "after k3s.sh install",
    "after k3s.sh start",
    "after kube",
    "after change DNS",
];

/// Somebody deletes the node's server in the console, protected or not, as soon as nothing is under way on it.
fn lose(life: &Life, node: &str) {
    let mut model = lock(&life.sandbox.model);
    let model: &mut Model = &mut model;
    let name = format!("{}-{node}", life.settings.cluster);
    let wait = |model: &mut Model| {
        let later = model.now() + Duration::from_secs(5);
        model.advance(later);
    };
    for _ in 0..60 {
        let now = model.now();
        let filter = Filter { name: name.clone(), ..Filter::default() };
        let servers = model.servers(now, &somebody(), &filter).result.unwrap();
        let Some(server) = servers.first() else {
            // What a loss leaves naming the address is nobody's effect.
            model.ledger.strangers.clear();
            return;
        };
        if server.delete_protected {
            let _busy = model.protect_server(now, &somebody(), server.id, false);
        } else {
            let _busy = model.delete_server(now, &somebody(), server.id);
        }
        wait(model);
    }
    panic!("{name} is not gone");
}

/// What the last process of the run failed with.
fn why(life: &Life) -> Vec<String> {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, .. } => Some(format!("{step}: {error}")),
        _ => None,
    });
    failed.collect()
}

/// Servers that an error says to delete.
fn told_to_delete(life: &Life, before: usize) -> Vec<&'static str> {
    let told = why(life).split_off(before).join("\n");
    let Some((_, rest)) = told.split_once("delete ") else { return Vec::new() };
    NODES.into_iter().filter(|node| rest.split(" in the cloud").next().unwrap_or_default().contains(node)).collect()
}

/// What is wrong after a kill, the loss of a server, and a resume, in words. Where etcd lost its majority with the server, what
/// the failure says to do is done once.
fn wrong(life: &Life, node: &str, wanted: &Wanted) -> Vec<String> {
    lose(life, node);
    let mut end = life.process(&Tripwire::new());
    let doomed = told_to_delete(life, 0);
    if end.outcome() != "succeeded" && !doomed.is_empty() {
        doomed.into_iter().for_each(|node| lose(life, node));
        end = life.process(&Tripwire::new());
    }
    let mut wrong = life.broken_promises();
    if end.outcome() != "succeeded" {
        wrong.push(format!("{end:?} {:?}", why(life)));
    } else if let Some(lines) = difference(&life.world_in_words(), &wanted.world) {
        wrong.push(format!("another world:\n{lines}"));
    }
    wrong
}

fn points(wanted: &Wanted, begins: &str) -> Vec<usize> {
    let found = wanted.points.iter().enumerate().filter(|(_, name)| name.starts_with(begins));
    found.map(|(point, _)| point).collect()
}

#[test]
fn a_server_lost_between_two_processes_is_made_again_whatever_was_done_on_it() {
    let wanted = undisturbed(Loss::Gone);
    let mut schedules = Vec::new();
    for begins in KILLED_AT {
        let found = points(&wanted, begins);
        let (first, last) = (found.first().copied(), found.last().copied());
        assert!(first.is_some(), "no point {begins} in {:?}", wanted.points);
        // The last such point finds the others farther: joined, where the first found none.
        let here: std::collections::BTreeSet<usize> = first.into_iter().chain(last).collect();
        schedules.extend(here.into_iter().flat_map(|point| NODES.map(|node| (point, node, Duration::ZERO))));
    }
    // The whole cluster is up.
    let late = wanted.points.len() - 1;
    schedules.extend(NODES.map(|node| (late, node, Duration::from_secs(600))));
    all("a server lost after a kill", &schedules, |(point, node, pause)| {
        let life = Life::lost(Loss::Gone);
        let killed = life.process(&Tripwire::at(*point));
        assert!(matches!(killed, End::Killed), "not killed at {point}: {killed:?}");
        life.crash(Keep::Nothing);
        life.pass(*pause);
        let at = &wanted.points[*point];
        wrong(&life, node, &wanted).into_iter().map(|w| format!("{node} lost at {point} ({at}): {w}")).collect()
    });
}

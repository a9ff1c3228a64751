//! A server that is lost while the run goes on is made again: what was known of the old one is forgotten, its etcd member leaves,
//! and never is a second cluster started beside a living one.

use crate::judged::{all, difference, from, thinned, undisturbed, Wanted, AFTERS};
use crate::life::{settings, End, Life};
use crate::living::somebody;
use crate::saboteur::AtStep;
use relight::config::NetworkSettings;
use relight::engine::Event;
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::{lock, Filter, Loss, Model, Shared};
use std::sync::atomic::{AtomicUsize, Ordering};
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
pub fn lose(life: &Life, node: &str) {
    lost(&life.sandbox.model, &format!("{}-{node}", life.settings.cluster));
}

fn lost(model: &Shared, name: &str) {
    let mut model = lock(model);
    let model: &mut Model = &mut model;
    let wait = |model: &mut Model| {
        let later = model.now() + Duration::from_secs(5);
        model.advance(later);
    };
    for _ in 0..60 {
        let now = model.now();
        let filter = Filter { name: name.to_owned(), ..Filter::default() };
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
fn told_to_delete(life: &Life) -> Vec<&'static str> {
    let told = why(life).join("\n");
    let Some((_, rest)) = told.split_once("delete ") else { return Vec::new() };
    NODES.into_iter().filter(|node| rest.split(" in the cloud").next().unwrap_or_default().contains(node)).collect()
}

/// The end of the next process; or of the one after it, once what the failure says to do is done.
fn gone_on_with(life: &Life) -> End {
    let end = life.process(&Tripwire::new());
    let doomed = told_to_delete(life);
    if end.outcome() == "succeeded" || doomed.is_empty() {
        return end;
    }
    doomed.into_iter().for_each(|node| lose(life, node));
    life.process(&Tripwire::new())
}

/// What is wrong after a kill, the loss of a server, and a resume, in words. Where etcd lost its majority with the server, what
/// the failure says to do is done once.
fn wrong(life: &Life, node: &str, wanted: &Wanted) -> Vec<String> {
    lose(life, node);
    let end = gone_on_with(life);
    let mut wrong = life.broken_promises();
    if end.outcome() != "succeeded" {
        wrong.push(format!("{end:?} {:?}", why(life)));
    } else if let Some(lines) = difference(&lasting(life.world_in_words()), &lasting(wanted.world.clone())) {
        wrong.push(format!("another world:\n{lines}"));
    }
    wrong
}

/// Without whom a K3s server once joined, which it ignores from then on; without the order of addresses, and the pods of jobs,
/// which go with their node.
fn lasting(world: Vec<String>) -> Vec<String> {
    let jobs = |line: &String| line.contains(" pods of kube-system Job ");
    world.into_iter().filter(|line| !jobs(line)).map(|line| same(&line)).collect()
}

fn same(line: &str) -> String {
    if line.contains(": K3s running") {
        let (before, after) = line.split_once("\"server\":\"").unwrap_or((line, ""));
        let after = after.split_once("\",").map_or(after, |(_, rest)| rest);
        let began = |text: &str| text.replace("\"cluster-init\":true,", "").replace(" first enabled", " join enabled");
        return began(before) + after;
    }
    if line.starts_with("live firewall") {
        let mut parts: Vec<String> = line.split([',', '[', ']']).map(|part| part.trim().to_owned()).collect();
        parts.sort_unstable();
        return parts.join(", ");
    }
    line.to_owned()
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

/// Without a private network a new server has another address towards its peers too.
fn public() -> Life {
    let mut settings = settings();
    settings.cloud.network = NetworkSettings::Public;
    Life::lost_with(Loss::Gone, settings)
}

#[test]
fn a_server_lost_after_a_kill_anywhere_is_made_again_with_other_addresses() {
    let wanted = from(public);
    let points = (0..wanted.points.len()).zip(NODES.into_iter().cycle()).zip(AFTERS.into_iter().cycle());
    let schedules = thinned(points.collect());
    all("a server lost anywhere", &schedules, |((point, node), after)| {
        let life = public();
        let killed = life.process(&Tripwire::at(*point));
        assert!(matches!(killed, End::Killed), "not killed at {point}: {killed:?}");
        life.crash(after.keep);
        life.pass(after.pause);
        let at = &wanted.points[*point];
        wrong(&life, node, &wanted)
            .into_iter()
            .map(|w| format!("{node} lost at {point} ({at}, {after:?}): {w}"))
            .collect()
    });
}

#[test]
fn where_etcd_lost_its_majority_with_a_server_no_second_cluster_is_started_and_the_way_out_is_told() {
    let wanted = undisturbed(Loss::Gone);
    let joining = points(&wanted, "after k3s.sh start").into_iter().last().unwrap();
    let pauses: Vec<u64> = (0..60).step_by(5).collect();
    let told = AtomicUsize::new(0);
    all("a server lost while others join", &pauses, |pause| {
        let life = Life::lost(Loss::Gone);
        assert!(matches!(life.process(&Tripwire::at(joining)), End::Killed));
        life.crash(Keep::All);
        life.pass(Duration::from_secs(*pause));
        lose(&life, "node-1");
        let mut end = life.process(&Tripwire::new());
        let (mut wrong, doomed) = (Vec::new(), told_to_delete(&life));
        if !doomed.is_empty() {
            told.fetch_add(1, Ordering::SeqCst);
            let machines = lock(&life.sandbox.model).machines();
            let of = |name: &str| machines.iter().find(|m| m.hostname.ends_with(name)).and_then(|m| m.cluster.clone());
            if end.outcome() == "succeeded" || of("node-1").is_some() || of("node-2").or(of("node-3")).is_none() {
                wrong.push(format!("{end:?}, {machines:?}"));
            }
            doomed.into_iter().for_each(|node| lose(&life, node));
            end = life.process(&Tripwire::new());
        }
        wrong.extend(life.broken_promises());
        if end.outcome() != "succeeded" {
            wrong.push(format!("{end:?} {:?}", why(&life)));
        }
        wrong.into_iter().map(|w| format!("lost after {pause} s: {w}")).collect()
    });
    let told = told.into_inner();
    assert!(told > 0 && told < pauses.len(), "{told} of {} without a majority", pauses.len());
}

#[test]
fn a_name_is_never_pointed_at_a_server_that_was_lost_before_its_record_could_be_written() {
    for (step, node) in [("dns-first[node-1]", "node-1"), ("dns[node-2]", "node-2")] {
        let mut life = Life::lost(Loss::Off);
        let name = format!("{}-{node}", life.settings.cluster);
        let loses = AtStep::in_life(&mut life, step, move |model| lost(model, &name));
        let end = life.process(&Tripwire::new());
        assert!(loses.happened(), "{step} never started");
        assert_eq!(end.outcome(), "failed", "{end:?}");
        // The peer rules of those that are left still name it: nobody's effect, and mended by the next process.
        let named: Vec<String> = life.broken_promises().into_iter().filter(|p| !p.starts_with("peer rule")).collect();
        assert_eq!(named, Vec::<String>::new(), "{step}");
        let told = why(&life).into_iter().find(|told| told.starts_with(step)).unwrap();
        assert!(told.contains("no server of this run has the address"), "{told}");
        assert!(!told.contains("records wanted"), "nobody is told to make that record by hand: {told}");
        let end = gone_on_with(&life);
        assert_eq!(end.outcome(), "succeeded", "{end:?} {:?}", why(&life));
        assert_eq!(life.broken_promises(), Vec::<String>::new(), "{step}");
    }
}

#[test]
fn a_peer_rule_is_never_made_for_a_server_that_was_lost_before() {
    for (step, network) in [
        ("peers[node-1]", NetworkSettings::Public),
        ("firewall-peers", NetworkSettings::Public),
        ("peers[node-2]", settings().cloud.network),
    ] {
        let mut settings = settings();
        settings.cloud.network = network;
        let mut life = Life::lost_with(Loss::Off, settings);
        let name = format!("{}-node-3", life.settings.cluster);
        let loses = AtStep::in_life(&mut life, step, move |model| lost(model, &name));
        let end = life.process(&Tripwire::new());
        assert!(loses.happened(), "{step} never started");
        assert_eq!(end.outcome(), "failed", "{end:?}");
        let named: Vec<String> = life.broken_promises().into_iter().filter(|p| p.starts_with("stranger")).collect();
        assert_eq!(named, Vec::<String>::new(), "{step}");
        let told = why(&life).into_iter().find(|told| told.starts_with(step)).unwrap();
        assert!(told.contains("node-3 is lost: no server of this run has the address"), "{told}");
        let end = gone_on_with(&life);
        assert_eq!(end.outcome(), "succeeded", "{end:?} {:?}", why(&life));
        assert_eq!(life.broken_promises(), Vec::<String>::new(), "{step}");
    }
}

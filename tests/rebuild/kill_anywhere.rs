//! Killed anywhere and resumed, a rebuild comes to the same world, makes nothing twice and keeps every promise.

use crate::judged::{all, resumed, survived, thinned, undisturbed, After, Wanted, AFTERS};
use crate::life::{End, Life};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Fault, FaultKind, Loss, Matcher};
use std::collections::BTreeMap;

fn killed_anywhere(loss: Loss) {
    let wanted = undisturbed(loss);
    let points = wanted.points.iter().enumerate().collect();
    let schedules: Vec<_> = thinned(points).into_iter().zip(AFTERS.into_iter().cycle()).collect();
    println!("{} points", wanted.points.len());
    all(&format!("killed once, servers {loss:?}"), &schedules, |((point, name), after)| {
        let (life, wire) = (Life::lost(loss), Tripwire::at(*point));
        let end = life.process(&wire);
        assert!(matches!(end, End::Killed), "not killed at point {point}: {end:?}");
        assert_eq!(wire.points().last(), Some(*name), "the schedule is not the undisturbed one");
        let wrong = resumed(&life, *after, &wanted);
        wrong.into_iter().map(|w| format!("killed at {point} ({name}, {after:?}): {w}")).collect()
    });
}

#[test]
fn a_rebuild_of_lost_servers_may_be_killed_anywhere() {
    killed_anywhere(Loss::Gone);
}

#[test]
fn a_rebuild_beside_servers_that_are_off_may_be_killed_anywhere() {
    killed_anywhere(Loss::Off);
}

/// An effect that loses its reply: the point right after it, the operation, and which of them.
#[derive(Clone)]
struct Lost {
    point: usize,
    what: String,
    on: Matcher,
    kind: FaultKind,
}

/// All effects of the undisturbed run, in the order of their points.
fn replies(wanted: &Wanted, ops: &[String]) -> Vec<Lost> {
    let mut ops_of_cloud = ops.iter().filter(|op| op.starts_with("cloud."));
    let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut lost = Vec::new();
    for (point, name) in wanted.points.iter().enumerate() {
        let Some(what) = name.strip_prefix("after ") else { continue };
        if ["append", "sync", "write", "cut"].iter().any(|w| what.starts_with(w)) {
            continue;
        }
        let words: Vec<&str> = what.split(' ').collect();
        let (op, target, kind) = match words.as_slice() {
            [script, verb, "on", address] => {
                (format!("node.{script}.{verb}"), (*address).to_owned(), FaultKind::SshDrop)
            }
            ["kube", ..] => ("kube.write".to_owned(), String::new(), FaultKind::LostReply),
            ["change", "DNS", ..] => ("dns.batch".to_owned(), String::new(), FaultKind::LostReply),
            _ => (ops_of_cloud.next().unwrap().clone(), String::new(), FaultKind::LostReply),
        };
        let nth = seen.entry((op.clone(), target.clone())).or_default();
        *nth += 1;
        let on = Matcher::op(op).at(target).nth(*nth);
        lost.push(Lost { point, what: what.to_owned(), on, kind });
    }
    assert_eq!(ops_of_cloud.next(), None, "an effect on the cloud without a point");
    lost
}

#[test]
fn an_effect_whose_reply_is_lost_in_a_kill_happens_once() {
    let wanted = undisturbed(Loss::Off);
    let life = Life::lost(Loss::Off);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let entries = lock(&life.sandbox.model).ledger.entries.clone();
    // Without a step: the request that only proves that the token may write.
    let ops: Vec<String> = entries.into_iter().filter(|e| !e.who.step.is_empty()).map(|e| e.op).collect();
    let lost = replies(&wanted, &ops);
    println!("{} effects", lost.len());
    // Each with a kill, and every third also in a process that lives on.
    let living: Vec<_> = lost.iter().step_by(3).map(|l| (l.clone(), None)).collect();
    let killed = lost.into_iter().zip(AFTERS.into_iter().cycle()).map(|(l, after)| (l, Some(after)));
    let schedules: Vec<(Lost, Option<After>)> = killed.chain(living).collect();
    all("a lost reply", &schedules, |(lost, killed)| {
        let life = Life::lost(Loss::Off);
        let fault = lock(&life.sandbox.model).faults.plan(Fault::once(lost.on.clone(), lost.kind.clone()));
        let wire = if killed.is_some() { Tripwire::at(lost.point) } else { Tripwire::new() };
        let end = life.process(&wire);
        assert_eq!(lock(&life.sandbox.model).faults.fired(fault), 1, "{} never lost its reply", lost.what);
        assert_eq!(matches!(end, End::Killed), killed.is_some(), "{end:?}");
        let wrong = match killed {
            Some(after) => resumed(&life, *after, &wanted),
            None => survived(&life, &end, &wanted),
        };
        wrong.into_iter().map(|w| format!("{} lost its reply (killed: {killed:?}): {w}", lost.what)).collect()
    });
}

/// What a node did, in the order in which it did it.
fn hardenings(life: &Life, address: &str) -> Vec<String> {
    let model = lock(&life.sandbox.model);
    let machine = model.machines().into_iter().find(|m| m.public.is_some_and(|a| a.to_string() == address)).unwrap();
    let own = model.ledger.applied().filter(|e| e.target == machine.hostname);
    own.filter_map(|e| e.op.strip_prefix("node.harden.sh.").map(str::to_owned)).collect()
}

#[test]
fn a_hardening_that_a_node_took_back_while_relight_was_away_is_applied_again() {
    let wanted = undisturbed(Loss::Gone);
    let confirm = "before harden.sh confirm on ";
    let (point, name) = wanted.points.iter().enumerate().find(|(_, name)| name.starts_with(confirm)).unwrap();
    let address = name.strip_prefix(confirm).unwrap();
    // Where relight is back at once the timer still runs: it is wound up again, and confirmed.
    for after in AFTERS.into_iter().rev() {
        let life = Life::lost(Loss::Gone);
        assert!(matches!(life.process(&Tripwire::at(point)), End::Killed));
        assert_eq!(hardenings(&life, address), ["apply"], "killed between apply and confirm");
        assert_eq!(resumed(&life, after, &wanted), Vec::<String>::new(), "{after:?}");
        assert_eq!(hardenings(&life, address), ["apply", "apply", "confirm"], "{after:?}");
    }
}

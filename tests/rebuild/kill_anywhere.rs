//! Killed anywhere and resumed, a rebuild comes to the same world, makes nothing twice and keeps every promise.

use crate::life::{End, Life};
use relight::engine::{Event, Outcome};
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::{lock, Fault, FaultKind, Loss, Matcher};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// Processes after a kill until the run must have ended.
const MOST_PROCESSES: usize = 3;
/// Schedules of one test: all take too long in a debug build. `RELIGHT_SCHEDULES=2000` takes every single point.
const MOST_SCHEDULES: usize = 70;

/// What must come out, whatever is killed.
struct Wanted {
    world: Vec<String>,
    points: Vec<String>,
    effects: BTreeMap<(String, String), usize>,
}

/// How often each step did each thing.
fn effects(life: &Life) -> BTreeMap<(String, String), usize> {
    let mut all = BTreeMap::new();
    for entry in lock(&life.sandbox.model).ledger.applied() {
        *all.entry((entry.who.step.clone(), entry.op.clone())).or_default() += 1;
    }
    all
}

fn undisturbed(loss: Loss) -> Wanted {
    let (life, wire) = (Life::lost(loss), Tripwire::new());
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    Wanted { world: life.world_in_words(), points: wire.points(), effects: effects(&life) }
}

/// Steps with an intent and no end.
fn unknown(events: &[(u64, Event)]) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for (_, event) in events {
        match event {
            Event::Intent { step, .. } => open.insert(step.clone()),
            Event::StepFinished { step, .. } => open.remove(step),
            _ => false,
        };
    }
    open
}

/// What is wrong after the kill, in words.
fn resumed(life: &Life, keep: Keep, wanted: &Wanted) -> Vec<String> {
    life.crash(keep);
    let before = life.events();
    let mut end = life.process(&Tripwire::new());
    for _ in 1..MOST_PROCESSES {
        if matches!(&end, End::Finished(end) if end.outcome == "succeeded") {
            break;
        }
        end = life.process(&Tripwire::new());
    }
    let mut wrong = life.broken_promises();
    if end.outcome() != "succeeded" {
        let failed = life.events().into_iter().filter(|(_, e)| matches!(e, Event::StepFailed { .. }));
        wrong.push(format!("{end:?} {:?}", failed.collect::<Vec<_>>()));
        return wrong;
    }
    let world = life.world_in_words();
    if world != wanted.world {
        wrong.push(format!("another world: {world:#?} instead of {:#?}", wanted.world));
    }
    let open = unknown(&before);
    wrong.extend(unsettled(&open, &life.events()[before.len()..]));
    for ((step, op), count) in effects(life) {
        let usual = wanted.effects.get(&(step.clone(), op.clone())).copied().unwrap_or_default();
        if count > usual + usize::from(open.contains(&step)) {
            wrong.push(format!("{step}: {op} {count} times instead of {usual}"));
        }
    }
    wrong
}

/// Steps whose outcome was unknown, and that were neither adopted nor done again.
fn unsettled(open: &BTreeSet<String>, after: &[(u64, Event)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in open {
        let again = after.iter().any(|(_, e)| matches!(e, Event::Intent { step, .. } if step == id));
        let ended = after.iter().find_map(|(_, e)| match e {
            Event::StepFinished { step, outcome, .. } if step == id => Some(*outcome),
            _ => None,
        });
        let right = if again { Outcome::Done } else { Outcome::Adopted };
        if ended != Some(right) {
            wrong.push(format!("{id} was unknown, and ended {ended:?} instead of {right:?}"));
        }
    }
    wrong
}

/// Runs all schedules on all cores, and fails with everything that was found.
fn all<T: Sync>(title: &str, schedules: &[T], run: impl Fn(&T) -> Vec<String> + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(schedule) = schedules.get(next.fetch_add(1, Ordering::SeqCst)) {
                    wrong.lock().unwrap().extend(run(schedule));
                }
            });
        }
    });
    println!("{title}: {} schedules", schedules.len());
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every nth, so that no more than [`MOST_SCHEDULES`] are left. A record has five points, three ways to crash take turns: an n
/// that is no multiple of five meets all combinations.
fn thinned<T>(all: Vec<T>) -> Vec<T> {
    let asked = std::env::var("RELIGHT_SCHEDULES").ok().and_then(|n| n.parse().ok());
    let mut nth = all.len().div_ceil(asked.unwrap_or(MOST_SCHEDULES)).max(1);
    while nth.is_multiple_of(5) {
        nth += 1;
    }
    all.into_iter().step_by(nth).collect()
}

fn killed_anywhere(loss: Loss) {
    let wanted = undisturbed(loss);
    let keeps = [Keep::Nothing, Keep::Half, Keep::All];
    let points = wanted.points.iter().enumerate().collect();
    let schedules: Vec<_> = thinned(points).into_iter().zip(keeps.into_iter().cycle()).collect();
    println!("{} points", wanted.points.len());
    all("killed anywhere", &schedules, |((point, name), keep)| {
        let (life, wire) = (Life::lost(loss), Tripwire::at(*point));
        let end = life.process(&wire);
        assert!(matches!(end, End::Killed), "not killed at point {point}: {end:?}");
        assert_eq!(wire.points().last(), Some(*name), "the schedule is not the undisturbed one");
        let wrong = resumed(&life, *keep, &wanted);
        wrong.into_iter().map(|w| format!("killed at {point} ({name}, {keep:?}): {w}")).collect()
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
    let life = Life::lost(Loss::Off);
    let wire = Tripwire::new();
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let wanted = Wanted { world: life.world_in_words(), points: wire.points(), effects: effects(&life) };
    let entries = lock(&life.sandbox.model).ledger.entries.clone();
    // Without a step: the request that only proves that the token may write.
    let ops: Vec<String> = entries.into_iter().filter(|e| !e.who.step.is_empty()).map(|e| e.op).collect();
    let lost = replies(&wanted, &ops);
    println!("{} effects", lost.len());
    // Each with a kill, and every third also in a process that lives on.
    let living: Vec<_> = lost.iter().step_by(3).map(|l| (l.clone(), false)).collect();
    let schedules: Vec<_> = lost.into_iter().map(|l| (l, true)).chain(living).collect();
    all("a lost reply", &schedules, |(lost, killed)| {
        let life = Life::lost(Loss::Off);
        let fault = lock(&life.sandbox.model).faults.plan(Fault::once(lost.on.clone(), lost.kind.clone()));
        let wire = if *killed { Tripwire::at(lost.point) } else { Tripwire::new() };
        let end = life.process(&wire);
        assert_eq!(lock(&life.sandbox.model).faults.fired(fault), 1, "{} never lost its reply", lost.what);
        assert_eq!(matches!(end, End::Killed), *killed, "{end:?}");
        let wrong = if *killed { resumed(&life, Keep::Nothing, &wanted) } else { survived(&life, &end, &wanted) };
        wrong.into_iter().map(|w| format!("{} lost its reply (killed: {killed}): {w}", lost.what)).collect()
    });
}

/// What is wrong after a lost reply in a process that lives on.
fn survived(life: &Life, end: &End, wanted: &Wanted) -> Vec<String> {
    let mut wrong = life.broken_promises();
    if end.outcome() != "succeeded" {
        let failed = life.events().into_iter().filter(|(_, e)| matches!(e, Event::StepFailed { .. }));
        wrong.push(format!("{end:?} {:?}", failed.collect::<Vec<_>>()));
    } else if life.world_in_words() != wanted.world {
        wrong.push(format!("another world: {:#?}", life.world_in_words()));
    }
    wrong
}

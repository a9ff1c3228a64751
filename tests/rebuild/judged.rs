//! What a schedule of kills has to lead to, and running many of them.

use crate::life::{End, Life};
use relight::engine::{Event, Outcome};
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::{lock, Loss};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::Duration;

/// Processes after a kill until the run must have ended.
const MOST_PROCESSES: usize = 3;
/// Schedules of one test: all take too long in a debug build. `RELIGHT_SCHEDULES=2000` takes every single point.
const MOST_SCHEDULES: usize = 30;

/// How a difference of the worlds begins, in words.
pub const ANOTHER_WORLD: &str = "another world:\n";

/// What must come out, whatever is killed.
pub struct Wanted {
    pub world: Vec<String>,
    /// The same without what is in Kubernetes.
    pub outside: Vec<String>,
    pub points: Vec<String>,
    pub effects: BTreeMap<(String, String), usize>,
}

/// How often each step did each thing.
fn effects(life: &Life) -> BTreeMap<(String, String), usize> {
    let mut all = BTreeMap::new();
    for entry in lock(&life.sandbox.model).ledger.applied() {
        *all.entry((entry.who.step.clone(), entry.op.clone())).or_default() += 1;
    }
    all
}

/// The same run without a kill.
pub fn undisturbed(loss: Loss) -> Wanted {
    from(|| Life::lost(loss))
}

/// The same from any beginning.
pub fn from(begin: impl Fn() -> Life) -> Wanted {
    let (life, wire) = (begin(), Tripwire::new());
    let end = life.process(&wire);
    assert_eq!(end.outcome(), "succeeded", "{end:?} {:#?}", life.events());
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    let (effects, world) = (effects(&life), life.world_in_words());
    let outside = lock(&life.sandbox.model).in_words();
    Wanted { points: wire.points(), effects, world, outside }
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

/// What a kill leaves behind: what the disk keeps of what was not synced, and the time until relight is started again.
#[derive(Debug, Clone, Copy)]
pub struct After {
    pub keep: Keep,
    pub pause: Duration,
}

/// Longer than a node waits for the confirmation of its hardening, and than anything else that is under way.
const LATER: Duration = Duration::from_secs(600);

const fn after(keep: Keep, pause: Duration) -> After {
    After { keep, pause }
}

/// Every disk, started again at once and later. Beside the five points of a record they take turns.
pub const AFTERS: [After; 6] = [
    after(Keep::Nothing, Duration::ZERO),
    after(Keep::Half, LATER),
    after(Keep::All, Duration::ZERO),
    after(Keep::Nothing, LATER),
    after(Keep::Half, Duration::ZERO),
    after(Keep::All, LATER),
];

/// What was under way at each kill of a life, and how many kills came after the lease was about to be given back: before a resume
/// looks at everything again it takes it again.
#[derive(Default)]
pub struct Kills(Vec<BTreeSet<String>>, usize);

impl Kills {
    /// The machine loses what was not synced, these steps were under way, and the outside goes on alone for a while.
    pub fn crash(&mut self, life: &Life, after: After) {
        life.crash(after.keep);
        let events = life.events();
        self.0.push(unknown(&events));
        let begun = |(_, e): &(u64, Event)| matches!(e, Event::StepStarted { step } if step == "release");
        self.1 += usize::from(events.iter().any(begun));
        life.pass(after.pause);
    }
}

/// What is wrong after one kill, in words.
pub fn resumed(life: &Life, after: After, wanted: &Wanted) -> Vec<String> {
    let mut kills = Kills::default();
    kills.crash(life, after);
    finished(life, &kills, wanted)
}

/// What is wrong once the run was resumed until its end, in words.
pub fn finished(life: &Life, kills: &Kills, wanted: &Wanted) -> Vec<String> {
    let before = life.events().len();
    let mut end = life.process(&Tripwire::new());
    for _ in 1..MOST_PROCESSES {
        if end.outcome() == "succeeded" {
            break;
        }
        end = life.process(&Tripwire::new());
    }
    let mut wrong = survived(life, &end, wanted);
    if end.outcome() != "succeeded" {
        return wrong;
    }
    if let Some(open) = kills.0.last() {
        wrong.extend(unsettled(open, &life.events()[before..]));
    }
    for ((step, op), count) in effects(life) {
        let usual = wanted.effects.get(&(step.clone(), op.clone())).copied().unwrap_or_default();
        // Each kill may have cost the reply of an effect that is then repeated, and no more.
        let again = if ["hold", "release"].contains(&step.as_str()) { kills.1 } else { 0 };
        if count > usual + again + kills.0.iter().filter(|open| open.contains(&step)).count() {
            wrong.push(format!("{step}: {op} {count} times instead of {usual}"));
        }
    }
    wrong
}

/// Lines that only one of both has.
pub fn difference(world: &[String], wanted: &[String]) -> Option<String> {
    let only = |these: &[String], those: &[String], sign: &str| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    let lines = [only(wanted, world, "-"), only(world, wanted, "+")].concat();
    (world != wanted).then(|| lines.join("\n"))
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
pub fn all<T: Sync>(title: &str, schedules: &[T], run: impl Fn(&T) -> Vec<String> + Sync) {
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
pub fn thinned<T>(all: Vec<T>) -> Vec<T> {
    thinned_to(all, MOST_SCHEDULES)
}

/// The same where others would take so many by default.
pub fn thinned_to<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let asked = std::env::var("RELIGHT_SCHEDULES").ok().and_then(|n| n.parse().ok());
    let mut nth = all.len().div_ceil(asked.unwrap_or(most)).max(1);
    while nth.is_multiple_of(5) {
        nth += 1;
    }
    all.into_iter().step_by(nth).collect()
}

/// What is wrong in a process that has ended, in words.
pub fn survived(life: &Life, end: &End, wanted: &Wanted) -> Vec<String> {
    let mut wrong = life.broken_promises();
    if end.outcome() != "succeeded" {
        let failed = life.events().into_iter().filter(|(_, e)| matches!(e, Event::StepFailed { .. }));
        wrong.push(format!("{end:?} {:?}", failed.collect::<Vec<_>>()));
    } else if let Some(difference) = difference(&life.world_in_words(), &wanted.world) {
        wrong.push(format!("{ANOTHER_WORLD}{difference}"));
    }
    wrong
}

//! Every playbook of relight's, whichever there are: it may be killed anywhere, and the outside may fail at any of its steps.
//!
//! What is particular to one has tests of its own; these read the folder, so that a new playbook is held to the same without
//! anybody's remembering it.

use crate::judged::{all, difference, thinned_to, After, AFTERS};
use crate::life::{End, Life};
use crate::saboteur::Outage;
use crate::worlds::beginning;
use relight::engine::Event;
use relight::playbook::{Source, Start};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::lock;
use std::time::Duration;

/// Long enough for everything under way to end.
const REST: Duration = Duration::from_secs(900);
/// Processes until a run must have ended: what a kill leaves under way may be in the way of the first.
const MOST_PROCESSES: usize = 3;
/// Schedules of each playbook in each test, by default: the longest ones have tests of their own beside these.
const MOST: usize = 12;

fn names() -> Vec<String> {
    Source::embedded().names()
}

/// The outside at the end. What a cluster had in its etcd went with its servers' disks, though the model remembers it.
fn words(life: &Life) -> Vec<String> {
    let mut model = lock(&life.sandbox.model);
    let later = model.now() + REST;
    model.advance(later);
    let all_gone = life.plan.name == "teardown-live";
    let of_lost_disks = |line: &String| line.starts_with("etcd") && (all_gone || line.contains("-r-"));
    model.in_words().into_iter().filter(|line| !of_lost_disks(line)).collect()
}

/// The points and the end of an undisturbed run.
fn undisturbed(playbook: &str) -> (Vec<String>, Vec<String>) {
    let (life, wire) = (beginning(playbook), Tripwire::new());
    let end = life.process(&wire);
    assert_eq!(end.outcome(), "succeeded", "{playbook}: {end:?} {:#?}", life.events());
    assert_eq!(life.broken_promises(), Vec::<String>::new(), "{playbook}");
    (wire.points(), words(&life))
}

/// Whether a run came to its end: what failed before something was taken down is not tried again after it.
fn ended(life: &Life, end: &End) -> bool {
    let takes_down = life.plan.steps.iter().any(|step| step.start == Start::Ended);
    end.outcome() == "succeeded" || (takes_down && matches!(end, End::Finished(end) if end.over))
}

/// What is wrong once the run was gone on with until its end, in words.
fn gone_on_with(life: &Life, wanted: &[String]) -> Vec<String> {
    let mut end = life.process(&Tripwire::new());
    for _ in 1..MOST_PROCESSES {
        if ended(life, &end) {
            break;
        }
        end = life.process(&Tripwire::new());
    }
    let mut wrong = life.broken_promises();
    if !ended(life, &end) {
        wrong.push(format!("{end:?} {}", failures(life).join("\n")));
    } else if let Some(lines) = difference(&words(life), wanted) {
        wrong.push(format!("another world:\n{lines}"));
    }
    wrong
}

/// `step: error; remedy` of every step that failed.
fn failures(life: &Life) -> Vec<String> {
    let failed = life.events().into_iter().filter_map(|(_, event)| match event {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; {remedy}")),
        _ => None,
    });
    failed.collect()
}

#[test]
fn every_playbook_may_be_killed_anywhere() {
    for playbook in names() {
        let (points, wanted) = undisturbed(&playbook);
        println!("{playbook}: {} points", points.len());
        let schedules: Vec<(usize, After)> =
            thinned_to((0..points.len()).collect(), MOST).into_iter().zip(AFTERS.into_iter().cycle()).collect();
        all(&format!("{playbook} killed once"), &schedules, |(point, after)| {
            let life = beginning(&playbook);
            let end = life.process(&Tripwire::at(*point));
            assert!(matches!(end, End::Killed), "{playbook} is not killed at point {point}: {end:?}");
            life.crash(after.keep);
            life.pass(after.pause);
            let wrong = gone_on_with(&life, &wanted);
            wrong.into_iter().map(|w| format!("{playbook} killed at {point} ({after:?}): {w}")).collect()
        });
    }
}

/// What is wrong where the outside fails as this step starts, in words.
fn failed_at(playbook: &str, step: &str, ends: bool, wanted: &[String]) -> Vec<String> {
    let mut life = beginning(playbook);
    let outage = Outage::in_life(&mut life, step, ends);
    let end = life.process(&Tripwire::new());
    let mut wrong = Vec::new();
    if outage.fired() == 0 {
        wrong.push(format!("the outage was never met: {end:?}"));
    }
    outage.over();
    let told = failures(&life);
    match end.outcome() {
        "succeeded" if ends => {}
        // What may fail has warned. That is all where only such steps were still to ask something of the outside.
        "succeeded" => {
            if !matches!(&end, End::Finished(end) if end.warnings > 0) {
                wrong.push("the outside is gone, and it succeeds".to_owned());
            }
        }
        _ if ends => wrong.push(format!("an outage that ends stops it: {end:?} {}", told.join("\n"))),
        _ => {
            let says =
                |text: &String| text.split_once("; ").is_some_and(|(what, how)| what.len() > 20 && how.len() > 5);
            if told.is_empty() || !told.iter().all(says) {
                wrong.push(format!("it does not say what failed and what to do next: {told:?}"));
            }
        }
    }
    wrong.extend(gone_on_with(&life, wanted));
    let how = if ends { "once" } else { "for ever" };
    wrong.into_iter().map(|w| format!("{playbook} failing {how} at {step}: {w}")).collect()
}

fn failing(ends: bool) {
    for playbook in names() {
        let (_, wanted) = undisturbed(&playbook);
        let steps: Vec<String> = beginning(&playbook).plan.steps.iter().map(|step| step.id.clone()).collect();
        all(&format!("{playbook}: an outage at a step"), &thinned_to(steps, MOST), |step| {
            failed_at(&playbook, step, ends, &wanted)
        });
    }
}

#[test]
fn an_outage_at_any_step_of_any_playbook_is_sat_out() {
    failing(true);
}

#[test]
fn an_outage_without_an_end_is_named_and_the_run_goes_on_when_it_is_over() {
    failing(false);
}

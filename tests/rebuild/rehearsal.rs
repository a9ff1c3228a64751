//! A rehearsal leaves the world as it was: production untouched, nothing of its own left, wherever it is killed.

use crate::judged::{all, thinned, AFTERS};
use crate::life::{plan_of, End, Life};
use crate::saboteur::Outage;
use relight::engine::{Event, Outcome};
use relight::playbook::Source;
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::{lock, Fault, FaultKind, Matcher};
use std::collections::BTreeMap;
use std::time::Duration;

/// Long enough for everything under way to end.
const REST: Duration = Duration::from_secs(900);

/// Effects of the run that were not in the rehearsal's project.
fn outside(life: &Life) -> Vec<String> {
    let model = lock(&life.sandbox.model);
    let of_run = model.ledger.applied().filter(|e| e.who.run == life.id.id);
    let abroad = of_run.filter(|e| !e.names.is_empty() || e.project.as_deref().is_some_and(|p| p != "rehearsal"));
    abroad.map(|e| format!("{} {} in {:?} {:?}", e.op, e.target, e.project, e.names)).collect()
}

/// Both projects, the zone, every machine and every etcd member, once all that is under way has ended. What a cluster had in
/// its Kubernetes and etcd went with its servers' disks, though the model remembers it.
fn world(life: &Life) -> Vec<String> {
    let mut model = lock(&life.sandbox.model);
    let later = model.now() + REST;
    model.advance(later);
    let of_lost_disks = |line: &String| line.starts_with("etcd") && line.contains("-r-");
    model.in_words().into_iter().filter(|line| !of_lost_disks(line)).collect()
}

/// The end of a run that was killed, resumed once more where it fails: what a kill leaves under way may be in the way of the first.
fn ended(life: &Life) -> End {
    match life.process(&Tripwire::new()) {
        end if end.outcome() == "succeeded" => end,
        _ => life.process(&Tripwire::new()),
    }
}

/// What is not as it was before the rehearsal, and which promises it broke.
fn strayed(life: &Life, before: &[String]) -> Vec<String> {
    let mut wrong = life.broken_promises();
    let after = world(life);
    wrong.extend(after.iter().filter(|line| !before.contains(line)).map(|line| format!("left behind: {line}")));
    wrong.extend(before.iter().filter(|line| !after.contains(line)).map(|line| format!("gone: {line}")));
    wrong.extend(outside(life));
    wrong
}

#[test]
fn a_rehearsal_succeeds_beside_the_living_cluster_and_leaves_the_world_as_it_was() {
    let life = Life::rehearsal("rehearse");
    let before = world(&life);
    let end = life.process(&Tripwire::new());
    let told: Vec<_> = life.events().into_iter().map(|(at, e)| format!("{at} {e:?}")).collect();
    assert_eq!(end.outcome(), "succeeded", "{end:?}\n{}", told.join("\n"));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    assert_eq!(outside(&life), Vec::<String>::new());
    assert_eq!(world(&life), before);
    let End::Finished(end) = end else { panic!("{end:?}") };
    assert!(end.over && end.first_answer_seconds.is_some(), "{end:?}");
    assert!(end.recovery_seconds > end.first_answer_seconds, "{end:?}");
}

#[test]
fn a_rehearsal_may_be_killed_anywhere_and_leaves_nothing() {
    let (life, wire) = (Life::rehearsal("rehearse"), Tripwire::new());
    let before = world(&life);
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let count = wire.points().len();
    let points: Vec<usize> = (0..count).collect();
    let schedules: Vec<_> = thinned(points).into_iter().zip(AFTERS.into_iter().cycle()).collect();
    println!("{count} points");
    all("a rehearsal killed once", &schedules, |(point, after)| {
        let life = Life::rehearsal("rehearse");
        assert!(matches!(life.process(&Tripwire::at(*point)), End::Killed), "not killed at {point}");
        life.crash(after.keep);
        life.pass(after.pause);
        let end = ended(&life);
        let mut wrong = strayed(&life, &before);
        if end.outcome() != "succeeded" {
            wrong.push(format!("{end:?}"));
        }
        wrong.into_iter().map(|w| format!("killed at {point} ({after:?}): {w}")).collect()
    });
}

#[test]
fn a_hundred_rehearsals_killed_at_random_leave_nothing() {
    let (life, wire) = (Life::rehearsal("rehearse"), Tripwire::new());
    let before = world(&life);
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let count = wire.points().len();
    let seeds: Vec<usize> = (0..100).collect();
    all("a rehearsal killed at random", &thinned(seeds), |seed| {
        let life = Life::rehearsal("rehearse");
        let mut number = u64::try_from(*seed).unwrap_or_default().wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut random = |below: usize| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(number >> 33).unwrap_or_default() % below
        };
        let mut killed = 0;
        for _ in 0..=random(4) {
            let after = AFTERS[random(AFTERS.len())];
            if !matches!(life.process(&Tripwire::at(random(count))), End::Killed) {
                break;
            }
            killed += 1;
            life.crash(after.keep);
            life.pass(after.pause);
        }
        let end = ended(&life);
        let mut wrong = strayed(&life, &before);
        // A rehearsal whose nodes have expired meanwhile fails, and leaves as little.
        if !matches!(&end, End::Finished(end) if end.over) {
            wrong.push(format!("{end:?}"));
        }
        wrong.into_iter().map(|w| format!("seed {seed}, killed {killed} times: {w}")).collect()
    });
}

#[test]
fn a_rehearsal_that_fails_takes_down_what_it_made_and_is_over() {
    let life = Life::rehearsal("rehearse");
    let before = world(&life);
    let never = Fault::always(Matcher::op("kube.write"), FaultKind::ServerError { status: 503, applied: false });
    let id = lock(&life.sandbox.model).faults.plan(never);
    let end = life.process(&Tripwire::new());
    assert!(lock(&life.sandbox.model).faults.fired(id) > 0, "the fault never fired");
    assert_eq!(end.outcome(), "failed", "{end:?}");
    let End::Finished(end) = end else { panic!("{end:?}") };
    assert!(end.over, "a resume would have nothing to do: {end:?}");
    assert_eq!(world(&life), before);
    assert_eq!(outside(&life), Vec::<String>::new());
}

#[test]
fn what_others_make_meanwhile_is_told_and_left() {
    let life = Life::rehearsal("rehearse");
    let wire = Tripwire::new();
    // Killed in the middle; then somebody else makes a server in the same project.
    assert!(matches!(life.process(&Tripwire::at(400)), End::Killed));
    life.crash(Keep::All);
    lock(&life.sandbox.model).place_foreign("rehearsal", "somebody-elses", BTreeMap::new()).unwrap();
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let residue = life.events().into_iter().find_map(|(_, e)| match e {
        Event::StepFinished { step, outcome, text, .. } if step == "residue" => Some((outcome, text)),
        _ => None,
    });
    let (outcome, text) = residue.expect("the residue is looked for");
    assert_eq!(outcome, Outcome::Already);
    assert!(text.contains("somebody-elses") && text.contains("left as it is"), "{text}");
    assert!(lock(&life.sandbox.model).in_words().iter().any(|line| line.contains("somebody-elses")));
}

fn refused(life: &Life, step: &str, words: &[&str]) {
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?}");
    let End::Finished(finished) = end else { panic!("{end:?}") };
    assert!(finished.over, "nothing was made, so that nothing is left to do: {finished:?} {:#?}", life.events());
    let told = life.events().into_iter().find_map(|(_, e)| match e {
        Event::StepFailed { step: failed, error, .. } if failed == step => Some(error),
        _ => None,
    });
    let told = told.unwrap_or_else(|| panic!("{step} did not fail: {:#?}", life.events()));
    assert!(words.iter().all(|word| told.contains(word)), "{told}");
    let made: Vec<String> = lock(&life.sandbox.model)
        .ledger
        .applied()
        .filter(|e| e.who.run == life.id.id)
        .map(|e| format!("{} {}", e.op, e.target))
        .collect();
    assert_eq!(made, Vec::<String>::new(), "before the first effect");
}

#[test]
fn productions_token_is_refused_for_a_rehearsal() {
    let life = Life::rehearsal("rehearse");
    let start = relight::sandbox::model::Start::default();
    let life = Life { sandbox: life.sandbox.with_tokens(&start.cloud_token, &start.dns_token), ..life };
    refused(&life, "apart", &["living cluster", "honeydue-node-1", "HCLOUD_TOKEN_REHEARSAL"]);
}

#[test]
fn a_rehearsal_above_its_budget_is_refused_with_both_figures() {
    let mut life = Life::rehearsal("rehearse");
    life.settings.spare.as_mut().unwrap().budget = Some(0.01);
    refused(&life, "budget", &["EUR 0.0", "budget of EUR 0.01", "--budget"]);
}

#[test]
fn kept_nodes_power_themselves_off_when_they_expire() {
    let life = Life::rehearsal("rehearse-keep");
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let on = |life: &Life| {
        let model = lock(&life.sandbox.model);
        model.machines().into_iter().filter(|m| m.hostname.contains("-r-")).map(|m| m.on).collect::<Vec<_>>()
    };
    assert_eq!(on(&life), [true; 3]);
    let later = lock(&life.sandbox.model).now() + life.settings.spare.as_ref().unwrap().expires_after;
    lock(&life.sandbox.model).advance(later);
    assert_eq!(on(&life), [false; 3]);
}

#[test]
fn a_step_that_comes_whatever_happened_and_failed_is_tried_again_before_the_rehearsal_is_over() {
    let mut life = Life::rehearsal("rehearse");
    let before = world(&life);
    let text = Source::embedded().playbook("rehearse").unwrap().unwrap().text.replace("    optional: true\n", "");
    life.plan = plan_of(&life.settings, &text, "rehearse.yaml");
    let outage = Outage::in_life(&mut life, "cost", false);
    let end = life.process(&Tripwire::new());
    assert!(outage.fired() > 0 && end.outcome() == "failed", "{end:?}");
    outage.over();
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {:#?}", life.events());
    assert_eq!(strayed(&life, &before), Vec::<String>::new());
}

//! The records of before a run, put back.

use crate::life::Life;
use crate::living::somebody;
use crate::worlds::undoing;
use relight::engine::Event;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Filter, Loss};
use std::collections::BTreeSet;

/// What the names hold, in words.
fn records(life: &Life) -> BTreeSet<String> {
    let model = lock(&life.sandbox.model);
    let zone = model.zone_truth(&life.settings.dns.zone).unwrap();
    let of = zone.records.values().filter(|r| life.settings.dns.hosts.contains(&r.name));
    of.map(|r| format!("{} {} {}", r.name, r.kind, r.content)).collect()
}

/// A rebuild has ended; this is the run that puts its records back, and what they were.
fn after_a_rebuild() -> (Life, BTreeSet<String>) {
    let life = Life::lost(Loss::Off);
    let before = records(&life);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    assert_ne!(records(&life), before);
    (undoing(&life, "undoundoundo"), before)
}

#[test]
fn the_records_of_before_a_run_are_put_back() {
    let (life, before) = after_a_rebuild();
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {:#?}", life.events());
    assert_eq!(records(&life), before);
    let told = life.events().into_iter().find_map(|(_, event)| match event {
        Event::StepFinished { step, text, .. } if step == "undo" => Some(text),
        _ => None,
    });
    assert!(told.unwrap().contains("which does not run"), "the old servers are off, and nobody said so");
}

#[test]
fn an_undo_may_be_killed_anywhere() {
    let (life, wire) = (after_a_rebuild().0, Tripwire::new());
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    for point in 0..wire.points().len() {
        let (life, before) = after_a_rebuild();
        assert_eq!(life.process(&Tripwire::at(point)).outcome(), "killed", "{point}");
        let end = life.process(&Tripwire::new());
        assert_eq!(end.outcome(), "succeeded", "{point}: {end:?}");
        assert_eq!(records(&life), before, "{point}");
    }
}

#[test]
fn an_address_that_the_project_no_longer_holds_is_refused_and_nothing_is_touched() {
    let (life, _) = after_a_rebuild();
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let old = model.servers(now, &somebody(), &Filter::labels("relight-state")).result.unwrap();
        assert!(model.delete_server(now, &somebody(), old[0].id).result.is_ok());
        let later = now + std::time::Duration::from_secs(60);
        model.advance(later);
    }
    let there = records(&life);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?}");
    let failed = life.events().into_iter().find_map(|(_, event)| match event {
        Event::StepFailed { error, .. } => Some(error),
        Event::Intent { what, .. } => panic!("about to {what}"),
        _ => None,
    });
    assert!(failed.unwrap().contains("the project no longer holds"));
    assert_eq!(records(&life), there);
}

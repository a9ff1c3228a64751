//! The records of before a run, put back.

use crate::life::{End, Life};
use crate::living::somebody;
use crate::worlds::undoing;
use relight::engine::Event;
use relight::sandbox::doors::direct::{ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Filter, Loss, Power};
use relight::world::Answer;
use std::collections::BTreeSet;
use std::sync::Arc;

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
    let told = told.unwrap();
    assert_eq!(told.matches("which does not run").count(), 3, "each old server is off, and that is said once: {told}");
    match end {
        End::Finished(end) => assert_eq!(end.recovery_seconds, None, "nothing was recovered"),
        end => panic!("{end:?}"),
    }
}

/// What a person was shown as evidence.
fn evidence(life: &Life) -> Vec<String> {
    let asked = life.events().into_iter().filter_map(|(_, event)| match event {
        Event::GateAsked { text, evidence: true, .. } => Some(text),
        _ => None,
    });
    asked.collect()
}

#[test]
fn that_servers_behind_the_earlier_addresses_do_not_run_is_evidence_and_unaccepted_nothing_is_changed() {
    let (life, before) = after_a_rebuild();
    let there = records(&life);
    let nobody = ScriptedPerson::new([], Answer::Nobody("--confirm honeydue".to_owned()));
    let end = life.process_with(&Tripwire::new(), Arc::new(nobody));
    assert_eq!((end.outcome(), records(&life)), ("needs_person", there), "{end:?}");
    let willing = Arc::new(ScriptedPerson::willing());
    assert_eq!(life.process_with(&Tripwire::new(), willing.clone()).outcome(), "succeeded");
    assert_eq!(records(&life), before);
    let typed: Vec<_> = willing.asked().into_iter().filter_map(|asked| asked.type_this).collect();
    assert_eq!(typed, ["honeydue"]);
    let shown = evidence(&life);
    for node in 1..=3 {
        assert!(shown[0].contains(&format!("honeydue-node-{node}-old-")), "{shown:?}");
    }
}

#[test]
fn where_the_earlier_servers_run_again_nobody_is_asked() {
    let (life, before) = after_a_rebuild();
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let old = model.servers(now, &somebody(), &Filter::labels("relight-state")).result.unwrap();
        assert_eq!(old.len(), 3);
        for server in old {
            assert!(model.power(now, &somebody(), server.id, Power::On).result.is_ok());
        }
        model.advance(now + std::time::Duration::from_secs(120));
    }
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    assert_eq!((evidence(&life), records(&life)), (Vec::new(), before));
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

//! Cloudflare's API is down from the first moment on: everything but DNS is done, and `resume` does the rest.

use crate::life::Life;
use relight::engine::{Event, Listener, Told};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Fault, FaultId, FaultKind, Loss, Matcher, Shared};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn note_of(life: &Life, wanted: &str) -> String {
    let of = |event: Event| match event {
        Event::StepFinished { step, text, .. } if step == wanted => Some(text),
        _ => None,
    };
    life.events().into_iter().find_map(|(_, event)| of(event)).unwrap_or_default()
}

#[test]
fn a_rebuild_begun_while_cloudflare_is_down_builds_the_cluster_and_resume_points_dns_at_it() {
    let life = Life::lost(Loss::Off);
    let zone = life.settings.dns.zone.clone();
    let before = lock(&life.sandbox.model).zone_truth(&zone).cloned();
    let down = lock(&life.sandbox.model).faults.plan(Fault::always(Matcher::op("dns.*"), FaultKind::Down));
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "failed", "{end:?}");
    assert!(lock(&life.sandbox.model).faults.fired(down) > 0);
    let failed: Vec<_> = life
        .events()
        .into_iter()
        .filter_map(|(_, e)| match e {
            Event::StepFailed { step, error, .. } => Some((step, error)),
            _ => None,
        })
        .collect();
    let [(step, error)] = failed.as_slice() else { panic!("{failed:?}") };
    assert!(step == "dns-first[node-1]" && error.contains("records wanted:"), "{failed:?}");
    for step in ["preflight", "dead"] {
        assert!(note_of(&life, step).contains("Cloudflare cannot be asked now"), "{step} does not say so");
    }
    assert!(life.sandbox.disk.read("dns-before.json").is_none(), "nothing was changed yet");
    lock(&life.sandbox.model).faults.withdraw(down);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?}");
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    // The records as they were before the first change, for an undo.
    let kept: serde_json::Value = serde_json::from_slice(&life.sandbox.disk.read("dns-before.json").unwrap()).unwrap();
    let mut kept: Vec<String> =
        kept.as_array().unwrap().iter().map(|r| format!("{} {}", r["name"], r["content"]).replace('"', "")).collect();
    kept.sort();
    let truth = format!("{before:?}");
    assert_eq!(kept.len(), 9, "{kept:?}");
    for record in &kept {
        let (name, content) = record.split_once(' ').unwrap();
        assert!(truth.contains(name) && truth.contains(content), "{record} is not in {truth}");
    }
}

#[test]
fn preflight_says_how_many_servers_and_addresses_there_will_be_because_limits_cannot_be_asked_for() {
    let life = Life::lost(Loss::Off);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let note = note_of(&life, "preflight");
    assert!(note.contains("5 servers and 5 primary IPs, with the nodes still to be made 8 and 8"), "{note}");
}

/// Cloudflare blocks the token once, when this step begins.
struct Blocked(Shared, &'static str, Mutex<Option<FaultId>>);

impl Listener for Blocked {
    fn told(&self, told: &Told) {
        let Told::Durable { event: Event::StepStarted { step, .. }, .. } = told else { return };
        let mut planned = self.2.lock().unwrap();
        if step == self.1 && planned.is_none() {
            let block = Fault::once(Matcher::op("dns.*"), FaultKind::TooMany(Duration::from_secs(300)));
            *planned = Some(lock(&self.0).faults.plan(block));
        }
    }
}

#[test]
fn a_token_that_cloudflare_blocks_for_five_minutes_is_waited_for() {
    for step in ["dns-first[node-1]", "dns[node-2]"] {
        let mut life = Life::lost(Loss::Off);
        let blocked = Arc::new(Blocked(life.sandbox.model.clone(), step, Mutex::default()));
        life.listener = blocked.clone();
        let end = life.process(&Tripwire::new());
        assert_eq!(end.outcome(), "succeeded", "{step}: {end:?}");
        let block = blocked.2.lock().unwrap().expect("the step began");
        assert_eq!(lock(&life.sandbox.model).faults.fired(block), 1, "{step}");
        assert_eq!(life.broken_promises(), Vec::<String>::new());
    }
}

//! A rehearsal may have names of its own for its time, in a zone of its own: DNS and the edge are rehearsed too, no name is left,
//! and production's are out of its reach.

use crate::judged::{all, thinned, AFTERS};
use crate::life::{settings, End, Life, RUN_ID};
use crate::worlds::after;
use async_trait::async_trait;
use relight::actions::{Action, Check, Mode, Place, StepContext};
use relight::config::TakenDown;
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, DnsToken, Fault, FaultKind, Matcher, RecordChange, Start};
use relight::world::{Result, Target};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

const ZONE: &str = "example.org";
const REST: Duration = Duration::from_secs(900);

/// The zone of rehearsals, a line a record.
fn records(life: &Life) -> Vec<String> {
    let model = lock(&life.sandbox.model);
    let zone = model.zone_truth(ZONE).expect("the sandbox has it");
    zone.records.values().map(|r| format!("{} {} {}", r.name, r.kind, r.content)).collect()
}

fn words(life: &Life) -> Vec<String> {
    let mut model = lock(&life.sandbox.model);
    let later = model.now() + REST;
    model.advance(later);
    model.in_words().into_iter().filter(|line| !(line.starts_with("etcd") && line.contains("-r-"))).collect()
}

fn told(life: &Life) -> String {
    let told = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; {remedy}")),
        _ => None,
    });
    told.collect::<Vec<_>>().join("\n")
}

/// What the run did, in order: the operation, its project and its names.
fn effects(life: &Life) -> Vec<(String, Option<String>, Vec<String>)> {
    let model = lock(&life.sandbox.model);
    let own = model.ledger.applied().filter(|e| e.who.run == life.id.id);
    own.map(|e| (e.op.clone(), e.project.clone(), e.names.clone())).collect()
}

#[test]
fn dns_and_the_edge_are_rehearsed_by_names_of_its_own_and_none_is_left() {
    let life = Life::rehearsal_with_names("rehearse");
    let before = words(&life);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{}", told(&life));
    assert_eq!((life.broken_promises(), records(&life)), (Vec::new(), Vec::new()));
    assert_eq!(words(&life), before);
    let End::Finished(end) = end else { panic!("{end:?}") };
    assert!(end.over && end.first_answer_seconds.is_some(), "{end:?}");
    let effects = effects(&life);
    let named: Vec<&Vec<String>> =
        effects.iter().filter(|(op, ..)| op == "dns.batch").map(|(.., names)| names).collect();
    // Three nodes enter the names, and then all is removed, before the first server goes.
    assert_eq!(named.len(), 4, "{named:?}");
    let own = |name: &String| name.ends_with(&format!("-r-{RUN_ID}.{ZONE}")) && name.matches('.').count() == 2;
    assert!(named.iter().all(|names| !names.is_empty() && names.iter().all(own)), "{named:?}");
    let last = effects.iter().rposition(|(op, ..)| op == "dns.batch");
    assert!(last < effects.iter().position(|(op, ..)| op == "cloud.server.delete"), "{effects:?}");
    assert!(effects.iter().all(|(_, project, _)| project.as_deref().is_none_or(|p| p == "rehearsal")), "{effects:?}");
    let events = life.events();
    let proof = relight::report::proof(events.iter().map(|(at, event)| (*at, event)), "").expect("it is a rehearsal");
    let unproven = |line: &&String| line.starts_with("edge and DNS") || line.starts_with("host ");
    assert_eq!(proof.not_executed.iter().filter(unproven).count(), 0, "{:#?}", proof.not_executed);
    assert!(proof.not_executed.contains(&"records of myhoneydue.com: off".to_owned()), "{:#?}", proof.not_executed);
}

fn find<'a>(life: &'a Life, id: &str) -> &'a relight::playbook::Step {
    life.plan.steps.iter().find(|s| s.id == id).expect("the step is there")
}

#[test]
fn its_health_is_asked_through_the_edge_by_its_own_names() {
    let life = Life::rehearsal_with_names("rehearse");
    let place = |step: &str| {
        find(&life, step).action.describe(&relight::engine::place(
            &life.settings,
            &life.id,
            &life.scripts,
            find(&life, step),
        ))
    };
    assert_eq!(place("edge-first"), format!("ask through the edge: https://api-r-{RUN_ID}.{ZONE}/api/health/"));
    assert!(!place("verify").contains("myhoneydue.com"), "{}", place("verify"));
    let down = lock(&life.sandbox.model).faults.plan(Fault::always(Matcher::op("edge.get").at(ZONE), FaultKind::Down));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "failed");
    assert!(lock(&life.sandbox.model).faults.fired(down) > 0, "nobody asked the edge");
    assert_eq!(records(&life), Vec::<String>::new(), "what failed leaves none either");
}

#[test]
fn a_rehearsal_with_names_may_be_killed_anywhere_and_leaves_none() {
    let (life, wire) = (Life::rehearsal_with_names("rehearse"), Tripwire::new());
    let before = words(&life);
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let points = wire.points();
    let begun = points.iter().position(|name| name.contains("change DNS")).expect("it changes records");
    let all_points: Vec<usize> = (0..points.len()).collect();
    // A sample of all, and each around a change of records.
    let near = (0..points.len()).filter(|i| {
        let from = i.saturating_sub(3);
        points.iter().skip(from).take(7).any(|name| name.contains("change DNS"))
    });
    let mut chosen: Vec<usize> =
        near.step_by(2).chain(thinned(all_points).into_iter().filter(|i| *i > begun).step_by(2)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let schedules: Vec<_> = chosen.into_iter().zip(AFTERS.into_iter().cycle()).collect();
    all("a rehearsal with names killed once", &schedules, |(point, later)| {
        let life = Life::rehearsal_with_names("rehearse");
        assert!(matches!(life.process(&Tripwire::at(*point)), End::Killed), "not killed at {point}");
        life.crash(later.keep);
        life.pass(later.pause);
        let mut end = life.process(&Tripwire::new());
        if end.outcome() != "succeeded" {
            end = life.process(&Tripwire::new());
        }
        let mut wrong = life.broken_promises();
        wrong.extend(records(&life).into_iter().map(|record| format!("left: {record}")));
        if words(&life) != before || end.outcome() != "succeeded" {
            wrong.push(format!("another world, or another end: {end:?}"));
        }
        wrong.into_iter().map(|w| format!("killed at {point} ({later:?}): {w}")).collect()
    });
}

/// What takes down a kept rehearsal that has names.
fn teardown_of(life: &Life) -> Life {
    let mut live = settings();
    live.rehearsal.zone = Some(ZONE.to_owned());
    let settings = live.taking_down(TakenDown::Rehearsals(vec![life.id.id.clone()]));
    after(life, "teardownaaaa", "teardown", Mode::Rehearsal, settings)
}

#[test]
fn what_was_kept_is_taken_down_with_its_names_first_and_others_names_in_the_zone_stay() {
    let life = Life::rehearsal_with_names("rehearse-keep");
    for name in ["www", "api-r-bbbbbbbbbbbb"] {
        let record = RecordChange::address(&format!("{name}.{ZONE}"), "192.0.2.77", false, None);
        lock(&life.sandbox.model).place_record(ZONE, &record);
    }
    let before = words(&life);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", told(&life));
    assert_eq!(records(&life).len(), 2 + 9);
    let down = teardown_of(&life);
    assert_eq!(down.process(&Tripwire::new()).outcome(), "succeeded", "{}", told(&down));
    assert_eq!(words(&down), before);
    let ops: Vec<String> = effects(&down).into_iter().map(|(op, ..)| op).collect();
    assert_eq!(ops.iter().position(|op| op == "dns.batch"), Some(0), "{ops:?}");
}

#[test]
fn a_token_that_sees_productions_zone_is_refused_before_the_first_effect() {
    let life = Life::rehearsal_with_names("rehearse");
    let both = DnsToken::full(&[&settings().dns.zone, ZONE]);
    lock(&life.sandbox.model).set_dns_token(&Start::default().dns_token_rehearsal(), both);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?}");
    assert!(
        told(&life).contains("sees production's zone myhoneydue.com; give CLOUDFLARE_API_TOKEN_REHEARSAL"),
        "{}",
        told(&life)
    );
    assert_eq!(effects(&life), Vec::new());
}

#[test]
fn productions_token_is_refused_and_the_rehearsal_is_over_for_it_made_nothing() {
    let life = Life::rehearsal_with_names("rehearse");
    let start = Start::default();
    let tokens = (format!("{}-rehearsal", start.cloud_token), start.dns_token);
    let life = Life { sandbox: life.sandbox.with_tokens(&tokens.0, &tokens.1), ..life };
    let End::Finished(end) = life.process(&Tripwire::new()) else { panic!("it ended") };
    assert_eq!((end.outcome.as_str(), end.over), ("refused", true), "{}", told(&life));
    assert_eq!(effects(&life), Vec::new());
}

/// Asks for leave to change records.
struct Changes {
    zone: &'static str,
    name: &'static str,
    allowed: Arc<AtomicBool>,
}

#[async_trait]
impl Action for Changes {
    fn describe(&self, _: &Place<'_>) -> String {
        "change records".to_owned()
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        json!({})
    }
    async fn check(&self, _: &StepContext<'_>) -> Result<Check> {
        Ok(match self.allowed.load(Ordering::SeqCst) {
            true => Check::Done(relight::actions::Facts::none()),
            false => Check::Needed("leave".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let target = Target::Dns { zone: self.zone.to_owned(), names: vec![self.name.to_owned()] };
        cx.effects.permit(target, "change them").await?;
        self.allowed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn the_guard_lets_a_rehearsal_change_its_own_names_and_no_other_whatever_its_settings_say() {
    let cases = [
        ("example.org", "api-r-abcdefghijkl.example.org", true),
        ("example.org", "api-r-bbbbbbbbbbbb.example.org", false),
        ("example.org", "www.example.org", false),
        ("example.org", "api.myhoneydue.com", false),
        ("myhoneydue.com", "api.myhoneydue.com", false),
        ("myhoneydue.com", "api-r-abcdefghijkl.myhoneydue.com", false),
    ];
    for (zone, name, may) in cases {
        for lying in [false, true] {
            let mut life = Life::rehearsal_with_names("rehearse");
            if lying {
                // Settings that somebody has tampered with: any name, any zone.
                life.settings.dns.zone = zone.to_owned();
                life.settings.dns.hosts = vec![name.to_owned()];
            }
            let text = "playbook: bad\nfor: rehearsal\nsummary: x\nsteps:\n  - { id: change, do: { change: {} }, deadline: 2m }\n";
            let allowed = Arc::new(AtomicBool::new(false));
            let actions =
                |_: &str, _: &Value| Ok(Arc::new(Changes { zone, name, allowed: allowed.clone() }) as Arc<dyn Action>);
            let (source, nodes) = (Source::embedded(), life.settings.nodes.clone());
            let (default_deadline, mode) = (life.settings.timeouts.step, Mode::Rehearsal);
            let binding = Binding { nodes: &nodes, default_deadline, mode, actions: &actions, source: &source };
            life.plan = relight::playbook::load(text, "bad.yaml", &binding).unwrap_or_else(|p| panic!("{p:?}"));
            life.process(&Tripwire::new());
            assert_eq!(allowed.load(Ordering::SeqCst), may, "{zone} {name} {lying}: {}", told(&life));
        }
    }
}

//! One live run changes a cluster at a time, over machines too: who comes second is told who is there, and gets past by that
//! run's name alone.

use crate::judged::AFTERS;
use crate::life::{plan_of, Between, End, Life};
use crate::living::somebody;
use crate::worlds::after;
use relight::actions::Mode;
use relight::engine::{Event, Listener, Told};
use relight::sandbox::doors::direct::{ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Fault, FaultKind, Filter, Loss, Matcher, Model, Shared, ThingState};
use relight::world::{lease_labels, Answer, Labels, ThingKind, World, CLUSTER, HOLDER, MANAGED_BY, MODE, RUN, SINCE};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The run that holds the lease in [`held_by_ann`].
pub const ANN: &str = "annannannann";
const LEASE: &str = "honeydue-lease";

/// Somebody else's run has held the lease for an hour.
pub fn held_by_ann(model: &mut Model) {
    let now = model.now();
    let mut labels = labels_of(ANN);
    labels.extend(lease_labels("ann.laptop", now.saturating_sub(Duration::from_secs(3600))));
    let made = model.create_thing(now, &somebody(), LEASE, &ThingState::PlacementGroup, &labels);
    assert!(made.result.is_ok(), "{:?}", made.result);
}

fn labels_of(run: &str) -> Labels {
    let pairs = [(MANAGED_BY, "relight"), (CLUSTER, "honeydue"), (RUN, run), (MODE, "live")];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The lease's labels, where somebody holds it.
pub fn lease(model: &mut Model) -> Option<(i64, Labels)> {
    let now = model.now();
    let all = model.things(now, &somebody(), ThingKind::PlacementGroup, &Filter::labels("")).result.unwrap();
    all.into_iter().find(|thing| thing.name == LEASE).map(|thing| (thing.id, thing.labels))
}

fn holder(life: &Life) -> Option<String> {
    lease(&mut lock(&life.sandbox.model)).and_then(|(_, labels)| labels.get(RUN).cloned())
}

/// Takes the lease away from whoever holds it, and gives it to Ann.
fn broken_by_ann(model: &mut Model) {
    let (now, held) = (model.now(), lease(model));
    assert!(model
        .delete_thing(now, &somebody(), ThingKind::PlacementGroup, held.expect("it is held").0)
        .result
        .is_ok());
    held_by_ann(model);
}

/// Another operator, on another machine, at the same outside.
fn on_another_machine(life: &Life, run: &str, name: &'static str) -> Life {
    let between: Between = Arc::new(move |world| World { holder: name.to_owned(), ..world });
    Life { between, ..after(life, run, "rebuild", Mode::Live, life.settings.clone()) }
}

/// What the run did to the outside, in order.
fn done(life: &Life) -> Vec<String> {
    let model = lock(&life.sandbox.model);
    let own = model.ledger.applied().filter(|e| e.who.run == life.id.id && !e.who.step.is_empty());
    own.map(|e| format!("{} {}", e.op, e.target)).collect()
}

fn told(life: &Life) -> String {
    let told = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; {remedy}")),
        _ => None,
    });
    told.collect::<Vec<_>>().join("\n")
}

fn nobody() -> Arc<ScriptedPerson> {
    Arc::new(ScriptedPerson::new([], Answer::Nobody("with the flag".to_owned())))
}

/// A run of the lease's steps alone, which looks at nothing again once it has begun to give the lease back.
fn lease_alone() -> Life {
    lease_alone_by(", last: true")
}

fn lease_alone_by(last: &str) -> Life {
    let mut life = Life::lost(Loss::Gone);
    let text = "playbook: short\nfor: total-loss\nsummary: x\nsteps:\n  \
        - { id: lease, do: { lease.free: {} }, evidence: true, deadline: 2m }\n  \
        - { id: hold, do: { lease.hold: {} }, needs: [lease], deadline: 2m }\n  \
        - { id: key, do: { ssh_key.ensure: {} }, needs: [hold], deadline: 2m }\n  \
        - { id: release, do: { lease.release: {} }, needs: [key, hold], deadline: 2mLAST }\n";
    life.plan = plan_of(&life.settings, &text.replace("LAST", last), "short.yaml");
    life
}

const TAKEN: &str = "cloud.placement_group.create placement_group honeydue-lease";

#[test]
fn a_rebuild_takes_the_lease_before_anything_else_and_gives_it_back_at_the_end() {
    let life = Life::lost(Loss::Off);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let done = done(&life);
    assert_eq!(done.first().map(String::as_str), Some(TAKEN));
    assert!(done.last().is_some_and(|last| last.starts_with("cloud.placement_group.delete")), "{:?}", done.last());
    assert_eq!(holder(&life), None);
    let model = lock(&life.sandbox.model);
    let taken = model.ledger.applied().find(|e| e.target.ends_with(LEASE)).unwrap();
    let label = |key: &str| taken.labels.get(key).map(String::as_str);
    assert_eq!([label(RUN), label(HOLDER), label(MODE)], [Some("abcdefghijkl"), Some("somebody.here"), Some("live")]);
    assert_eq!(label(SINCE).unwrap().parse::<u64>().unwrap(), taken.at.as_secs());
}

#[test]
fn who_comes_second_is_told_who_is_there_and_is_asked_for_that_runs_name() {
    let life = Life::lost(Loss::Off);
    held_by_ann(&mut lock(&life.sandbox.model));
    let person = nobody();
    let end = life.process_with(&Tripwire::new(), person.clone());
    assert_eq!(end.outcome(), "needs_person", "{end:?}");
    let asked = person.asked();
    assert!(asked.len() == 1 && asked[0].evidence && asked[0].type_this.as_deref() == Some(ANN), "{asked:?}");
    let words =
        ["run annannannann of ann.laptop since ", "(60 minutes) holds its lease", "`relight resume annannannann`"];
    assert!(words.iter().all(|word| asked[0].text.contains(word)), "{asked:?}");
    assert_eq!((done(&life), holder(&life).as_deref()), (Vec::new(), Some(ANN)));
}

#[test]
fn a_lease_is_broken_where_its_run_is_named_and_the_run_goes_on() {
    let life = Life::lost(Loss::Off);
    held_by_ann(&mut lock(&life.sandbox.model));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", told(&life));
    let done = done(&life);
    assert!(done[0].starts_with("cloud.placement_group.delete") && done[1] == TAKEN, "{done:?}");
    assert_eq!((life.broken_promises(), holder(&life)), (Vec::new(), None));
}

#[test]
fn a_run_that_failed_keeps_the_lease_until_a_resume_has_finished_it() {
    let life = Life::lost(Loss::Gone);
    let fault = Fault::always(Matcher::op("kube.write"), FaultKind::ServerError { status: 503, applied: false });
    let fault = lock(&life.sandbox.model).faults.plan(fault);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "failed");
    assert_eq!(holder(&life).as_deref(), Some("abcdefghijkl"));
    let second = on_another_machine(&life, "bobbobbobbob", "bob.desk");
    assert_eq!(second.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    assert!(told(&second).contains("run abcdefghijkl of somebody.here since"), "{}", told(&second));
    assert_eq!(done(&second), Vec::<String>::new());
    lock(&life.sandbox.model).faults.withdraw(fault);
    let person = Arc::new(ScriptedPerson::willing());
    assert_eq!(life.process_with(&Tripwire::new(), person.clone()).outcome(), "succeeded", "{}", told(&life));
    assert_eq!((person.asked(), holder(&life)), (Vec::new(), None));
    assert_eq!(done(&life).iter().filter(|line| *line == TAKEN).count(), 1);
}

#[test]
fn what_may_fail_keeps_no_lease() {
    let life = Life::lost(Loss::Gone);
    let fault =
        lock(&life.sandbox.model).faults.plan(Fault::always(Matcher::op("node.late.sh.apply"), FaultKind::Exit(1)));
    let End::Finished(end) = life.process(&Tripwire::new()) else { panic!("it ended") };
    assert_eq!((end.outcome.as_str(), end.warnings, holder(&life)), ("succeeded", 3, None));
    assert!(lock(&life.sandbox.model).faults.fired(fault) > 0);
}

/// Does something to the outside when the run tells something.
struct When<F>(Shared, Mutex<Option<F>>, fn(&Event) -> bool);

impl<F: FnOnce(&mut Model) + Send> Listener for When<F> {
    fn told(&self, told: &Told) {
        let Told::Durable { event, .. } = told else { return };
        if (self.2)(event) {
            if let Some(act) = self.1.lock().unwrap().take() {
                act(&mut lock(&self.0));
            }
        }
    }
}

fn when<F: FnOnce(&mut Model) + Send + 'static>(life: &mut Life, act: F, told: fn(&Event) -> bool) {
    life.listener = Arc::new(When(life.sandbox.model.clone(), Mutex::new(Some(act)), told));
}

#[test]
fn of_two_at_once_one_gets_it_and_the_other_is_told_who() {
    let mut life = Life::lost(Loss::Off);
    when(&mut life, held_by_ann, |event| matches!(event, Event::Intent { step, .. } if step == "hold"));
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?}");
    assert!(told(&life).contains("hold: another run") && told(&life).contains("of ann.laptop"), "{}", told(&life));
    assert_eq!((done(&life), holder(&life).as_deref()), (Vec::new(), Some(ANN)));
}

#[test]
fn a_lease_that_is_broken_while_the_run_goes_on_stops_it_before_its_next_effect() {
    for at in ["ssh-key", "boot[node-2]", "serving", "answers-first[node-1]"] {
        let mut life = Life::lost(Loss::Off);
        let past = Arc::new(Mutex::new(None));
        let (until, step) = (past.clone(), at.to_owned());
        let broken = move |model: &mut Model| {
            broken_by_ann(model);
            *until.lock().unwrap() = Some(model.now());
        };
        let model = life.sandbox.model.clone();
        life.listener = Arc::new(Ended(step, model, Mutex::new(Some(Box::new(broken)))));
        let end = life.process(&Tripwire::new());
        assert_eq!(end.outcome(), "refused", "{at}: {end:?}");
        assert!(
            told(&life).contains("the guard stopped step") && told(&life).contains("of ann.laptop"),
            "{}",
            told(&life)
        );
        let broken_at = past.lock().unwrap().expect("it was broken");
        // What had its leave goes on; nothing gets leave after that.
        let millis = u64::try_from(broken_at.as_millis()).unwrap();
        let late: Vec<_> = life
            .events()
            .into_iter()
            .filter_map(|(when, e)| match e {
                Event::Intent { step, .. } if when > millis + 2000 => Some(step),
                _ => None,
            })
            .collect();
        assert_eq!((late, holder(&life).as_deref()), (Vec::new(), Some(ANN)), "{at}");
    }
}

type Act = Box<dyn FnOnce(&mut Model) + Send>;

/// Acts when this step has ended.
struct Ended(String, Shared, Mutex<Option<Act>>);

impl Listener for Ended {
    fn told(&self, told: &Told) {
        if matches!(told, Told::Durable { event: Event::StepFinished { step, .. }, .. } if *step == self.0) {
            if let Some(act) = self.2.lock().unwrap().take() {
                act(&mut lock(&self.1));
            }
        }
    }
}

/// A run that was killed half-way, and another operator's, who has broken its lease.
fn overtaken(dies: bool) -> (Life, Life, End) {
    let life = Life::lost(Loss::Off);
    let wire = Tripwire::new();
    assert_eq!(Life::lost(Loss::Off).process(&wire).outcome(), "succeeded");
    let half = wire.points().iter().position(|point| point.starts_with("before kube")).unwrap();
    assert!(matches!(life.process(&Tripwire::at(half)), End::Killed));
    assert_eq!(holder(&life).as_deref(), Some("abcdefghijkl"));
    let second = on_another_machine(&life, "bobbobbobbob", "bob.desk");
    let end = second.process(&if dies { Tripwire::at(half) } else { Tripwire::new() });
    (life, second, end)
}

#[test]
fn a_run_whose_lease_was_broken_while_it_was_dead_is_refused_and_told_by_whom() {
    let (life, _, end) = overtaken(true);
    assert!(matches!(end, End::Killed), "{end:?}");
    let before = done(&life);
    let end = life.process_with(&Tripwire::new(), nobody());
    assert_eq!(end.outcome(), "needs_person", "{end:?}");
    assert!(told(&life).contains("run bobbobbobbob of bob.desk since"), "{}", told(&life));
    assert_eq!((done(&life), holder(&life).as_deref()), (before, Some("bobbobbobbob")));
}

#[test]
fn a_run_whose_lease_was_broken_asks_before_it_goes_on_though_nobody_holds_it_now() {
    let (life, second, end) = overtaken(false);
    assert_eq!((end.outcome(), holder(&life)), ("succeeded", None), "{}", told(&second));
    let before = done(&life);
    let person = nobody();
    let end = life.process_with(&Tripwire::new(), person.clone());
    assert_eq!(end.outcome(), "needs_person", "{end:?}");
    assert!(told(&life).contains("lease: this run has lost the lease"), "{}", told(&life));
    assert!(person.asked().iter().all(|q| q.type_this.as_deref() == Some("honeydue")), "{:?}", person.asked());
    assert_eq!((done(&life), holder(&life)), (before, None));
}

#[test]
fn taking_breaking_and_giving_back_may_be_killed_anywhere() {
    for (broken, last) in [(false, ", last: true"), (true, ", last: true"), (false, ""), (true, "")] {
        let begin = || {
            let life = lease_alone_by(last);
            if broken {
                held_by_ann(&mut lock(&life.sandbox.model));
            }
            life
        };
        let (life, wire) = (begin(), Tripwire::new());
        assert_eq!(life.process(&wire).outcome(), "succeeded", "{}", told(&life));
        let wanted = (done(&life), life.world_in_words(), life.broken_promises());
        for (point, name) in wire.points().iter().enumerate() {
            for later in [AFTERS[0], AFTERS[2], AFTERS[4]] {
                let life = begin();
                assert!(matches!(life.process(&Tripwire::at(point)), End::Killed), "{name}");
                life.crash(later.keep);
                // Nobody is asked of a lease that is gone by the run's own hand.
                let person = if broken { Answer::Yes } else { Answer::No };
                let end = life.process_with(&Tripwire::new(), Arc::new(ScriptedPerson::new([], person)));
                assert_eq!(end.outcome(), "succeeded", "{name} {later:?}: {}", told(&life));
                let mut found = (done(&life), life.world_in_words(), life.broken_promises());
                // Where all is looked at again, what was given back is taken for that time.
                if last.is_empty() && found.0.len() == wanted.0.len() + 2 {
                    let again = found.0.split_off(wanted.0.len());
                    assert!(again[0] == TAKEN && again[1].starts_with("cloud.placement_group.delete"), "{again:?}");
                }
                assert_eq!((found, holder(&life)), (wanted.clone(), None), "{name} {later:?}");
            }
        }
        println!("{} points", wire.points().len());
    }
}

#[test]
fn a_lost_reply_of_taking_breaking_or_giving_back_is_settled_by_a_look() {
    for op in ["cloud.placement_group.create", "cloud.placement_group.delete"] {
        for nth in [1, 2] {
            let life = lease_alone();
            held_by_ann(&mut lock(&life.sandbox.model));
            let on = Matcher::op(op).nth(nth);
            let fault = lock(&life.sandbox.model).faults.plan(Fault::once(on, FaultKind::LostReply));
            assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", told(&life));
            let fired = lock(&life.sandbox.model).faults.fired(fault);
            assert_eq!(fired, u32::from(op.ends_with("delete") || nth == 1), "{op} {nth}");
            assert_eq!((done(&life).len(), holder(&life)), (4, None), "{:?}", done(&life));
        }
    }
}

#[test]
fn a_resume_that_was_killed_while_it_gave_the_lease_back_looks_at_nothing_else() {
    let (life, wire) = (lease_alone(), Tripwire::new());
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let gone = wire.points().iter().rposition(|point| point.starts_with("after") && point.contains("delete")).unwrap();
    let life = lease_alone();
    assert!(matches!(life.process(&Tripwire::at(gone)), End::Killed));
    let before = life.events().len();
    let person = Arc::new(ScriptedPerson::willing());
    assert_eq!(life.process_with(&Tripwire::new(), person.clone()).outcome(), "succeeded");
    let begun: Vec<_> = life.events()[before..]
        .iter()
        .filter_map(|(_, e)| match e {
            Event::StepStarted { step } => Some(step.clone()),
            _ => None,
        })
        .collect();
    assert_eq!((begun, person.asked()), (vec!["release".to_owned()], Vec::new()));
}

#[test]
fn a_name_alone_is_no_lease_where_no_preflight_has_looked() {
    let life = lease_alone();
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        assert!(model
            .create_thing(now, &somebody(), LEASE, &ThingState::PlacementGroup, &Labels::new())
            .result
            .is_ok());
    }
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    assert!(told(&life).contains("placement group honeydue-lease") && told(&life).contains("rename or delete it"));
    assert_eq!(done(&life), Vec::<String>::new());
}

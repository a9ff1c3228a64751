//! The state directory is lost at any point of a rebuild: the journal is made anew from labels, and a resume comes to the same
//! world, makes nothing twice and keeps every promise.

use crate::judged::{all, difference, from, thinned, Wanted, AFTERS};
use crate::life::{settings, Deaf, End, Life};
use crate::lost_again::lose;
use relight::actions::RunId;
use relight::engine::{Event, Journal, Lost, Reconstructed, RunStarted};
use relight::sandbox::doors::direct::{Outside, ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Fault, FaultKind, Loss, Matcher, Start};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Processes after a loss until the run must have ended.
const MOST_PROCESSES: usize = 3;

impl Life {
    /// `relight reconstruct`: the run that it found, and what its new journal says; `None` where nothing carries labels.
    pub fn reconstruct(&self) -> Option<Reconstructed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let wire = Tripwire::new();
            let clock = self.sandbox.clock(&wire);
            let (cluster, person) = (self.sandbox.cluster(&wire, &clock), Arc::new(ScriptedPerson::willing()));
            let outside = Outside { cluster, secrets: Arc::clone(&self.secrets), person };
            let world = self.sandbox.world(&wire, &clock, outside);
            let all = Lost::all(&*world.cloud, &self.settings.cluster).await.unwrap();
            let candidates = Lost::candidates(&all);
            let lost = candidates.first()?;
            assert_eq!((candidates.len(), lost.run.as_str()), (1, self.id.id.as_str()), "{all:?}");
            let found = lost.reconstructed(&self.plan, &self.settings, &self.id, &self.scripts);
            let first = RunStarted { reconstructed: Some(found.clone()), ..self.first_record(&world.uid) };
            let opened = Journal::open(&self.id.id, world.files.clone(), world.clock.clone(), Arc::new(Deaf)).await;
            opened.unwrap().0.append(Event::RunStarted(Box::new(first))).await.unwrap();
            Some(found)
        })
    }
}

/// Nodes that the operator's own key opens too.
fn with_own_keys(loss: Loss) -> Life {
    let mut settings = settings();
    settings.cloud.authorized_keys = vec![Start::default().operators_key];
    Life::lost_with(loss, settings)
}

/// How often something came out.
#[derive(Default)]
struct Counts {
    /// There was no server yet.
    early: AtomicUsize,
    /// Servers were deleted and made again.
    again: AtomicUsize,
    /// Nobody could log in to what serves, and nothing was touched.
    refused: AtomicUsize,
    /// All servers that had been made were taken up.
    kept: AtomicUsize,
}

impl Counts {
    fn told(&self) -> [usize; 4] {
        [&self.early, &self.again, &self.refused, &self.kept].map(|count| count.load(Ordering::SeqCst))
    }
}

fn why(life: &Life) -> Vec<String> {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; {remedy}")),
        _ => None,
    });
    failed.collect()
}

fn count(life: &Life, op: &str) -> usize {
    let model = lock(&life.sandbox.model);
    model.ledger.applied().filter(|e| e.op == op && !e.who.run.is_empty()).count()
}

/// Effects of runs so far.
fn effects(life: &Life) -> usize {
    lock(&life.sandbox.model).ledger.applied().filter(|e| !e.who.step.is_empty()).count()
}

fn finish(life: &Life) -> End {
    let mut end = life.process(&Tripwire::new());
    for _ in 1..MOST_PROCESSES {
        if end.outcome() == "succeeded" || end.outcome() == "refused" {
            break;
        }
        end = life.process(&Tripwire::new());
    }
    end
}

/// What is wrong in the end, in words.
fn wrong(life: Life, wanted: &Wanted, counts: &Counts) -> Vec<String> {
    life.reconstruct();
    ended(life, wanted, counts)
}

/// The same once its journal is there again.
fn ended(mut life: Life, wanted: &Wanted, counts: &Counts) -> Vec<String> {
    let (before, deleted) = (effects(&life), count(&life, "cloud.server.delete"));
    let early = count(&life, "cloud.server.create") == 0;
    let mut end = finish(&life);
    let refused = end.outcome() == "refused";
    if refused {
        let told = why(&life).join("\n");
        let touched = effects(&life) - before;
        if touched > 0 || !told.contains("serves already") || !told.contains("ssh_authorized_keys") {
            return vec![format!("{touched} effects before it was refused: {told}")];
        }
        counts.refused.fetch_add(1, Ordering::SeqCst);
        // As the remedy says: this run is given up, and another one fences what it made.
        life.lose_state();
        life.id = RunId { id: "mnopqrstuvwx".to_owned(), ..life.id };
        end = finish(&life);
    }
    let mut wrong = life.broken_promises();
    let made_again = count(&life, "cloud.server.delete") - deleted;
    match (early, made_again > 0, refused) {
        (true, ..) => counts.early.fetch_add(1, Ordering::SeqCst),
        (_, true, _) => counts.again.fetch_add(1, Ordering::SeqCst),
        (_, _, false) => counts.kept.fetch_add(1, Ordering::SeqCst),
        _ => 0,
    };
    if end.outcome() != "succeeded" {
        wrong.push(format!("{end:?} {:?}", why(&life)));
    } else if let Some(lines) = difference(&life.world_in_words(), &wanted.world).filter(|_| !refused) {
        wrong.push(format!("another world:\n{lines}"));
    }
    wrong
}

/// Loses the state at each point of the rebuild.
fn lost_anywhere(title: &str, begin: impl Fn() -> Life + Sync) -> Counts {
    let (wanted, counts) = (from(&begin), Counts::default());
    let points = wanted.points.iter().enumerate().zip(AFTERS.into_iter().cycle());
    let schedules = thinned(points.collect());
    all(title, &schedules, |((point, name), after)| {
        let life = begin();
        let killed = life.process(&Tripwire::at(*point));
        assert!(matches!(killed, End::Killed), "not killed at {point}: {killed:?}");
        life.crash(after.keep);
        life.lose_state();
        life.pass(after.pause);
        wrong(life, &wanted, &counts)
            .into_iter()
            .map(|w| format!("state lost at {point} ({name}, {after:?}): {w}"))
            .collect()
    });
    let [early, again, refused, kept] = counts.told();
    println!(
        "{title}: at {early} points there was no server yet, at {kept} all servers were taken up, at {again} they were made \
         again, at {refused} nobody could log in to what serves, and a new run fenced it"
    );
    counts
}

#[test]
fn with_the_operators_keys_a_state_lost_anywhere_leads_to_the_same_world() {
    let counts = lost_anywhere("state lost, servers gone, own keys", || with_own_keys(Loss::Gone));
    let [_, again, refused, kept] = counts.told();
    // Only a server whose host key is not recorded yet is made again.
    assert!(refused == 0 && kept > again, "{:?}", counts.told());
}

#[test]
fn with_the_operators_keys_and_old_servers_that_are_off_too() {
    let counts = lost_anywhere("state lost, servers off, own keys", || with_own_keys(Loss::Off));
    assert_eq!(counts.told()[2], 0);
}

#[test]
fn without_the_operators_keys_what_has_not_served_is_made_again_and_what_serves_is_left_alone() {
    let counts = lost_anywhere("state lost, no own keys", || Life::lost(Loss::Gone));
    let [_, again, refused, kept] = counts.told();
    assert!(again > 0 && refused > 0 && kept == 0, "{:?}", counts.told());
}

/// The first point whose name begins so.
fn point(wanted: &Wanted, begins: &str) -> usize {
    let found = wanted.points.iter().position(|name| name.starts_with(begins));
    found.unwrap_or_else(|| panic!("no point {begins} in {:?}", wanted.points))
}

/// Killed there, and the state lost and made anew.
fn reconstructed(begin: impl Fn() -> Life, point: usize) -> Life {
    let life = begin();
    assert!(matches!(life.process(&Tripwire::at(point)), End::Killed));
    life.lose_state();
    life.reconstruct().expect("something carries labels");
    life
}

/// Kills the resume at each of its points; at every third the state is lost once more.
fn resume_killed(title: &str, begin: impl Fn() -> Life + Sync, begins: &str) {
    let wanted = from(&begin);
    let at = point(&wanted, begins);
    let wire = Tripwire::new();
    assert_eq!(reconstructed(&begin, at).process(&wire).outcome(), "succeeded");
    let points = wire.points().into_iter().enumerate().zip(AFTERS.into_iter().cycle());
    // The end of the run is as any other's.
    let schedules: Vec<_> = thinned(points.collect()).into_iter().step_by(2).collect();
    all(title, &schedules, |((point, name), after)| {
        let life = reconstructed(&begin, at);
        let killed = life.process(&Tripwire::at(*point));
        assert!(matches!(killed, End::Killed), "not killed at {point}: {killed:?}");
        life.crash(after.keep);
        life.pass(after.pause);
        if point % 3 == 0 {
            life.lose_state();
            life.reconstruct();
        }
        let counts = Counts::default();
        let wrong = ended(life, &wanted, &counts);
        wrong.into_iter().map(|w| format!("resume killed at {point} ({name}, {after:?}): {w}")).collect()
    });
}

#[test]
fn a_resume_of_a_reconstructed_run_may_be_killed_anywhere_and_lose_its_state_again() {
    resume_killed("reconstructed, killed again", || with_own_keys(Loss::Gone), "after k3s.sh start");
    resume_killed("reconstructed and made again, killed again", || Life::lost(Loss::Gone), "before harden.sh confirm");
}

#[test]
fn a_state_that_is_lost_again_between_the_end_of_a_servers_power_and_its_deletion_is_gone_on_with() {
    let begin = || Life::lost(Loss::Gone);
    let wanted = from(begin);
    let at = point(&wanted, "before harden.sh confirm");
    let wire = Tripwire::new();
    assert_eq!(reconstructed(begin, at).process(&wire).outcome(), "succeeded");
    // The second is off as well, and the third is about to be.
    let off: Vec<usize> = wire
        .points()
        .iter()
        .enumerate()
        .filter(|(_, name)| name.starts_with("after power off"))
        .map(|(i, _)| i)
        .collect();
    assert_eq!(off.len(), 3, "{:?}", wire.points());
    for point in off {
        let life = reconstructed(begin, at);
        assert!(matches!(life.process(&Tripwire::at(point)), End::Killed));
        life.pass(AFTERS[1].pause);
        life.lose_state();
        life.reconstruct();
        let wrong = ended(life, &wanted, &Counts::default());
        assert_eq!(wrong, Vec::<String>::new(), "{point}");
    }
}

#[test]
fn what_only_a_reconstructed_run_does_fails_once_and_is_tried_again_or_settled_by_a_look() {
    let (own, none) = (|| with_own_keys(Loss::Gone), || Life::lost(Loss::Gone));
    let (wanted_own, wanted_none) = (from(own), from(none));
    let error = FaultKind::ServerError { status: 503, applied: false };
    let cases: [(bool, &str, FaultKind); 8] = [
        (true, "node.regain.sh.check", FaultKind::Exit(1)),
        (true, "node.regain.sh.check", FaultKind::Down),
        (true, "node.regain.sh.apply", FaultKind::SshDrop),
        (true, "cloud.ssh_key.delete", FaultKind::LostReply),
        (false, "cloud.server.poweroff", FaultKind::LostReply),
        (false, "cloud.server.delete", FaultKind::LostReply),
        (false, "cloud.server.delete", FaultKind::Locked),
        (false, "cloud.server.delete", error),
    ];
    all("a fault after a loss", &cases, |(keys, op, kind)| {
        let (life, wanted) = match keys {
            true => (reconstructed(own, point(&wanted_own, "after k3s.sh start")), &wanted_own),
            false => (reconstructed(none, point(&wanted_none, "before harden.sh confirm")), &wanted_none),
        };
        let fault = lock(&life.sandbox.model).faults.plan(Fault::once(Matcher::op(*op), kind.clone()));
        let model = life.sandbox.model.clone();
        let mut wrong = ended(life, wanted, &Counts::default());
        if lock(&model).faults.fired(fault) != 1 {
            wrong.push("it never happened".to_owned());
        }
        wrong.into_iter().map(|w| format!("{op} {kind:?}: {w}")).collect()
    });
}

#[test]
fn a_first_node_that_was_made_again_before_the_state_was_lost_joins_the_others_and_starts_no_second_cluster() {
    let begin = || with_own_keys(Loss::Gone);
    let wanted = from(begin);
    let late = wanted.points.iter().rposition(|name| name.starts_with("after late.sh apply")).unwrap();
    let made_again = || {
        let life = begin();
        assert!(matches!(life.process(&Tripwire::at(late)), End::Killed));
        life.pass(AFTERS[1].pause);
        lose(&life, "node-1");
        life
    };
    let wire = Tripwire::new();
    assert_eq!(made_again().process(&wire).outcome(), "succeeded");
    let mut by_hand = 0;
    // On the new server: before K3s, before it joins, and when it has.
    let of = |begins: &str| wire.points().iter().position(|name| name.starts_with(begins)).unwrap();
    for point in
        [of("before harden.sh apply"), of("before k3s.sh install"), of("before k3s.sh start"), of("after k3s.sh start")]
    {
        let life = made_again();
        assert!(matches!(life.process(&Tripwire::at(point)), End::Killed));
        life.pass(AFTERS[1].pause);
        life.lose_state();
        life.reconstruct();
        let mut end = finish(&life);
        if end.outcome() == "refused" {
            // Nobody can log in to the new one yet, and the others serve.
            let told = why(&life).join("\n");
            assert!(told.contains("delete honeydue-node-1 in the cloud's console"), "{point}: {told}");
            by_hand += 1;
            lose(&life, "node-1");
            end = finish(&life);
        }
        assert_eq!((end.outcome(), life.broken_promises()), ("succeeded", Vec::new()), "{point}: {:?}", why(&life));
        let machines = lock(&life.sandbox.model).machines();
        let nodes = machines.into_iter().filter(|machine| machine.hostname.starts_with("honeydue-"));
        let clusters: BTreeSet<_> = nodes.map(|machine| machine.cluster).collect();
        assert_eq!(clusters.len(), 1, "{point}: {clusters:?}");
    }
    assert!(by_hand < 3, "the new server was never kept");
}

#[test]
fn a_finished_run_is_made_anew_without_anything_of_the_cluster_being_made_or_ended() {
    let life = with_own_keys(Loss::Off);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let (world, made) = (life.world_in_words(), count(&life, "cloud.server.create"));
    life.lose_state();
    let found = life.reconstruct().expect("its servers carry labels");
    assert_eq!(found.differs, Vec::<String>::new());
    let before = effects(&life);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{:?}", why(&life));
    let model = lock(&life.sandbox.model);
    let entries = model.ledger.applied().filter(|e| !e.who.step.is_empty()).skip(before);
    let done: BTreeSet<String> = entries.map(|e| e.op.clone()).collect();
    // The run's key on the nodes and in the project, and the lease while it looks: nothing else.
    let wanted = [
        "cloud.placement_group.create",
        "cloud.placement_group.delete",
        "cloud.ssh_key.create",
        "cloud.ssh_key.delete",
        "node.harden.sh.apply",
        "node.harden.sh.confirm",
        "node.regain.sh.apply",
    ];
    assert_eq!(done.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    drop(model);
    assert_eq!((life.world_in_words(), count(&life, "cloud.server.create")), (world, made));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

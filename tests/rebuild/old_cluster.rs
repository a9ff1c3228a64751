//! What is left of the old cluster is fenced before anything else: powered off, or cut off where that cannot be. No two workers.

use crate::judged::{all, difference, finished, from, thinned, Kills, Wanted, AFTERS, ANOTHER_WORLD};
use crate::life::{plan_of, End, Life};
use crate::living::{alive, one_left, open_alone, somebody, with_old_firewall, workers};
use relight::engine::Event;
use relight::playbook::Source;
use relight::sandbox::doors::direct::{ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Fault, FaultKind, Filter, Matcher, Power, Reach, ThingState};
use relight::world::{Answer, Labels, ServerStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn failures(life: &Life) -> String {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}\n  {remedy}\n")),
        _ => None,
    });
    failed.collect()
}

/// Status, firewalls by name, and address of every old server, by its present name.
fn old_servers(life: &Life) -> BTreeMap<String, (ServerStatus, Vec<String>, std::net::Ipv4Addr)> {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let servers = model.servers(now, &somebody(), &Filter::labels("!relight-run")).result.unwrap();
    let walls = |ids: &[i64]| ids.iter().map(|id| model.glimpse(*id).unwrap().name).collect();
    servers
        .iter()
        .filter(|s| s.name.starts_with("honeydue-"))
        .map(|s| (s.name.clone(), (s.status, walls(&s.firewalls), s.public.as_ref().unwrap().address)))
        .collect()
}

#[test]
fn one_old_node_that_still_serves_is_refused_until_the_name_is_typed() {
    let (life, left) = one_left();
    let nobody = ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned()));
    let end = life.process_with(&Tripwire::new(), Arc::new(nobody));
    assert_eq!(end.outcome(), "needs_person", "{end:?}");
    let told = failures(&life);
    let evidence = format!("the old cluster still serves: {left} answer the health check");
    assert!(told.contains(&evidence) && told.contains("--confirm honeydue"), "{told}");
    assert_eq!(touched(&life), 0);
    // The same run, once a person has typed the name.
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", failures(&life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    assert!(old_servers(&life).values().all(|(status, ..)| *status == ServerStatus::Off), "{:?}", old_servers(&life));
}

/// How many effects runs of relight have had.
fn touched(life: &Life) -> usize {
    lock(&life.sandbox.model).ledger.applied().filter(|e| !e.who.run.is_empty()).count()
}

#[test]
fn nodes_that_run_and_answer_nothing_from_here_are_not_powered_off_unasked_where_they_may_have_their_quorum() {
    // Somebody closed all ports to the outside, the edge's and the operator's too. The worker runs.
    let life = alive();
    open_alone(&life, &[]);
    let nobody = || Arc::new(ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned())));
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    let told = failures(&life);
    let evidence =
        "honeydue-node-1, honeydue-node-2, honeydue-node-3 run, says the cloud, and answer nothing from here";
    assert!(told.contains(evidence) && told.contains("--confirm honeydue"), "{told}");
    assert_eq!(touched(&life), 0);
    assert_eq!(workers(&life).len(), 1);
    // Nodes that hang are a total loss, too: it is a question, and no wall.
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", failures(&life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    assert!(old_servers(&life).values().all(|(status, ..)| *status == ServerStatus::Off), "{:?}", old_servers(&life));
}

#[test]
fn one_node_that_answers_and_one_that_is_silent_may_have_their_quorum() {
    let life = alive();
    open_alone(&life, &["22"]);
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let servers = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
        let id = |name: &str| servers.iter().find(|s| s.name == name).unwrap().id;
        let (silent, off, open) = (id("honeydue-node-2"), id("honeydue-node-3"), servers[0].firewalls[0]);
        let none = ThingState::Firewall { rules: Vec::new() };
        let closed = model.create_thing(now, &somebody(), "closed", &none, &Labels::new()).result.unwrap().id;
        assert!(model.apply_firewall(now, &somebody(), closed, silent, true).result.is_ok());
        assert!(model.apply_firewall(now, &somebody(), open, silent, false).result.is_ok());
        assert!(model.power(now, &somebody(), off, Power::Off).result.is_ok());
        model.advance(now + Duration::from_secs(30));
    }
    let nobody = ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned()));
    assert_eq!(life.process_with(&Tripwire::new(), Arc::new(nobody)).outcome(), "needs_person");
    let told = failures(&life);
    assert!(told.contains("honeydue-node-2 run, says the cloud") && told.contains("honeydue-node-1 answer"), "{told}");
    assert!(!told.contains("honeydue-node-3"), "{told}");
    assert_eq!(touched(&life), 0);
}

#[test]
fn a_single_node_that_is_silent_is_fenced_and_told() {
    let (life, left) = one_left();
    open_alone(&life, &[]);
    let nobody = ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned()));
    let end = life.process_with(&Tripwire::new(), Arc::new(nobody));
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", failures(&life));
    let told = life.events().into_iter().find_map(|(_, e)| match e {
        Event::StepFinished { step, text, .. } if step == "dead" => Some(text),
        _ => None,
    });
    let note = format!("{left} runs, says the cloud, and answers nothing from here: taken for dead");
    assert_eq!(told.as_deref(), Some(note.as_str()));
    assert!(old_servers(&life).values().all(|(status, ..)| *status == ServerStatus::Off), "{:?}", old_servers(&life));
}

#[test]
fn without_a_fence_the_ledger_sees_two_workers() {
    let mut life = alive();
    {
        // Out of the way of the new servers' names, and still running.
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        for server in model.servers(now, &somebody(), &Filter::labels("")).result.unwrap() {
            let name = format!("{}-before", server.name);
            assert!(model.update_server(now, &somebody(), server.id, Some(&name), None).result.is_ok());
        }
    }
    let file = Source::embedded().playbook("rebuild").unwrap().unwrap();
    let text =
        file.text.replace("old_cluster.fence", "old_cluster.dead").replace("id: fence,", "id: fence, evidence: true,");
    assert_ne!(text.as_str(), &*file.text);
    life.plan = plan_of(&life.settings, &text, &file.file);
    let end = life.process(&Tripwire::new());
    let broken = life.broken_promises();
    assert!(
        broken.iter().any(|b| b == "two pods of honeydue/worker run at once"),
        "{end:?} {broken:?} {}",
        failures(&life)
    );
}

#[test]
fn a_living_cluster_whose_name_was_typed_may_be_killed_anywhere() {
    let wanted = from(alive);
    let points: Vec<(usize, String)> = wanted.points.iter().cloned().enumerate().collect();
    killed("killed once, old cluster alive", alive, &wanted, thinned(points), None);
}

/// The old servers' power-offs hang for ever, fail, are refused, or find the server locked.
fn stubborn(kind: &FaultKind) -> Life {
    let life = alive();
    with_old_firewall(&life);
    let fault = Fault::always(Matcher::op("cloud.server.poweroff").at("node-2"), kind.clone());
    lock(&life.sandbox.model).faults.plan(fault);
    life
}

#[test]
fn an_old_server_that_cannot_be_powered_off_is_cut_off_by_the_firewall_alone() {
    let unavailable = FaultKind::ServerError { status: 503, applied: false };
    for kind in [FaultKind::HungAction, FaultKind::ActionError("failed".to_owned()), FaultKind::Locked, unavailable] {
        let life = stubborn(&kind);
        let end = life.process(&Tripwire::new());
        assert_eq!(end.outcome(), "succeeded", "{kind:?}: {end:?} {}", failures(&life));
        assert_eq!(lock(&life.sandbox.model).faults.silent(), [], "{kind:?} never fired");
        assert_eq!(life.broken_promises(), Vec::<String>::new(), "{kind:?}");
        let old = old_servers(&life);
        assert_eq!(old.len(), 3);
        for (name, (status, walls, address)) in &old {
            assert!(name.ends_with("-old-abcdefghijkl"), "{name}");
            let stubborn = name.contains("node-2");
            assert_eq!(*status != ServerStatus::Off, stubborn, "{kind:?}: {name} {status:?}");
            if stubborn {
                assert_eq!(*walls, ["honeydue-fence"], "{kind:?}: what else is on it lets something in");
                let mut model = lock(&life.sandbox.model);
                let now = model.now();
                assert_eq!([22, 80, 443].map(|port| model.reach(now, *address, port)), [Reach::Silent; 3]);
            }
        }
        let fence = life.events().into_iter().filter(|(_, e)| {
            matches!(e, Event::Intent { step, what, .. }
            if step == "fence" && what == "cut it off by the firewall")
        });
        assert_eq!(fence.count(), 1, "the journal says what was done");
    }
}

#[test]
fn a_firewall_that_a_label_selector_puts_onto_an_old_server_is_named_at_once_and_what_to_do_about_it() {
    let life = stubborn(&FaultKind::Locked);
    let label = |add: bool| {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let all = model.servers(now, &somebody(), &Filter::labels("!relight-run")).result.unwrap();
        let mut server = all.into_iter().find(|s| s.name.contains("node-2")).unwrap();
        server.labels.remove("role");
        server.labels.extend(add.then(|| ("role".to_owned(), "web".to_owned())));
        assert!(model.update_server(now, &somebody(), server.id, None, Some(&server.labels)).result.is_ok());
    };
    label(true);
    let id = {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let state = ThingState::Firewall { rules: Vec::new() };
        let id = model.create_thing(now, &somebody(), "web", &state, &Labels::new()).result.unwrap().id;
        assert!(model.select_for_firewall(now, &somebody(), id, Some("role=web")).result.is_ok());
        id
    };
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?} {}", failures(&life));
    let told = failures(&life);
    let why =
        format!("fence: honeydue-node-2 cannot be powered off, and not be cut off: firewall {id} is on it by a label");
    assert!(told.contains(&why) && told.contains("take the label") && told.contains("relight resume"), "{told}");
    // What could be taken off it is off, and it is not marked as fenced.
    assert_eq!(old_servers(&life)["honeydue-node-2"].1, ["web", "honeydue-fence"]);
    // A person does that, and the run goes on.
    label(false);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", failures(&life));
    assert_eq!(old_servers(&life)["honeydue-node-2-old-abcdefghijkl"].1, ["honeydue-fence"]);
    assert_eq!(lock(&life.sandbox.model).faults.silent(), []);
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

#[test]
fn the_firewall_of_the_fence_is_only_adopted_from_this_cluster() {
    let life = stubborn(&FaultKind::HungAction);
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let state = relight::sandbox::model::ThingState::Firewall { rules: Vec::new() };
        let made = model.create_thing(now, &somebody(), "honeydue-fence", &state, &relight::world::Labels::new());
        assert!(made.result.is_ok());
    }
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?}");
    let told = failures(&life);
    assert!(told.contains("does not carry this cluster's labels") && told.contains("rename or delete it"), "{told}");
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

/// Kills at these points, and none of it leads to another end or to two workers.
fn killed(
    title: &str,
    begin: impl Fn() -> Life + Sync,
    wanted: &Wanted,
    points: Vec<(usize, String)>,
    most_wasted: Option<usize>,
) {
    let schedules: Vec<_> = points.into_iter().zip(AFTERS.into_iter().cycle()).collect();
    assert!(schedules.len() > most_wasted.unwrap_or(0), "no points");
    all(title, &schedules, |((point, name), after)| {
        let life = begin();
        assert!(matches!(life.process(&Tripwire::at(*point)), End::Killed), "not killed at {point}");
        let mut kills = Kills::default();
        kills.crash(&life, *after);
        let mut wrong = finished(&life, &kills, wanted);
        if !after.pause.is_zero() {
            // Meanwhile what still lives of the old cluster noticed which of its nodes were gone: its Kubernetes is another.
            wrong.retain(|w| !w.starts_with(ANOTHER_WORLD));
            wrong.extend(difference(&lock(&life.sandbox.model).in_words(), &wanted.outside));
        }
        if workers(&life).is_empty() {
            wrong.push("no worker runs".to_owned());
        }
        wrong.into_iter().map(|w| format!("killed at {point} ({name}, {after:?}): {w}")).collect()
    });
}

#[test]
fn the_fence_of_a_stubborn_server_may_be_killed_anywhere() {
    let begin = || stubborn(&FaultKind::HungAction);
    let wanted = from(begin);
    let of_fence = |name: &str| {
        name.ends_with("fence") || ["power off", "firewall", "update server"].iter().any(|w| name.contains(w))
    };
    let last = wanted.points.iter().rposition(|name| name.contains("update server") && name.starts_with("after"));
    let first = wanted.points.iter().position(|name| of_fence(name)).unwrap();
    let points =
        wanted.points.iter().cloned().enumerate().take(last.unwrap().min(first + 120)).skip(first.saturating_sub(5));
    killed("killed while it fences a stubborn server", begin, &wanted, thinned(points.collect()), None);
}

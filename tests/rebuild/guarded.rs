//! A node is ours by the labels of the server that has its address: the guard lets nothing be done to any other.

use crate::lease::{held_by_ann, lease};
use crate::leave::{beside, given, itself};
use crate::life::{settings, Life};
use async_trait::async_trait;
use relight::actions::{Action, Check, FactKind, Facts, Mode, Place, RunId, StepContext};
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Model, Start};
use relight::world::{label_value, Labels, Result, Target, ThingKind, CLUSTER, MANAGED_BY, RUN};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// The name of the server that the run has made, in a rehearsal.
const OF_THE_RUN: &str = "honeydue-r-abcdefghijkl-node-1";

/// Asks for leave to do something to a node or to the objects behind its API server.
struct Touch {
    address: IpAddr,
    objects: bool,
    allowed: Arc<AtomicBool>,
}

#[async_trait]
impl Action for Touch {
    fn describe(&self, _: &Place<'_>) -> String {
        format!("touch {}", self.address)
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    async fn check(&self, _: &StepContext<'_>) -> Result<Check> {
        match self.allowed.load(Ordering::SeqCst) {
            true => Ok(Check::Done(Facts::none())),
            false => Ok(Check::Needed("leave".to_owned())),
        }
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let target = match self.objects {
            true => Target::Objects { address: self.address, what: "Node".to_owned() },
            false => Target::Node { address: self.address },
        };
        let permit = cx.effects.permit(target.clone(), "touch it").await?;
        permit.covers(&target)?;
        self.allowed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Whether a run of this mode is given leave for the node of this name, what was told, and whether an intent is on disk.
fn leave(name: &str, mode: Mode, objects: bool) -> (bool, String, bool) {
    let settings = settings();
    let mut model = Model::empty_world(&settings, &Start::default());
    let label = |key: &str, value: &str| (key.to_owned(), label_value(value));
    let cluster: Labels = [label(MANAGED_BY, "relight"), label(CLUSTER, &settings.cluster)].into();
    let mut of_the_run = cluster.clone();
    of_the_run.extend([label(RUN, "abcdefghijkl")]);
    let another: Labels = [label(MANAGED_BY, "relight"), label(CLUSTER, "another")].into();
    let all = [
        ("unlabelled", Labels::new()),
        ("another", another),
        ("cluster", cluster),
        // Labels alone are no leave in a rehearsal: the name must be the run's too.
        ("misnamed", of_the_run.clone()),
        (OF_THE_RUN, of_the_run),
    ];
    let mut found = IpAddr::from([203, 0, 113, 9]);
    for (server, labels) in all {
        let address = model.place_foreign("live", server, labels).unwrap();
        if server == name {
            found = address.into();
        }
    }
    let mut life = Life::around(model, settings);
    life.id = RunId { mode, ..life.id };
    let text =
        "playbook: touch\nfor: total-loss\nsummary: x\nsteps:\n  - { id: touch, do: { touch: {} }, deadline: 2m }\n";
    let allowed = Arc::new(AtomicBool::new(false));
    let action = Arc::new(Touch { address: found, objects, allowed: allowed.clone() });
    let source = Source::embedded();
    let actions = |_: &str, _: &Value| Ok(action.clone() as Arc<dyn Action>);
    let (nodes, default_deadline) = (life.settings.nodes.clone(), life.settings.timeouts.step);
    let binding = Binding { nodes: &nodes, default_deadline, mode, actions: &actions, source: &source };
    life.plan = relight::playbook::load(text, "touch.yaml", &binding).unwrap_or_else(|problems| panic!("{problems:?}"));
    let end = life.process(&Tripwire::new());
    let (mut told, mut intent) = (String::new(), false);
    for (_, event) in life.events() {
        match event {
            Event::StepFailed { error, .. } => told.push_str(&error),
            Event::Intent { .. } => intent = true,
            _ => {}
        }
    }
    let allowed = allowed.load(Ordering::SeqCst);
    assert_eq!(allowed, end.outcome() == "succeeded", "{end:?} {told}");
    assert!(!lock(&life.sandbox.model).ledger.applied().any(|e| e.who.run == life.id.id));
    (allowed, told, intent)
}

#[test]
fn a_node_that_is_not_the_clusters_is_never_touched_nor_the_objects_behind_it() {
    for objects in [false, true] {
        for (name, mode) in [
            ("unlabelled", Mode::Live),
            ("another", Mode::Live),
            ("unlabelled", Mode::Rehearsal),
            ("cluster", Mode::Rehearsal),
            ("misnamed", Mode::Rehearsal),
        ] {
            let (allowed, told, intent) = leave(name, mode, objects);
            assert!(!allowed && !intent, "{name} {mode:?}");
            let words =
                told.contains("the guard stopped") && told.contains(&format!("is server {name}, which is not this"));
            assert!(words, "{told}");
        }
    }
}

#[test]
fn an_address_that_no_server_of_the_project_has_is_never_touched() {
    let (allowed, told, intent) = leave("nowhere", Mode::Live, false);
    assert!(!allowed && !intent && told.contains("no server of the project has address 203.0.113.9"), "{told}");
}

#[test]
fn a_node_of_the_run_may_be_touched_and_live_any_of_the_cluster() {
    for (name, mode) in [("cluster", Mode::Live), (OF_THE_RUN, Mode::Live), (OF_THE_RUN, Mode::Rehearsal)] {
        let (allowed, told, intent) = leave(name, mode, false);
        assert!(allowed && intent, "{name} {mode:?}: {told}");
    }
}

/// Whether a run of this mode may label a server that has these labels, where DNS names it and a person accepted it, or not.
fn may_take_over(labels: Labels, named: bool, accepted: bool, mode: Mode) -> (bool, String) {
    let (life, server) = beside("by-hand", labels, named, mode);
    let ids = if accepted { format!("7 {server}") } else { "7".to_owned() };
    given(life, "take", &(FactKind::OldServers, ids), &Target::Adopted { kind: "server", id: server }, itself)
}

#[test]
fn a_server_without_labels_is_taken_over_only_live_where_a_person_accepted_it_and_the_clusters_names_point_at_it() {
    let another: Labels = [(MANAGED_BY, "relight"), (CLUSTER, "another")].map(|(k, v)| (k.into(), v.into())).into();
    let (may, told) = may_take_over(Labels::new(), true, true, Mode::Live);
    assert!(may, "{told}");
    for (labels, named, accepted, mode) in [
        (Labels::new(), true, false, Mode::Live),
        (Labels::new(), false, true, Mode::Live),
        (another, true, true, Mode::Live),
        (Labels::new(), true, true, Mode::Rehearsal),
    ] {
        let case = format!("{labels:?} named {named} accepted {accepted} {mode:?}");
        let (may, told) = may_take_over(labels, named, accepted, mode);
        assert!(!may && told.contains("the guard stopped step take: server by-hand"), "{case}: {told}");
    }
}

#[test]
fn the_guard_lets_nobody_break_a_lease_that_no_person_has_named() {
    for named in [true, false] {
        let life = Life::around(Model::empty_world(&settings(), &Start::default()), settings());
        held_by_ann(&mut lock(&life.sandbox.model));
        let id = lease(&mut lock(&life.sandbox.model)).unwrap().0;
        let said = if named { id.to_string() } else { "7".to_owned() };
        let target = Target::Cloud { kind: ThingKind::PlacementGroup.word(), id };
        let (may, told) = given(life, "break", &(FactKind::BrokenLease, said), &target, itself);
        assert_eq!(may, named, "{told}");
        assert_eq!(told.contains("the guard stopped step break: the lease of cluster honeydue"), !named);
    }
}

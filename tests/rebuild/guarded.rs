//! A node is ours by the labels of the server that has its address: the guard lets nothing be done to any other.

use crate::lease::{held_by_ann, lease};
use crate::life::{settings, Life};
use crate::living::somebody;
use async_trait::async_trait;
use relight::actions::{Action, Check, FactKind, Facts, Mode, Place, RunId, StepContext};
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Filter, Model, RecordChange, Start};
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

/// Says which servers a person accepted as the old cluster's, or asks for leave to take one for that.
struct TakeOver {
    server: i64,
    accepted: Option<String>,
    allowed: Arc<AtomicBool>,
}

#[async_trait]
impl Action for TakeOver {
    fn describe(&self, _: &Place<'_>) -> String {
        format!("take server {} for the old cluster's", self.server)
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    fn provides(&self) -> &'static [FactKind] {
        match self.accepted {
            Some(_) => &[FactKind::OldServers],
            None => &[],
        }
    }
    async fn check(&self, _: &StepContext<'_>) -> Result<Check> {
        Ok(match &self.accepted {
            Some(ids) => Check::Done(Facts::none().with(FactKind::OldServers, ids)),
            None if self.allowed.load(Ordering::SeqCst) => Check::Done(Facts::none()),
            None => Check::Needed("leave".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let target = Target::Adopted { id: self.server };
        cx.effects.permit(target.clone(), "label it").await?.covers(&target)?;
        self.allowed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Whether a run of this mode may label a server that has these labels, where DNS names it and a person accepted it, or not.
fn may_take_over(labels: Labels, named: bool, accepted: bool, mode: Mode) -> (bool, String) {
    let settings = settings();
    let mut model = Model::empty_world(&settings, &Start::default());
    let address = model.place_foreign("live", "by-hand", labels).unwrap();
    if named {
        let record = RecordChange::address(&settings.dns.hosts[0], &address.to_string(), true, None);
        model.place_record(&settings.dns.zone, &record);
    }
    let now = model.now();
    let all = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    let server = all.iter().find(|s| s.name == "by-hand").unwrap().id;
    let mut life = Life::around(model, settings);
    life.id = RunId { mode, ..life.id };
    let text = "playbook: touch\nfor: total-loss\nsummary: x\nsteps:\n  - { id: said, do: { said: {} } }\n  \
                - { id: take, do: { take: {} }, needs: [said], deadline: 2m }\n";
    let allowed = Arc::new(AtomicBool::new(false));
    let ids = if accepted { format!("7 {server}") } else { "7".to_owned() };
    let actions = |name: &str, _: &Value| {
        let accepted = (name == "said").then(|| ids.clone());
        Ok(Arc::new(TakeOver { server, accepted, allowed: allowed.clone() }) as Arc<dyn Action>)
    };
    let (source, nodes, default_deadline) =
        (Source::embedded(), life.settings.nodes.clone(), life.settings.timeouts.step);
    let binding = Binding { nodes: &nodes, default_deadline, mode, actions: &actions, source: &source };
    life.plan = relight::playbook::load(text, "touch.yaml", &binding).unwrap_or_else(|problems| panic!("{problems:?}"));
    life.process(&Tripwire::new());
    let told = life.events().into_iter().filter_map(|(_, event)| match event {
        Event::StepFailed { error, .. } => Some(error),
        _ => None,
    });
    (allowed.load(Ordering::SeqCst), told.collect())
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

/// Says which lease a person has named, or asks for leave to delete one.
struct Breaks {
    id: i64,
    named: Option<String>,
    allowed: Arc<AtomicBool>,
}

#[async_trait]
impl Action for Breaks {
    fn describe(&self, _: &Place<'_>) -> String {
        "break a lease".to_owned()
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    async fn check(&self, _: &StepContext<'_>) -> Result<Check> {
        Ok(match &self.named {
            Some(id) => Check::Done(Facts::none().with(FactKind::BrokenLease, id)),
            None if self.allowed.load(Ordering::SeqCst) => Check::Done(Facts::none()),
            None => Check::Needed("leave".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let target = Target::Cloud { kind: ThingKind::PlacementGroup.word(), id: self.id };
        cx.effects.permit(target.clone(), "break it").await?.covers(&target)?;
        self.allowed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn the_guard_lets_nobody_break_a_lease_that_no_person_has_named() {
    for named in [true, false] {
        let mut life = Life::around(Model::empty_world(&settings(), &Start::default()), settings());
        held_by_ann(&mut lock(&life.sandbox.model));
        let id = lease(&mut lock(&life.sandbox.model)).unwrap().0;
        let text = "playbook: bad\nfor: total-loss\nsummary: x\nsteps:\n  - { id: said, do: { said: {} } }\n  \
                    - { id: break, do: { break: {} }, needs: [said], deadline: 2m }\n";
        let allowed = Arc::new(AtomicBool::new(false));
        let actions = |name: &str, _: &Value| {
            let named = (name == "said").then(|| if named { id.to_string() } else { "7".to_owned() });
            Ok(Arc::new(Breaks { id, named, allowed: allowed.clone() }) as Arc<dyn Action>)
        };
        let (source, nodes) = (Source::embedded(), life.settings.nodes.clone());
        let default_deadline = life.settings.timeouts.step;
        let binding = Binding { nodes: &nodes, default_deadline, mode: Mode::Live, actions: &actions, source: &source };
        life.plan = relight::playbook::load(text, "bad.yaml", &binding).unwrap_or_else(|p| panic!("{p:?}"));
        life.process(&Tripwire::new());
        let told = life.events().into_iter().filter_map(|(_, event)| match event {
            Event::StepFailed { error, .. } => Some(error),
            _ => None,
        });
        let told: String = told.collect();
        assert_eq!(allowed.load(Ordering::SeqCst), named, "{told}");
        assert_eq!(told.contains("the guard stopped step break: the lease of cluster honeydue"), !named);
    }
}

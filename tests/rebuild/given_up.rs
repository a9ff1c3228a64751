//! A server of the run goes only where a person gave it up, in a live run, and while no name points at it.

use crate::life::{settings, Life};
use crate::living::somebody;
use async_trait::async_trait;
use relight::actions::{Action, Check, FactKind, Facts, Mode, Place, RunId, StepContext};
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{Filter, Model, RecordChange, Start};
use relight::world::{label_value, Labels, Result, Target, CLUSTER, MANAGED_BY, RUN};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Says which servers a person gave up, or asks for leave to end one.
struct End {
    server: i64,
    given_up: Option<String>,
    allowed: Arc<AtomicBool>,
}

#[async_trait]
impl Action for End {
    fn describe(&self, _: &Place<'_>) -> String {
        format!("end server {}", self.server)
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    async fn check(&self, _: &StepContext<'_>) -> Result<Check> {
        Ok(match &self.given_up {
            Some(ids) => Check::Done(Facts::none().with(FactKind::GivenUp, ids)),
            None if self.allowed.load(Ordering::SeqCst) => Check::Done(Facts::none()),
            None => Check::Needed("leave".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let permit = cx.effects.permit(Target::GivenUp { id: self.server }, "end it").await?;
        permit.covers(&Target::Cloud { kind: "server", id: self.server })?;
        assert!(permit.covers(&Target::Cloud { kind: "server", id: self.server + 1 }).is_err());
        assert!(permit.covers(&Target::Cloud { kind: "firewall", id: self.server }).is_err());
        self.allowed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Whether a run of this mode may end a server that has these labels, where DNS names it and a person gave it up, or not.
fn may_end(labels: &Labels, named: bool, given_up: bool, mode: Mode) -> (bool, String) {
    let settings = settings();
    let mut model = Model::empty_world(&settings, &Start::default());
    let address = model.place_foreign("live", "honeydue-node-1", labels.clone()).unwrap();
    if named {
        let record = RecordChange::address(&settings.dns.hosts[0], &address.to_string(), true, None);
        model.place_record(&settings.dns.zone, &record);
    }
    let now = model.now();
    let all = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    let server = all.iter().find(|s| s.name == "honeydue-node-1").unwrap().id;
    let mut life = Life::around(model, settings);
    life.id = RunId { mode, ..life.id };
    let text = "playbook: end\nfor: total-loss\nsummary: x\nsteps:\n  - { id: said, do: { said: {} } }\n  \
                - { id: end, do: { end: {} }, needs: [said], deadline: 2m }\n";
    let allowed = Arc::new(AtomicBool::new(false));
    let ids = if given_up { format!("7 {server}") } else { "7".to_owned() };
    let actions = |name: &str, _: &Value| {
        let given_up = (name == "said").then(|| ids.clone());
        Ok(Arc::new(End { server, given_up, allowed: allowed.clone() }) as Arc<dyn Action>)
    };
    let (source, nodes, default_deadline) =
        (Source::embedded(), life.settings.nodes.clone(), life.settings.timeouts.step);
    let binding = Binding { nodes: &nodes, default_deadline, mode, actions: &actions, source: &source };
    life.plan = relight::playbook::load(text, "end.yaml", &binding).unwrap_or_else(|problems| panic!("{problems:?}"));
    life.process(&Tripwire::new());
    let told = life.events().into_iter().filter_map(|(_, event)| match event {
        Event::StepFailed { error, .. } => Some(error),
        _ => None,
    });
    (allowed.load(Ordering::SeqCst), told.collect())
}

#[test]
fn a_server_goes_only_live_where_this_run_made_it_a_person_gave_it_up_and_no_name_points_at_it() {
    let label = |key: &str, value: &str| (key.to_owned(), label_value(value));
    let cluster: Labels = [label(MANAGED_BY, "relight"), label(CLUSTER, "honeydue")].into();
    let (mut own, mut earlier) = (cluster.clone(), cluster.clone());
    own.extend([label(RUN, "abcdefghijkl")]);
    earlier.extend([label(RUN, "mnopqrstuvwx")]);
    let (may, told) = may_end(&own, false, true, Mode::Live);
    assert!(may, "{told}");
    for (labels, named, given_up, mode) in [
        (&own, true, true, Mode::Live),
        (&own, false, false, Mode::Live),
        (&own, false, true, Mode::Rehearsal),
        (&earlier, false, true, Mode::Live),
        (&cluster, false, true, Mode::Live),
        (&Labels::new(), false, true, Mode::Live),
    ] {
        let case = format!("{labels:?} named {named} given up {given_up} {mode:?}");
        let (may, told) = may_end(labels, named, given_up, mode);
        assert!(!may && told.contains("the guard stopped step end: server honeydue-node-1"), "{case}: {told}");
    }
}

//! Whether the guard gives leave for a target, after a step has said what a person accepted.

use crate::life::{settings, Life};
use crate::living::somebody;
use async_trait::async_trait;
use relight::actions::{Action, Check, FactKind, Facts, Mode, Place, RunId, StepContext};
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{Filter, Model, RecordChange, Start};
use relight::world::{Labels, Permit, Result, Target};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// What has to hold of a permit that was given.
pub type Covers = fn(&Permit, &Target);

/// It covers its own target.
pub fn itself(permit: &Permit, target: &Target) {
    permit.covers(target).unwrap();
}

/// A run of this mode beside one server of this name and these labels, at which one of the cluster's names points or not; and the
/// server's id.
pub fn beside(name: &str, labels: Labels, named: bool, mode: Mode) -> (Life, i64) {
    let settings = settings();
    let mut model = Model::empty_world(&settings, &Start::default());
    let address = model.place_foreign("live", name, labels).unwrap();
    if named {
        let record = RecordChange::address(&settings.dns.hosts[0], &address.to_string(), true, None);
        model.place_record(&settings.dns.zone, &record);
    }
    let now = model.now();
    let all = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    let id = all.iter().find(|s| s.name == name).unwrap().id;
    let mut life = Life::around(model, settings);
    life.id = RunId { mode, ..life.id };
    (life, id)
}

/// Says what a person accepted, or asks for leave.
struct Asks {
    said: Option<(FactKind, String)>,
    target: Target,
    covers: Covers,
    allowed: Arc<AtomicBool>,
}

#[async_trait]
impl Action for Asks {
    fn describe(&self, _: &Place<'_>) -> String {
        format!("act on {}", self.target)
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    async fn check(&self, _: &StepContext<'_>) -> Result<Check> {
        Ok(match &self.said {
            Some((kind, value)) => Check::Done(Facts::none().with(*kind, value)),
            None if self.allowed.load(Ordering::SeqCst) => Check::Done(Facts::none()),
            None => Check::Needed("leave".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let permit = cx.effects.permit(self.target.clone(), "act on it").await?;
        (self.covers)(&permit, &self.target);
        self.allowed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Whether a run gets leave for the target in a step of this name, and what it was told. What a person accepted is said before.
pub fn given(
    mut life: Life,
    step: &str,
    accepted: &(FactKind, String),
    target: &Target,
    covers: Covers,
) -> (bool, String) {
    let text = format!(
        "playbook: touch\nfor: total-loss\nsummary: x\nsteps:\n  - {{ id: said, do: {{ said: {{}} }} }}\n  \
         - {{ id: {step}, do: {{ asks: {{}} }}, needs: [said], deadline: 2m }}\n"
    );
    let allowed = Arc::new(AtomicBool::new(false));
    let actions = |name: &str, _: &Value| {
        let said = (name == "said").then(|| accepted.clone());
        let asks = Asks { said, target: target.clone(), covers, allowed: allowed.clone() };
        Ok(Arc::new(asks) as Arc<dyn Action>)
    };
    let (source, nodes, default_deadline) =
        (Source::embedded(), life.settings.nodes.clone(), life.settings.timeouts.step);
    let binding = Binding { nodes: &nodes, default_deadline, mode: life.id.mode, actions: &actions, source: &source };
    life.plan =
        relight::playbook::load(&text, "touch.yaml", &binding).unwrap_or_else(|problems| panic!("{problems:?}"));
    life.process(&Tripwire::new());
    let told = life.events().into_iter().filter_map(|(_, event)| match event {
        Event::StepFailed { error, .. } => Some(error),
        _ => None,
    });
    (allowed.load(Ordering::SeqCst), told.collect())
}

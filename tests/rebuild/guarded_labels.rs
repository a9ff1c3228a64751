//! What was made by hand is labelled where a person accepted it by its id, and nothing else is.

use crate::life::{settings, Life};
use crate::living::somebody;
use async_trait::async_trait;
use relight::actions::{Action, Check, FactKind, Facts, Mode, Place, StepContext};
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{Filter, Model, RecordChange, Start, ThingState};
use relight::world::{Labels, Result, Target, CLUSTER, MANAGED_BY};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Whether a run may label a firewall or an address without labels: one that is on a server of this label set, where a person
/// accepted these things.
fn may_label(kind: &'static str, server: Labels, accepted: &str, on_another: bool) -> (bool, String) {
    let settings = settings();
    let mut model = Model::empty_world(&settings, &Start::default());
    let address = model.place_foreign("live", "by-hand", server).unwrap();
    model.place_foreign("live", "anothers", Labels::new()).unwrap();
    let record = RecordChange::address(&settings.dns.hosts[0], &address.to_string(), true, None);
    model.place_record(&settings.dns.zone, &record);
    let now = model.now();
    let all = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    let id_of = |name: &str| all.iter().find(|s| s.name == name).unwrap().id;
    let id = match kind {
        "firewall" => {
            let state = ThingState::Firewall { rules: Vec::new() };
            model.create_thing(now, &somebody(), "wall", &state, &Labels::new()).result.unwrap().id
        }
        _ => {
            let ips = model.primary_ips(now, &somebody(), &Filter::labels("")).result.unwrap();
            ips.iter().find(|ip| ip.address == address).unwrap().id
        }
    };
    let servers = if on_another { vec!["by-hand", "anothers"] } else { vec!["by-hand"] };
    for name in servers.into_iter().filter(|_| kind == "firewall") {
        assert!(model.apply_firewall(now, &somebody(), id, id_of(name), true).result.is_ok());
    }
    let accepted = accepted.replace("SERVER", &id_of("by-hand").to_string()).replace("ID", &id.to_string());
    model.advance(now + std::time::Duration::from_secs(60));
    let mut life = Life::around(model, settings);
    let text = "playbook: touch\nfor: hand-made\nsummary: x\nsteps:\n  - { id: said, do: { said: {} } }\n  \
                - { id: take, do: { take: {} }, needs: [said], deadline: 2m }\n";
    let allowed = Arc::new(AtomicBool::new(false));
    let actions = |name: &str, _: &Value| {
        let accepted = (name == "said").then(|| accepted.clone());
        Ok(Arc::new(Labelled { kind, id, accepted, allowed: allowed.clone() }) as Arc<dyn Action>)
    };
    let (source, nodes, default_deadline) =
        (Source::embedded(), life.settings.nodes.clone(), life.settings.timeouts.step);
    let binding = Binding { nodes: &nodes, default_deadline, mode: Mode::Live, actions: &actions, source: &source };
    life.plan = relight::playbook::load(text, "touch.yaml", &binding).unwrap_or_else(|problems| panic!("{problems:?}"));
    life.process(&Tripwire::new());
    let told = life.events().into_iter().filter_map(|(_, event)| match event {
        Event::StepFailed { error, .. } => Some(error),
        _ => None,
    });
    (allowed.load(Ordering::SeqCst), told.collect())
}

/// Says what a person accepted, or asks for leave to label it.
struct Labelled {
    kind: &'static str,
    id: i64,
    accepted: Option<String>,
    allowed: Arc<AtomicBool>,
}

#[async_trait]
impl Action for Labelled {
    fn describe(&self, _: &Place<'_>) -> String {
        format!("label {} {}", self.kind, self.id)
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    fn provides(&self) -> &'static [FactKind] {
        match self.accepted {
            Some(_) => &[FactKind::Adopted],
            None => &[],
        }
    }
    async fn check(&self, _: &StepContext<'_>) -> Result<Check> {
        Ok(match &self.accepted {
            Some(things) => Check::Done(Facts::none().with(FactKind::Adopted, things)),
            None if self.allowed.load(Ordering::SeqCst) => Check::Done(Facts::none()),
            None => Check::Needed("leave".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let target = Target::Adopted { kind: self.kind, id: self.id };
        cx.effects.permit(target.clone(), "label it").await?.covers_labels(self.kind, self.id)?;
        self.allowed.store(true, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn an_address_or_firewall_is_taken_over_only_with_every_server_that_has_it() {
    let ours: Labels = [(MANAGED_BY, "relight"), (CLUSTER, "honeydue")].map(|(k, v)| (k.into(), v.into())).into();
    let theirs: Labels = [(MANAGED_BY, "relight"), (CLUSTER, "another")].map(|(k, v)| (k.into(), v.into())).into();
    for kind in ["firewall", "primary_ip"] {
        let both = format!("server SERVER, {kind} ID");
        for server in [Labels::new(), ours.clone()] {
            let (may, told) = may_label(kind, server, &both, false);
            assert!(may, "{kind}: {told}");
        }
        for (server, accepted) in
            [(Labels::new(), "server SERVER".to_owned()), (Labels::new(), format!("{kind} ID")), (theirs.clone(), both)]
        {
            let (may, told) = may_label(kind, server.clone(), &accepted, false);
            assert!(!may && told.contains("the guard stopped step take"), "{kind} {server:?} {accepted}: {told}");
        }
    }
    let (may, told) = may_label("firewall", Labels::new(), "server SERVER, firewall ID", true);
    assert!(!may && told.contains("firewall wall (id "), "it lets something into another's server too: {told}");
}

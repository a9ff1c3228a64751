//! A public address is ours by its labels, as everything else is: the guard lets nobody delete another one.

use crate::life::{settings, Life};
use async_trait::async_trait;
use relight::actions::{Action, Check, Facts, Mode, Place, RunId, StepContext};
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Caller, Filter, Model, Start};
use relight::world::{label_value, Labels, Result, Target, CLUSTER, MANAGED_BY, RUN};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deletes the address of this name, whosever it is; or keeps it, as if it had come with a server of this run.
struct Drop(String, bool);

#[async_trait]
impl Action for Drop {
    fn describe(&self, _: &Place<'_>) -> String {
        format!("delete address {}", self.0)
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let there = cx.world.cloud.primary_ips().await?.iter().any(|ip| ip.name == self.0);
        Ok(if there { Check::Needed(self.0.clone()) } else { Check::Done(Facts::none()) })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        for ip in cx.world.cloud.primary_ips().await?.into_iter().filter(|ip| ip.name == self.0) {
            if self.1 {
                let permit = cx.effects.permit(Target::OwnAddress { id: ip.id }, "keep it").await?;
                cx.world.cloud.keep_primary_ip(&permit, ip.id, "mine", &Labels::new()).await?;
                continue;
            }
            let permit = cx.effects.permit(Target::Cloud { kind: "primary_ip", id: ip.id }, "delete it").await?;
            cx.world.cloud.delete_primary_ip(&permit, ip.id).await?;
        }
        Ok(())
    }
}

/// The name that a thing of the rehearsal has.
const OF_THE_RUN: &str = "honeydue-r-abcdefghijkl-address";

/// Whether a run of this mode may delete the address, with what was told.
fn deletes(name: &str, mode: Mode) -> (bool, String) {
    does(name, mode, false)
}

fn does(name: &str, mode: Mode, keeps: bool) -> (bool, String) {
    let settings = settings();
    let mut model = Model::empty_world(&settings, &Start::default());
    let label = |key: &str, value: &str| (key.to_owned(), label_value(value));
    let cluster: Labels = [label(MANAGED_BY, "relight"), label(CLUSTER, &settings.cluster)].into();
    let mut of_the_run = cluster.clone();
    of_the_run.extend([label(RUN, "abcdefghijkl")]);
    for (name, labels) in [("foreign", Labels::new()), ("cluster", cluster), (OF_THE_RUN, of_the_run)] {
        model.place_primary_ip("live", name, "nbg1", labels).unwrap();
    }
    let with_a_server = with_servers(&mut model);
    let name = with_a_server.get(name).map_or(name, String::as_str);
    let mut life = Life::around(model, settings);
    life.id = RunId { mode, ..life.id };
    let text =
        format!("playbook: drop\nfor: total-loss\nsummary: x\nsteps:\n  - id: drop\n    do: {{ {name}: {{}} }}\n");
    let nodes = life.settings.nodes.clone();
    let source = Source::embedded();
    let actions = |name: &str, _: &Value| Ok(Arc::new(Drop(name.to_owned(), keeps)) as Arc<dyn Action>);
    let default_deadline = life.settings.timeouts.step;
    let binding = Binding { nodes: &nodes, default_deadline, mode, actions: &actions, source: &source };
    life.plan = relight::playbook::load(&text, "drop.yaml", &binding).unwrap_or_else(|problems| panic!("{problems:?}"));
    let end = life.process(&Tripwire::new());
    let errors = life.events().into_iter().filter_map(|(_, event)| match event {
        Event::StepFailed { error, .. } => Some(error),
        _ => None,
    });
    let told: String = errors.collect();
    let op = if keeps { "cloud.primary_ip.update" } else { "cloud.primary_ip.delete" };
    let deleted = lock(&life.sandbox.model).ledger.count(op) > 0;
    assert_eq!(deleted, end.outcome() == "succeeded", "{end:?} {told}");
    (deleted, told)
}

/// Servers of others, and of an earlier run; the name of each one's address.
fn with_servers(model: &mut Model) -> BTreeMap<&'static str, String> {
    let label = |key: &str, value: &str| (key.to_owned(), label_value(value));
    let of_a_run = |run: &str| [label(MANAGED_BY, "relight"), label(CLUSTER, "honeydue"), label(RUN, run)].into();
    let mut names = BTreeMap::new();
    for (name, labels) in [
        ("on-nobodys", Labels::new()),
        ("on-an-earlier-runs", of_a_run("bcdefghijklm")),
        ("on-ours", of_a_run("abcdefghijkl")),
    ] {
        let address = model.place_foreign("live", name, labels).unwrap();
        let (now, who) = (model.now(), Caller::token(Start::default().cloud_token));
        let all = model.primary_ips(now, &who, &Filter::default()).result.unwrap();
        names.insert(name, all.into_iter().find(|ip| ip.address == address).unwrap().name);
    }
    names
}

#[test]
fn an_address_is_kept_only_from_a_server_of_this_very_run() {
    for name in ["foreign", "cluster", "on-nobodys", "on-an-earlier-runs"] {
        let (kept, told) = does(name, Mode::Live, true);
        assert!(!kept && told.contains("the guard stopped"), "{name}: {told}");
    }
    assert!(!does("on-ours", Mode::Rehearsal, true).0, "a rehearsal keeps none");
    assert!(does("on-ours", Mode::Live, true).0);
}

#[test]
fn an_address_that_is_not_the_clusters_is_never_deleted() {
    for mode in [Mode::Live, Mode::Rehearsal] {
        let (deleted, told) = deletes("foreign", mode);
        assert!(!deleted && told.contains("the guard stopped") && told.contains("primary_ip foreign"), "{told}");
    }
    assert!(deletes("cluster", Mode::Live).0);
}

#[test]
fn a_rehearsal_deletes_only_addresses_of_its_own_run() {
    assert!(!deletes("cluster", Mode::Rehearsal).0);
    assert!(deletes(OF_THE_RUN, Mode::Rehearsal).0);
}

//! Bad playbooks: steps planted into a rehearsal that would touch production. The operator is as wrong as can be: the token is the
//! living project's. Each is stopped before the call leaves, whatever the cloud says of what it is aimed at.

use crate::lease::held_by_ann;
use crate::life::{settings, Between, Life};
use crate::living::{somebody, with_old_firewall};
use crate::lying::Lying;
use async_trait::async_trait;
use relight::actions::{Action, Check, Mode, Place, StepContext};
use relight::engine::Event;
use relight::playbook::{Binding, Source};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, Model, Start, ThingState};
use relight::world::{
    self, Batch, FirewallRule, Labels, Result, Server, Target, ThingKind, World, CLUSTER, MANAGED_BY, MODE, RUN,
};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// What is planted, and whether it ever got leave.
struct Planted {
    what: &'static str,
    got_leave: Arc<AtomicBool>,
}

const ALL: [&str; 10] = [
    "delete a production server",
    "power off a production server",
    "rename a production server",
    "adopt a production server",
    "open production's firewall",
    "delete production's network",
    "break production's lease",
    "edit production's DNS",
    "run a script on a production node",
    "write objects of the production cluster",
];

impl Planted {
    async fn server(cx: &StepContext<'_>) -> Result<Server> {
        let all = cx.world.cloud.servers("").await?;
        Ok(all.into_iter().find(|s| s.name == "honeydue-node-1").expect("production lives"))
    }
    async fn leave(&self, cx: &StepContext<'_>, target: Target) -> Result<world::Permit> {
        let permit = cx.effects.permit(target, self.what).await?;
        self.got_leave.store(true, Ordering::SeqCst);
        Ok(permit)
    }
    async fn thing(cx: &StepContext<'_>, kind: ThingKind) -> Result<i64> {
        Ok(cx.world.cloud.things(kind, "").await?.first().expect("production has one").id)
    }
}

#[async_trait]
impl Action for Planted {
    fn describe(&self, _place: &Place<'_>) -> String {
        self.what.to_owned()
    }
    fn inputs(&self, _place: &Place<'_>) -> Value {
        json!({})
    }
    async fn check(&self, _cx: &StepContext<'_>) -> Result<Check> {
        Ok(Check::Needed("production is as it was".to_owned()))
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let (cloud, server) = (&cx.world.cloud, Self::server(cx).await?);
        let this = || Target::Cloud { kind: "server", id: server.id };
        let address = server.public_ip.expect("it has an address").into();
        match self.what {
            "delete a production server" => cloud.delete_server(&self.leave(cx, this()).await?, server.id).await,
            "power off a production server" => cloud.power_off(&self.leave(cx, this()).await?, server.id).await,
            "rename a production server" => {
                cloud.update_server(&self.leave(cx, this()).await?, server.id, "gone", &Labels::new()).await
            }
            "adopt a production server" => {
                let permit = self.leave(cx, Target::Adopted { kind: "server", id: server.id }).await?;
                cloud.update_server(&permit, server.id, &server.name, &world::adopted("honeydue")).await
            }
            "open production's firewall" => {
                let id = Self::thing(cx, ThingKind::Firewall).await?;
                let permit = self.leave(cx, Target::Cloud { kind: "firewall", id }).await?;
                let open = FirewallRule {
                    direction: "in".into(),
                    protocol: "tcp".into(),
                    port: Some("any".into()),
                    addresses: vec!["0.0.0.0/0".into()],
                    description: "open".into(),
                };
                cloud.set_firewall_rules(&permit, id, &[open]).await
            }
            "delete production's network" => {
                let id = Self::thing(cx, ThingKind::Network).await?;
                let permit = self.leave(cx, Target::Cloud { kind: "network", id }).await?;
                cloud.delete_thing(&permit, ThingKind::Network, id).await
            }
            "break production's lease" => {
                let groups = cloud.things(ThingKind::PlacementGroup, "").await?;
                let id = groups.iter().find(|g| g.name == "honeydue-lease").expect("somebody holds it").id;
                let permit = self.leave(cx, Target::Cloud { kind: "placement_group", id }).await?;
                cloud.delete_thing(&permit, ThingKind::PlacementGroup, id).await
            }
            "edit production's DNS" => {
                let (zone, host) = ("myhoneydue.com".to_owned(), "api.myhoneydue.com".to_owned());
                let permit = self.leave(cx, Target::Dns { zone: zone.clone(), names: vec![host.clone()] }).await?;
                let zone = cx.world.dns.zone(&zone).await?.expect("the zone is there");
                let records = cx.world.dns.records(&zone, &[host]).await?;
                let batch = Batch { deletes: records.into_iter().map(|r| r.id).collect(), ..Batch::default() };
                cx.world.dns.change(&permit, &zone, &batch).await
            }
            "run a script on a production node" => self.leave(cx, Target::Node { address }).await.map(|_| ()),
            "write objects of the production cluster" => {
                self.leave(cx, Target::Objects { address, what: "Deployment honeydue/api".into() }).await.map(|_| ())
            }
            other => panic!("{other} is not written"),
        }
    }
}

/// A rehearsal of this one step beside the living cluster.
fn rehearsal_of(what: &'static str, got_leave: &Arc<AtomicBool>, between: Between) -> Life {
    let (live, start) = (settings(), Start::default());
    let mut life = Life::rehearsal_beside(Model::healthy(&live, &start), "rehearse");
    life.sandbox = life.sandbox.with_tokens(&start.cloud_token, &start.dns_token);
    life.between = between;
    with_old_firewall(&life);
    {
        let mut model = lock(&life.sandbox.model);
        let network = ThingState::Network { range: "10.9.0.0/16".into(), subnets: Vec::new() };
        let now = model.now();
        assert!(model.create_thing(now, &somebody(), "honeydue-net", &network, &Labels::new()).result.is_ok());
        held_by_ann(&mut model);
    }
    let text =
        "playbook: planted\nfor: rehearsal\nsummary: Bad.\nsteps:\n  - { id: bad, do: { planted: {} }, expected: 1s, \
                deadline: 2m }\n";
    let plant = |_: &str, _: &Value| Ok(Arc::new(Planted { what, got_leave: got_leave.clone() }) as Arc<dyn Action>);
    let (source, nodes) = (Source::embedded(), &life.settings.nodes);
    let binding = Binding {
        nodes,
        default_deadline: life.settings.timeouts.step,
        mode: Mode::Rehearsal,
        actions: &plant,
        source: &source,
    };
    life.plan =
        relight::playbook::load(text, "planted.yaml", &binding).unwrap_or_else(|problems| panic!("{problems:?}"));
    life
}

fn is_stopped(what: &'static str, between: Between) {
    let got_leave = Arc::new(AtomicBool::new(false));
    let life = rehearsal_of(what, &got_leave, between);
    let before = lock(&life.sandbox.model).in_words();
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{what}: {end:?}");
    let failed = life.events().into_iter().find_map(|(_, event)| match event {
        Event::StepFailed { error, .. } => Some(error),
        Event::Intent { what, .. } => panic!("about to {what}"),
        _ => None,
    });
    let failed = failed.unwrap_or_default();
    assert!(failed.contains("the guard stopped step bad"), "{what}: {failed}");
    assert!(!got_leave.load(Ordering::SeqCst), "{what} got leave");
    let mut model = lock(&life.sandbox.model);
    assert_eq!(model.ledger.applied().filter(|e| e.who.run == life.id.id).count(), 0, "{what}");
    let later = model.now();
    model.advance(later);
    assert_eq!(model.in_words(), before, "{what}");
}

#[test]
fn a_bad_playbook_is_stopped_before_anything_of_production_is_touched() {
    ALL.into_iter().for_each(|what| is_stopped(what, Arc::new(|world| world)));
}

#[test]
fn a_bad_playbook_is_stopped_even_where_the_cloud_says_that_the_run_made_everything() {
    let labels = [(MANAGED_BY, "relight"), (CLUSTER, "honeydue"), (RUN, "abcdefghijkl"), (MODE, "rehearsal")];
    let labels: Labels = labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    assert!(world::of_run(&labels, "honeydue", "abcdefghijkl"), "a lie that is believed");
    for what in ALL {
        let labels = labels.clone();
        let lie = move |world: World| World { cloud: Arc::new(Lying(world.cloud.clone(), labels.clone())), ..world };
        is_stopped(what, Arc::new(lie));
    }
}

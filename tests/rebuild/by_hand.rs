//! The old cluster may have been made by hand, be in another project, or be back: whatever it is, it is found before anything
//! new is made.

use crate::life::Life;
use crate::living::{alive, open_alone, somebody};
use relight::engine::Event;
use relight::sandbox::doors::direct::{Keep, ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Fault, FaultKind, Filter, Loss, Matcher, Power, Start};
use relight::world::{Answer, ServerStatus, CLUSTER, MANAGED_BY};
use std::sync::Arc;

/// The living cluster, as its user made it by hand: other names, no labels.
fn made_by_hand() -> Life {
    let life = alive();
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let servers = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    for (i, server) in servers.iter().filter(|s| s.name.starts_with("honeydue-")).enumerate() {
        let labels = server.labels.iter().filter(|(k, _)| ![MANAGED_BY, CLUSTER].contains(&k.as_str()));
        let labels = labels.map(|(k, v)| (k.clone(), v.clone())).collect();
        let name = format!("ubuntu-8gb-nbg1-{}", i + 1);
        assert!(model.update_server(now, &somebody(), server.id, Some(&name), Some(&labels)).result.is_ok());
    }
    drop(model);
    life
}

fn nobody() -> Arc<ScriptedPerson> {
    Arc::new(ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned())))
}

fn why(life: &Life) -> String {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, .. } => Some(format!("{step}: {error}\n")),
        _ => None,
    });
    failed.collect()
}

fn touched(life: &Life) -> usize {
    lock(&life.sandbox.model).ledger.applied().filter(|e| !e.who.run.is_empty()).count()
}

fn status_of(life: &Life, begins: &str) -> Vec<(String, ServerStatus)> {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let servers = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    servers.iter().filter(|s| s.name.starts_with(begins)).map(|s| (s.name.clone(), s.status)).collect()
}

#[test]
fn a_cluster_made_by_hand_is_refused_and_fenced_once_its_name_is_typed() {
    let life = made_by_hand();
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    let told = why(&life);
    assert!(told.contains("server ubuntu-8gb-nbg1-1") && told.contains("has no label of this cluster"), "{told}");
    assert_eq!(touched(&life), 0);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&life));
    // The one thing that is done to what carries no label: a label, once for each, after the name was typed.
    let adopted = |b: &String| b.starts_with("foreign: cloud.server.update server") && b.contains("ubuntu-8gb-nbg1-");
    let broken = life.broken_promises();
    assert!(broken.len() == 3 && broken.iter().all(adopted), "{broken:?}");
    let old = status_of(&life, "ubuntu-");
    assert!(old.len() == 3 && old.iter().all(|(_, status)| *status == ServerStatus::Off), "{old:?}");
    assert!(old.iter().all(|(name, _)| name.ends_with("-old-abcdefghijkl")), "{old:?}");
}

#[test]
fn a_living_cluster_in_another_project_is_evidence_and_nothing_is_touched() {
    let life = alive();
    let start = Start::default();
    let other = life.sandbox.with_tokens(&format!("{}-rehearsal", start.cloud_token), &start.dns_token);
    let life = Life { sandbox: other, ..life };
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    let told = why(&life);
    assert!(told.contains("answers the health check") && told.contains("another project"), "{told}");
    assert_eq!(touched(&life), 0);
}

#[test]
fn a_fenced_server_that_was_powered_on_again_is_fenced_again() {
    let life = Life::lost(Loss::Off);
    let wire = Tripwire::new();
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let begun = wire.points().iter().position(|p| p.contains("create server")).unwrap_or(wire.points().len() / 2);
    let life = Life::lost(Loss::Off);
    life.process(&Tripwire::at(begun));
    life.crash(Keep::All);
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        for server in model.servers(now, &somebody(), &Filter::labels("relight-state")).result.unwrap() {
            assert!(model.power(now, &somebody(), server.id, Power::On).result.is_ok());
        }
        let later = model.now() + std::time::Duration::from_secs(60);
        model.advance(later);
    }
    let old = |status: ServerStatus| {
        let all = status_of(&life, "honeydue-node");
        all.into_iter().filter(|(name, now)| name.contains("-old-") && *now == status).count()
    };
    assert_eq!(old(ServerStatus::Running), 3, "somebody powered them on");
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    assert_eq!(old(ServerStatus::Off), 3);
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

#[test]
fn stock_that_sells_out_once_our_servers_are_made_is_no_reason_to_stop() {
    let life = Life::lost(Loss::Gone);
    let fault = Fault::once(Matcher::op("node.k3s.sh.install"), FaultKind::Exit(10));
    lock(&life.sandbox.model).faults.plan(fault);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    {
        let mut model = lock(&life.sandbox.model);
        for kind in ["cx33", "cpx32"] {
            ["nbg1", "fsn1", "hel1"].into_iter().for_each(|place| model.offer.set_stock(kind, place, false));
        }
    }
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&life));
}

#[test]
fn one_refusal_of_stock_does_not_take_the_nodes_apart() {
    let life = Life::lost(Loss::Gone);
    let id = lock(&life.sandbox.model).faults.plan(Fault::once(Matcher::op("cloud.server.create"), FaultKind::SoldOut));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let mut model = lock(&life.sandbox.model);
    assert_eq!(model.faults.fired(id), 1);
    let now = model.now();
    let servers = model.servers(now, &somebody(), &Filter::labels("relight-run")).result.unwrap();
    let places: std::collections::BTreeSet<String> = servers.iter().map(|s| s.location.name.clone()).collect();
    assert_eq!(places.len(), 1, "{places:?}");
}

#[test]
fn an_image_changed_after_the_servers_were_made_is_refused_and_named() {
    let mut life = Life::lost(Loss::Gone);
    lock(&life.sandbox.model).faults.plan(Fault::once(Matcher::op("node.k3s.sh.install"), FaultKind::Exit(10)));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    life.settings.cloud.image = "debian-13".to_owned();
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    assert!(why(&life).contains("made from another image"), "{}", why(&life));
}

#[test]
fn a_type_or_place_taken_off_the_list_after_the_servers_were_made_is_refused_and_named() {
    for (change, words) in
        [("type", "is of cx33, which `cloud.server_types` no longer lists"), ("place", "is of nbg1, which")]
    {
        let mut life = Life::lost(Loss::Gone);
        lock(&life.sandbox.model).faults.plan(Fault::once(Matcher::op("node.k3s.sh.install"), FaultKind::Exit(10)));
        assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
        match change {
            "type" => life.settings.cloud.server_types.retain(|name| name != "cx33"),
            _ => life.settings.cloud.locations.retain(|name| name != "nbg1"),
        }
        assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
        assert!(why(&life).contains(words), "{}", why(&life));
    }
}

#[test]
fn an_etcd_that_answers_is_evidence_where_neither_sshd_nor_the_site_does() {
    let life = alive();
    open_alone(&life, &["2379"]);
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    let told = why(&life);
    assert!(told.contains("may still have its quorum") && told.contains("honeydue-node-1"), "{told}");
    assert_eq!(touched(&life), 0);
}

/// Cloudflare's API is down; the edge serves on.
fn without_cloudflare(life: &Life) -> relight::sandbox::model::FaultId {
    lock(&life.sandbox.model).faults.plan(Fault::always(Matcher::op("dns.*"), FaultKind::Down))
}

#[test]
fn a_site_that_answers_through_the_edge_is_evidence_even_where_nobody_can_say_what_dns_names() {
    let life = made_by_hand();
    let down = without_cloudflare(&life);
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    assert!(lock(&life.sandbox.model).faults.fired(down) > 0, "Cloudflare could be asked");
    let told = why(&life);
    assert!(told.contains("through the edge") && told.contains("something serves it"), "{told}");
    assert!(told.contains("server ubuntu-8gb-nbg1-1") && told.contains("runs without any label"), "{told}");
    assert_eq!(touched(&life), 0);
}

#[test]
fn a_server_that_nobody_was_asked_about_is_not_fenced_when_cloudflare_comes_back() {
    /// Cloudflare comes back when the fence begins.
    struct Back(relight::sandbox::model::Shared, relight::sandbox::model::FaultId);
    impl relight::engine::Listener for Back {
        fn told(&self, told: &relight::engine::Told) {
            if let relight::engine::Told::Durable { event: Event::StepStarted { step }, .. } = told {
                if step == "fence" {
                    lock(&self.0).faults.withdraw(self.1);
                }
            }
        }
    }
    let mut life = made_by_hand();
    let down = without_cloudflare(&life);
    life.listener = Arc::new(Back(life.sandbox.model.clone(), down));
    // With a yes to everything that `dead` finds while Cloudflare is down.
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?}");
    let told = why(&life);
    assert!(told.contains("fence: server ubuntu-8gb-nbg1-1") && told.contains("nobody was asked"), "{told}");
    assert_eq!(touched(&life), 1, "the lease alone is taken");
    let old = status_of(&life, "ubuntu-");
    assert!(old.len() == 3 && old.iter().all(|(_, status)| *status == ServerStatus::Running), "{old:?}");
    // The resume asks about each, and then they are fenced.
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&life));
    let old = status_of(&life, "ubuntu-");
    assert!(old.len() == 3 && old.iter().all(|(_, status)| *status == ServerStatus::Off), "{old:?}");
}

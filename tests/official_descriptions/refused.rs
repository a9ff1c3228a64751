//! What Hetzner refuses, of every call that relight makes; actions that fail; and lists of more than a page.

use super::{labels, new, old, rule, spec, wire};
use relight::sandbox::model::{Fault, FaultKind, Matcher, Shared, Times};
use relight::world::{Class, Clock, Cloud, Result, ThingKind, ThingSpec};
use std::time::Duration;

/// Each call that relight makes of the cloud, by number. Where nothing is refused they leave nothing that is in the way.
async fn each_call(cloud: &dyn Cloud, id: i64, number: usize) -> Option<Result<()>> {
    let server = &old("server", id);
    let firewall = ThingSpec::Firewall(vec![rule("tcp", Some("22"))]);
    Some(match number {
        0 => cloud.prove_writable().await,
        1 => cloud.servers("relight-run==r1").await.map(|_| ()),
        2 => cloud.server(id).await.map(|_| ()),
        3 => cloud.create_server(&new("server", "demo-node-2"), &spec("demo-node-2")).await.map(|_| ()),
        4 => cloud.update_server(server, id, "demo-node-1", &labels("r1")).await,
        5 => cloud.power_off(server, id).await,
        6 => cloud.power_on(server, id).await,
        7 => cloud.protect_server(server, id, true).await,
        8 => cloud.delete_server(server, id).await,
        9 => cloud.things(ThingKind::Network, "").await.map(|_| ()),
        10 => cloud.create_thing(&new("firewall", "wall"), "wall", &firewall, &labels("r1")).await.map(|_| ()),
        11 => cloud.set_firewall_rules(&old("firewall", id), id, &[rule("udp", Some("1-65535"))]).await,
        12 => cloud.attach_firewall(server, id, id).await,
        13 => cloud.detach_firewall(server, id, id).await,
        14 => cloud.delete_thing(&old("network", id), ThingKind::Network, id).await,
        15 => cloud.server_types(&["cx33".to_owned()]).await.map(|_| ()),
        16 => cloud.prices().await.map(|_| ()),
        17 => cloud.image_exists("ubuntu-24.04", "x86").await.map(|_| ()),
        18 => cloud.primary_ips().await.map(|_| ()),
        19 => cloud.delete_primary_ip(&old("primary_ip", id), id).await,
        20 => cloud.label_firewall(&old("firewall", id), id, &labels("r1")).await,
        21 => cloud.label_primary_ip(&old("primary_ip", id), id, &labels("r1")).await,
        22 => cloud.keep_primary_ip(&old("primary_ip", id), id, "kept", &labels("r1")).await,
        23 => cloud.unassign_primary_ip(&old("primary_ip", id), id).await,
        _ => return None,
    })
}

/// Every call while this goes wrong: each is refused, and leaves the world as it was.
async fn all_refused(cloud: &dyn Cloud, model: &Shared, id: i64, kind: &FaultKind, code: &str) {
    let mut number = 0;
    loop {
        let fault = Fault { on: Matcher::op("cloud.*"), kind: kind.clone(), times: Times::Always };
        let fault = model.lock().unwrap().faults.plan(fault);
        let end = each_call(cloud, id, number).await;
        model.lock().unwrap().faults.withdraw(fault);
        let Some(end) = end else { break };
        let error = end.expect_err(&format!("call {number} at {code}"));
        assert!(error.is(code), "call {number}: {error:?}");
        number += 1;
    }
    assert_eq!(number, 24);
}

/// Refusals of every status that relight tells apart: of a creation, and of whatever else can be refused.
pub async fn by_the_cloud(cloud: &dyn Cloud, model: &Shared, clock: &dyn Clock) {
    let creations = [
        (FaultKind::SoldOut, Class::Branch, "resource_unavailable"),
        (FaultKind::NotSoldThere, Class::Branch, "invalid_input"),
        (FaultKind::Quota, Class::Fatal, "resource_limit_exceeded"),
        (FaultKind::Locked, Class::Transient, "locked"),
    ];
    for (kind, class, code) in creations {
        model.lock().unwrap().faults.plan(Fault::once(Matcher::op("cloud.server.create"), kind));
        let error = cloud.create_server(&new("server", "demo-node-1"), &spec("demo-node-1")).await.unwrap_err();
        assert!(error.is(code) && error.class == class, "{error:?}");
    }
    let id = cloud.create_server(&new("server", "demo-node-1"), &spec("demo-node-1")).await.unwrap().id;
    super::running(cloud, clock, id).await;
    let at_any_time = [
        (FaultKind::TooMany(Duration::from_secs(7)), "rate_limit_exceeded"),
        (FaultKind::Locked, "locked"),
        (FaultKind::ServerError { status: 500, applied: false }, "server_error"),
        (FaultKind::ServerError { status: 502, applied: false }, "bad_gateway"),
        (FaultKind::ServerError { status: 503, applied: false }, "unavailable"),
        (FaultKind::ServerError { status: 504, applied: false }, "timeout"),
    ];
    for (kind, code) in at_any_time {
        all_refused(cloud, model, id, &kind, code).await;
    }
    let failing = FaultKind::ActionError("action_failed".to_owned());
    model.lock().unwrap().faults.plan(Fault::once(Matcher::op("cloud.server.poweroff"), failing));
    assert!(cloud.power_off(&old("server", id), id).await.unwrap_err().is("action_failed"));
    cloud.delete_server(&old("server", id), id).await.unwrap();
}

/// Servers, and things of a kind that is counted, on two pages.
pub async fn page_by_page(cloud: &dyn Cloud, model: &Shared, log: &wire::Log) {
    for n in 0..60 {
        model.lock().unwrap().place_foreign("live", &format!("many-{n}"), labels("many")).unwrap();
    }
    assert_eq!(cloud.servers("relight-run==many").await.unwrap().len(), 60);
    for n in 0..60 {
        let name = format!("many-{n}");
        cloud
            .create_thing(&new("placement_group", &name), &name, &ThingSpec::PlacementGroup, &labels("many"))
            .await
            .unwrap();
    }
    assert_eq!(cloud.things(ThingKind::PlacementGroup, "").await.unwrap().len(), 60);
    let second = ("page".to_owned(), "2".to_owned());
    for list in ["/servers", "/placement_groups", "/primary_ips"] {
        let log = log.lock().unwrap();
        assert!(log.iter().any(|e| e.path == list && e.query.contains(&second)), "{list}");
    }
}

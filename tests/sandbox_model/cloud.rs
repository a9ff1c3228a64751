//! Servers, things, tokens, limits and faults of the modelled cloud.

use crate::outside::*;
use relight::sandbox::model::*;
use relight::world::{FirewallRule, Labels, ServerStatus, ThingKind};
use std::time::Duration;

#[test]
fn a_server_comes_to_life_step_by_step() {
    let mut out = Outside::empty();
    let made = out.create(&order("demo-a")).result.unwrap();
    assert_eq!(made.server.status, ServerStatus::Initializing);
    assert_eq!(made.action.command, "create_server");
    assert_eq!(made.next_actions[0].command, "start_server");
    assert!(made.root_password.is_some(), "no SSH key was given");
    let at = ip(&made.server);
    out.pass(4.0);
    let action = out.model.action(out.now, &out.who, made.action.id).result.unwrap();
    assert_eq!((action.status, action.progress), (ActionStatus::Running, 50));
    out.pass(5.0);
    assert_eq!(out.listed()[0].status, ServerStatus::Starting);
    out.pass(2.0);
    assert_eq!(out.listed()[0].status, ServerStatus::Running);
    assert_eq!(out.ssh(at, "deploy"), Err(NodeError::Silent), "it boots");
    out.pass(20.0);
    let open = out.ssh(at, "deploy").unwrap();
    assert_eq!(out.ssh(at, "nobody"), Err(NodeError::KeyRejected));
    assert_eq!(out.look(&open, "probe.sh", &[]).value("cloud_init"), Some("running"));
    out.pass(5.0);
    assert_eq!(out.look(&open, "probe.sh", &[]).value("cloud_init"), Some("done"));
}

#[test]
fn the_cloud_refuses_what_the_real_one_refuses() {
    let mut out = Outside::empty();
    let first = out.create(&order("demo-a")).result.unwrap().server.id;
    assert_eq!(code(out.create(&order("demo-a"))), (409, "uniqueness_error".into()));
    assert_eq!(code(out.create(&order("no_underscores"))), (422, "invalid_input".into()));
    let big = ServerOrder { user_data: "x".repeat(USER_DATA_LIMIT + 1), ..order("b") };
    assert_eq!(code(out.create(&big)), (422, "invalid_input".into()));
    let nowhere = ServerOrder { server_type: "cx33".into(), location: "ash".into(), ..order("b") };
    assert_eq!(code(out.create(&nowhere)), (422, "invalid_input".into()));
    out.model.offer.set_stock("cx33", "nbg1", false);
    assert_eq!(code(out.create(&order("b"))), (412, "resource_unavailable".into()));
    out.model.offer.set_stock("cx33", "nbg1", true);
    out.model.set_limits("live", Limits { servers: 1, ..Limits::default() });
    assert_eq!(code(out.create(&order("b"))), (403, "resource_limit_exceeded".into()));
    assert_eq!(code(out.model.power(out.now, &out.who, first, Power::Off)), (423, "locked".into()));
    out.pass(20.0);
    out.model.protect_server(out.now, &out.who, first, true).result.unwrap();
    assert_eq!(code(out.model.delete_server(out.now, &out.who, first)), (423, "protected".into()));
    assert_eq!(code(out.model.server(out.now, &out.who, 7)), (404, "not_found".into()));
    out.key();
    let again = ThingState::SshKey { public_key: format!("{KEY} other comment"), fingerprint: String::new() };
    let made = out.model.create_thing(out.now, &out.who, "other name", &again, &Labels::new());
    assert_eq!(code(made), (409, "uniqueness_error".into()));
}

#[test]
fn tokens_and_the_rate_limit_hold() {
    let mut out = Outside::empty();
    out.model.set_token("live", "reader", TokenMay::Read);
    out.model.set_token("live", "old", TokenMay::Nothing);
    for (token, wanted) in [("reader", "token_readonly"), ("old", "unauthorized"), ("unknown", "unauthorized")] {
        let answer = out.model.create_server(out.now, &Caller::token(token), &order("x"));
        assert_eq!(code(answer), (401, wanted.into()));
    }
    assert_eq!(code(out.model.probe_write(out.now, &out.who.clone())), (422, "invalid_input".into()));
    let all = |out: &mut Outside| out.model.servers(out.now, &out.who, &Filter::default());
    let before = all(&mut out).budget;
    assert_eq!((before.limit, before.remaining), (3600, 3600 - 3), "reader, proof and this one");
    for _ in 0..before.remaining {
        all(&mut out).result.unwrap();
    }
    let refused = all(&mut out);
    assert_eq!((refused.budget.remaining, refused.retry_after.is_some()), (0, true));
    assert_eq!(code(refused), (429, "rate_limit_exceeded".into()));
    out.pass(2.0);
    assert_eq!(all(&mut out).budget.remaining, 1);
}

#[test]
fn one_project_sees_nothing_of_another() {
    let mut out = Outside::empty();
    out.create(&order("demo-a")).result.unwrap();
    let other = Caller::token(format!("{}-rehearsal", Start::default().cloud_token));
    assert!(out.model.servers(out.now, &other, &Filter::default()).result.unwrap().is_empty());
    assert!(out.model.create_server(out.now, &other, &order("demo-a")).result.is_ok(), "names are per project");
}

#[test]
fn a_lost_reply_is_in_the_ledger_and_the_server_exists() {
    let mut out = Outside::empty();
    let fault =
        out.model.faults.plan(Fault::once(Matcher::op("cloud.server.create").at("demo-a"), FaultKind::LostReply));
    assert_eq!(out.create(&order("demo-a")).result, Err(Failure::Dropped { applied: true }));
    assert_eq!(out.model.faults.fired(fault), 1);
    assert_eq!(out.model.ledger.lost().len(), 1);
    assert_eq!(out.listed().len(), 1);
    assert_eq!(code(out.create(&order("demo-a"))), (409, "uniqueness_error".into()));
    assert!(out.model.ledger.made_twice().is_empty());
    let mut twin = order("demo-a2");
    twin.labels = labels("demo-a");
    out.create(&twin).result.unwrap();
    assert_eq!(out.model.ledger.made_twice().len(), 1, "two servers of one step and run");
}

#[test]
fn faults_fire_where_they_were_planned_and_are_counted() {
    let mut out = Outside::empty();
    let plan = |out: &mut Outside, kind| out.model.faults.plan(Fault::once(Matcher::op("cloud.server.create"), kind));
    let ids = [
        plan(&mut out, FaultKind::ResetBefore),
        plan(&mut out, FaultKind::TooMany(Duration::from_secs(9))),
        plan(&mut out, FaultKind::ServerError { status: 503, applied: false }),
        plan(&mut out, FaultKind::SoldOut),
        plan(&mut out, FaultKind::Quota),
        plan(&mut out, FaultKind::Locked),
    ];
    assert_eq!(out.create(&order("x")).result, Err(Failure::Dropped { applied: false }));
    let limited = out.create(&order("x"));
    assert_eq!(limited.retry_after, Some(Duration::from_secs(9)));
    assert_eq!(code(limited).0, 429);
    assert_eq!(code(out.create(&order("x"))).0, 503);
    assert_eq!(code(out.create(&order("x"))).0, 412);
    assert_eq!(code(out.create(&order("x"))).0, 403);
    assert_eq!(code(out.create(&order("x"))).0, 423);
    assert!(out.listed().is_empty(), "none of them was applied");
    assert!(ids.iter().all(|id| out.model.faults.fired(*id) == 1) && out.model.faults.silent().is_empty());
    let third = Matcher::op("cloud.servers.*").nth(3);
    let never = out.model.faults.plan(Fault::always(third, FaultKind::Down));
    out.listed();
    out.listed();
    assert_eq!(out.model.faults.fired(never), 0);
    assert!(out.model.servers(out.now, &out.who, &Filter::default()).result.is_err());
}

#[test]
fn actions_may_hang_fail_and_lists_may_lag() {
    let mut out = Outside::empty();
    let on = |name: &str| Matcher::op("cloud.server.create").at(name);
    out.model.faults.plan(Fault::once(on("hangs"), FaultKind::HungAction));
    out.model.faults.plan(Fault::once(on("fails"), FaultKind::ActionError("server_error".into())));
    out.model.faults.plan(Fault::once(on("lags"), FaultKind::ListLag(Duration::from_secs(30))));
    let hung = out.create(&order("hangs")).result.unwrap();
    let failed = out.create(&order("fails")).result.unwrap();
    let lagging = out.create(&order("lags")).result.unwrap();
    assert!(out.listed().iter().all(|s| s.name != "lags"));
    assert!(out.model.server(out.now, &out.who, lagging.server.id).result.is_ok());
    out.pass(31.0);
    assert!(out.listed().iter().any(|s| s.name == "lags"));
    let action = |out: &mut Outside, id| out.model.action(out.now, &out.who, id).result.unwrap();
    assert_eq!(action(&mut out, hung.action.id).status, ActionStatus::Running);
    let ended = action(&mut out, failed.action.id);
    assert_eq!((ended.status, ended.error.unwrap().0), (ActionStatus::Error, "server_error".to_string()));
}

#[test]
fn powered_off_servers_keep_name_and_address_and_deleted_ones_do_not() {
    let mut out = Outside::lost(Loss::Off);
    let old = out.listed();
    assert_eq!(old.len(), 3);
    assert!(old.iter().all(|s| s.status == ServerStatus::Off));
    assert!(out.model.naming_strangers().is_empty());
    out.model.delete_server(out.now, &out.who, old[0].id).result.unwrap();
    assert_eq!(out.listed()[0].status, ServerStatus::Deleting);
    out.pass(3.0);
    assert_eq!(out.listed().len(), 2);
    assert_eq!(out.model.ledger.strangers.len(), 1, "a record names an address that is no longer ours");
    assert!(out.model.ledger.foreign_touched("demo", &[]).is_empty());
    assert_eq!(out.model.ledger.foreign_touched("other", &[]).len(), 1);
}

#[test]
fn a_firewall_without_rules_lets_nobody_in() {
    let mut out = Outside::empty();
    let state = ThingState::Firewall { rules: vec![] };
    let firewall = out.model.create_thing(out.now, &out.who, "fence", &state, &labels("fw")).result.unwrap().id;
    let server = out.create(&order("demo-a")).result.unwrap().server;
    out.pass(40.0);
    assert_eq!(out.model.reach(out.now, ip(&server), 22), Reach::Open);
    assert_eq!(out.model.reach(out.now, ip(&server), 80), Reach::Refused);
    out.model.apply_firewall(out.now, &out.who, firewall, server.id, true).result.unwrap();
    assert_eq!(out.model.reach(out.now, ip(&server), 22), Reach::Silent);
    let rule = FirewallRule {
        direction: "in".into(),
        protocol: "tcp".into(),
        port: Some("20-25".into()),
        addresses: vec!["0.0.0.0/0".into()],
        description: String::new(),
    };
    out.model.set_rules(out.now, &out.who, firewall, &[rule]).result.unwrap();
    assert_eq!(out.model.reach(out.now, ip(&server), 22), Reach::Open);
    let delete = out.model.delete_thing(out.now, &out.who, ThingKind::Firewall, firewall);
    assert_eq!(code(delete), (422, "resource_in_use".into()));
}

#[test]
fn an_address_goes_only_when_no_server_has_it() {
    let mut out = Outside::empty();
    let server = out.create(&order("demo-a")).result.unwrap().server;
    let own = server.public.as_ref().unwrap().primary_ip;
    let kept = out.model.place_primary_ip("live", "kept", "nbg1", labels("kept")).unwrap();
    let delete = |out: &mut Outside, id| out.model.delete_primary_ip(out.now, &out.who, id);
    assert_eq!(code(delete(&mut out, own)), (422, "must_be_unassigned".into()));
    let list = |out: &mut Outside, filter: &Filter| {
        let found = out.model.primary_ips(out.now, &out.who, filter).result.unwrap();
        found.into_iter().map(|ip| ip.id).collect::<Vec<_>>()
    };
    assert_eq!(list(&mut out, &Filter::default()), [own, kept.id]);
    assert_eq!(list(&mut out, &Filter::labels("relight-cluster=demo")), [kept.id]);
    assert_eq!(list(&mut out, &Filter { name: "kept".into(), ..Filter::default() }), [kept.id]);
    let record = RecordChange::address("api.demo.example", &kept.address.to_string(), true, None);
    out.model.place_record("demo.example", &record);
    assert_eq!(delete(&mut out, kept.id).result, Ok(()));
    assert_eq!(out.model.ledger.strangers.len(), 1, "a record names an address that is no longer ours");
    assert_eq!(code(delete(&mut out, kept.id)), (404, "not_found".into()));
    let other = Caller::token(format!("{}-rehearsal", Start::default().cloud_token));
    assert!(out.model.primary_ips(out.now, &other, &Filter::default()).result.unwrap().is_empty());
}

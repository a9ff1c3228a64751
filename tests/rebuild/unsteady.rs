//! What a node or the cloud does not give at once is waited for, asked for again, or taken elsewhere.

use crate::life::{End, Life};
use crate::living::somebody;
use relight::engine::Event;
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::{lock, Fault, FaultId, FaultKind, Filter, Loss, Matcher, Power, Times};
use relight::world::ServerStatus;
use std::time::Duration;

fn with(fault: Fault) -> (Life, FaultId) {
    let life = Life::lost(Loss::Gone);
    let id = lock(&life.sandbox.model).faults.plan(fault);
    (life, id)
}

fn fired(life: &Life, id: FaultId) -> u32 {
    lock(&life.sandbox.model).faults.fired(id)
}

fn why(life: &Life) -> String {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, .. } => Some(format!("{step}: {error}\n")),
        _ => None,
    });
    failed.collect()
}

/// Servers of the run by name, with status and place.
fn servers(life: &Life) -> Vec<(String, ServerStatus, String)> {
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let all = model.servers(now, &somebody(), &Filter::labels("relight-run")).result.unwrap();
    all.into_iter().map(|s| (s.name, s.status, s.location.name)).collect()
}

/// The run comes to its end with three running servers, no promise broken, and this effect this often.
fn succeeds(life: &Life, op: &str, times: usize) {
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    let all = servers(life);
    assert!(all.len() == 3 && all.iter().all(|(_, status, _)| *status == ServerStatus::Running), "{all:?}");
    let model = lock(&life.sandbox.model);
    let ours = model.ledger.applied().filter(|e| e.op == op && !e.who.run.is_empty());
    assert_eq!(ours.count(), times, "{op}");
}

#[test]
fn a_server_of_ours_that_somebody_powered_off_is_powered_on_again() {
    let wire = Tripwire::new();
    assert_eq!(Life::lost(Loss::Gone).process(&wire).outcome(), "succeeded");
    let harden = wire.points().iter().position(|p| p.starts_with("before harden.sh confirm")).unwrap();
    let life = Life::lost(Loss::Gone);
    assert!(matches!(life.process(&Tripwire::at(harden)), End::Killed));
    life.crash(Keep::All);
    life.pass(Duration::from_secs(60));
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let all = model.servers(now, &somebody(), &Filter::labels("relight-run")).result.unwrap();
        let second = all.iter().find(|s| s.name.ends_with("node-2")).unwrap();
        assert!(model.power(now, &somebody(), second.id, Power::Off).result.is_ok());
    }
    life.pass(Duration::from_secs(60));
    assert_eq!(servers(&life).iter().filter(|(_, status, _)| *status == ServerStatus::Off).count(), 1);
    succeeds(&life, "cloud.server.poweron", 1);
}

#[test]
fn a_spare_server_that_powered_itself_off_in_its_time_is_not_powered_on_but_taken_down() {
    let wire = Tripwire::new();
    assert_eq!(Life::rehearsal("rehearse").process(&wire).outcome(), "succeeded");
    let harden = wire.points().iter().position(|p| p.starts_with("before harden.sh confirm")).unwrap();
    let life = Life::rehearsal("rehearse");
    assert!(matches!(life.process(&Tripwire::at(harden)), End::Killed));
    life.crash(Keep::All);
    life.pass(Duration::from_secs(5 * 3600));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    assert!(why(&life).contains("is over, and it has powered itself off"), "{}", why(&life));
    let model = lock(&life.sandbox.model);
    assert_eq!(model.ledger.count("cloud.server.poweron"), 0);
    assert_eq!(model.ledger.count("cloud.server.delete"), 3);
}

#[test]
fn a_server_that_the_cloud_made_and_did_not_start_is_powered_on() {
    let start = Fault::once(Matcher::op("cloud.server.start"), FaultKind::ActionError("server_error".to_owned()));
    let (life, fault) = with(start);
    succeeds(&life, "cloud.server.poweron", 1);
    assert_eq!(fired(&life, fault), 1);
}

#[test]
fn a_server_that_turns_out_to_have_no_room_after_it_was_promised_is_deleted_and_made_elsewhere() {
    let none = FaultKind::ActionError("resource_unavailable".to_owned());
    let (life, fault) = with(Fault::always(Matcher::op("cloud.server.create").at("nbg1"), none));
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    let all = servers(&life);
    assert!(all.len() == 3 && all.iter().all(|(_, _, place)| place != "nbg1"), "{all:?}");
    // Everything that was made in vain is gone again, and only that.
    let model = lock(&life.sandbox.model);
    let count = |op| model.ledger.count(op);
    assert!(count("cloud.server.delete") >= 3);
    assert_eq!(count("cloud.server.delete"), usize::try_from(model.faults.fired(fault)).unwrap());
    assert_eq!(count("cloud.server.create"), count("cloud.server.delete") + 3);
}

#[test]
fn a_node_that_boots_with_another_host_key_is_waited_for_and_never_logged_in_to() {
    let strange = Fault { times: Times::Times(4), ..Fault::once(Matcher::op("node.host_key"), FaultKind::StrangeKey) };
    let (life, fault) = with(strange);
    succeeds(&life, "cloud.server.create", 3);
    assert_eq!(fired(&life, fault), 4);
}

#[test]
fn a_node_that_keeps_showing_another_host_key_ends_the_step_in_its_deadline_and_gets_nothing() {
    let (life, fault) = with(Fault::always(Matcher::op("node.host_key"), FaultKind::StrangeKey));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "failed");
    let told = why(&life);
    assert!(told.contains("boot[node-1]: not done within its deadline") && told.contains("host key"), "{told}");
    assert!(fired(&life, fault) > 3);
    let model = lock(&life.sandbox.model);
    assert!(!model.ledger.entries.iter().any(|e| e.op.starts_with("node.")), "{:?}", model.ledger.entries);
}

#[test]
fn a_look_that_does_not_see_the_served_host_key_is_repeated() {
    // Exit 0 without a word: ssh-keyscan got no answer.
    let (life, fault) = with(Fault::once(Matcher::op("node.hostkey.sh.check"), FaultKind::Exit(0)));
    succeeds(&life, "node.hostkey.sh.prepare", 3);
    assert_eq!(fired(&life, fault), 1);
}

#[test]
fn another_version_of_k3s_between_two_processes_is_installed_by_its_own_digest() {
    let wire = Tripwire::new();
    assert_eq!(Life::lost(Loss::Gone).process(&wire).outcome(), "succeeded");
    let harden = wire.points().iter().position(|p| p.starts_with("before harden.sh apply")).unwrap();
    let mut life = Life::lost(Loss::Gone);
    assert!(matches!(life.process(&Tripwire::at(harden)), End::Killed));
    life.crash(Keep::All);
    life.settings.k3s.version = "v1.34.7+k3s1".to_owned();
    assert_eq!(life.settings.k3s.sha256, None, "the digest is looked up");
    succeeds(&life, "node.k3s.sh.install", 3);
}

#[test]
fn a_type_that_the_cloud_lists_in_a_place_and_does_not_sell_there_is_had_elsewhere() {
    let (life, id) = with(Fault::always(Matcher::op("cloud.server.create").at("cx33/nbg1"), FaultKind::NotSoldThere));
    succeeds(&life, "cloud.server.create", 3);
    assert!(fired(&life, id) > 0, "nobody asked there");
    assert!(servers(&life).iter().all(|(_, _, place)| place == "fsn1"), "{:?}", servers(&life));
}

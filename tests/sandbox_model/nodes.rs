//! Hardening, units, reboots and host keys of modelled machines.

use crate::outside::*;
use relight::sandbox::model::*;
use std::net::Ipv4Addr;
use std::time::Duration;

fn booted(out: &mut Outside) -> Ipv4Addr {
    let key = out.key();
    let server = out.create(&ServerOrder { ssh_keys: vec![key.to_string()], ..order("demo-a") }).result.unwrap().server;
    out.pass(40.0);
    ip(&server)
}

#[test]
fn an_unconfirmed_hardening_is_taken_back() {
    let mut out = Outside::empty();
    let at = booted(&mut out);
    let open = out.ssh(at, "root").unwrap();
    let wrong = hardening("ssh-ed25519 SomebodyElse");
    let wrong: Vec<(&str, &str)> = wrong.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(out.run(&open, "harden.sh", "apply", &wrong).value("state"), Some("armed"));
    assert_eq!(out.ssh(at, "deploy"), Err(NodeError::KeyRejected), "locked out");
    assert_eq!(out.ssh(at, "root"), Err(NodeError::KeyRejected));
    out.pass(121.0);
    assert!(out.ssh(at, "root").is_ok(), "taken back");
    let right = hardening(KEY);
    let right: Vec<(&str, &str)> = right.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(out.look(&open, "harden.sh", &right).value("state"), Some("absent"));
    out.run(&open, "harden.sh", "apply", &right);
    let second = out.ssh(at, "deploy").unwrap();
    assert_eq!(out.run(&second, "harden.sh", "confirm", &right).value("state"), Some("as-specified"));
    out.pass(300.0);
    assert_eq!(out.look(&second, "harden.sh", &right).value("state"), Some("as-specified"));
    assert_eq!(out.look(&second, "harden.sh", &wrong).value("state"), Some("differs"));
    assert_eq!(out.ssh(at, "root"), Err(NodeError::KeyRejected));
}

#[test]
fn a_script_goes_on_when_the_connection_drops_and_a_second_start_joins_it() {
    let mut out = Outside::empty();
    let at = booted(&mut out);
    let open = out.ssh(at, "root").unwrap();
    let fault = Fault::once(Matcher::op("node.late.sh.apply"), FaultKind::SshDrop);
    let fault = out.model.faults.plan(fault);
    let job = job("late.sh", "apply", &[("AUTO_REBOOT", "false")]);
    assert_eq!(out.model.run_script(out.now, &out.who, &open, &job), Err(NodeError::Dropped));
    assert_eq!(out.model.faults.fired(fault), 1);
    out.pass(1.0);
    let open = out.ssh(at, "root").unwrap();
    let job = Job { call: "second".into(), ..job };
    let joined = out.model.run_script(out.now, &out.who, &open, &job).unwrap();
    assert!(matches!(joined, UnitState::Running { ends } if ends < out.now + Duration::from_secs(40)), "{joined:?}");
    out.pass(40.0);
    assert!(
        matches!(out.model.script_result(out.now, &open, &job.unit, &job.call), Ok(UnitState::Ended(e)) if e.exit == 0)
    );
    assert_eq!(out.model.ledger.count("node.late.sh.apply"), 1);
}

#[test]
fn an_end_is_told_to_the_calls_of_its_unit_and_a_later_call_starts_anew() {
    let mut out = Outside::empty();
    let at = booted(&mut out);
    let open = out.ssh(at, "root").unwrap();
    let input = hardening(KEY);
    let [first, second] =
        ["first", "second"].map(|call| Job { call: call.into(), ..job("harden.sh", "apply", &pairs(&input)) });
    assert!(out.model.run_script(out.now, &out.who, &open, &first).is_ok());
    out.pass(40.0);
    for _ in 0..2 {
        let told = out.model.run_script(out.now, &out.who, &open, &first);
        assert!(
            matches!(told, Ok(UnitState::Ended(e)) if e.value("state") == Some("armed")),
            "the same call is not obeyed twice"
        );
    }
    assert_eq!(out.model.script_result(out.now, &open, &second.unit, &second.call), Ok(UnitState::Unknown));
    out.pass(121.0);
    assert_eq!(out.look(&open, "harden.sh", &pairs(&input)).value("state"), Some("absent"), "taken back");
    let again = out.model.run_script(out.now, &out.who, &open, &second);
    assert!(matches!(again, Ok(UnitState::Running { .. })), "{again:?}");
    assert_eq!(
        out.model
            .script_result(out.now, &open, &first.unit, &first.call)
            .map(|s| matches!(s, UnitState::Running { .. })),
        Ok(true)
    );
    out.pass(40.0);
    assert_eq!(out.model.script_result(out.now, &open, &first.unit, &first.call), Ok(UnitState::Unknown));
    assert_eq!(out.look(&open, "harden.sh", &pairs(&input)).value("state"), Some("armed"));
}

#[test]
fn a_reboot_in_the_middle_leaves_no_trace_of_the_script() {
    let mut out = Outside::empty();
    let at = booted(&mut out);
    let open = out.ssh(at, "root").unwrap();
    let before = out.look(&open, "probe.sh", &[]).value("boot_id").unwrap().to_string();
    out.model.faults.plan(Fault::once(Matcher::op("node.harden.sh.*"), FaultKind::Reboot));
    let job = job("harden.sh", "apply", &[("DEPLOY_USER", "deploy"), ("AUTHORIZED_KEYS", KEY)]);
    assert_eq!(out.model.run_script(out.now, &out.who, &open, &job), Err(NodeError::Dropped));
    assert_eq!(out.ssh(at, "root"), Err(NodeError::Silent));
    out.pass(30.0);
    assert_eq!(
        out.model.script_result(out.now, &open, &job.unit, &job.call),
        Err(NodeError::Dropped),
        "an old connection"
    );
    let open = out.ssh(at, "root").unwrap();
    assert_eq!(out.model.script_result(out.now, &open, &job.unit, &job.call), Ok(UnitState::Unknown));
    assert_ne!(out.look(&open, "probe.sh", &[]).value("boot_id"), Some(before.as_str()));
    assert_eq!(out.look(&open, "harden.sh", &[]).value("state"), Some("absent"));
}

#[test]
fn host_keys_are_prepared_before_they_are_served() {
    let mut out = Outside::empty();
    let at = booted(&mut out);
    let open = out.ssh(at, "root").unwrap();
    let first = out.model.host_key(out.now, at).unwrap();
    assert!(first.private.contains("OPENSSH PRIVATE KEY"));
    let next = out.run(&open, "hostkey.sh", "prepare", &[]).value("next_host_key").unwrap().to_string();
    assert_eq!(out.model.host_key(out.now, at).unwrap(), first, "still the old one");
    assert_eq!(out.run(&open, "hostkey.sh", "rotate", &[("NEXT", "ssh-ed25519 other")]).exit, 10);
    assert_eq!(out.run(&open, "hostkey.sh", "rotate", &[("NEXT", &next)]).exit, 0);
    assert_eq!(out.model.host_key(out.now, at).unwrap().public, next);
    assert_eq!(out.run(&open, "hostkey.sh", "rotate", &[("NEXT", &next)]).value("next_host_key"), Some(""));
}

//! Machines that their user data makes power themselves off.

use crate::outside::*;
use relight::sandbox::model::*;
use relight::world::{calendar, ServerStatus};
use serde_json::{json, Value};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// User data as `server.ensure` writes it for a server that expires.
fn user_data(until: &str, runs: &Value) -> String {
    let unit = |name: &str, content: String| json!({ "path": format!("/etc/systemd/system/relight-expiry.{name}"), "permissions": "0644", "content": content });
    let service = "[Unit]\nDescription=x\n[Service]\nType=oneshot\nExecStart=/usr/bin/systemctl poweroff\n";
    let timer = format!("[Timer]\nOnCalendar={until}\nPersistent=true\n[Install]\nWantedBy=timers.target\n");
    let config = json!({
        "users": [{ "name": "deploy", "ssh_authorized_keys": [KEY] }],
        "write_files": [unit("service", service.to_owned()), unit("timer", timer)],
        "runcmd": runs,
    });
    format!("#cloud-config\n{config:#}\n")
}

fn enabled() -> Value {
    json!([["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "relight-expiry.timer"]])
}

/// A server that runs and expires in an hour.
fn spare(out: &mut Outside, runs: &Value) -> i64 {
    let until = calendar(i64::try_from((out.now + HOUR).as_secs()).unwrap());
    let order = ServerOrder { user_data: user_data(&until, runs), ..order("demo-a") };
    let id = out.create(&order).result.unwrap().server.id;
    out.pass(60.0);
    id
}

fn status(out: &mut Outside) -> (ServerStatus, bool) {
    (out.listed()[0].status, out.model.machines()[0].on)
}

fn power(out: &mut Outside, id: i64, power: Power) {
    out.model.power(out.now, &out.who, id, power).result.unwrap();
    out.pass(30.0);
}

const RUNS: (ServerStatus, bool) = (ServerStatus::Running, true);
const OFF: (ServerStatus, bool) = (ServerStatus::Off, false);

#[test]
fn a_spare_server_powers_itself_off_when_its_time_has_come() {
    let mut out = Outside::empty();
    spare(&mut out, &enabled());
    let (at, end) = (ip(&out.listed()[0]), (out.now + HOUR).saturating_sub(Duration::from_secs(60)));
    assert_eq!(out.model.machines()[0].powers_off, Some(end));
    out.pass(3530.0);
    assert_eq!(status(&mut out), RUNS);
    out.pass(20.0);
    assert_eq!(status(&mut out), OFF);
    assert_eq!(out.ssh(at, "deploy"), Err(NodeError::Silent));
    assert!(out.model.ledger.entries.iter().all(|e| e.op == "cloud.server.create"), "it is nobody's call");
}

#[test]
fn a_reboot_before_its_time_does_not_save_a_spare_server() {
    let mut out = Outside::empty();
    let id = spare(&mut out, &enabled());
    power(&mut out, id, Power::Reset);
    assert_eq!(status(&mut out), RUNS);
    out.pass(3600.0);
    assert_eq!(status(&mut out), OFF);
}

#[test]
fn a_spare_server_that_was_off_at_its_time_powers_itself_off_right_after_its_next_boot() {
    let mut out = Outside::empty();
    let id = spare(&mut out, &enabled());
    power(&mut out, id, Power::Off);
    out.pass(7200.0);
    out.model.power(out.now, &out.who, id, Power::On).result.unwrap();
    out.pass(5.0);
    assert_eq!(status(&mut out), RUNS);
    out.pass(60.0);
    assert_eq!(status(&mut out), OFF);
}

#[test]
fn a_timer_that_has_elapsed_does_not_elapse_again() {
    let mut out = Outside::empty();
    let id = spare(&mut out, &enabled());
    out.pass(3600.0);
    assert_eq!(status(&mut out), OFF);
    power(&mut out, id, Power::On);
    out.pass(3600.0);
    assert_eq!(status(&mut out), RUNS, "as systemd's persistent timers do");
}

#[test]
fn a_timer_that_nothing_enables_powers_nothing_off() {
    let mut out = Outside::empty();
    spare(&mut out, &json!([["systemctl", "daemon-reload"]]));
    assert_eq!(out.model.machines()[0].powers_off, None);
    out.pass(7200.0);
    assert_eq!(status(&mut out), RUNS);
}

#[test]
fn a_rebuild_with_other_user_data_forgets_the_old_time() {
    let mut out = Outside::empty();
    let id = spare(&mut out, &enabled());
    let other = order("demo-a").user_data;
    out.model.rebuild_server(out.now, &out.who, id, "ubuntu-24.04", Some(&other)).result.unwrap();
    out.pass(60.0);
    assert_eq!(out.model.machines()[0].powers_off, None);
    out.pass(7200.0);
    assert_eq!(status(&mut out), RUNS);
}

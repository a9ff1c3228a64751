//! The official clients are the judge of the sandbox: Hetzner's and Cloudflare's own Python packages list, create, change and
//! delete through its doors.
//!
//! `RELIGHT_CLIENTS_PYTHON` names a Python that has tests/clients/requirements.txt; without it the test says so in one line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

#[path = "support/description.rs"]
#[allow(dead_code)]
mod description;
#[path = "support/wire.rs"]
#[allow(dead_code)]
mod wire;

use relight::providers::SystemClock;
use relight::sandbox::doors::{CloudflareDoor, HetznerDoor, Shape};
use relight::sandbox::model::{DnsToken, Latency, Model, TokenMay};
use relight::world::Clock;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Runs a client to its end, whose output is shown where it fails.
async fn judge(script: &str, arguments: &[&str]) {
    let Ok(python) = std::env::var("RELIGHT_CLIENTS_PYTHON") else {
        println!("skipped: RELIGHT_CLIENTS_PYTHON does not name a Python with the official clients");
        return;
    };
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut client = tokio::process::Command::new(python);
    let ended = client
        .arg(script)
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn world() -> (Model, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::faster(200.0));
    let mut model = Model::new(7, Ipv4Addr::new(127, 91, 9, 0), Latency::real(), clock.now());
    model.add_project("live", &[("token", TokenMay::Write)]);
    model.add_zone("example.org", "flexible", "live");
    model.set_dns_token("token", DnsToken::full(&["example.org"]));
    (model, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hetzners_own_client_cannot_tell_the_sandbox_from_the_cloud() {
    for shape in [Shape::Late2026, Shape::December2025] {
        let (model, clock) = world();
        let address = wire::open(HetznerDoor::new(model.shared(), clock, shape).router()).await;
        judge("hetzner.py", &[&format!("http://{address}/v1"), "token"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudflares_own_client_cannot_tell_the_sandbox_from_the_edge() {
    let (model, clock) = world();
    let address = wire::open(CloudflareDoor::new(model.shared(), clock).router()).await;
    judge("dns.py", &[&format!("http://{address}/client/v4"), "token", "example.org"]).await;
}

//! Whatever goes wrong outside, the provider says of which class it is, in the outside's own words, with what to do next, and
//! without a secret. Faults come from the sandbox's model through its doors, or from a server that talks nonsense.

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

use axum::http::{header, StatusCode};
use axum::response::IntoResponse;
use axum::routing::any;
use axum::{Json, Router};
use relight::config::Timeouts;
use relight::providers::{Cloudflare, Hetzner, SystemClock};
use relight::sandbox::doors::{CloudflareDoor, HetznerDoor, Shape};
use relight::sandbox::model::{DnsToken, Fault, FaultKind, Latency, Matcher, Model, Shared, TokenMay};
use relight::world::{
    Batch, Class, Clock, Cloud, Dns, Error, Labels, NewRecord, Permit, Secret, ServerSpec, Target, ThingKind, Zone,
};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const TOKEN: &str = "canary-token";

struct Sandbox {
    model: Shared,
    cloud: Hetzner,
    dns: Cloudflare,
    clock: Arc<dyn Clock>,
    hetzner: String,
    cloudflare: String,
}

fn quick() -> Timeouts {
    Timeouts { connect: Duration::from_secs(5), probe: Duration::from_millis(300), ..Timeouts::default() }
}

async fn sandbox() -> Sandbox {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::faster(2000.0));
    let mut model = Model::new(7, Ipv4Addr::new(127, 91, 2, 0), Latency::real(), clock.now());
    model.add_project("live", &[(TOKEN, TokenMay::Write), ("canary-read", TokenMay::Read)]);
    model.add_zone("example.org", "flexible", "live");
    model.set_dns_token(TOKEN, DnsToken::full(&["example.org"]));
    let model = model.shared();
    let door = HetznerDoor::new(model.clone(), clock.clone(), Shape::Late2026).router();
    let hetzner = format!("http://{}/v1", wire::open(door).await);
    let door = CloudflareDoor::new(model.clone(), clock.clone()).router();
    let cloudflare = format!("http://{}/client/v4", wire::open(door).await);
    let timeouts = Timeouts::default();
    let cloud = Hetzner::new(&hetzner, &Secret::new(TOKEN), clock.clone(), &timeouts).unwrap();
    let dns = Cloudflare::new(&cloudflare, &Secret::new(TOKEN), clock.clone(), &timeouts).unwrap();
    Sandbox { model, cloud, dns, clock, hetzner, cloudflare }
}

fn spec() -> ServerSpec {
    ServerSpec {
        name: "demo-node-1".into(),
        server_type: "cx33".into(),
        location: "nbg1".into(),
        image: "ubuntu-24.04".into(),
        user_data: String::new(),
        labels: Labels::default(),
        ..ServerSpec::default()
    }
}

fn leave() -> Permit {
    Permit::for_a_test(Target::CloudNew { kind: "server", name: "demo-node-1".into() })
}

fn leave_for(id: i64) -> Permit {
    Permit::for_a_test(Target::Cloud { kind: "server", id })
}

/// What every error owes to the person who reads it.
fn decent(error: &Error, class: Class) {
    let whole = format!("{error:?}");
    assert_eq!(error.class, class, "{whole}");
    assert!(!error.remedy.is_empty(), "{whole}");
    assert!(!whole.contains("canary"), "{whole}");
    assert!(error.what.contains("Hetzner Cloud") || error.what.contains("Cloudflare"), "{whole}");
}

#[tokio::test]
async fn each_refusal_of_a_create_is_classed_by_what_is_to_be_done() {
    let faults = [
        (FaultKind::SoldOut, Class::Branch, "resource_unavailable"),
        (FaultKind::NotSoldThere, Class::Branch, "invalid_input"),
        (FaultKind::Quota, Class::Fatal, "resource_limit_exceeded"),
        (FaultKind::Locked, Class::Transient, "locked"),
        (FaultKind::TooMany(Duration::from_secs(7)), Class::Transient, "rate_limit_exceeded"),
        (FaultKind::ServerError { status: 500, applied: false }, Class::Unknown, "server_error"),
        (FaultKind::ServerError { status: 502, applied: true }, Class::Unknown, "bad_gateway"),
        (FaultKind::ServerError { status: 503, applied: false }, Class::Unknown, "unavailable"),
        (FaultKind::ServerError { status: 504, applied: true }, Class::Unknown, "timeout"),
    ];
    for (kind, class, code) in faults {
        let sandbox = sandbox().await;
        let fault =
            sandbox.model.lock().unwrap().faults.plan(Fault::once(Matcher::op("cloud.server.create"), kind.clone()));
        let error = sandbox.cloud.create_server(&leave(), &spec()).await.unwrap_err();
        decent(&error, class);
        assert!(error.is(code) && error.what.contains(code), "{error:?}");
        assert!(error.what.contains("correlation id sandbox-"), "{error:?}");
        assert_eq!(sandbox.model.lock().unwrap().faults.fired(fault), 1);
        if let FaultKind::TooMany(wait) = kind {
            assert_eq!(error.retry_after, Some(wait));
        }
    }
}

#[tokio::test]
async fn a_lost_reply_is_unknown_whether_or_not_the_server_was_made() {
    for (kind, made) in [(FaultKind::LostReply, 1), (FaultKind::ResetBefore, 0)] {
        let sandbox = sandbox().await;
        let fault = sandbox.model.lock().unwrap().faults.plan(Fault::once(Matcher::op("cloud.server.create"), kind));
        let error = sandbox.cloud.create_server(&leave(), &spec()).await.unwrap_err();
        decent(&error, Class::Unknown);
        assert_eq!(sandbox.model.lock().unwrap().faults.fired(fault), 1);
        assert_eq!(sandbox.cloud.servers("").await.unwrap().len(), made, "a look settles it");
    }
}

#[tokio::test]
async fn a_read_that_fails_may_simply_be_repeated() {
    let sandbox = sandbox().await;
    for kind in [FaultKind::ResetBefore, FaultKind::ServerError { status: 502, applied: false }] {
        let fault = sandbox.model.lock().unwrap().faults.plan(Fault::once(Matcher::op("cloud.servers.list"), kind));
        decent(&sandbox.cloud.servers("").await.unwrap_err(), Class::Transient);
        assert_eq!(sandbox.model.lock().unwrap().faults.fired(fault), 1);
        assert!(sandbox.cloud.servers("").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_action_that_fails_is_unknown_and_keeps_its_code() {
    let sandbox = sandbox().await;
    let id = sandbox.cloud.create_server(&leave(), &spec()).await.unwrap().id;
    let kind = FaultKind::ActionError("host_unreachable".into());
    let fault = sandbox.model.lock().unwrap().faults.plan(Fault::once(Matcher::op("cloud.server.poweroff"), kind));
    let error = loop {
        match sandbox.cloud.power_off(&leave_for(id), id).await.unwrap_err() {
            // Its creation still runs.
            error if error.is("locked") => sandbox.clock.sleep(Duration::from_secs(1)).await,
            error => break error,
        }
    };
    decent(&error, Class::Unknown);
    assert!(error.is("host_unreachable"), "{error:?}");
    assert_eq!(sandbox.model.lock().unwrap().faults.fired(fault), 1);
}

#[tokio::test]
async fn polling_survives_a_bad_moment_of_the_api() {
    let sandbox = sandbox().await;
    let id = sandbox.cloud.create_server(&leave(), &spec()).await.unwrap().id;
    let bad = FaultKind::ServerError { status: 503, applied: false };
    let fault = sandbox.model.lock().unwrap().faults.plan(Fault::once(Matcher::op("cloud.actions.list"), bad));
    sandbox.cloud.protect_server(&leave_for(id), id, true).await.unwrap();
    assert_eq!(sandbox.model.lock().unwrap().faults.fired(fault), 1);
    let bad = FaultKind::ServerError { status: 503, applied: false };
    sandbox.model.lock().unwrap().faults.plan(Fault::always(Matcher::op("cloud.actions.list"), bad));
    decent(&sandbox.cloud.protect_server(&leave_for(id), id, false).await.unwrap_err(), Class::Unknown);
}

#[tokio::test]
async fn those_who_wait_share_their_polls() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::faster(20.0));
    let mut model = Model::new(7, Ipv4Addr::new(127, 91, 3, 0), Latency::real(), clock.now());
    model.add_project("live", &[(TOKEN, TokenMay::Write)]);
    let door = HetznerDoor::new(model.shared(), clock.clone(), Shape::Late2026).router();
    let (address, log) = wire::open_recorded(door, "/v1").await;
    let base = format!("http://{address}/v1");
    let cloud = Hetzner::new(&base, &Secret::new(TOKEN), clock, &Timeouts::default()).unwrap();
    let mut ids = Vec::new();
    for n in 0..10 {
        let name = format!("demo-node-{n}");
        let permit = Permit::for_a_test(Target::CloudNew { kind: "server", name: name.clone() });
        ids.push(cloud.create_server(&permit, &ServerSpec { name, ..spec() }).await.unwrap().id);
    }
    let leaves: Vec<_> = ids.iter().map(|id| (*id, leave_for(*id))).collect();
    let each = leaves.iter().map(|(id, leave)| cloud.protect_server(leave, *id, true));
    futures::future::join_all(each).await.into_iter().for_each(|end| end.unwrap());
    let asked: Vec<usize> =
        log.lock().unwrap().iter().filter(|e| e.path == "/actions").map(|e| e.query.len()).collect();
    assert!(asked.iter().any(|ids| *ids >= 5), "each poll asks for all that is awaited: {asked:?}");
    assert!(cloud.servers("").await.unwrap().iter().all(|server| server.delete_protected && server.rebuild_protected));
}

/// What is left of the project's allowance, from the header of a reply.
async fn remaining(sandbox: &Sandbox) -> i64 {
    let url = format!("{}/locations", sandbox.hetzner);
    let reply =
        reqwest::Client::builder().no_proxy().build().unwrap().get(url).bearer_auth(TOKEN).send().await.unwrap();
    reply.headers()["ratelimit-remaining"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_wrong_or_read_only_token_names_the_variable_to_correct() {
    let sandbox = sandbox().await;
    let with = |token: &str| {
        Hetzner::new(&sandbox.hetzner, &Secret::new(token), sandbox.clock.clone(), &Timeouts::default()).unwrap()
    };
    for (error, code) in [
        (with("canary-unknown").servers("").await.unwrap_err(), "unauthorized"),
        (with("canary-read").prove_writable().await.unwrap_err(), "token_readonly"),
        (with("canary-read").create_server(&leave(), &spec()).await.unwrap_err(), "token_readonly"),
    ] {
        decent(&error, Class::Fatal);
        assert!(error.is(code) && error.remedy.contains("HCLOUD_TOKEN"), "{error:?}");
    }
    let dns = |token: &str| {
        Cloudflare::new(&sandbox.cloudflare, &Secret::new(token), sandbox.clock.clone(), &quick()).unwrap()
    };
    for token in ["canary-unknown", "canary with spaces"] {
        let error = dns(token).prove_token().await.unwrap_err();
        decent(&error, Class::Fatal);
        assert!(error.remedy.contains("CLOUDFLARE_API_TOKEN"), "{error:?}");
    }
    let expired = DnsToken { status: "expired".into(), ..DnsToken::full(&["example.org"]) };
    sandbox.model.lock().unwrap().set_dns_token("canary-expired", expired);
    let error = dns("canary-expired").prove_token().await.unwrap_err();
    decent(&error, Class::Fatal);
    assert!(error.what.contains("expired"));
}

#[tokio::test]
async fn nothing_is_sent_without_leave_for_exactly_that() {
    let sandbox = sandbox().await;
    let other = ServerSpec { name: "demo-node-2".into(), ..spec() };
    let requests = remaining(&sandbox).await;
    for error in [
        sandbox.cloud.create_server(&leave(), &other).await.unwrap_err(),
        sandbox.cloud.delete_server(&leave_for(1), 2).await.unwrap_err(),
        sandbox.cloud.power_off(&leave_for(1), 2).await.unwrap_err(),
        sandbox.cloud.delete_thing(&leave_for(1), ThingKind::Network, 1).await.unwrap_err(),
        sandbox.dns.change(&leave(), &zone(), &post("api.example.org")).await.unwrap_err(),
        sandbox.dns.change(&names(&["www.example.org"]), &zone(), &post("api.example.org")).await.unwrap_err(),
    ] {
        assert_eq!(error.class, Class::Fatal);
        assert!(error.remedy.contains("nothing was sent"), "{error:?}");
    }
    assert!(remaining(&sandbox).await >= requests - 1, "only the look at the allowance was counted");
    assert!(sandbox.model.lock().unwrap().ledger.entries.is_empty());
}

fn zone() -> Zone {
    Zone { id: "0".repeat(32), name: "example.org".into(), status: "active".into() }
}

fn names(names: &[&str]) -> Permit {
    let names = names.iter().map(ToString::to_string).collect();
    Permit::for_a_test(Target::Dns { zone: "example.org".into(), names })
}

fn post(name: &str) -> Batch {
    let (content, comment) = ("127.91.2.10".into(), "relight".into());
    let record = NewRecord { kind: "A".into(), name: name.into(), content, proxied: true, ttl: 1, comment };
    Batch { posts: vec![record], ..Batch::default() }
}

#[tokio::test]
async fn a_batch_of_records_that_fails_is_classed_like_a_server() {
    let faults = [
        (FaultKind::LostReply, Class::Unknown, 1),
        (FaultKind::ResetBefore, Class::Unknown, 0),
        (FaultKind::ServerError { status: 502, applied: true }, Class::Unknown, 1),
        (FaultKind::ServerError { status: 500, applied: false }, Class::Unknown, 0),
        (FaultKind::TooMany(Duration::from_secs(300)), Class::Transient, 0),
    ];
    for (kind, class, made) in faults {
        let sandbox = sandbox().await;
        let zone = sandbox.dns.zone("example.org").await.unwrap().unwrap();
        let fault = sandbox.model.lock().unwrap().faults.plan(Fault::once(Matcher::op("dns.batch"), kind.clone()));
        let permit = names(&["api.example.org"]);
        let error = sandbox.dns.change(&permit, &zone, &post("api.example.org")).await.unwrap_err();
        decent(&error, class);
        assert_eq!(sandbox.model.lock().unwrap().faults.fired(fault), 1);
        if let FaultKind::TooMany(wait) = kind {
            assert_eq!(error.retry_after, Some(wait));
        }
        let seen = sandbox.dns.records(&zone, &["api.example.org".into()]).await.unwrap();
        assert_eq!(seen.len(), made);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_says_why() {
    let sandbox = sandbox().await;
    let zone = sandbox.dns.zone("example.org").await.unwrap().unwrap();
    let mut batch = post("api.example.org");
    batch.posts[0].content = "nonsense".into();
    let error = sandbox.dns.change(&names(&["api.example.org"]), &zone, &batch).await.unwrap_err();
    decent(&error, Class::Fatal);
    assert!(error.is("1004") && error.what.contains("valid IPv4"), "the cause in the chain is told: {error:?}");
    let twice = post("api.example.org");
    sandbox.dns.change(&names(&["api.example.org"]), &zone, &twice).await.unwrap();
    decent(&sandbox.dns.change(&names(&["api.example.org"]), &zone, &twice).await.unwrap_err(), Class::Transient);
    let mut alias = post("api.example.org");
    (alias.posts[0].kind, alias.posts[0].content) = ("CNAME".into(), "elsewhere.example.org".into());
    decent(&sandbox.dns.change(&names(&["api.example.org"]), &zone, &alias).await.unwrap_err(), Class::Refused);
    let unseen = Zone { id: "f".repeat(32), ..zone };
    decent(&sandbox.dns.records(&unseen, &["a".into()]).await.unwrap_err(), Class::Fatal);
}

/// A server that answers everything the same way.
async fn nonsense(reply: impl IntoResponse + Clone + Send + Sync + 'static) -> SocketAddr {
    wire::open(Router::new().fallback(any(move || std::future::ready(reply.clone())))).await
}

fn clouds(at: SocketAddr, timeouts: &Timeouts) -> (Hetzner, Cloudflare) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::wall());
    let token = Secret::new(TOKEN);
    let cloud = Hetzner::new(&format!("http://{at}/v1"), &token, clock.clone(), timeouts).unwrap();
    (cloud, Cloudflare::new(&format!("http://{at}/client/v4"), &token, clock, timeouts).unwrap())
}

/// The classes of a read and of a change, for both clouds.
async fn classes(at: SocketAddr, timeouts: &Timeouts) -> [Error; 4] {
    let (cloud, dns) = clouds(at, timeouts);
    [
        cloud.servers("").await.unwrap_err(),
        dns.records(&zone(), &["api.example.org".into()]).await.unwrap_err(),
        cloud.create_server(&leave(), &spec()).await.unwrap_err(),
        dns.change(&names(&["api.example.org"]), &zone(), &post("api.example.org")).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_reply_that_says_yes_and_makes_no_sense_is_unknown_to_a_change() {
    let page = (StatusCode::OK, "<html>all is well</html>");
    let (empty, other) =
        (StatusCode::OK, (StatusCode::CREATED, Json(json!({ "servers": {}, "server": { "id": "x" } }))));
    for at in [nonsense(page).await, nonsense(empty).await, nonsense(other).await] {
        let [a, b, c, d] = classes(at, &Timeouts::default()).await;
        decent(&a, Class::Transient);
        decent(&b, Class::Transient);
        decent(&c, Class::Unknown);
        decent(&d, Class::Unknown);
    }
}

#[tokio::test]
async fn a_gateways_page_and_silence_are_unknown_to_a_change() {
    let gateway = nonsense((StatusCode::BAD_GATEWAY, "<html>bad gateway</html>")).await;
    let silent = wire::open(Router::new().fallback(any(std::future::pending::<()>))).await;
    for at in [gateway, silent] {
        let [a, b, c, d] = classes(at, &quick()).await;
        decent(&a, Class::Transient);
        decent(&b, Class::Transient);
        decent(&c, Class::Unknown);
        decent(&d, Class::Unknown);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nobody_home_changes_nothing() {
    let moved = (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, "https://example.com/")]);
    for error in classes(nonsense(moved).await, &Timeouts::default()).await {
        decent(&error, Class::Fatal);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for error in classes(closed, &Timeouts::default()).await {
        decent(&error, Class::Transient);
    }
}

#[tokio::test]
async fn a_list_that_changed_between_its_pages_is_not_taken_for_whole() {
    let pagination = json!({ "page": 1, "next_page": null, "total_entries": 2 });
    let server = json!({ "id": 1, "name": "a", "status": "running" });
    let short = Json(json!({ "servers": [server], "meta": { "pagination": pagination } }));
    let (cloud, _) = clouds(nonsense(short).await, &Timeouts::default());
    let error = cloud.servers("").await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "{error:?}");
}

#[tokio::test]
async fn a_refusal_inside_a_reply_that_says_200_is_a_refusal() {
    let said =
        json!({ "success": false, "errors": [{ "code": 10000, "message": "Authentication error" }], "result": null });
    let (_, dns) = clouds(nonsense(Json(said)).await, &Timeouts::default());
    decent(&dns.prove_token().await.unwrap_err(), Class::Fatal);
    decent(&dns.records(&zone(), &["api.example.org".into()]).await.unwrap_err(), Class::Fatal);
}

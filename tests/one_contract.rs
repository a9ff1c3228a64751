//! The sandbox's two doors are one world: whatever goes wrong, the real providers over HTTP and the direct door give errors of
//! the same class and code, so that what is proved under virtual time is true of the real providers.

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

use relight::config::Timeouts;
use relight::providers::{Cloudflare, Hetzner, SystemClock};
use relight::sandbox::doors::direct::{Outside, Sandbox, ScriptedPerson, Tripwire};
use relight::sandbox::doors::{CloudflareDoor, HetznerDoor, Shape};
use relight::sandbox::model::{
    Caller, DnsToken, Fault, FaultKind, Latency, Matcher, Model, RecordChange, Shared, Start, TokenMay,
};
use relight::world::{
    ApiAt, Batch, Class, Clock, Cloud, Cluster, Dns, Error, FixedSecrets, Kind, Labels, NewRecord, Permit, Price,
    PrimaryIp, Result, Scope, Secret, Server, ServerSpec, ServerStatus, Target, ThingKind, ThingSpec,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Kubernetes is not asked here.
struct NoCluster;

#[async_trait::async_trait]
impl Cluster for NoCluster {
    async fn ready(&self, _: &ApiAt) -> Result<()> {
        Err(Error::fatal("not asked"))
    }
    async fn get(&self, _: &ApiAt, _: &Kind, _: Option<&str>, _: &str) -> Result<Option<Value>> {
        Err(Error::fatal("not asked"))
    }
    async fn list(&self, _: &ApiAt, _: &Kind, _: &Scope) -> Result<Vec<Value>> {
        Err(Error::fatal("not asked"))
    }
    async fn apply(&self, _: &Permit, _: &ApiAt, _: &Value, _: bool) -> Result<Value> {
        Err(Error::fatal("not asked"))
    }
    async fn merge(&self, _: &Permit, _: &ApiAt, _: &Kind, _: Option<&str>, _: &str, _: &Value) -> Result<Value> {
        Err(Error::fatal("not asked"))
    }
    async fn delete(&self, _: &Permit, _: &ApiAt, _: &Kind, _: Option<&str>, _: &str) -> Result<()> {
        Err(Error::fatal("not asked"))
    }
    async fn log_tail(&self, _: &ApiAt, _: &str, _: &str, _: &str, _: bool) -> Result<String> {
        Err(Error::fatal("not asked"))
    }
}

/// One world behind one of the doors.
struct Behind {
    model: Shared,
    cloud: Arc<dyn Cloud>,
    dns: Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
}

fn model(start: &Start) -> Model {
    let mut model = Model::new(start.seed, start.base, Latency::real(), start.now);
    model.add_project("live", &[(&start.cloud_token, TokenMay::Write)]);
    model.add_zone("example.org", "flexible", "live");
    model.set_dns_token(&start.dns_token, DnsToken::full(&["example.org"]));
    model.place_record("example.org", &RecordChange::address("www.example.org", "127.41.7.9", true, None));
    model
}

fn direct() -> Behind {
    let start = Start::default();
    let sandbox = Sandbox::direct(model(&start), &start);
    let wire = Tripwire::new();
    let person = Arc::new(ScriptedPerson::willing());
    let outside = Outside { cluster: Arc::new(NoCluster), secrets: Arc::new(FixedSecrets::default()), person };
    let world = sandbox.world(&wire, &sandbox.clock(&wire), outside);
    Behind { model: sandbox.model, cloud: world.cloud, dns: world.dns, clock: world.clock }
}

async fn http() -> Behind {
    // Fast, so that the wait for what hangs is short.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::faster(1000.0));
    let start = Start { now: clock.now(), ..Start::default() };
    let model = model(&start).shared();
    let door = HetznerDoor::new(model.clone(), clock.clone(), Shape::Late2026).router();
    let hetzner = format!("http://{}/v1", wire::open(door).await);
    let door = CloudflareDoor::new(model.clone(), clock.clone()).router();
    let cloudflare = format!("http://{}/client/v4", wire::open(door).await);
    let (timeouts, token) = (Timeouts::default(), |text: &str| Secret::new(text));
    let cloud = Hetzner::new(&hetzner, &token(&start.cloud_token), clock.clone(), &timeouts).unwrap();
    let dns = Cloudflare::new(&cloudflare, &token(&start.dns_token), clock.clone(), &timeouts).unwrap();
    Behind { model, cloud: Arc::new(cloud), dns: Arc::new(dns), clock }
}

/// What the engine acts upon.
type Verdict = (Class, Option<String>, Option<Duration>);

fn verdict(error: Error) -> Verdict {
    (error.class, error.code, error.retry_after)
}

fn spec(name: &str) -> ServerSpec {
    ServerSpec {
        name: name.into(),
        server_type: "cx33".into(),
        location: "nbg1".into(),
        image: "ubuntu-24.04".into(),
        ssh_keys: vec![],
        networks: vec![],
        firewalls: vec![],
        placement_group: None,
        address: None,
        user_data: String::new(),
        labels: Labels::default(),
    }
}

async fn create(behind: &Behind, spec: &ServerSpec) -> Result<Server> {
    let permit = Permit::for_a_test(Target::CloudNew { kind: "server", name: spec.name.clone() });
    behind.cloud.create_server(&permit, spec).await
}

async fn running(behind: &Behind, name: &str) -> i64 {
    let id = create(behind, &spec(name)).await.unwrap().id;
    while behind.cloud.server(id).await.unwrap().unwrap().status != ServerStatus::Running {
        behind.clock.sleep(Duration::from_millis(100)).await;
    }
    id
}

fn of(kind: &'static str, id: i64) -> Permit {
    Permit::for_a_test(Target::Cloud { kind, id })
}

fn plan(behind: &Behind, op: &str, kind: FaultKind) {
    behind.model.lock().unwrap().faults.plan(Fault::once(Matcher::op(op), kind));
}

/// Every way in which a change of the cloud can go wrong.
async fn cloud_goes_wrong(behind: &Behind) -> Vec<(String, Verdict)> {
    let mut seen = Vec::new();
    let again = |n: u64| FaultKind::TooMany(Duration::from_secs(n));
    let error = |status, applied| FaultKind::ServerError { status, applied };
    let kinds =
        [FaultKind::SoldOut, FaultKind::Quota, FaultKind::Locked, error(500, false), error(504, false), again(2)];
    for kind in kinds.into_iter().chain([FaultKind::ResetBefore]) {
        plan(behind, "cloud.server.create", kind.clone());
        seen.push((format!("create: {kind:?}"), verdict(create(behind, &spec("a")).await.unwrap_err())));
    }
    for kind in [FaultKind::ResetBefore, error(503, false)] {
        plan(behind, "cloud.servers.list", kind.clone());
        seen.push((format!("list: {kind:?}"), verdict(behind.cloud.servers("").await.unwrap_err())));
    }
    plan(behind, "cloud.server.create", FaultKind::LostReply);
    seen.push(("create: lost".into(), verdict(create(behind, &spec("a")).await.unwrap_err())));
    seen.push(("create: twin".into(), verdict(create(behind, &spec("a")).await.unwrap_err())));
    for (what, wrong) in [
        ("type", ServerSpec { server_type: "cx99".into(), ..spec("b") }),
        ("name", spec("not a name")),
        ("network", ServerSpec { networks: vec![77], ..spec("b") }),
        ("user data", ServerSpec { user_data: "x".repeat(40_000), ..spec("b") }),
    ] {
        seen.push((format!("create: wrong {what}"), verdict(create(behind, &wrong).await.unwrap_err())));
    }
    // Taken, and failed afterwards.
    for (name, op, code) in [
        ("d", "cloud.server.create", "resource_unavailable"),
        ("e", "cloud.server.create", "server_error"),
        ("g", "cloud.server.start", "server_error"),
    ] {
        plan(behind, op, FaultKind::ActionError(code.into()));
        let (class, told, after) = verdict(create(behind, &spec(name)).await.unwrap_err());
        assert_eq!(class == Class::Branch, code == "resource_unavailable", "{op}: {code} is {class:?}");
        seen.push((format!("{op}: {code}"), (class, told, after)));
    }
    let id = running(behind, "c").await;
    for kind in [FaultKind::ActionError("host_unreachable".into()), FaultKind::HungAction] {
        plan(behind, "cloud.server.protect", kind.clone());
        let end = behind.cloud.protect_server(&of("server", id), id, true).await;
        seen.push((format!("protect: {kind:?}"), verdict(end.unwrap_err())));
    }
    // The action that hangs keeps its server locked.
    let busy = behind.cloud.power_off(&of("server", id), id).await.unwrap_err();
    seen.push(("busy".into(), verdict(busy)));
    let protected = behind.cloud.delete_server(&of("server", id), id).await.unwrap_err();
    seen.push(("protected".into(), verdict(protected)));
    let name = "f".to_owned();
    let permit = Permit::for_a_test(Target::CloudNew { kind: "firewall", name });
    let firewall =
        behind.cloud.create_thing(&permit, "f", &ThingSpec::Firewall(vec![]), &Labels::default()).await.unwrap().id;
    behind.cloud.attach_firewall(&of("server", id), firewall, id).await.unwrap();
    let in_use = behind.cloud.delete_thing(&of("firewall", firewall), ThingKind::Firewall, firewall).await.unwrap_err();
    seen.push(("in use".into(), verdict(in_use)));
    let somebody = Caller::token(Start::default().cloud_token);
    let now = behind.clock.now();
    let selects = behind.model.lock().unwrap().select_for_firewall(now, &somebody, firewall, Some("!role"));
    assert!(selects.result.is_ok());
    let selected = verdict(behind.cloud.detach_firewall(&of("server", id), firewall, id).await.unwrap_err());
    assert_eq!((selected.0, selected.1.as_deref()), (Class::Refused, Some("firewall_managed_by_label_selector")));
    seen.push(("selected".into(), selected));
    let ip = behind.cloud.primary_ips().await.unwrap().into_iter().find(|ip| ip.assignee == Some(id)).unwrap().id;
    let assigned = behind.cloud.delete_primary_ip(&of("primary_ip", ip), ip).await.unwrap_err();
    seen.push(("assigned".into(), verdict(assigned)));
    let running = verdict(behind.cloud.unassign_primary_ip(&of("primary_ip", ip), ip).await.unwrap_err());
    assert_eq!((running.0, running.1.as_deref()), (Class::Refused, Some("server_not_stopped")));
    seen.push(("unassign from a running server".into(), running));
    let kept = behind.model.lock().unwrap().place_primary_ip("live", "kept", "nbg1", Labels::default()).unwrap().id;
    let theirs: Labels = [("of".to_owned(), "somebody".to_owned())].into();
    for kind in [again(2), FaultKind::ResetBefore, error(500, false), FaultKind::LostReply] {
        plan(behind, "cloud.primary_ip.update", kind.clone());
        let end = behind.cloud.label_primary_ip(&of("primary_ip", kept), kept, &theirs).await;
        seen.push((format!("label address: {kind:?}"), verdict(end.unwrap_err())));
        plan(behind, "cloud.primary_ip.update", kind.clone());
        let end = behind.cloud.keep_primary_ip(&of("primary_ip", kept), kept, "kept", &theirs).await;
        seen.push((format!("keep address: {kind:?}"), verdict(end.unwrap_err())));
        plan(behind, "cloud.primary_ip.unassign", kind.clone());
        let end = behind.cloud.unassign_primary_ip(&of("primary_ip", kept), kept).await;
        seen.push((format!("unassign: {kind:?}"), verdict(end.unwrap_err())));
        plan(behind, "cloud.firewall.update", kind.clone());
        let end = behind.cloud.label_firewall(&of("firewall", firewall), firewall, &theirs).await;
        seen.push((format!("label firewall: {kind:?}"), verdict(end.unwrap_err())));
        plan(behind, "cloud.primary_ip.delete", kind.clone());
        let end = behind.cloud.delete_primary_ip(&of("primary_ip", kept), kept).await;
        seen.push((format!("delete address: {kind:?}"), verdict(end.unwrap_err())));
    }
    behind.cloud.delete_primary_ip(&of("primary_ip", kept), kept).await.expect("a look settles it: it is gone");
    let nowhere = behind.cloud.power_on(&of("server", 1), 1).await.unwrap_err();
    seen.push(("not found".into(), verdict(nowhere)));
    seen
}

fn record(kind: &str, name: &str, content: &str) -> NewRecord {
    let (kind, name, content) = (kind.to_owned(), name.to_owned(), content.to_owned());
    NewRecord { kind, name, content, proxied: true, ttl: 1, comment: "relight".into() }
}

/// Every way in which a change of records can go wrong.
async fn dns_goes_wrong(behind: &Behind) -> Vec<(String, Verdict)> {
    let mut seen = Vec::new();
    let zone = behind.dns.zone("example.org").await.unwrap().unwrap();
    let names = vec!["www.example.org".to_owned()];
    let permit = Permit::for_a_test(Target::Dns { zone: zone.name.clone(), names });
    let post = |kind, content| Batch { posts: vec![record(kind, "www.example.org", content)], ..Batch::default() };
    let faults = [
        FaultKind::ServerError { status: 500, applied: false },
        FaultKind::ResetBefore,
        FaultKind::TooMany(Duration::from_secs(2)),
        FaultKind::LostReply,
    ];
    for kind in faults {
        plan(behind, "dns.batch", kind.clone());
        let end = behind.dns.change(&permit, &zone, &post("A", "127.41.7.10")).await;
        seen.push((format!("{kind:?}"), verdict(end.unwrap_err())));
    }
    for (what, batch) in [
        ("identical", post("A", "127.41.7.10")),
        ("malformed", post("A", "nonsense")),
        ("excluded", post("CNAME", "example.com")),
        ("gone", Batch { deletes: vec!["0".repeat(32)], ..Batch::default() }),
    ] {
        seen.push((what.into(), verdict(behind.dns.change(&permit, &zone, &batch).await.unwrap_err())));
    }
    behind.model.lock().unwrap().set_dns_token("sandbox-dns-token", DnsToken::default());
    seen.push(("not active".into(), (behind.dns.zone("example.org").await.unwrap_err().class, None, None)));
    seen
}

/// Under virtual time behind the direct door, on a fast clock behind the other.
fn both<T>(story: &impl AsyncFn(&Behind) -> T) -> (T, T) {
    let runtime =
        |paused| tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap();
    let one = runtime(true).block_on(async { story(&direct()).await });
    (one, runtime(false).block_on(async { story(&http().await).await }))
}

/// What the addresses of a project with a server and a kept address are, in words without ids.
async fn addresses(behind: &Behind) -> Vec<String> {
    let id = running(behind, "a").await;
    let labels: Labels = [("who".to_owned(), "me".to_owned())].into();
    behind.model.lock().unwrap().place_primary_ip("live", "kept", "hel1", labels).unwrap();
    let all = behind.cloud.primary_ips().await.unwrap();
    let words = |ip: &PrimaryIp| {
        let on = ip.assignee.map(|server| server == id);
        format!("{} {} {:?} {on:?} {}", ip.name == "kept", ip.location, ip.labels, ip.auto_delete)
    };
    all.iter().map(words).collect()
}

/// An address that goes from one server to the next, and what is refused on the way.
async fn taken_up(behind: &Behind) -> Vec<String> {
    let of = |kind, id| Permit::for_a_test(Target::Cloud { kind, id });
    let first = running(behind, "first").await;
    let on = |ip: &PrimaryIp| ip.assignee == Some(first);
    let ip = behind.cloud.primary_ips().await.unwrap().into_iter().find(on).unwrap();
    let labels: Labels = [("who".to_owned(), "me".to_owned())].into();
    behind.cloud.keep_primary_ip(&of("primary_ip", ip.id), ip.id, "kept", &labels).await.unwrap();
    let mut seen = Vec::new();
    let with = |location: &str| ServerSpec { address: Some(ip.id), location: location.into(), ..spec("second") };
    seen.push(format!("{:?}", verdict(create(behind, &with("nbg1")).await.unwrap_err())));
    behind.cloud.power_off(&of("server", first), first).await.unwrap();
    behind.cloud.unassign_primary_ip(&of("primary_ip", ip.id), ip.id).await.unwrap();
    seen.push(format!("{:?}", verdict(create(behind, &with("hel1")).await.unwrap_err())));
    let second = create(behind, &with("nbg1")).await.unwrap();
    assert_eq!(second.public_ip, Some(ip.address));
    assert_eq!(behind.cloud.server(first).await.unwrap().unwrap().public_ip, None);
    let twice = behind.cloud.unassign_primary_ip(&of("primary_ip", ip.id), ip.id).await.unwrap_err();
    seen.push(format!("{:?}", verdict(twice)));
    seen.extend(
        behind
            .cloud
            .primary_ips()
            .await
            .unwrap()
            .iter()
            .map(|ip| format!("{} {:?} {}", ip.name, ip.labels, ip.auto_delete)),
    );
    seen
}

#[test]
fn an_address_goes_from_one_server_to_the_next_alike_through_both_doors() {
    let (one, two) = both(&taken_up);
    assert_eq!(one.len(), 4, "{one:?}");
    assert!(one[0].contains("primary_ip_assigned") && one[1].contains("primary_ip_datacenter_mismatch"), "{one:?}");
    assert_eq!(one[3], "kept {\"who\": \"me\"} false");
    assert_eq!(one, two);
}

#[test]
fn the_addresses_of_a_project_are_the_same_through_both_doors() {
    let (one, two) = both(&addresses);
    assert_eq!(one, ["false nbg1 {} Some(true) true", "true hel1 {\"who\": \"me\"} None false"]);
    assert_eq!(one, two);
}

/// The price list to the hundredth of a cent: the texts on the wire are rounded.
async fn prices(behind: &Behind) -> Vec<String> {
    let list = behind.cloud.prices().await.unwrap();
    let words =
        |p: &Price| format!("{:.4} {:.4} {:.4} {:.4}", p.hourly.net, p.hourly.gross, p.monthly.net, p.monthly.gross);
    let types = list.server_types.iter().map(|((name, place), price)| format!("{name} {place} {}", words(price)));
    let addresses = list.primary_ipv4.iter().map(|(place, price)| format!("{place} {}", words(price)));
    std::iter::once(list.currency.clone()).chain(types).chain(addresses).collect()
}

#[test]
fn an_hour_and_a_month_cost_the_same_through_both_doors() {
    let (one, two) = both(&prices);
    assert!(one.contains(&"cx33 nbg1 0.0104 0.0124 6.4900 7.7231".to_owned()), "{one:?}");
    assert!(one.contains(&"nbg1 0.0008 0.0010 0.5000 0.5950".to_owned()), "{one:?}");
    assert_eq!(one, two);
}

#[test]
fn what_goes_wrong_in_the_cloud_has_the_same_class_and_code_through_both_doors() {
    let (one, two) = both(&cloud_goes_wrong);
    assert!(one.len() > 15);
    assert_eq!(one, two);
}

#[test]
fn what_goes_wrong_in_dns_has_the_same_class_and_code_through_both_doors() {
    let (one, two) = both(&dns_goes_wrong);
    assert!(one.len() > 8);
    assert_eq!(one, two);
}

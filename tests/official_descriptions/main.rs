//! Everything that relight says to Hetzner and Cloudflare, and everything that the sandbox answers, keeps to the official API
//! descriptions: the real providers talk to the sandbox's doors, and each request and each reply is validated.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

#[path = "../support/description.rs"]
mod description;
#[path = "../support/wire.rs"]
mod wire;

mod dns;
mod refused;

use description::{Description, Exchange};
use relight::config::Timeouts;
use relight::providers::{Hetzner, SystemClock};
use relight::sandbox::doors::{HetznerDoor, Shape};
use relight::sandbox::model::{DnsToken, Latency, Model, Shared, TokenMay};
use relight::world::{
    Class, Clock, Cloud, FirewallRule, Labels, Permit, Secret, ServerSpec, ServerStatus, Target, ThingKind, ThingSpec,
};
use std::net::Ipv4Addr;
use std::sync::Arc;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF1mjkUO3qnEtHLZhcZYcPbZ4q7pGJQ5Vd6JzDmqVqCx";

/// A clock fast enough that a server is up in milliseconds, and a model that lives by it.
fn world() -> (Arc<dyn Clock>, Shared) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::faster(2000.0));
    let mut model = Model::new(7, Ipv4Addr::new(127, 91, 1, 0), Latency::real(), clock.now());
    model.add_project("live", &[("write-token", TokenMay::Write), ("read-token", TokenMay::Read)]);
    model.add_zone("example.org", "flexible", "live");
    model.set_dns_token("dns-token", DnsToken::full(&["example.org"]));
    model.set_dns_token("cfat_account-token", DnsToken::full(&["example.org"]));
    model.set_dns_token("reading", DnsToken { edit: false, settings: false, ..DnsToken::full(&["example.org"]) });
    (clock, model.shared())
}

fn labels(run: &str) -> Labels {
    [("managed-by".to_owned(), "relight".to_owned()), ("relight-run".to_owned(), run.to_owned())].into()
}

fn new(kind: &'static str, name: &str) -> Permit {
    Permit::for_a_test(Target::CloudNew { kind, name: name.to_owned() })
}

fn old(kind: &'static str, id: i64) -> Permit {
    Permit::for_a_test(Target::Cloud { kind, id })
}

fn rule(protocol: &str, port: Option<&str>) -> FirewallRule {
    FirewallRule {
        direction: "in".into(),
        protocol: protocol.into(),
        port: port.map(str::to_owned),
        addresses: vec!["0.0.0.0/0".into(), "::/0".into()],
        description: "a rule".into(),
    }
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
        user_data: "#cloud-config\n{}".into(),
        labels: labels("r1"),
    }
}

/// Makes one of each thing and a server with all of them; returns the server's id and the things' ids.
async fn build(cloud: &dyn Cloud) -> (i64, Vec<(ThingKind, i64)>) {
    let network = ThingSpec::Network { range: "10.0.0.0/16".into(), zone: "eu-central".into() };
    let wanted = [
        ThingSpec::SshKey(KEY.into()),
        network,
        ThingSpec::Firewall(vec![rule("tcp", Some("22")), rule("icmp", None)]),
        ThingSpec::PlacementGroup,
    ];
    let mut made = Vec::new();
    for thing in &wanted {
        let kind = thing.kind();
        let one = cloud.create_thing(&new(kind.word(), "demo"), "demo", thing, &labels("r1")).await.unwrap();
        assert_eq!(&one.spec, thing);
        let listed = cloud.things(kind, "relight-run==r1").await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&one), "what was made is what is listed");
        made.push((kind, one.id));
    }
    let id = |kind| made.iter().find(|(k, _)| *k == kind).map(|(_, id)| *id).unwrap();
    let order = ServerSpec {
        ssh_keys: vec![id(ThingKind::SshKey)],
        networks: vec![id(ThingKind::Network)],
        firewalls: vec![id(ThingKind::Firewall)],
        placement_group: Some(id(ThingKind::PlacementGroup)),
        ..spec("demo-node-1")
    };
    let server = cloud.create_server(&new("server", "demo-node-1"), &order).await.unwrap();
    assert_eq!((server.location.as_str(), server.server_type.as_str()), ("nbg1", "cx33"));
    assert!(server.public_ip.is_some() && server.private_ips.len() == 1);
    assert_eq!(server.placement_group, Some(id(ThingKind::PlacementGroup)));
    (server.id, made)
}

async fn running(cloud: &dyn Cloud, clock: &dyn Clock, id: i64) {
    while cloud.server(id).await.unwrap().unwrap().status != ServerStatus::Running {
        clock.sleep(std::time::Duration::from_millis(500)).await;
    }
}

/// Everything that relight may ever ask of the cloud, refusals included.
async fn live_a_whole_life(cloud: &dyn Cloud, reader: &dyn Cloud, clock: &dyn Clock) {
    cloud.prove_writable().await.unwrap();
    assert!(reader.prove_writable().await.unwrap_err().is("token_readonly"));
    let (id, made) = build(cloud).await;
    running(cloud, clock, id).await;
    let twin = cloud.create_server(&new("server", "demo-node-1"), &spec("demo-node-1")).await.unwrap_err();
    assert!(twin.is("uniqueness_error") && twin.class == Class::Refused);
    cloud.power_off(&old("server", id), id).await.unwrap();
    assert_eq!(cloud.server(id).await.unwrap().unwrap().status, ServerStatus::Off);
    cloud.power_on(&old("server", id), id).await.unwrap();
    cloud.update_server(&old("server", id), id, "demo-node-1-old", &labels("r2")).await.unwrap();
    let renamed = cloud.servers("relight-run=r2,managed-by in (relight)").await.unwrap();
    assert_eq!(renamed.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["demo-node-1-old"]);
    cloud.protect_server(&old("server", id), id, true).await.unwrap();
    assert!(cloud.delete_server(&old("server", id), id).await.unwrap_err().is("protected"));
    let firewall = made.iter().find(|(kind, _)| *kind == ThingKind::Firewall).unwrap().1;
    cloud.set_firewall_rules(&old("firewall", firewall), firewall, &[rule("udp", Some("8472"))]).await.unwrap();
    cloud.attach_firewall(&old("server", id), firewall, id).await.unwrap();
    behind_the_fence(cloud, id).await;
    let in_use = cloud.delete_thing(&old("firewall", firewall), ThingKind::Firewall, firewall).await.unwrap_err();
    assert!(in_use.is("resource_in_use"));
    let address = cloud.primary_ips().await.unwrap().remove(0);
    cloud.label_firewall(&old("firewall", firewall), firewall, &labels("r3")).await.unwrap();
    cloud.label_primary_ip(&old("primary_ip", address.id), address.id, &labels("r3")).await.unwrap();
    assert_eq!(cloud.things(ThingKind::Firewall, "relight-run=r3").await.unwrap()[0].id, firewall);
    assert_eq!(
        cloud.primary_ips().await.unwrap()[0],
        relight::world::PrimaryIp { labels: labels("r3"), ..address.clone() }
    );
    kept_and_taken_up(cloud, clock, &labels("r4")).await;
    let server = cloud.server(id).await.unwrap().unwrap();
    assert_eq!((Some(address.address), address.assignee, address.auto_delete), (server.public_ip, Some(id), true));
    assert_eq!(address.location, "nbg1");
    let assigned = cloud.delete_primary_ip(&old("primary_ip", address.id), address.id).await.unwrap_err();
    assert!(assigned.is("must_be_unassigned") && assigned.class == Class::Refused);
    cloud.protect_server(&old("server", id), id, false).await.unwrap();
    cloud.delete_server(&old("server", id), id).await.unwrap();
    assert_eq!(cloud.server(id).await.unwrap(), None);
    cloud.delete_server(&old("server", id), id).await.unwrap();
    for (kind, id) in made {
        cloud.delete_thing(&old(kind.word(), id), kind, id).await.unwrap();
        assert!(cloud.things(kind, "").await.unwrap().is_empty());
    }
    let types = cloud.server_types(&["cx33".into(), "cax21".into()]).await.unwrap();
    assert_eq!(types.len(), 2);
    assert!(types.iter().all(|t| t.locations.iter().all(|l| l.available && l.monthly > 0.0)));
    let prices = cloud.prices().await.unwrap();
    assert!(prices.server_types.len() > 2 && prices.primary_ipv4.contains_key("nbg1"), "{prices:?}");
    let (hour, with_address) = (prices.hourly("cx33", "nbg1", false), prices.hourly("cx33", "nbg1", true));
    assert!(hour.unwrap().net > 0.0 && with_address.unwrap().gross > hour.unwrap().gross, "{prices:?}");
    assert!(cloud.image_exists("ubuntu-24.04", "x86").await.unwrap());
    assert!(!cloud.image_exists("ubuntu-99.04", "arm").await.unwrap());
    assert_eq!(cloud.primary_ips().await.unwrap(), [], "they went with their servers");
}

/// An address that outlives its server: kept, taken off where the server is off, and taken up by the next.
async fn kept_and_taken_up(cloud: &dyn Cloud, clock: &dyn Clock, of: &Labels) {
    let first = cloud.create_server(&new("server", "demo-kept"), &spec("demo-kept")).await.unwrap().id;
    running(cloud, clock, first).await;
    let on = |id: i64, all: Vec<relight::world::PrimaryIp>| all.into_iter().find(|ip| ip.assignee == Some(id)).unwrap();
    let ip = on(first, cloud.primary_ips().await.unwrap());
    cloud.keep_primary_ip(&old("primary_ip", ip.id), ip.id, "demo-kept", of).await.unwrap();
    let order = ServerSpec { address: Some(ip.id), ..spec("demo-taker") };
    let taken = cloud.create_server(&new("server", "demo-taker"), &order).await.unwrap_err();
    assert!(taken.is("primary_ip_assigned") && taken.class == Class::Refused, "{taken:?}");
    let running_still = cloud.unassign_primary_ip(&old("primary_ip", ip.id), ip.id).await.unwrap_err();
    assert!(running_still.is("server_not_stopped") && running_still.class == Class::Refused, "{running_still:?}");
    cloud.power_off(&old("server", first), first).await.unwrap();
    cloud.unassign_primary_ip(&old("primary_ip", ip.id), ip.id).await.unwrap();
    assert_eq!(cloud.server(first).await.unwrap().unwrap().public_ip, None);
    let elsewhere = ServerSpec { location: "fsn1".into(), ..order.clone() };
    let elsewhere = cloud.create_server(&new("server", "demo-taker"), &elsewhere).await.unwrap_err();
    assert!(elsewhere.is("primary_ip_datacenter_mismatch"), "{elsewhere:?}");
    let second = cloud.create_server(&new("server", "demo-taker"), &order).await.unwrap();
    assert_eq!(second.public_ip, Some(ip.address));
    running(cloud, clock, second.id).await;
    for id in [first, second.id] {
        cloud.delete_server(&old("server", id), id).await.unwrap();
    }
    let kept = cloud.primary_ips().await.unwrap().into_iter().find(|one| one.id == ip.id).unwrap();
    assert_eq!((kept.name.as_str(), &kept.labels, kept.assignee, kept.auto_delete), ("demo-kept", of, None, false));
    cloud.delete_primary_ip(&old("primary_ip", ip.id), ip.id).await.unwrap();
}

/// The fence: a firewall whose one rule goes out to nowhere, alone on the server; and the way back.
async fn behind_the_fence(cloud: &dyn Cloud, id: i64) {
    let nowhere = FirewallRule {
        direction: "out".into(),
        protocol: "icmp".into(),
        port: None,
        addresses: vec!["192.0.2.1/32".into()],
        description: "nowhere".into(),
    };
    let spec = ThingSpec::Firewall(vec![nowhere]);
    let wall = cloud.create_thing(&new("firewall", "demo-fence"), "demo-fence", &spec, &labels("r1")).await.unwrap();
    assert_eq!(wall.spec, spec);
    let before = cloud.server(id).await.unwrap().unwrap().firewalls;
    cloud.attach_firewall(&old("server", id), wall.id, id).await.unwrap();
    for firewall in &before {
        cloud.detach_firewall(&old("server", id), *firewall, id).await.unwrap();
        cloud.detach_firewall(&old("server", id), *firewall, id).await.unwrap();
    }
    assert_eq!(cloud.server(id).await.unwrap().unwrap().firewalls, [wall.id]);
    for firewall in &before {
        cloud.attach_firewall(&old("server", id), *firewall, id).await.unwrap();
    }
    cloud.detach_firewall(&old("server", id), wall.id, id).await.unwrap();
    assert_eq!(cloud.server(id).await.unwrap().unwrap().firewalls, before);
    cloud.delete_thing(&old("firewall", wall.id), ThingKind::Firewall, wall.id).await.unwrap();
}

/// Addresses that nobody's server has: more than a page of them, and one that goes.
async fn keep_addresses(cloud: &dyn Cloud, model: &Shared) {
    for n in 0..60 {
        model.lock().unwrap().place_primary_ip("live", &format!("kept-{n}"), "hel1", labels("r1")).unwrap();
    }
    let kept = cloud.primary_ips().await.unwrap();
    assert_eq!(kept.len(), 60);
    let gone = &kept[59];
    assert_eq!((gone.name.as_str(), gone.location.as_str(), &gone.labels), ("kept-59", "hel1", &labels("r1")));
    assert_eq!((gone.assignee, gone.auto_delete), (None, false));
    cloud.delete_primary_ip(&old("primary_ip", gone.id), gone.id).await.unwrap();
    cloud.delete_primary_ip(&old("primary_ip", gone.id), gone.id).await.unwrap();
    assert_eq!(cloud.primary_ips().await.unwrap(), kept[..59]);
}

fn hold(description: &Description, log: &wire::Log, proof: impl Fn(&Exchange) -> bool, at_least: usize) {
    let log = log.lock().unwrap();
    let complaints: Vec<String> = log.iter().flat_map(|e| description.complaints(e, proof(e))).collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
    assert!(log.len() >= at_least, "only {} exchanges", log.len());
    println!("{} exchanges: {:?}", log.len(), Description::coverage(&log));
}

async fn hetzner_keeps_to(description: Description, shape: Shape) {
    let (clock, model) = world();
    let door = HetznerDoor::new(model.clone(), clock.clone(), shape).router();
    let (address, log) = wire::open_recorded(door, "/v1").await;
    let base = format!("http://{address}/v1");
    let with = |token: &str| Hetzner::new(&base, &Secret::new(token), clock.clone(), &Timeouts::default()).unwrap();
    live_a_whole_life(&with("write-token"), &with("read-token"), &*clock).await;
    refused::by_the_cloud(&with("write-token"), &model, &*clock).await;
    keep_addresses(&with("write-token"), &model).await;
    refused::page_by_page(&with("write-token"), &model, &log).await;
    hold(&description, &log, |_| false, 100);
}

#[tokio::test]
async fn the_cloud_is_spoken_to_and_answers_as_hetzner_describes_it() {
    hetzner_keeps_to(Description::hetzner(), Shape::December2025).await;
}

#[tokio::test]
async fn the_cloud_is_spoken_to_and_answers_as_hetzner_describes_it_at_the_end_of_2026() {
    hetzner_keeps_to(Description::hetzner_late_2026(), Shape::Late2026).await;
}

#[tokio::test]
async fn what_the_older_shape_sends_would_be_noticed_in_the_newer_one() {
    let (clock, model) = world();
    let door = HetznerDoor::new(model, clock.clone(), Shape::December2025).router();
    let (address, log) = wire::open_recorded(door, "/v1").await;
    let base = format!("http://{address}/v1");
    let cloud = Hetzner::new(&base, &Secret::new("write-token"), clock, &Timeouts::default()).unwrap();
    cloud.create_server(&new("server", "demo-node-1"), &spec("demo-node-1")).await.unwrap();
    let log = log.lock().unwrap();
    let complaints = Description::hetzner_late_2026().complaints(&log[0], false);
    assert!(complaints.iter().any(|c| c.contains("datacenter")), "{complaints:?}");
    let mut broken = log[0].clone();
    broken.request.as_mut().unwrap()["server_type"] = 3.into();
    broken.query.push(("pages".into(), "1".into()));
    let complaints = Description::hetzner().complaints(&broken, false).join("\n");
    assert!(complaints.contains("server_type") && complaints.contains("pages"), "{complaints}");
}

//! The direct door holds the world's contract: classes of errors, permits, virtual time, and death at any point.

use super::{Keep, Outside, Sandbox, ScriptedPerson, Tripwire};
use crate::sandbox::model::{lock, Fault, FaultKind, Matcher, Model, Start, TokenMay};
use crate::world::*;
use russh::keys::ssh_key::{private::Ed25519Keypair, LineEnding, PrivateKey};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn sandbox() -> Sandbox {
    let start = Start::default();
    let mut model = Model::new(start.seed, start.base, start.latency.clone(), start.now);
    model.add_project("live", &[(&start.cloud_token, TokenMay::Write), ("reader", TokenMay::Read)]);
    model.add_zone("demo.example", "flexible", "live");
    model.set_dns_token(&start.dns_token, crate::sandbox::model::DnsToken::full(&["demo.example"]));
    Sandbox::direct(model, &start)
}

pub(super) fn world(sandbox: &Sandbox, wire: &Tripwire) -> World {
    let clock = sandbox.clock(wire);
    let outside = Outside {
        cluster: sandbox.cluster(wire, &clock),
        secrets: Arc::new(FixedSecrets::default()),
        person: Arc::new(ScriptedPerson::willing()),
    };
    sandbox.world(wire, &clock, outside)
}

pub(super) fn identity() -> (Secret, String) {
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
    let private = key.to_openssh(LineEnding::LF).unwrap().to_string();
    (Secret::new(private), key.public_key().to_openssh().unwrap())
}

pub(super) fn spec(name: &str) -> ServerSpec {
    let user = json!({"users": [{"name": "deploy", "ssh_authorized_keys": [identity().1]}]});
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
        user_data: format!("#cloud-config\n{user}"),
        labels: [(RUN.to_owned(), "run1".to_owned()), (STEP.to_owned(), format!("server.{name}"))].into(),
    }
}

pub(super) fn permit(target: Target) -> Permit {
    Permit::issue(target, "server[a]", "run1", 1)
}

pub(super) fn new_server(name: &str) -> Permit {
    permit(Target::CloudNew { kind: "server", name: name.into() })
}

pub(super) async fn running(world: &World, id: i64) -> Server {
    loop {
        let server = world.cloud.server(id).await.unwrap().unwrap();
        if server.status == ServerStatus::Running {
            return server;
        }
        world.clock.sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_made_and_hardened_in_virtual_time() {
    let sandbox = sandbox();
    let world = world(&sandbox, &Tripwire::new());
    let began = world.clock.now();
    let made = world.cloud.create_server(&new_server("a"), &spec("a")).await.unwrap();
    let at = IpAddr::V4(running(&world, made.id).await.public_ip.unwrap());
    let key = loop {
        match world.shell.seen_host_key(at).await.unwrap() {
            Some(key) => break key,
            None => world.clock.sleep(Duration::from_secs(1)).await,
        }
    };
    let host = Host {
        address: at,
        user: "deploy".into(),
        host_keys: vec!["ssh-ed25519 other".into()],
        identity: Identity::Key(identity().0),
    };
    let script = |verb: &str| Script {
        name: "harden.sh".into(),
        body: "body".into(),
        verb: verb.into(),
        input: BTreeMap::from([
            ("DEPLOY_USER".to_owned(), Secret::new("deploy")),
            ("AUTHORIZED_KEYS".to_owned(), Secret::new(identity().1)),
        ]),
    };
    assert_eq!(world.shell.look(&host, &script("check")).await.unwrap_err().class, Class::Fatal, "another host key");
    let host = Host { host_keys: vec![key], ..host };
    assert_eq!(world.shell.look(&host, &script("check")).await.unwrap().value("state"), Some("absent"));
    let stranger = permit(Target::Node { address: "127.41.7.99".parse().unwrap() });
    assert_eq!(world.shell.run(&stranger, &host, &script("apply")).await.unwrap_err().class, Class::Fatal);
    let leave = permit(Target::Node { address: at });
    lock(&sandbox.model).faults.plan(Fault::once(Matcher::op("node.harden.sh.apply"), FaultKind::SshDrop));
    assert_eq!(world.shell.run(&leave, &host, &script("apply")).await.unwrap_err().class, Class::Unknown);
    let ended = world.shell.run(&leave, &host, &script("apply")).await.unwrap();
    assert_eq!((ended.exit, ended.value("state")), (0, Some("armed")));
    world.shell.reconnect(&host).await.unwrap();
    let ended = world.shell.run(&leave, &host, &script("confirm")).await.unwrap();
    assert_eq!(ended.value("state"), Some("as-specified"));
    assert_eq!(lock(&sandbox.model).ledger.count("node.harden.sh.apply"), 1, "the second call joined the first");
    let took = world.clock.now().saturating_sub(began);
    assert!(took > Duration::from_secs(40) && took < Duration::from_secs(70), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_class_that_says_what_to_do() {
    let sandbox = sandbox();
    let world = world(&sandbox, &Tripwire::new());
    let wait = Duration::from_secs(7);
    let cases = [
        (FaultKind::SoldOut, Class::Branch),
        (FaultKind::NotSoldThere, Class::Branch),
        (FaultKind::TooMany(wait), Class::Transient),
        (FaultKind::Locked, Class::Transient),
        (FaultKind::Quota, Class::Fatal),
        (FaultKind::ResetBefore, Class::Unknown),
        (FaultKind::ServerError { status: 500, applied: false }, Class::Unknown),
        (FaultKind::ServerError { status: 502, applied: true }, Class::Unknown),
    ];
    for (kind, class) in cases {
        let fault = lock(&sandbox.model).faults.plan(Fault::once(Matcher::op("cloud.server.create"), kind.clone()));
        let error = world.cloud.create_server(&new_server("a"), &spec("a")).await.unwrap_err();
        assert_eq!(error.class, class, "{kind:?}: {error}");
        assert_eq!(error.retry_after, (kind == FaultKind::TooMany(wait)).then_some(wait));
        assert_eq!(lock(&sandbox.model).faults.fired(fault), 1);
    }
    let taken = world.cloud.create_server(&new_server("a"), &spec("a")).await.unwrap_err();
    assert_eq!((taken.class, taken.code.as_deref()), (Class::Refused, Some("uniqueness_error")), "502 was applied");
    lock(&sandbox.model).faults.plan(Fault::once(Matcher::op("cloud.servers.list"), FaultKind::ResetBefore));
    assert_eq!(world.cloud.servers("").await.unwrap_err().class, Class::Transient, "a look is repeated");
    assert_eq!(world.cloud.create_server(&new_server("b"), &spec("a")).await.unwrap_err().class, Class::Fatal);
}

#[tokio::test(start_paused = true)]
async fn a_read_only_token_is_found_out_before_any_effect() {
    let sandbox = sandbox();
    let start = Start::default();
    let mistaken = sandbox.with_tokens("reader", "unknown");
    let reader = world(&mistaken, &Tripwire::new());
    let error = reader.cloud.prove_writable().await.unwrap_err();
    assert!(error.class == Class::Fatal && error.is("token_readonly") && !error.remedy.is_empty(), "{error:?}");
    assert_eq!(reader.dns.prove_token().await.unwrap_err().class, Class::Fatal);
    let right = world(&sandbox.with_tokens(&start.cloud_token, &start.dns_token), &Tripwire::new());
    right.cloud.prove_writable().await.unwrap();
    right.dns.prove_token().await.unwrap();
    let zone = right.dns.zone("demo.example").await.unwrap().unwrap();
    right.dns.prove_writable(&zone).await.unwrap();
    assert_eq!(right.dns.ssl_mode(&zone).await.unwrap().as_deref(), Some("flexible"));
    assert!(lock(&sandbox.model).ledger.applied().next().is_none());
}

/// What a careful process does: intent on disk, then the effect; nothing where the server is there already.
async fn story(world: &World) {
    let found = world.cloud.servers("").await.unwrap();
    if found.is_empty() {
        world.files.append("journal", b"intent\n").await.unwrap();
        world.files.sync("journal").await.unwrap();
        world.cloud.create_server(&new_server("a"), &spec("a")).await.unwrap();
    }
    world.files.write("done", b"yes").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_dies_at_any_point_has_no_later_effect() {
    let whole = Tripwire::new();
    story(&world(&sandbox(), &whole)).await;
    let points = whole.points();
    assert_eq!(points.len(), 9, "{points:?}");
    for (index, point) in points.iter().enumerate() {
        for keep in [Keep::Nothing, Keep::Half, Keep::All] {
            let sandbox = sandbox();
            let wire = Tripwire::at(index);
            let first = world(&sandbox, &wire);
            tokio::select! {
                biased;
                () = story(&first) => panic!("it outlived {point}"),
                () = wire.died() => {}
            }
            assert_eq!(wire.points().last(), Some(point));
            let before = lock(&sandbox.model).ledger.entries.len();
            let later = tokio::time::timeout(Duration::from_secs(60), first.cloud.servers("")).await;
            assert!(later.is_err(), "a dead process is told nothing");
            assert_eq!(lock(&sandbox.model).ledger.entries.len(), before);
            sandbox.disk.crash(keep);
            let intent = sandbox.disk.read("journal").unwrap_or_default();
            let made = lock(&sandbox.model).ledger.count("cloud.server.create");
            assert!(made == 0 || intent == b"intent\n", "{point}: an effect without an intent on disk");
            story(&world(&sandbox, &Tripwire::new())).await;
            let model = lock(&sandbox.model);
            assert_eq!(model.ledger.count("cloud.server.create"), 1, "{point}");
            assert_eq!(sandbox.disk.read("done").as_deref(), Some(b"yes".as_slice()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_disk_forgets_what_was_not_synced_and_may_be_full() {
    let sandbox = sandbox();
    let files = world(&sandbox, &Tripwire::new()).files;
    files.append("journal", b"one\n").await.unwrap();
    files.sync("journal").await.unwrap();
    files.append("journal", b"two\n").await.unwrap();
    assert_eq!(files.read("journal").await.unwrap().unwrap(), b"one\ntwo\n");
    files.append("new", b"x").await.unwrap();
    sandbox.disk.crash(Keep::Nothing);
    assert_eq!(files.read("journal").await.unwrap().unwrap(), b"one\n");
    assert_eq!(files.read("new").await.unwrap(), None);
    files.cut("journal", 2).await.unwrap();
    assert_eq!(files.read("journal").await.unwrap().unwrap(), b"on");
    sandbox.disk.full_from_sync(Some(sandbox.disk.syncs() + 2));
    files.sync("journal").await.unwrap();
    assert_eq!(files.sync("journal").await.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert!(files.write("other", b"x").await.is_err());
    sandbox.disk.full_from_sync(None);
    files.write("other", b"x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_later_process_goes_on_where_time_and_randomness_are() {
    let sandbox = sandbox();
    let first = world(&sandbox, &Tripwire::new());
    let mut one = [0; 8];
    first.random.fill(&mut one);
    first.clock.sleep(Duration::from_secs(100)).await;
    first.cloud.servers("").await.unwrap();
    let second = world(&sandbox, &Tripwire::new());
    let mut two = [0; 8];
    second.random.fill(&mut two);
    assert_ne!(one, two);
    assert!(second.clock.now() >= Start::default().now + Duration::from_secs(100));
}

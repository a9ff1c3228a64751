//! K3s clusters on modelled machines, and the accounts of what was made.

use crate::outside::*;
use relight::sandbox::model::*;
use relight::world::Labels;
use serde_json::json;
use std::net::Ipv4Addr;
use std::time::Duration;

fn k3s_input(out: &Outside, role: &str, own: Ipv4Addr, first: Ipv4Addr, token: &str) -> Vec<(&'static str, String)> {
    let mut config = json!({"token": token, "node-ip": own.to_string(), "secrets-encryption": true});
    match role {
        "first" => config["cluster-init"] = json!(true),
        _ => config["server"] = json!(format!("https://{first}:6443")),
    }
    let sha = out.model.release_digest(VERSION, "amd64");
    vec![
        ("VERSION", VERSION.into()),
        ("SHA256", sha),
        ("CONFIG_JSON", config.to_string()),
        ("TRAEFIK", String::new()),
        ("ROLE", role.into()),
    ]
}

#[test]
fn three_servers_form_a_cluster_one_learner_at_a_time() {
    let mut out = Outside::empty();
    out.model.set_workloads(Box::new(Healthy));
    let nodes = hardened_nodes(&mut out, true);
    let first = nodes[0].1;
    for (index, (open, own, _)) in nodes.iter().enumerate() {
        let role = if index == 0 { "first" } else { "join" };
        let input = k3s_input(&out, role, *own, first, "secret");
        assert_eq!(out.run(open, "k3s.sh", "install", &pairs(&input)).value("state"), Some("installed"));
        assert_eq!(out.run(open, "k3s.sh", "start", &pairs(&input)).value("state"), Some("starting"));
    }
    let mut most_learners = 0;
    let mut took = 0;
    while out.look(&nodes[0].0, "etcd.sh", &[]).value("voters") != Some("3") {
        let learners: u32 = out.look(&nodes[0].0, "etcd.sh", &[]).value("learners").unwrap().parse().unwrap();
        most_learners = most_learners.max(learners);
        out.pass(1.0);
        took += 1;
        assert!(took < 120, "never three voters");
    }
    assert_eq!(most_learners, 1);
    assert!(took > 15, "promotion waits for the leader's ticker: {took}");
    let view = &out.model.cluster_views()[0];
    assert!(view.quorum && view.nodes.len() == 3 && view.nodes.iter().all(|n| n.ready && n.voter));
    let kubeconfig = out.look(&nodes[1].0, "kubeconfig.sh", &[]).stdout;
    assert!(kubeconfig.contains("127.0.0.1:6443"));
    let members = out.look(&nodes[0].0, "etcd.sh", &[]).value("members").unwrap().to_string();
    assert!(members.split(',').all(|m| m.starts_with("demo-") && m.ends_with(":voter")), "{members}");
    quorum_is_more_than_half(&mut out, &nodes);
}

fn quorum_is_more_than_half(out: &mut Outside, nodes: &[(Connection, Ipv4Addr, CloudServer)]) {
    let at = ip(&nodes[0].2);
    for (index, (_, _, server)) in nodes.iter().enumerate().skip(1) {
        out.model.power(out.now, &out.who, server.id, Power::Off).result.unwrap();
        out.pass(3.0);
        let state = out.model.api_at(out.now, at);
        assert_eq!(matches!(state, ApiState::Serving(_)), index == 1, "{state:?}");
    }
    assert!(matches!(out.model.port80(out.now, at, "h", "/"), Visit::Reply { status: 200, .. }), "what runs goes on");
    out.model.power(out.now, &out.who, nodes[1].2.id, Power::On).result.unwrap();
    out.pass(30.0);
    assert!(matches!(out.model.api_at(out.now, at), ApiState::Serving(_)), "a member that comes back votes");
}

#[test]
fn a_join_needs_the_peers_rules_and_the_token() {
    let mut out = Outside::empty();
    let nodes = hardened_nodes(&mut out, false);
    let first = nodes[0].1;
    let input = k3s_input(&out, "first", first, first, "secret");
    out.run(&nodes[0].0, "k3s.sh", "install", &pairs(&input));
    out.run(&nodes[0].0, "k3s.sh", "start", &pairs(&input));
    let wrong = k3s_input(&out, "join", nodes[1].1, first, "wrong");
    out.run(&nodes[1].0, "k3s.sh", "install", &pairs(&wrong));
    out.run(&nodes[1].0, "k3s.sh", "start", &pairs(&wrong));
    out.pass(60.0);
    let seen = out.look(&nodes[1].0, "k3s.sh", &pairs(&wrong));
    assert_eq!(seen.value("state"), Some("starting"));
    assert!(seen.value("why").unwrap().contains("6443"), "{seen:?}");
    let all = nodes.iter().map(|n| n.1.to_string()).collect::<Vec<_>>().join(" ");
    for (open, own, _) in &nodes {
        out.run(open, "peers.sh", "apply", &[("PEERS", &all), ("SELF", &own.to_string())]);
    }
    out.pass(40.0);
    let seen = out.look(&nodes[1].0, "k3s.sh", &pairs(&wrong));
    assert_eq!(seen.value("state"), Some("failed"));
    assert!(seen.value("why").unwrap().contains("token"), "{seen:?}");
    let mut bad = k3s_input(&out, "join", nodes[2].1, first, "secret");
    bad[1].1 = "0".repeat(64);
    assert_eq!(out.run(&nodes[2].0, "k3s.sh", "install", &pairs(&bad)).exit, 10, "a binary that is not the release's");
}

#[test]
fn pods_of_other_nodes_find_the_api_at_the_advertised_address_which_is_else_the_external_one_that_is_closed() {
    for (advertises, wanted) in [(true, Reaches::All), (false, Reaches::NotEveryApi)] {
        let mut out = Outside::empty();
        let nodes = hardened_nodes(&mut out, true);
        let first = nodes[0].1;
        for (index, (open, own, server)) in nodes.iter().enumerate() {
            let role = if index == 0 { "first" } else { "join" };
            let mut input = k3s_input(&out, role, *own, first, "secret");
            let (_, text) = input.iter_mut().find(|(key, _)| *key == "CONFIG_JSON").unwrap();
            let mut config: serde_json::Value = serde_json::from_str(text).unwrap();
            config["node-external-ip"] = json!(ip(server).to_string());
            if advertises {
                config["advertise-address"] = json!(own.to_string());
            }
            *text = config.to_string();
            assert_eq!(out.run(open, "k3s.sh", "install", &pairs(&input)).value("state"), Some("installed"));
            assert_eq!(out.run(open, "k3s.sh", "start", &pairs(&input)).value("state"), Some("starting"));
        }
        out.pass(120.0);
        let view = &out.model.cluster_views()[0];
        let seen: Vec<_> = view.nodes.iter().map(|n| (n.ready, n.reaches)).collect();
        assert_eq!(
            seen,
            vec![(true, wanted); 3],
            "nodes are Ready all the same, as they ask over the peers' addresses"
        );
    }
}

#[test]
fn a_healthy_cluster_answers_through_the_edge_until_its_nodes_go() {
    let start = Start::default();
    let mut model = Model::healthy(&settings(), &start);
    model.set_workloads(Box::new(Healthy));
    let visit = |model: &mut Model, now| model.edge_get(now, "api.demo.example", "/health", true);
    let Visit::Reply { status, body, .. } = visit(&mut model, start.now) else { panic!("no reply") };
    assert!(status == 200 && body.ends_with("api.demo.example/health"), "{body}");
    let machines = model.machines();
    assert!(machines.iter().all(|m| m.on && m.k3s == "running"));
    assert!(matches!(model.api_at(start.now, machines[0].public.unwrap()), ApiState::Serving(_)));
    let who = Caller::token(&start.cloud_token);
    let mut now = start.now;
    // How many of three visits in a row succeed: one dead origin is made up for by the one retry, two are not.
    for (machine, wanted) in machines.iter().zip([3, 2, 0]) {
        model.power(now, &who, machine.server, Power::Off).result.unwrap();
        now += Duration::from_secs(3);
        let visits: Vec<_> = (0..3).map(|_| visit(&mut model, now)).collect();
        let good = visits.iter().filter(|v| matches!(v, Visit::Reply { status: 200, .. })).count();
        let dead = visits.iter().filter(|v| matches!(v, Visit::Reply { status: 522, .. })).count();
        assert_eq!((good, dead), (wanted, 3 - wanted), "{visits:?}");
    }
}

#[test]
fn peer_rules_and_leftovers_are_accounted_for() {
    let mut out = Outside::empty();
    let nodes = hardened_nodes(&mut out, true);
    assert!(out.model.naming_strangers().is_empty() && out.model.orphaned("demo").is_empty());
    out.model.delete_server(out.now, &out.who, nodes[2].2.id).result.unwrap();
    out.pass(3.0);
    assert_eq!(out.model.ledger.strangers.len(), 2, "both others still let it in");
    assert!(out.model.ledger.strangers.iter().all(|s| s.address == std::net::IpAddr::V4(nodes[2].1)));
    out.model.update_server(out.now, &out.who, nodes[1].2.id, None, Some(&Labels::new())).result.unwrap();
    assert_eq!(out.model.orphaned("demo").len(), 1, "no label query finds it any more");
    for node in &nodes[..2] {
        out.model.delete_server(out.now, &out.who, node.2.id).result.unwrap();
    }
    out.pass(3.0);
    assert_eq!(out.model.ledger.strangers.len(), 2, "a node that is being deleted names nobody");
    assert_eq!(out.model.orphaned("demo").len(), 1, "the network that no server uses");
}

#[test]
fn the_same_seed_and_calls_give_the_same_world() {
    let story = || {
        let mut out = Outside::lost(Loss::Gone);
        let nodes = hardened_nodes(&mut out, true);
        out.pass(100.0);
        let keys: Vec<_> = nodes.iter().map(|n| out.model.host_key(out.now, n.0.address).unwrap()).collect();
        (format!("{:?}", out.model.ledger.entries), keys, out.model.uid().to_string(), out.now)
    };
    assert_eq!(story(), story());
}

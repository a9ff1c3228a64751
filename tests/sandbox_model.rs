//! The sandbox's model answers like the outside: cloud, DNS, nodes and K3s, under time that the test tells it.

use relight::config::*;
use relight::sandbox::model::*;
use relight::world::{FirewallRule, Labels, ServerStatus, ThingKind};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOperatorKeyOfThisTest run";
const VERSION: &str = "v1.34.6+k3s1";

fn settings() -> Settings {
    let node = |key: &str| NodeSettings { key: key.into(), labels: BTreeMap::new() };
    Settings {
        cluster: "demo".into(),
        cloud: CloudSettings {
            server_types: vec!["cx33".into()],
            locations: vec!["nbg1".into()],
            image: "ubuntu-24.04".into(),
            network: NetworkSettings::Private { range: "10.0.0.0/16".into(), zone: "eu-central".into() },
            authorized_keys: vec![],
            user: "deploy".into(),
            api_access: vec![],
        },
        nodes: vec![node("a"), node("b"), node("c")],
        k3s: K3sSettings {
            version: VERSION.into(),
            sha256: None,
            secrets_encryption: true,
            snapshots: SnapshotSettings { schedule: String::new(), retention: 5, s3: None },
            traefik: None,
            pod_cidr: "10.42.0.0/16".into(),
            service_cidr: "10.43.0.0/16".into(),
        },
        secrets: vec![],
        manifests: ManifestSettings { paths: vec![], order: vec![], external: vec![] },
        dns: DnsSettings {
            zone: "demo.example".into(),
            ssl: Some("flexible".into()),
            proxied: true,
            hosts: vec!["api.demo.example".into()],
        },
        health: vec![],
        rehearsal: RehearsalSettings::default(),
        recipients: vec![],
        timeouts: Timeouts::default(),
        base: PathBuf::new(),
    }
}

/// A model, its clock and its token.
struct Outside {
    model: Model,
    now: Duration,
    who: Caller,
    dns: Caller,
}

fn as_run(token: &str, step: &str) -> Caller {
    Caller { token: token.into(), run: "run1".into(), step: step.into() }
}

impl Outside {
    fn lost(loss: Loss) -> Self {
        let start = Start::default();
        let model = Model::total_loss(&settings(), &start, loss);
        let (who, dns) = (as_run(&start.cloud_token, "s"), as_run(&start.dns_token, "dns"));
        Self { model, now: start.now, who, dns }
    }
    fn empty() -> Self {
        let start = Start::default();
        let model = Model::empty_world(&settings(), &start);
        let (who, dns) = (as_run(&start.cloud_token, "s"), as_run(&start.dns_token, "dns"));
        Self { model, now: start.now, who, dns }
    }
    fn pass(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
        self.model.advance(self.now);
    }
    fn create(&mut self, order: &ServerOrder) -> Answer<CreatedServer> {
        self.model.create_server(self.now, &self.who, order)
    }
    fn key(&mut self) -> i64 {
        let state = ThingState::SshKey { public_key: KEY.into(), fingerprint: String::new() };
        let made = self.model.create_thing(self.now, &self.who, "run", &state, &labels("key"));
        made.result.unwrap().id
    }
    fn network(&mut self) -> i64 {
        let subnet = Subnet { range: "10.0.0.0/24".into(), zone: "eu-central".into(), gateway: String::new() };
        let state = ThingState::Network { range: "10.0.0.0/16".into(), subnets: vec![subnet] };
        self.model.create_thing(self.now, &self.who, "net", &state, &labels("network")).result.unwrap().id
    }
    fn listed(&mut self) -> Vec<CloudServer> {
        self.model.servers(self.now, &self.who, &Filter::default()).result.unwrap()
    }
    fn ssh(&mut self, at: Ipv4Addr, user: &str) -> Result<Connection, NodeError> {
        self.model.connect(self.now, at, user, KEY)
    }
    /// Runs a script to its end on a connection.
    fn run(&mut self, at: &Connection, script: &str, verb: &str, input: &[(&str, &str)]) -> relight::world::Ended {
        let job = job(script, verb, input);
        let mut state = self.model.run_script(self.now, &self.who, at, &job).unwrap();
        for _ in 0..1000 {
            if let UnitState::Ended(ended) = state {
                return ended;
            }
            self.pass(0.5);
            state = self.model.script_result(self.now, at, &job.unit).unwrap();
        }
        panic!("{script} {verb} does not end");
    }
    fn look(&mut self, at: &Connection, script: &str, input: &[(&str, &str)]) -> relight::world::Ended {
        self.model.look(self.now, at, &job(script, "check", input)).unwrap()
    }
}

fn job(script: &str, verb: &str, input: &[(&str, &str)]) -> Job {
    Job {
        script: script.into(),
        verb: verb.into(),
        input: input.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect(),
        unit: format!("relight-{script}-{verb}-{}", input.iter().map(|(_, v)| *v).collect::<Vec<_>>().join("/")),
    }
}

fn labels(step: &str) -> Labels {
    [("managed-by", "relight"), ("relight-cluster", "demo"), ("relight-run", "run1"), ("relight-step", step)]
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .into()
}

fn order(name: &str) -> ServerOrder {
    ServerOrder {
        name: name.into(),
        server_type: "cx33".into(),
        image: "ubuntu-24.04".into(),
        location: "nbg1".into(),
        user_data: format!("#cloud-config\n{}", json!({"users": [{"name": "deploy", "ssh_authorized_keys": [KEY]}]})),
        labels: labels(name),
        public_ipv4: true,
        start: true,
        ..ServerOrder::default()
    }
}

fn code<T: std::fmt::Debug>(answer: Answer<T>) -> (u16, String) {
    match answer.result {
        Err(Failure::Api(error)) => (error.status, error.code),
        other => panic!("an API error was expected: {other:?}"),
    }
}

fn ip(server: &CloudServer) -> Ipv4Addr {
    server.public.as_ref().unwrap().address
}

fn three_nodes(out: &mut Outside) -> Vec<CloudServer> {
    let (key, net) = (out.key(), out.network());
    let mut made = Vec::new();
    for name in ["demo-a", "demo-b", "demo-c"] {
        let order = ServerOrder { ssh_keys: vec![key.to_string()], networks: vec![net], ..order(name) };
        made.push(out.create(&order).result.unwrap().server);
    }
    made
}

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
    assert_eq!(code(out.create(&nowhere)), (412, "resource_unavailable".into()));
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

fn hardening(keys: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DEPLOY_USER", "deploy".into()),
        ("AUTHORIZED_KEYS", keys.into()),
        ("POD_CIDR", "10.42.0.0/16".into()),
        ("SERVICE_CIDR", "10.43.0.0/16".into()),
        ("API_ACCESS", String::new()),
    ]
}

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
    let joined = out.model.run_script(out.now, &out.who, &open, &job).unwrap();
    assert!(matches!(joined, UnitState::Running { ends } if ends < out.now + Duration::from_secs(40)), "{joined:?}");
    out.pass(40.0);
    assert!(matches!(out.model.script_result(out.now, &open, &job.unit), Ok(UnitState::Ended(e)) if e.exit == 0));
    assert_eq!(out.model.ledger.count("node.late.sh.apply"), 1);
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
    assert_eq!(out.model.script_result(out.now, &open, &job.unit), Err(NodeError::Dropped), "an old connection");
    let open = out.ssh(at, "root").unwrap();
    assert_eq!(out.model.script_result(out.now, &open, &job.unit), Ok(UnitState::Unknown));
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

/// Answers every node's port 80, as a Traefik in front of a healthy application would.
struct Healthy;

impl Workloads for Healthy {
    fn advance(&mut self, _now: Duration, _clusters: &[ClusterView]) {}
    fn serving(&mut self, _now: Duration, _c: &str, node: &str, host: &str, path: &str) -> Option<(u16, String)> {
        Some((200, format!("{node} {host}{path}")))
    }
}

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

fn pairs<'a>(input: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    input.iter().map(|(k, v)| (*k, v.as_str())).collect()
}

/// Three hardened nodes that know each other; their connections and private addresses.
fn hardened_nodes(out: &mut Outside, peers: bool) -> Vec<(Connection, Ipv4Addr, CloudServer)> {
    let servers = three_nodes(out);
    out.pass(40.0);
    let all: Vec<String> = servers.iter().map(|s| s.private[0].address.to_string()).collect();
    let right = hardening(KEY);
    let mut nodes = Vec::new();
    for server in servers {
        let open = out.ssh(ip(&server), "root").unwrap();
        out.run(&open, "harden.sh", "apply", &pairs(&right));
        let open = out.ssh(ip(&server), "deploy").unwrap();
        out.run(&open, "harden.sh", "confirm", &pairs(&right));
        let own = server.private[0].address;
        if peers {
            out.run(&open, "peers.sh", "apply", &[("PEERS", &all.join(" ")), ("SELF", &own.to_string())]);
        }
        nodes.push((open, own, server));
    }
    nodes
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
fn dns_changes_are_one_transaction() {
    let mut out = Outside::lost(Loss::Gone);
    let zone = out.model.dns_zones(out.now, &out.dns, "demo.example").unwrap().remove(0);
    let records = |out: &mut Outside| out.model.dns_records(out.now, &out.dns, &zone.id).unwrap();
    let change = |out: &mut Outside, batch: &DnsBatch| out.model.dns_change(out.now, &out.dns, &zone.id, batch);
    let old = records(&mut out);
    assert_eq!(old.len(), 3);
    let server = out.create(&order("demo-a")).result.unwrap().server;
    let mine = ip(&server).to_string();
    let post = RecordChange::address("api.demo.example", &mine, true, Some("relight"));
    let fails = DnsBatch {
        deletes: vec![old[0].id.clone()],
        posts: vec![post.clone(), RecordChange { content: Some("no address".into()), ..post.clone() }],
        ..DnsBatch::default()
    };
    let error = change(&mut out, &fails).unwrap_err();
    assert!(matches!(&error, Failure::Api(e) if e.code == "1004"), "{error:?}");
    assert_eq!(records(&mut out), old, "nothing of it happened");
    let twice = DnsBatch { posts: vec![post.clone(), post.clone()], ..DnsBatch::default() };
    assert!(matches!(change(&mut out, &twice), Err(Failure::Api(e)) if e.code == "81058"));
    let cname = RecordChange { kind: Some("CNAME".into()), content: Some("x.example".into()), ..post.clone() };
    let batch = DnsBatch { posts: vec![cname], ..DnsBatch::default() };
    assert!(matches!(change(&mut out, &batch), Err(Failure::Api(e)) if e.code == "81053"));
    let gone = DnsBatch { deletes: vec!["0".repeat(32)], ..DnsBatch::default() };
    assert!(matches!(change(&mut out, &gone), Err(Failure::Api(e)) if (e.status, e.code.as_str()) == (404, "81044")));
    let many = DnsBatch { posts: vec![post.clone(); 201], ..DnsBatch::default() };
    assert!(change(&mut out, &many).is_err());
    let patch = RecordChange { content: Some(mine.clone()), ..RecordChange::default() };
    let right = DnsBatch {
        deletes: old.iter().skip(1).map(|r| r.id.clone()).collect(),
        patches: vec![(old[0].id.clone(), patch)],
        ..DnsBatch::default()
    };
    change(&mut out, &right).unwrap();
    let now = records(&mut out);
    assert_eq!((now.len(), now[0].content.clone(), now[0].proxied), (1, mine, true), "what was not named stayed");
    assert!(out.model.ledger.strangers.is_empty() && out.model.naming_strangers().is_empty());
    let strange = RecordChange { content: Some("203.0.113.9".into()), ..RecordChange::default() };
    let batch = DnsBatch { patches: vec![(old[0].id.clone(), strange)], ..DnsBatch::default() };
    change(&mut out, &batch).unwrap();
    assert_eq!(out.model.ledger.strangers.len(), 1);
    assert_eq!(out.model.ledger.foreign_touched("demo", &["api.demo.example".into()]).len(), 0);
    assert!(!out.model.ledger.foreign_touched("demo", &[]).is_empty());
}

#[test]
fn the_edge_retries_another_origin_once() {
    let mut out = Outside::lost(Loss::Off);
    let status = |visit: Visit| match visit {
        Visit::Reply { status, .. } => status,
        other => panic!("{other:?}"),
    };
    let host = "api.demo.example";
    assert_eq!(status(out.model.edge_get(out.now, host, "/", true)), 522, "old nodes are off");
    assert_eq!(out.model.edge_get(out.now, "nope.demo.example", "/", true), Visit::NoSuchName);
    out.model.set_ssl("demo.example", "strict");
    assert_eq!(status(out.model.edge_get(out.now, host, "/", true)), 526);
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
    for (machine, wanted) in machines.iter().zip([200, 200, 522]) {
        model.power(now, &who, machine.server, Power::Off).result.unwrap();
        now += Duration::from_secs(3);
        let statuses: Vec<_> = (0..3).map(|_| visit(&mut model, now)).collect();
        let best = statuses.iter().any(|v| matches!(v, Visit::Reply { status, .. } if *status == wanted));
        assert!(best, "{statuses:?}");
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

//! A model with its clock and callers, and the few things that every test does with it.

use relight::config::*;
use relight::sandbox::model::*;
use relight::world::Labels;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOperatorKeyOfThisTest run";
pub const VERSION: &str = "v1.34.6+k3s1";

pub fn settings() -> Settings {
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
            keep_addresses: false,
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
        manifests: ManifestSettings {
            paths: vec![],
            order: vec![],
            external: vec![],
            inward: None,
            names: Vec::new(),
            read: ReadOnce::default(),
        },
        dns: DnsSettings {
            zone: "demo.example".into(),
            ssl: Some("flexible".into()),
            proxied: true,
            hosts: vec!["api.demo.example".into()],
        },
        health: vec![],
        spare: None,
        taken_down: None,
        rehearsal: RehearsalSettings::default(),
        recipients: vec![],
        timeouts: Timeouts::default(),
        base: PathBuf::new(),
    }
}

/// A model, its clock and its token.
pub struct Outside {
    pub model: Model,
    pub now: Duration,
    pub who: Caller,
    pub dns: Caller,
}

pub fn as_run(token: &str, step: &str) -> Caller {
    Caller { token: token.into(), run: "run1".into(), step: step.into(), intent: 0 }
}

impl Outside {
    pub fn lost(loss: Loss) -> Self {
        let start = Start::default();
        let model = Model::total_loss(&settings(), &start, loss);
        let (who, dns) = (as_run(&start.cloud_token, "s"), as_run(&start.dns_token, "dns"));
        Self { model, now: start.now, who, dns }
    }
    pub fn empty() -> Self {
        let start = Start::default();
        let model = Model::empty_world(&settings(), &start);
        let (who, dns) = (as_run(&start.cloud_token, "s"), as_run(&start.dns_token, "dns"));
        Self { model, now: start.now, who, dns }
    }
    pub fn pass(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
        self.model.advance(self.now);
    }
    pub fn create(&mut self, order: &ServerOrder) -> Answer<CreatedServer> {
        self.model.create_server(self.now, &self.who, order)
    }
    pub fn key(&mut self) -> i64 {
        let state = ThingState::SshKey { public_key: KEY.into(), fingerprint: String::new() };
        let made = self.model.create_thing(self.now, &self.who, "run", &state, &labels("key"));
        made.result.unwrap().id
    }
    pub fn network(&mut self) -> i64 {
        let subnet = Subnet { range: "10.0.0.0/24".into(), zone: "eu-central".into(), gateway: String::new() };
        let state = ThingState::Network { range: "10.0.0.0/16".into(), subnets: vec![subnet] };
        self.model.create_thing(self.now, &self.who, "net", &state, &labels("network")).result.unwrap().id
    }
    pub fn listed(&mut self) -> Vec<CloudServer> {
        self.model.servers(self.now, &self.who, &Filter::default()).result.unwrap()
    }
    pub fn ssh(&mut self, at: Ipv4Addr, user: &str) -> Result<Connection, NodeError> {
        self.model.connect(self.now, at, user, KEY)
    }
    /// Runs a script to its end on a connection.
    pub fn run(&mut self, at: &Connection, script: &str, verb: &str, input: &[(&str, &str)]) -> relight::world::Ended {
        let job = Job { call: self.model.new_call(), ..job(script, verb, input) };
        let mut state = self.model.run_script(self.now, &self.who, at, &job).unwrap();
        for _ in 0..1000 {
            if let UnitState::Ended(ended) = state {
                return ended;
            }
            self.pass(0.5);
            state = self.model.script_result(self.now, at, &job.unit, &job.call).unwrap();
        }
        panic!("{script} {verb} does not end");
    }
    pub fn look(&mut self, at: &Connection, script: &str, input: &[(&str, &str)]) -> relight::world::Ended {
        self.model.look(self.now, at, &job(script, "check", input)).unwrap()
    }
}

pub fn job(script: &str, verb: &str, input: &[(&str, &str)]) -> Job {
    Job {
        script: script.into(),
        verb: verb.into(),
        input: input.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect(),
        unit: format!("relight-{script}-{verb}-{}", input.iter().map(|(_, v)| *v).collect::<Vec<_>>().join("/")),
        call: "first".into(),
    }
}

pub fn labels(step: &str) -> Labels {
    [("managed-by", "relight"), ("relight-cluster", "demo"), ("relight-run", "run1"), ("relight-step", step)]
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .into()
}

pub fn order(name: &str) -> ServerOrder {
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

pub fn code<T: std::fmt::Debug>(answer: Answer<T>) -> (u16, String) {
    match answer.result {
        Err(Failure::Api(error)) => (error.status, error.code),
        other => panic!("an API error was expected: {other:?}"),
    }
}

pub fn ip(server: &CloudServer) -> Ipv4Addr {
    server.public.as_ref().unwrap().address
}

pub fn three_nodes(out: &mut Outside) -> Vec<CloudServer> {
    let (key, net) = (out.key(), out.network());
    let mut made = Vec::new();
    for name in ["demo-a", "demo-b", "demo-c"] {
        let order = ServerOrder { ssh_keys: vec![key.to_string()], networks: vec![net], ..order(name) };
        made.push(out.create(&order).result.unwrap().server);
    }
    made
}

pub fn hardening(keys: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DEPLOY_USER", "deploy".into()),
        ("AUTHORIZED_KEYS", keys.into()),
        ("POD_CIDR", "10.42.0.0/16".into()),
        ("SERVICE_CIDR", "10.43.0.0/16".into()),
        ("API_ACCESS", String::new()),
    ]
}

/// Answers every node's port 80, as a Traefik in front of a healthy application would.
pub struct Healthy;

impl Workloads for Healthy {
    fn advance(&mut self, _now: Duration, _clusters: &[ClusterView]) {}
    fn serving(&mut self, _now: Duration, _c: &str, node: &str, host: &str, path: &str) -> Option<(u16, String)> {
        Some((200, format!("{node} {host}{path}")))
    }
}

pub fn pairs<'a>(input: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    input.iter().map(|(k, v)| (*k, v.as_str())).collect()
}

/// Three hardened nodes that know each other; their connections and private addresses.
pub fn hardened_nodes(out: &mut Outside, peers: bool) -> Vec<(Connection, Ipv4Addr, CloudServer)> {
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

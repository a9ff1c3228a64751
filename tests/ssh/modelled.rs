//! The same door before the model itself: boot, faults, restarts and key rotation as the provider meets them.

use crate::node::{free_network, key, provider, Hasty, USER_KEY};
use relight::providers::OpenSsh;
use relight::sandbox::doors::ssh::{ForwardTable, ScriptLookup, SshFleet};
use relight::sandbox::model::{
    lock, Caller, Fault, FaultKind, Latency, Matcher, Model, Power, ServerOrder, Shared, TokenMay,
};
use relight::world::{Class, Clock, Ended, Error, Host, Identity, Script, Secret, Shell};
use std::sync::Arc;

fn script(name: &str, verb: &str, input: &[(&str, &str)]) -> Script {
    Script {
        name: name.into(),
        body: format!("# {name}\n").into(),
        verb: verb.into(),
        input: input.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect(),
    }
}

struct Town {
    model: Shared,
    server: i64,
    ssh: OpenSsh,
    host: Host,
    _fleet: SshFleet,
}

impl Town {
    /// One server with the run's user and host key in its user data.
    fn found() -> Self {
        let mut model = Model::new(1, free_network(), Latency::instant(), Hasty.now());
        model.add_project("live", &[("t", TokenMay::Write)]);
        let host_key = key(10);
        let data = serde_json::json!({
            "users": [{"name": "deploy", "ssh_authorized_keys": [key(USER_KEY).public]}],
            "ssh_keys": {
                "ed25519_private": host_key.private_openssh.expose_str().unwrap(),
                "ed25519_public": host_key.public,
            },
        });
        let order = ServerOrder {
            name: "node-1".into(),
            server_type: "cx33".into(),
            image: "ubuntu-24.04".into(),
            location: "nbg1".into(),
            user_data: format!("#cloud-config\n{data}"),
            public_ipv4: true,
            start: true,
            ..ServerOrder::default()
        };
        let made = model.create_server(Hasty.now(), &Caller::token("t"), &order).result.unwrap();
        let host = Host {
            address: made.server.public.unwrap().address.into(),
            user: "deploy".into(),
            host_keys: vec![host_key.public],
            identity: Identity::Key(key(USER_KEY).private_openssh),
        };
        let model = model.shared();
        let scripts: ScriptLookup = Arc::new(|name| Some(format!("# {name}\n").into()));
        let nowhere: ForwardTable = Arc::new(|_, _| None);
        let fleet = SshFleet::follow(model.clone(), Arc::new(Hasty), scripts, nowhere);
        Self { model, server: made.server.id, ssh: provider(), host, _fleet: fleet }
    }

    /// Tries until the node answers, as the engine does with what is transient.
    async fn look(&self, host: &Host, asked: &Script) -> Result<Ended, Error> {
        loop {
            match self.ssh.look(host, asked).await {
                Err(error) if error.class == Class::Transient => tokio::task::yield_now().await,
                other => return other,
            }
        }
    }

    async fn harden(&self) -> Result<Ended, Error> {
        let keys = key(USER_KEY).public;
        let asked = script("harden.sh", "apply", &[("DEPLOY_USER", "deploy"), ("AUTHORIZED_KEYS", &keys)]);
        self.ssh.run_for_step("harden[node-1]", &self.host, &asked).await
    }

    fn plan(&self, on: &str, kind: FaultKind) -> relight::sandbox::model::FaultId {
        lock(&self.model).faults.plan(Fault::once(Matcher::op(on), kind))
    }
}

#[tokio::test]
async fn a_server_of_the_model_boots_and_its_scripts_do_what_the_contract_says() {
    let town = Town::found();
    let seen = town.look(&town.host, &script("probe.sh", "check", &[])).await.unwrap();
    assert_eq!(seen.value("host_key"), Some(key(10).public.as_str()));
    let done = town.harden().await.unwrap();
    assert_eq!((done.exit, done.value("state")), (0, Some("armed")), "{done:?}");
    town.ssh.reconnect(&town.host).await.unwrap();
    let machine = lock(&town.model).machines().remove(0);
    assert!(machine.armed && machine.hardened.is_some() && !machine.root_login);
}

#[tokio::test]
async fn planned_faults_are_met_as_the_engine_expects_them() {
    let town = Town::found();
    town.look(&town.host, &script("probe.sh", "check", &[])).await.unwrap();

    let drop_look = town.plan("node.probe.sh.check", FaultKind::SshDrop);
    let error = town.ssh.look(&town.host, &script("probe.sh", "check", &[])).await;
    // An open connection that breaks gets one more try on a new one.
    assert!(error.is_ok(), "{error:?}");

    let exit = town.plan("node.harden.sh.apply", FaultKind::Exit(11));
    assert_eq!(town.harden().await.unwrap().exit, 11);
    let drop_run = town.plan("node.harden.sh.apply", FaultKind::SshDrop);
    assert_eq!(town.harden().await.unwrap().exit, 0);
    let reboot = town.plan("node.peers.sh.apply", FaultKind::Reboot);
    let peers = script("peers.sh", "apply", &[("PEERS", "10.0.0.2")]);
    let error = town.ssh.run_for_step("peers[node-1]", &town.host, &peers).await.unwrap_err();
    assert_eq!(error.class, Class::Unknown, "{error:?}");
    for fault in [drop_look, exit, drop_run, reboot] {
        assert_eq!(lock(&town.model).faults.fired(fault), 1);
    }
    let model = lock(&town.model);
    let hardened = model.ledger.entries.iter().filter(|e| e.op == "node.harden.sh.apply").count();
    assert_eq!(hardened, 1, "made once, though its connection broke");
}

#[tokio::test]
async fn a_rotated_host_key_is_served_to_new_connections_only() {
    let town = Town::found();
    let prepared = town.look(&town.host, &script("hostkey.sh", "prepare", &[])).await.unwrap();
    let next = prepared.value("next_host_key").unwrap().to_owned();
    let both = Host { host_keys: vec![key(10).public, next.clone()], ..town.host.clone() };
    let rotate = script("hostkey.sh", "rotate", &[("NEXT", &next)]);
    let rotated = town.ssh.run_for_step("hostkey[node-1]", &both, &rotate).await.unwrap();
    assert_eq!(rotated.value("host_key"), Some(next.as_str()));
    assert_eq!(town.ssh.seen_host_key(both.address).await.unwrap(), Some(next.clone()));
    town.ssh.reconnect(&both).await.unwrap();
    town.look(&Host { host_keys: vec![next], ..both }, &script("probe.sh", "check", &[])).await.unwrap();
    let error = town.look(&town.host, &script("probe.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.is("host_key"), "{error:?}");
}

#[tokio::test]
async fn a_server_without_power_breaks_its_connections_and_answers_nobody() {
    let town = Town::found();
    town.look(&town.host, &script("probe.sh", "check", &[])).await.unwrap();
    lock(&town.model).power(Hasty.now(), &Caller::token("t"), town.server, Power::Off).result.unwrap();
    while town.ssh.look(&town.host, &script("probe.sh", "check", &[])).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = town.ssh.look(&town.host, &script("probe.sh", "check", &[])).await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "{error:?}");
    assert_eq!(town.ssh.seen_host_key(town.host.address).await.unwrap(), None);
}

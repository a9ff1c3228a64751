//! Nodes by the direct door: no SSH is spoken, but host keys, users and keys are judged as sshd judges them.

use super::entry::Entry;
use crate::sandbox::model::{Connection, Job, NodeError, Reach, UnitState};
use crate::world::{
    label_digest, label_value, Class, Ended, Error, Host, Identity, KnownHostKeys, Permit, Result, Script, Secret,
    Shell, Target,
};
use async_trait::async_trait;
use russh::keys::PrivateKey;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// Each connection, and as whom it was made.
type Open = BTreeMap<(IpAddr, String), (Identity, Connection)>;

/// Nodes, for one process: it keeps one connection to each, as a multiplexing SSH client does.
pub(super) struct DirectShell {
    entry: Entry,
    open: Mutex<Open>,
}

fn address(host: IpAddr) -> Result<Ipv4Addr> {
    match host {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(Error::transient(format!("nobody answers at {address}"))),
    }
}

fn public_key(identity: &Secret) -> Result<String> {
    let key = PrivateKey::from_openssh(identity.expose()).ok();
    let public = key.and_then(|k| k.public_key().to_openssh().ok());
    public.ok_or_else(|| Error::fatal("the run's SSH key cannot be read").remedy("look at the run's secrets directory"))
}

fn told(what: &str, error: NodeError, unsure: Class) -> Error {
    match error {
        NodeError::Silent => Error::transient(format!("{what}: nobody answers")),
        NodeError::Refused => Error::transient(format!("{what}: connection refused")),
        NodeError::KeyRejected => Error::transient(format!("{what}: the node does not accept the user or its key"))
            .code("permission_denied")
            .remedy("look at the node's cloud-init and at the user's authorized_keys"),
        NodeError::Dropped => Error::new(unsure, format!("{what}: the connection broke off")),
    }
}

/// Nobody who logs in as themselves is let in later.
fn not_let_in(what: &str) -> Error {
    Error::fatal(format!("{what}: the node does not let the user in with any of your own SSH keys"))
        .code("permission_denied")
        .remedy("see that you can log in with `ssh`, then run this again")
}

fn job(script: &Script, step: &str, call: String) -> Job {
    let text = |value: &crate::world::Secret| String::from_utf8_lossy(value.expose()).into_owned();
    Job {
        script: script.name.clone(),
        verb: script.verb.clone(),
        input: script.input.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        unit: format!("relight-{}-{}", label_value(step), label_digest(&script.digest())),
        call,
    }
}

impl DirectShell {
    pub fn new(entry: Entry) -> Self {
        Self { entry, open: Mutex::default() }
    }
    fn connections<T>(&self, act: impl FnOnce(&mut Open) -> T) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
    fn forget(&self, host: &Host) {
        self.connections(|open| open.remove(&(host.address, host.user.clone())));
    }
    async fn silence(&self, error: NodeError) {
        let latency = &self.entry.latency;
        self.entry.clock.wait(if error == NodeError::Silent { latency.silence } else { latency.ssh }).await;
    }
    async fn connection(&self, what: &str, host: &Host) -> Result<Connection> {
        let key = (host.address, host.user.clone());
        let open = self.connections(|open| open.get(&key).cloned());
        if let Some((_, open)) = open.filter(|(identity, _)| identity.is(&host.identity)) {
            return Ok(open);
        }
        let at = address(host.address)?;
        let keys = match &host.identity {
            Identity::Key(key) => vec![public_key(key)?],
            Identity::Own => self.entry.act(|model, _| model.operators_keys.clone()).await,
        };
        self.entry.clock.wait(self.entry.latency.ssh).await;
        let shown = self.entry.act(|model, now| model.host_key(now, at)).await;
        match shown {
            Err(error) => {
                self.silence(error).await;
                return Err(told(what, error, Class::Transient));
            }
            Ok(shown) if !host.host_keys.contains(&shown.public) => {
                return Err(Error::fatal(format!("{what}: {at} shows a host key that is not expected"))
                    .code("host_key")
                    .remedy("somebody else may have this address; nothing was sent to it"));
            }
            Ok(_) => {}
        }
        let mut made = Err(NodeError::KeyRejected);
        for key in &keys {
            made = self.entry.act(|model, now| model.connect(now, at, &host.user, key)).await;
            if !matches!(made, Err(NodeError::KeyRejected)) {
                break;
            }
        }
        match made {
            Err(NodeError::KeyRejected) if matches!(host.identity, Identity::Own) => Err(not_let_in(what)),
            Ok(connection) => {
                self.connections(|open| open.insert(key, (host.identity.clone(), connection.clone())));
                Ok(connection)
            }
            Err(error) => {
                self.silence(error).await;
                Err(told(what, error, Class::Transient))
            }
        }
    }
    async fn failed(&self, what: &str, host: &Host, error: NodeError, unsure: Class) -> Error {
        self.forget(host);
        self.silence(error).await;
        told(what, error, unsure)
    }
}

#[async_trait]
impl Shell for DirectShell {
    async fn look(&self, host: &Host, script: &Script) -> Result<Ended> {
        let what = format!("{} {} on {}", script.name, script.verb, host.address);
        let connection = self.connection(&what, host).await?;
        self.entry.clock.wait(self.entry.latency.ssh).await;
        let job = job(script, "look", String::new());
        let result = self.entry.act(|model, now| model.look(now, &connection, &job)).await;
        match result {
            Ok(ended) => Ok(ended),
            Err(error) => Err(self.failed(&what, host, error, Class::Transient).await),
        }
    }
    async fn run(&self, permit: &Permit, host: &Host, script: &Script) -> Result<Ended> {
        permit.covers(&Target::Node { address: host.address })?;
        let what = format!("{} {} on {}", script.name, script.verb, host.address);
        let connection = self.connection(&what, host).await?;
        let job = job(script, permit.step(), self.entry.act(|model, _| model.new_call()).await);
        let caller = self.entry.caller(Some(permit));
        self.entry.wire.point(&format!("before {what}")).await;
        self.entry.clock.wait(self.entry.latency.ssh).await;
        let mut state = self.entry.act(|model, now| model.run_script(now, &caller, &connection, &job)).await;
        self.entry.wire.point(&format!("after {what}")).await;
        loop {
            let ends = match state {
                Ok(UnitState::Ended(ended)) => return Ok(ended),
                Ok(UnitState::Running { ends }) => ends,
                Ok(UnitState::Unknown) => {
                    return Err(Error::unknown(format!("{what}: the node knows nothing of it any more")))
                }
                Err(error) => return Err(self.failed(&what, host, error, Class::Unknown).await),
            };
            let left = ends.saturating_sub(self.entry.clock.time());
            self.entry.clock.wait(left.max(self.entry.latency.ssh)).await;
            state = self.entry.act(|model, now| model.script_result(now, &connection, &job.unit, &job.call)).await;
        }
    }
    async fn reconnect(&self, host: &Host) -> Result<()> {
        self.forget(host);
        Ok(())
    }
    async fn tunnel(&self, host: &Host, port: u16) -> Result<SocketAddr> {
        self.connection(&format!("tunnel to {}", host.address), host).await?;
        Ok(SocketAddr::new(host.address, port))
    }
    async fn known_host_keys(&self, address: IpAddr) -> Result<KnownHostKeys> {
        let IpAddr::V4(at) = address else { return Ok(KnownHostKeys::default()) };
        Ok(self.entry.act(|model, _| model.known_hosts.get(&at).cloned().unwrap_or_default()).await)
    }
    async fn listens(&self, address: IpAddr, port: u16) -> Result<bool> {
        let IpAddr::V4(at) = address else { return Ok(false) };
        let latency = &self.entry.latency;
        let met = self.entry.act(|model, now| model.reach(now, at, port)).await;
        self.entry.clock.wait(if met == Reach::Silent { latency.silence } else { latency.ssh }).await;
        Ok(met == Reach::Open)
    }
    async fn seen_host_key(&self, address: IpAddr) -> Result<Option<String>> {
        let IpAddr::V4(at) = address else { return Ok(None) };
        self.entry.clock.wait(self.entry.latency.ssh).await;
        let shown = self.entry.act(|model, now| model.host_key(now, at)).await;
        match shown {
            Ok(key) => Ok(Some(key.public)),
            Err(error) => {
                self.silence(error).await;
                Ok(None)
            }
        }
    }
}

//! Nodes by SSH: scripts that run to their end whatever happens to the connection, and tunnels.

use super::{Permit, Result, Secret};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// As whom relight logs in to a node. Whichever it is, host keys are pinned: this is about who comes in, not about where to.
#[derive(Debug, Clone)]
pub enum Identity {
    /// With this private key in OpenSSH's form: a run's.
    Key(Secret),
    /// As the operator does: with the keys of the SSH agent, the default ones of `~/.ssh`, and those that the operator's own
    /// `ssh_config` names for the address. For nodes that no run has made, or whose run's key is lost.
    Own,
}

impl Identity {
    /// Whether a connection that was made as this one may serve the other.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key(one), Self::Key(other)) => one.expose() == other.expose(),
            (Self::Own, Self::Own) => true,
            _ => false,
        }
    }
}

/// What the operator's own SSH client knows of a node: for comparison with what the node shows, never for trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownHostKeys {
    /// Keys of any kind that it knows under the node's address (`ssh-ed25519 AAAA...`).
    pub here: Vec<String>,
    /// Keys that it knows under other names.
    pub elsewhere: Vec<String>,
    /// Keys that it must never accept.
    pub revoked: Vec<String>,
}

/// How to reach one node: address, user, and the host keys that are accepted.
#[derive(Debug, Clone)]
pub struct Host {
    /// The address SSH connects to.
    pub address: IpAddr,
    /// `deploy`.
    pub user: String,
    /// Accepted host keys (`ssh-ed25519 AAAA...`). Two while a key is being rotated. Never empty: an unknown key is refused.
    pub host_keys: Vec<String>,
    /// As whom.
    pub identity: Identity,
}

/// A script of `steps/scripts`, with what it is told.
#[derive(Debug, Clone)]
pub struct Script {
    /// File name: `harden.sh`.
    pub name: String,
    /// Its text.
    pub body: Arc<str>,
    /// `check` (read-only), `apply`, or another word that the script knows. The only argument it gets.
    pub verb: String,
    /// What it is told: written as shell assignments into a 0600 file whose path is in `RELIGHT_INPUT`. Never in argv.
    pub input: BTreeMap<String, Secret>,
}

impl Script {
    /// SHA-256 of the body, verb and input in hexadecimal: the same digest means the same work.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.name.as_bytes(), self.body.as_bytes(), self.verb.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        for (key, value) in &self.input {
            hash.update((key.len() as u64).to_be_bytes());
            hash.update(key.as_bytes());
            hash.update((value.expose().len() as u64).to_be_bytes());
            hash.update(value.expose());
        }
        hex::encode(hash.finalize())
    }
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// 0 to 100.
    pub exit: i32,
    /// Its standard output: `key=value` lines.
    pub stdout: String,
    /// Its standard error, for people; at most the last 64 KiB.
    pub stderr: String,
}

impl Ended {
    /// The value of a `key=value` line of the output (the last one of that key).
    pub fn value(&self, key: &str) -> Option<&str> {
        self.stdout.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }
}

/// Nodes by SSH.
#[async_trait]
pub trait Shell: Send + Sync {
    /// Whether this machine has what connections need; the error says what it lacks. Touches no node.
    fn equipped(&self) -> Result<()> {
        Ok(())
    }
    /// Runs a read-only script directly and returns its end. Errors are `Transient` where the node does not answer, `Fatal`
    /// where its host key is not among the accepted ones.
    async fn look(&self, host: &Host, script: &Script) -> Result<Ended>;
    /// Runs a script as a transient systemd unit that outlives the connection, and waits for its end. A call with the same
    /// step and digest joins the unit while it runs. One that ended before the call came is never read: the script runs anew.
    async fn run(&self, permit: &Permit, host: &Host, script: &Script) -> Result<Ended>;
    /// Drops the open connection to a node, so that the next call proves that a new one can be made.
    async fn reconnect(&self, host: &Host) -> Result<()>;
    /// A local address whose connections reach the port on the node's 127.0.0.1.
    async fn tunnel(&self, host: &Host, port: u16) -> Result<SocketAddr>;
    /// The node's host key as the network shows it, unverified: for evidence alone, never for trust.
    async fn seen_host_key(&self, address: IpAddr) -> Result<Option<String>>;
    /// What the operator's own SSH client knows of the node at this address; nothing, where there is no such client.
    async fn known_host_keys(&self, _address: IpAddr) -> Result<KnownHostKeys> {
        Ok(KnownHostKeys::default())
    }
    /// Whether the node takes connections on this TCP port: for evidence alone. A port that nobody is let through to looks
    /// closed.
    async fn listens(&self, address: IpAddr, port: u16) -> Result<bool>;
}

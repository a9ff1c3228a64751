//! The trait, put together.

use super::{
    known,
    node::Node,
    operator::Operator,
    place,
    program::{self, End},
    seen, trouble,
    tunnel::Tunnel,
    unit,
};
use crate::world::{
    Addresses, Clock, Ended, Error, Host, KnownHostKeys, Permit, Random, Result, Script, Shell, Target,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

type Key = (IpAddr, String);
/// Locked while the tunnel is being opened, so that two callers share one.
type Slot = Arc<tokio::sync::Mutex<Option<Tunnel>>>;

/// Nodes by the system's OpenSSH client. See the module's documentation for what it promises.
pub struct OpenSsh {
    tunnels: Mutex<BTreeMap<(Key, u16), Slot>>,
    nodes: Mutex<BTreeMap<Key, Arc<Node>>>,
    addresses: Addresses,
    operator: Arc<Operator>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    place: Arc<TempDir>,
}

impl OpenSsh {
    /// A provider without connections yet. The clock is for pauses between attempts; the random bytes tell one start from
    /// another; the operator is who [`crate::world::Identity::Own`] is. Errors: `Fatal`, where there is no place for control
    /// sockets.
    pub fn new(
        addresses: Addresses,
        operator: Operator,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let (place, operator) = (Arc::new(place::make()?), Arc::new(operator));
        Ok(Self { tunnels: Mutex::default(), nodes: Mutex::default(), addresses, operator, clock, random, place })
    }

    /// What [`Shell::run`] does once the permit is found to cover the node. Actions only know the trait, so that nothing gets
    /// here without a permit but the tests, which cannot have one.
    pub async fn run_for_step(&self, step: &str, host: &Host, script: &Script) -> Result<Ended> {
        let mut call = [0; 8];
        self.random.fill(&mut call);
        let node = self.node(host);
        unit::run(&node, self.clock.as_ref(), host, step, script, &hex::encode(call)).await
    }

    fn slot(&self, host: &Host, port: u16) -> Slot {
        let mut tunnels = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
        tunnels.entry(((host.address, host.user.clone()), port)).or_default().clone()
    }

    fn node(&self, host: &Host) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes
            .entry((host.address, host.user.clone()))
            .or_insert_with(|| Arc::new(Node::new(self.place.clone(), self.addresses, self.operator.clone())))
            .clone()
    }
}

#[async_trait]
impl Shell for OpenSsh {
    fn equipped(&self) -> Result<()> {
        trouble::equipped()
    }
    async fn look(&self, host: &Host, script: &Script) -> Result<Ended> {
        let program = program::look(script)?;
        match self.node(host).look(host, &program).await? {
            End::Exit(ended) => Ok(ended),
            End::Trouble(said) => {
                Err(Error::transient(format!("{} did not start on {}: {said}", script.name, host.address))
                    .remedy("see that the node's /run has room and that base64, sha256sum and mktemp are there"))
            }
            End::Silent(said) => Err(trouble::silent(host, &said)),
            other => Err(trouble::silent(host, &format!("it ended as {other:?}, which a look never does"))),
        }
    }

    async fn run(&self, permit: &Permit, host: &Host, script: &Script) -> Result<Ended> {
        permit.covers(&Target::Node { address: host.address })?;
        self.run_for_step(permit.step(), host, script).await
    }

    async fn reconnect(&self, host: &Host) -> Result<()> {
        self.node(host).disconnect().await;
        Ok(())
    }

    async fn tunnel(&self, host: &Host, port: u16) -> Result<SocketAddr> {
        let slot = self.slot(host, port);
        let mut held = slot.lock().await;
        if let Some(tunnel) = held.as_ref() {
            return tunnel.renew(host).await;
        }
        let tunnel = Tunnel::open(self.node(host), host, port).await?;
        let local = tunnel.local;
        *held = Some(tunnel);
        Ok(local)
    }

    async fn seen_host_key(&self, address: IpAddr) -> Result<Option<String>> {
        Ok(seen::host_key(self.addresses.reach(address, 22)).await)
    }
    async fn known_host_keys(&self, address: IpAddr) -> Result<KnownHostKeys> {
        known::host_keys(&self.operator, address, self.addresses.port(22)).await
    }
    async fn listens(&self, address: IpAddr, port: u16) -> Result<bool> {
        Ok(seen::listens(self.addresses.reach(address, port)).await)
    }
}

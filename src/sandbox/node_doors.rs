//! Ports 80 and 6443 of all nodes: a door opens where a machine has power, and closes when it has none.

use super::authority::Authority;
use super::doors::{kubernetes, node_http, serve, serve_kubernetes, KubernetesTls};
use super::joined::{ApiServers, Clusters};
use super::model::{lock, Shared};
use crate::world::{Addresses, Clock, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// How often the model is asked which machines have power. Wall time.
const LOOK_OUT: Duration = Duration::from_millis(20);

/// What the doors stand before.
#[derive(Clone)]
pub(super) struct Behind {
    pub model: Shared,
    pub clusters: Clusters,
    pub clock: Arc<dyn Clock>,
    pub authority: Arc<Authority>,
    /// What the API servers accept beside the authority's client certificates.
    pub bearer: Secret,
}

/// Keeps the doors open. Dropping it closes them all.
pub(super) struct NodeDoors(AbortHandle);

impl Drop for NodeDoors {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl NodeDoors {
    /// Begins to follow the model.
    pub fn follow(behind: Behind) -> Self {
        let follow = async move {
            let mut doors: BTreeMap<Ipv4Addr, JoinSet<()>> = BTreeMap::new();
            let mut ticks = tokio::time::interval(LOOK_OUT);
            loop {
                ticks.tick().await;
                let powered = powered(&behind);
                doors.retain(|address, _| powered.contains(address));
                for address in powered {
                    if doors.contains_key(&address) {
                        continue;
                    }
                    match open(&behind, address).await {
                        Ok(set) => drop(doors.insert(address, set)),
                        // Tried again at the next look: a door that just closed may still hold the port.
                        Err(error) => tracing::debug!(%address, %error, "a node's doors do not open yet"),
                    }
                }
            }
        };
        Self(tokio::spawn(follow).abort_handle())
    }
}

fn powered(behind: &Behind) -> BTreeSet<Ipv4Addr> {
    let mut model = lock(&behind.model);
    model.advance(behind.clock.now());
    model.machines().into_iter().filter(|machine| machine.on).filter_map(|machine| machine.public).collect()
}

async fn open(behind: &Behind, address: Ipv4Addr) -> io::Result<JoinSet<()>> {
    let node = IpAddr::V4(address);
    let http = TcpListener::bind(Addresses::sandbox().reach(node, 80)).await?;
    let api = TcpListener::bind(Addresses::sandbox().reach(node, 6443)).await?;
    let names = ["127.0.0.1".to_owned(), "kubernetes".to_owned(), "localhost".to_owned(), address.to_string()];
    let (chain, key) = behind.authority.server(&names)?.rustls()?;
    let tls = KubernetesTls { chain, key, client_ca: behind.authority.der() };
    let servers = ApiServers {
        model: Arc::clone(&behind.model),
        clusters: behind.clusters.clone(),
        clock: Arc::clone(&behind.clock),
    };
    let router = kubernetes(Arc::new(servers), node, Some(behind.bearer.clone()));
    let port80 = node_http(Arc::clone(&behind.model), Arc::clone(&behind.clock), address);
    let mut set = JoinSet::new();
    set.spawn(async move { told("node http", serve(http, port80).await) });
    let api = api.into_std()?;
    set.spawn(async move { told("kubernetes", serve_kubernetes(api, tls, router).await) });
    Ok(set)
}

fn told(door: &str, end: io::Result<()>) {
    if let Err(error) = end {
        tracing::error!(door, %error, "a door of the sandbox closed");
    }
}

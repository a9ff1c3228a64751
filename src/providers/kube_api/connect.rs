//! Clients: one for each tunnel and kubeconfig, kept.

use super::errors::classed;
use super::kinds::Resource;
use crate::config::Timeouts;
use crate::world::{ApiAt, Error, Kind, Result, Secret, Shell};
use http::header::{HeaderValue, USER_AGENT};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The API server's port on every K3s server.
const PORT: u16 = 6443;
/// A write may take this long, in wall time: etcd and webhooks are slower than reads.
const WRITE: Duration = Duration::from_secs(30);
/// Clients kept; a run has one for each node.
const KEPT: usize = 32;

type Key = (SocketAddr, [u8; 32]);

/// What is known of one API server.
#[derive(Clone)]
pub(super) struct Connection {
    pub client: Client,
    pub kinds: Arc<Mutex<BTreeMap<Kind, Resource>>>,
}

/// Kubernetes, really.
pub struct KubeApi {
    shell: Arc<dyn Shell>,
    timeouts: Timeouts,
    connections: Mutex<BTreeMap<Key, Connection>>,
}

impl KubeApi {
    /// Reaches API servers through this shell's tunnels.
    pub fn new(shell: Arc<dyn Shell>, timeouts: Timeouts) -> Self {
        Self { shell, timeouts, connections: Mutex::default() }
    }
    /// How long one call may take, in wall time.
    pub(super) fn limit(&self, writes: bool) -> Duration {
        if writes {
            WRITE.max(self.timeouts.probe)
        } else {
            self.timeouts.probe
        }
    }
    /// The connection to a node's API server.
    pub(super) async fn connection(&self, at: &ApiAt) -> Result<Connection> {
        let local = self.shell.tunnel(&at.host, PORT).await?;
        let key = (local, Sha256::digest(at.kubeconfig.expose()).into());
        let mut kept = self.connections.lock().await;
        if let Some(known) = kept.get(&key) {
            return Ok(known.clone());
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let client = self.client(local, &at.kubeconfig).await?;
        let new = Connection { client, kinds: Arc::default() };
        kept.insert(key, new.clone());
        Ok(new)
    }
    async fn client(&self, local: SocketAddr, kubeconfig: &Secret) -> Result<Client> {
        // The parser's own words are left out: they may quote the text, which holds a key.
        let unreadable = |what: &str| {
            Error::fatal(format!("the kubeconfig cannot be used: {what}"))
                .remedy("fetch it from a node again (/etc/rancher/k3s/k3s.yaml)")
        };
        let text = kubeconfig.expose_str().ok_or_else(|| unreadable("it is not UTF-8"))?;
        let mut parsed = Kubeconfig::from_yaml(text).map_err(|_| unreadable("it is no kubeconfig"))?;
        for cluster in parsed.clusters.iter_mut().filter_map(|c| c.cluster.as_mut()) {
            cluster.server = Some(format!("https://{local}"));
            // In every K3s certificate, whatever the tunnel's local address is.
            cluster.tls_server_name = Some("127.0.0.1".to_owned());
            cluster.proxy_url = None;
        }
        let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
            .await
            .map_err(|_| unreadable("its context, cluster or user is missing"))?;
        config.connect_timeout = Some(self.timeouts.connect);
        config.read_timeout = Some(self.limit(true));
        config.write_timeout = Some(self.limit(true));
        config.default_retry = false;
        config.proxy_url = None;
        config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("relight/", env!("CARGO_PKG_VERSION")))));
        Client::try_from(config).map_err(|error| match classed(&error, "connect", false) {
            classed if classed.what.is_empty() => unreadable("its certificates do not fit"),
            _ => unreadable("its certificates or keys cannot be read"),
        })
    }
}

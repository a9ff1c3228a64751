//! One node's server, and what it asks whoever stands behind it.

use super::{visit::Visit, Work};
use crate::world::{Ended, Secret};
use async_trait::async_trait;
use russh::keys::PrivateKey;
use russh::server::{self, Config};
use russh::{MethodKind, MethodSet, SshId};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{watch, Notify};
use tokio::task::JoinSet;

/// The text of a script by its file name.
pub type ScriptLookup = Arc<dyn Fn(&str) -> Option<Arc<str>> + Send + Sync>;

/// Where a unit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitState {
    /// Nothing is known of this call: never started since the node did, or ended before the call came.
    Absent,
    /// At work.
    Running,
    /// It will never end: it was killed, or the node restarted while its traces stayed.
    Lost,
    /// It ended so, and the call that asks had started or joined it.
    Ended(Ended),
}

/// The connection breaks here, as a fault, a restart or the loss of power makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped;

/// Why nobody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRefused {
    /// This user is not let in with this key.
    Key,
    /// The connection breaks.
    Dropped,
}

/// What the SSH door asks about one node.
pub trait SshBackend: Send + Sync + 'static {
    /// The private host key (OpenSSH's form) that a new connection is served with; `None` while the node answers nobody.
    fn host_key(&self) -> Option<Secret>;
    /// Lets a user in with a public key (`ssh-ed25519 AAAA...`) that he has proved to hold.
    fn login(&self, user: &str, key: &str) -> Result<Arc<dyn SshLogin>, LoginRefused>;
    /// Where this port of the node's 127.0.0.1 is really served; `None` where nobody listens.
    fn forward(&self, port: u16) -> Option<SocketAddr>;
}

/// What the SSH door asks for somebody who is logged in.
#[async_trait]
pub trait SshLogin: Send + Sync {
    /// Does what a script does, and returns when it would have ended.
    async fn look(&self, work: &Work) -> Result<Ended, Dropped>;
    /// Joins the unit where it is at work, and else starts it anew for this call.
    fn start(&self, unit: &str, call: &str, work: &Work) -> Result<(), Dropped>;
    /// Where a unit stands, for the call that started or joined it.
    fn unit(&self, unit: &str, call: &str) -> Result<UnitState, Dropped>;
    /// Returns when the unit is no longer at work.
    async fn settled(&self, unit: &str);
    /// Returns when the connection shall break by itself.
    async fn dropped(&self);
}

/// One node's SSH server. Dropping it closes the port and every connection.
pub struct SshDoor {
    address: SocketAddr,
    // Every task of the door ends when this is gone.
    _open: watch::Sender<()>,
}

impl SshDoor {
    /// Listens. Errors: the operating system's, most often that the port is taken.
    pub async fn open(at: SocketAddr, backend: Arc<dyn SshBackend>, scripts: ScriptLookup) -> std::io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let (open, closed) = watch::channel(());
        tokio::spawn(accept(listener, backend, scripts, closed));
        Ok(Self { address, _open: open })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(
    listener: TcpListener,
    backend: Arc<dyn SshBackend>,
    scripts: ScriptLookup,
    mut closed: watch::Receiver<()>,
) {
    let mut visits = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = closed.changed() => break,
            Some(_) = visits.join_next(), if !visits.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    visits.spawn(visit(stream, backend.clone(), scripts.clone(), closed.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a node could not accept an SSH connection");
                    tokio::task::yield_now().await;
                }
            },
        }
    }
    // Each visit sees the same end and breaks its own connection.
    drop(listener);
    while visits.join_next().await.is_some() {}
}

async fn visit(
    stream: TcpStream,
    backend: Arc<dyn SshBackend>,
    scripts: ScriptLookup,
    mut closed: watch::Receiver<()>,
) {
    let Some(config) = backend.host_key().and_then(|key| config(&key)) else { return };
    // The server owns the stream; a second handle of the same socket is what breaks it as a cable does.
    let Ok((stream, cable)) = twice(stream) else { return };
    let broken = Arc::new(Notify::new());
    let visit = Visit::new(backend, scripts, broken.clone());
    let served = async {
        let session = server::run_stream(Arc::new(config), stream, visit).await?;
        session.await
    };
    tokio::select! {
        biased;
        () = broken.notified() => {}
        _ = closed.changed() => {}
        ended = served => if let Err(error) = ended {
            tracing::debug!(%error, "an SSH connection to a node of the sandbox ended");
        },
    }
    if let Err(error) = cable.shutdown(Shutdown::Both) {
        tracing::trace!(%error, "the connection was closed already");
    }
}

fn twice(stream: TcpStream) -> std::io::Result<(TcpStream, std::net::TcpStream)> {
    stream.set_nodelay(true)?;
    let std = stream.into_std()?;
    let cable = std.try_clone()?;
    Ok((TcpStream::from_std(std)?, cable))
}

fn config(host_key: &Secret) -> Option<Config> {
    let key = match PrivateKey::from_openssh(host_key.expose()) {
        Ok(key) => key,
        Err(error) => {
            tracing::error!(%error, "the model gave a host key that cannot be read");
            return None;
        }
    };
    Some(Config {
        server_id: SshId::Standard("SSH-2.0-relight_sandbox".into()),
        methods: MethodSet::from([MethodKind::PublicKey].as_slice()),
        // Nobody guesses keys on loopback.
        auth_rejection_time: Duration::from_millis(20),
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        keys: vec![key],
        ..Config::default()
    })
}

//! Tunnels: a local port that stays the same while connections to the node come and go.
//!
//! OpenSSH forwards to a socket in the connection's private directory; relight itself listens on the local port and joins
//! each caller to the current connection's socket. So the port is not chosen before it is bound, nobody else can take it in
//! between, and who holds the address need not know when a connection was replaced.

use super::{node::Node, session::Connection, trouble};
use crate::world::{Error, Host, Result};
use openssh::{ForwardType, Socket};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

/// A tunnel that listens. Dropping it ends it with all that goes through it.
pub(super) struct Tunnel {
    /// Where it listens.
    pub(super) local: SocketAddr,
    link: Arc<Link>,
    listening: AbortHandle,
}

struct Link {
    node: Arc<Node>,
    port: u16,
    /// As the last caller told it: host keys change while the tunnel stands.
    host: Mutex<Host>,
    /// Where there is none for the current connection, one is made.
    forwarded: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

/// A way through, which keeps its connection open for as long as it is used.
struct Stream {
    stream: UnixStream,
    _connection: Arc<Connection>,
}

impl Tunnel {
    /// Listens, after one connection through the node was accepted.
    pub(super) async fn open(node: Arc<Node>, host: &Host, port: u16) -> Result<Self> {
        let link =
            Arc::new(Link { node, port, host: Mutex::new(host.clone()), forwarded: tokio::sync::Mutex::default() });
        link.enter().await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (local, listener) = bound.map_err(|e| trouble::local("no local port for a tunnel", &e))?;
        let listening = tokio::spawn(serve(listener, link.clone())).abort_handle();
        Ok(Self { local, link, listening })
    }

    /// Proves that the tunnel still leads to the node, with what is now known of it.
    pub(super) async fn renew(&self, host: &Host) -> Result<SocketAddr> {
        *self.link.host.lock().unwrap_or_else(PoisonError::into_inner) = host.clone();
        self.link.enter().await?;
        Ok(self.local)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Link {
    /// A stream into the tunnel. An old connection may be dead: it gets one second chance, on a new one.
    async fn enter(&self) -> Result<Stream> {
        match self.try_enter().await {
            Err((_, true)) => self.try_enter().await.map_err(|(error, _)| error),
            other => other.map_err(|(error, _)| error),
        }
    }

    async fn try_enter(&self) -> std::result::Result<Stream, (Error, bool)> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut forwarded = self.forwarded.lock().await;
        let (connection, old) = self.node.connection(&host).await.map_err(|error| (error, false))?;
        let path = connection.place().join(format!("f{}", self.port));
        if !forwarded.as_ref().is_some_and(|known| Arc::ptr_eq(known, &connection)) {
            *forwarded = None;
            let there = Socket::TcpSocket { host: "127.0.0.1".into(), port: self.port };
            let asked =
                connection.session.request_port_forward(ForwardType::Local, Socket::from(path.as_path()), there).await;
            if let Err(error) = asked {
                self.node.forget(&connection).await;
                return Err((trouble::broken(&host, &error), old));
            }
            *forwarded = Some(connection.clone());
        }
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Stream { stream, _connection: connection }),
            Err(error) => {
                *forwarded = None;
                self.node.forget(&connection).await;
                let what = format!("the tunnel to port {} of {} broke: {error}", self.port, host.address);
                Err((Error::transient(what), old))
            }
        }
    }
}

async fn serve(listener: TcpListener, link: Arc<Link>) {
    // Aborting this task drops the set, and with it every stream.
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    streams.spawn(carry(stream, link.clone()));
                }
                Err(error) => {
                    // Out of file descriptors: the caller sees its connection wait, and others may end meanwhile.
                    tracing::warn!(%error, "a tunnel could not accept a connection");
                    tokio::task::yield_now().await;
                }
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
        }
    }
}

async fn carry(mut caller: TcpStream, link: Arc<Link>) {
    let joined = async {
        caller.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut node = link.enter().await.map_err(|e| e.to_string())?;
        tokio::io::copy_bidirectional(&mut caller, &mut node.stream).await.map_err(|e| e.to_string())
    };
    if let Err(error) = joined.await {
        tracing::debug!(port = link.port, error, "a connection through a tunnel ended");
    }
}

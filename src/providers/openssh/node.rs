//! One node: its connection, shared and replaced when it broke, and the programs that run over it.

use super::{
    operator::Operator,
    program::{self, End},
    session::Connection,
    trouble,
};
use crate::world::{Addresses, Error, Host, Result, Secret};
use openssh::{Session, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, Semaphore};

/// Commands at once on one connection. sshd's `MaxSessions` is ten, and the eleventh fails at once.
const SEATS: usize = 8;

/// No program of relight prints more than this; what does is broken.
const OUTPUT_LIMIT: u64 = 8 * 1024 * 1024;

/// A node as this process reaches it.
pub(super) struct Node {
    place: Arc<TempDir>,
    addresses: Addresses,
    operator: Arc<Operator>,
    seats: Semaphore,
    connection: Mutex<Option<Arc<Connection>>>,
}

/// Why a program brought no end.
pub(super) struct Failed {
    /// For the caller.
    pub(super) error: Error,
    /// Whether the program may have reached the node.
    pub(super) sent: bool,
    /// Whether the connection had been used before: it may have been dead since long.
    pub(super) stale: bool,
}

impl Node {
    pub(super) fn new(place: Arc<TempDir>, addresses: Addresses, operator: Arc<Operator>) -> Self {
        Self { place, addresses, operator, seats: Semaphore::new(SEATS), connection: Mutex::new(None) }
    }

    /// The connection, made where there is none that serves this host; and whether it is older than this call.
    pub(super) async fn connection(&self, host: &Host) -> Result<(Arc<Connection>, bool)> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| connection.serves(host)) {
            return Ok((connection.clone(), true));
        }
        *held = None;
        let made = Arc::new(Connection::open(self.place.clone(), self.addresses, &self.operator, host).await?);
        *held = Some(made.clone());
        Ok((made, false))
    }

    /// Gives up a connection, unless it was replaced already.
    pub(super) async fn forget(&self, broken: &Arc<Connection>) {
        let mut held = self.connection.lock().await;
        if held.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, broken)) {
            *held = None;
        }
    }

    /// Gives up the connection, whatever it is.
    pub(super) async fn disconnect(&self) {
        *self.connection.lock().await = None;
    }

    /// Runs a program that only looks: where an old connection turns out to be dead, once more on a new one.
    pub(super) async fn look(&self, host: &Host, program: &Secret) -> Result<End> {
        match self.send(host, program).await {
            Err(failed) if failed.stale => self.send(host, program).await.map_err(|failed| failed.error),
            other => other.map_err(|failed| failed.error),
        }
    }

    /// Runs a program once.
    pub(super) async fn send(&self, host: &Host, program: &Secret) -> std::result::Result<End, Failed> {
        let unsent = |error| Failed { error, sent: false, stale: false };
        let _seat =
            self.seats.acquire().await.map_err(|_| unsent(Error::fatal("this relight no longer speaks to nodes")))?;
        let (connection, old) = self.connection(host).await.map_err(unsent)?;
        match execute(&connection.session, host, program).await {
            Ok((stdout, stderr)) => Ok(program::read_end(&stdout, &stderr)),
            Err(Broken { error, sent }) => {
                self.forget(&connection).await;
                Err(Failed { error: trouble::broken(host, &error), sent, stale: old })
            }
        }
    }
}

struct Broken {
    error: openssh::Error,
    sent: bool,
}

async fn execute(session: &Session, host: &Host, program: &Secret) -> std::result::Result<(Vec<u8>, Vec<u8>), Broken> {
    let unsent = |error| Broken { error, sent: false };
    let sent = |error| Broken { error, sent: true };
    // The command line is the same for every program: what it does and what it is told comes on standard input.
    let line = if host.user == "root" { "bash -s" } else { "sudo -n bash -s" };
    let mut command = session.raw_command(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().await.map_err(unsent)?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin().take(), child.stdout().take(), child.stderr().take())
    else {
        return Err(unsent(openssh::Error::Disconnected));
    };
    let write = async move {
        // A program that nobody read to its end shows in what comes back, not here.
        if let Err(error) = stdin.write_all(program.expose()).await {
            tracing::debug!(%error, "a program was not read to its end");
        }
        drop(stdin);
    };
    let ((), stdout, stderr, status) = tokio::join!(write, read(stdout), read(stderr), child.wait());
    let (stdout, stderr) = (stdout.map_err(sent)?, stderr.map_err(sent)?);
    // A status is no proof: the end that the runner printed is. Without it, a lost connection is told from a silent end here.
    match status {
        Err(error) if matches!(program::read_end(&stdout, &stderr), End::Silent(_)) => Err(sent(error)),
        _ => Ok((stdout, stderr)),
    }
}

async fn read(from: impl AsyncRead + Unpin) -> std::result::Result<Vec<u8>, openssh::Error> {
    let mut all = Vec::new();
    let read = from.take(OUTPUT_LIMIT).read_to_end(&mut all).await.map_err(openssh::Error::ChildIo)?;
    if read as u64 == OUTPUT_LIMIT {
        return Err(openssh::Error::ChildIo(std::io::Error::other("a program printed more than 8 MiB")));
    }
    Ok(all)
}

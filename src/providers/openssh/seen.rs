//! What a node shows to anybody: its host key, by a handshake that trusts nothing and goes no further, and open ports.

use russh::client::{self, Handler};
use russh::keys::PublicKeyOrCertificate;
use russh::Preferred;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For the whole handshake. Wall time.
const LONGEST: Duration = Duration::from_secs(10);

/// Whether a TCP connection is accepted there. It says nothing, and ends at once.
pub(super) async fn listens(at: SocketAddr) -> bool {
    matches!(tokio::time::timeout(LONGEST, tokio::net::TcpStream::connect(at)).await, Ok(Ok(_)))
}

#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Option<String>>>);

impl Handler for Witness {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let plain = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.to_openssh().ok(),
            PublicKeyOrCertificate::Certificate(_) => None,
        };
        // Comments are not part of the exchange, so the text is the bare key.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plain.map(|text| text.trim_end().to_owned());
        // Never trusted: the handshake ends here.
        Ok(false)
    }
}

/// The ed25519 host key shown at this address, `None` where nobody shows one.
pub(super) async fn host_key(at: SocketAddr) -> Option<String> {
    let witness = Witness::default();
    let config = client::Config {
        preferred: Preferred { key: Cow::Borrowed(&[russh::keys::Algorithm::Ed25519]), ..Preferred::default() },
        ..client::Config::default()
    };
    // The handshake always ends in an error, since the key is not trusted: what the witness saw is the answer.
    let ended = tokio::time::timeout(LONGEST, client::connect(Arc::new(config), at, witness.clone())).await;
    if let Ok(Err(error)) = ended {
        tracing::debug!(%at, %error, "looked at a host key");
    }
    let seen = witness.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    seen
}

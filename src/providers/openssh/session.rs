//! One connection: OpenSSH's generated configuration, the master process and its private directory.

use super::{operator::Operator, place, program, trouble};
use crate::world::{Addresses, Error, Host, Identity, Result};
use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// For the TCP connection and the other side's greeting. Wall time.
const CONNECT_SECONDS: u64 = 10;
/// For all of it, key exchange and authentication with it. Wall time.
const WHOLE_CONNECT: Duration = Duration::from_secs(30);
/// A peer that is silent for this many times [`ALIVE_SECONDS`] is gone.
const ALIVE_COUNT: u32 = 3;
/// Seconds between questions whether the other side lives. Wall time.
const ALIVE_SECONDS: u32 = 5;
/// How long the master stays after its last use when nobody ends it, in seconds: a killed relight leaves none for longer.
const IDLE_SECONDS: usize = 60;

/// An open connection. Dropping it ends the master; commands that still run on it keep it.
pub(super) struct Connection {
    pub(super) session: Session,
    host_keys: BTreeSet<String>,
    host: Host,
    // After the session, so that the control socket lives until the master was told to end.
    dir: TempDir,
    // Whoever still uses a connection keeps the place that its socket is in.
    _place: Arc<TempDir>,
}

impl Connection {
    /// Connects. The key file is gone when this returns.
    pub(super) async fn open(
        place: Arc<TempDir>,
        addresses: Addresses,
        operator: &Operator,
        host: &Host,
    ) -> Result<Self> {
        let host_keys = accepted(host)?;
        let dir = tempfile::Builder::new()
            .prefix("c")
            .tempdir_in(place.path())
            .map_err(|e| trouble::local("no directory for an SSH connection", &e))?;
        let private = dir.path().join("p");
        write_files(&private, addresses, operator, host, &host_keys)
            .map_err(|e| trouble::local("the SSH client's files cannot be written", &e))?;
        let mut builder = SessionBuilder::default();
        builder
            .config_file(private.join("config"))
            .known_hosts_check(KnownHosts::Strict)
            .control_directory(dir.path())
            .clean_history_control_directory(true)
            .control_persist(ControlPersist::IdleFor(NonZeroUsize::new(IDLE_SECONDS).unwrap_or(NonZeroUsize::MIN)));
        let connected = tokio::time::timeout(WHOLE_CONNECT, builder.connect_mux(host.address.to_string())).await;
        let cleaned = std::fs::remove_dir_all(&private);
        let session = match connected {
            Ok(session) => session.map_err(|error| trouble::no_connection(host, &error))?,
            Err(_) => {
                return Err(Error::transient(format!("{} took too long to let anyone in by SSH", host.address))
                    .remedy("see that the server runs and is not overloaded"))
            }
        };
        cleaned.map_err(|e| trouble::local("the SSH client's files cannot be removed", &e))?;
        Ok(Self { session, host_keys, host: host.clone(), dir, _place: place })
    }

    /// Whether a call for this host may use the connection: the same key, and every host key that it may have been made with
    /// still accepted.
    pub(super) fn serves(&self, host: &Host) -> bool {
        self.host.identity.is(&host.identity) && accepted(host).is_ok_and(|keys| self.host_keys.is_subset(&keys))
    }

    /// Where forwarded sockets of this connection are put.
    pub(super) fn place(&self) -> &Path {
        self.dir.path()
    }
}

/// The accepted host keys without comments. Errors: `Fatal`, where there is none, or where user or keys could be read by
/// OpenSSH as something else.
fn accepted(host: &Host) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    for line in &host.host_keys {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(blob)) if kind == "ssh-ed25519" && blob.chars().all(is_base64) => {
                keys.insert(format!("{kind} {blob}"));
            }
            _ => {
                return Err(Error::fatal(format!("an accepted host key of {} is no ed25519 key", host.address))
                    .remedy("relight makes and pins ed25519 host keys only; see the run's facts for this node"))
            }
        }
    }
    if keys.is_empty() {
        return Err(Error::fatal(format!("no host key of {} is known", host.address))
            .code("host_key")
            .remedy("its server must carry the label of its host key, or be built by this run"));
    }
    if !program::is_plain(&host.user) {
        return Err(
            Error::fatal(format!("\"{}\" is no user name", host.user)).remedy("correct the SSH user in relight.yaml")
        );
    }
    Ok(keys)
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')
}

fn write_files(
    dir: &Path,
    addresses: Addresses,
    operator: &Operator,
    host: &Host,
    keys: &BTreeSet<String>,
) -> std::io::Result<()> {
    place::directory(dir)?;
    let mut known = String::new();
    for key in keys {
        let _ = writeln!(known, "{} {key}", host.address);
    }
    place::file(&dir.join("known_hosts"), known.as_bytes())?;
    let mut config = config(dir, addresses, host);
    match &host.identity {
        Identity::Key(key) => {
            let mut key = key.expose().to_vec();
            if !key.ends_with(b"\n") {
                // Without its last newline OpenSSH calls the file an invalid format.
                key.push(b'\n');
            }
            place::file(&dir.join("key"), &key)?;
            config.push_str(&only_key(&dir.join("key")));
        }
        // Behind everything else: OpenSSH takes the first value that it finds for each word.
        Identity::Own => config.push_str(&operator.config()),
    }
    place::file(&dir.join("config"), config.as_bytes())
}

/// No key but this one.
pub(super) fn only_key(key: &Path) -> String {
    format!("IdentityFile \"{}\"\nIdentitiesOnly yes\nIdentityAgent none\n", key.display())
}

/// Everything that the builder cannot say but who logs in. Given with `-F`, so that neither the operator's nor the machine's
/// file is read.
fn config(dir: &Path, addresses: Addresses, host: &Host) -> String {
    let (address, user, port) = (host.address, &host.user, addresses.port(22));
    let dir = dir.display();
    format!(
        "Host *\n\
         HostName {address}\n\
         Port {port}\n\
         User {user}\n\
         HostKeyAlias {address}\n\
         UserKnownHostsFile \"{dir}/known_hosts\"\n\
         GlobalKnownHostsFile none\n\
         StrictHostKeyChecking yes\n\
         CheckHostIP no\n\
         UpdateHostKeys no\n\
         HostKeyAlgorithms ssh-ed25519\n\
         PreferredAuthentications publickey\n\
         ForwardAgent no\n\
         ForwardX11 no\n\
         PermitLocalCommand no\n\
         ConnectTimeout {CONNECT_SECONDS}\n\
         ConnectionAttempts 1\n\
         ServerAliveInterval {ALIVE_SECONDS}\n\
         ServerAliveCountMax {ALIVE_COUNT}\n\
         StreamLocalBindMask 0177\n\
         LogLevel ERROR\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Secret;

    fn host(user: &str, keys: &[&str]) -> Host {
        Host {
            address: [127, 0, 0, 1].into(),
            user: user.into(),
            host_keys: keys.iter().map(|k| (*k).to_owned()).collect(),
            identity: Identity::Key(Secret::new("k")),
        }
    }

    #[test]
    fn a_user_or_key_that_openssh_would_read_as_more_is_refused() {
        assert!(accepted(&host("deploy", &["ssh-ed25519 AAAA comment"])).is_ok());
        assert!(accepted(&host("deploy", &[])).is_err());
        assert!(accepted(&host("deploy", &["ssh-rsa AAAA"])).is_err());
        assert!(accepted(&host("deploy", &["ssh-ed25519 AA\"AA"])).is_err());
        assert!(accepted(&host("-oProxyCommand=x", &["ssh-ed25519 AAAA"])).is_err());
        assert!(accepted(&host("a\nProxyCommand x", &["ssh-ed25519 AAAA"])).is_err());
    }
}

//! Who the operator is: whose keys open a node that no run has made, and whose known hosts are compared with what it shows.

use super::session::only_key;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The operator's key in a sandbox's directory.
const KEY: &str = "id_ed25519";
/// The operator's known hosts in a sandbox's directory.
const KNOWN_HOSTS: &str = "known_hosts";

/// Whose keys [`crate::world::Identity::Own`] stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// The person at this machine: their SSH agent, the default keys of their `~/.ssh`, and what their SSH configuration (this
    /// file, else `~/.ssh/config`) names for the address.
    Person {
        /// Instead of `~/.ssh/config`.
        ssh_config: Option<PathBuf>,
    },
    /// A sandbox's: `id_ed25519` and `known_hosts` in this directory, and nothing of the person's.
    Sandbox {
        /// Made by the sandbox.
        directory: PathBuf,
    },
}

/// What the person's configuration must not have a say in, before it is read: OpenSSH takes the first value that it finds for
/// each word. Where to connect, host keys and everything that a look at a node does not need stay relight's; which keys are
/// offered is theirs. Jump hosts are not used: the host key was seen without one. Source: ssh_config(5).
const NOT_THEIRS: &str = "IgnoreUnknown KnownHostsCommand,SessionType,StdinNull,ForkAfterAuthentication\n\
    KnownHostsCommand none\n\
    VerifyHostKeyDNS no\n\
    NoHostAuthenticationForLocalhost no\n\
    CanonicalizeHostname no\n\
    ProxyCommand none\n\
    ProxyJump none\n\
    PubkeyAuthentication yes\n\
    BatchMode yes\n\
    ClearAllForwardings yes\n\
    ExitOnForwardFailure no\n\
    Tunnel no\n\
    RemoteCommand none\n\
    RequestTTY no\n\
    SessionType default\n\
    StdinNull no\n\
    ForkAfterAuthentication no\n\
    VisualHostKey no\n";

impl Operator {
    /// The person at this machine, with their own `~/.ssh/config`.
    pub fn person() -> Self {
        Self::Person { ssh_config: None }
    }

    /// What stands at the end of the generated configuration where relight logs in as the operator.
    pub(super) fn config(&self) -> String {
        match self {
            Self::Sandbox { directory } => only_key(&directory.join(KEY)),
            Self::Person { ssh_config } => {
                let mut config = NOT_THEIRS.to_owned();
                // One that is not there is no error. Writing to a string cannot fail.
                let _ = match ssh_config {
                    Some(path) => writeln!(config, "Include \"{}\"", path.display()),
                    None => writeln!(config, "Include ~/.ssh/config"),
                };
                config
            }
        }
    }

    /// The file of known hosts, where it need not be asked for.
    pub(super) fn known_hosts(&self) -> Option<PathBuf> {
        match self {
            Self::Sandbox { directory } => Some(directory.join(KNOWN_HOSTS)),
            Self::Person { .. } => None,
        }
    }
}

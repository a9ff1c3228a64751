//! Nodes by the system's OpenSSH client, through the crate `openssh` (its native form, which speaks to the client's control
//! socket itself).
//!
//! - One master connection for each node and user, shared by at most eight commands at once: sshd's `MaxSessions` is ten, and
//!   the eleventh fails rather than waits. A connection that broke is replaced by the next call.
//! - The client's configuration is generated for each connection, in a private directory; the operator's own is not read, but
//!   where relight logs in as the operator ([`crate::world::Identity::Own`]), and then only for who they are: see `operator`.
//!   What must not stay (the run's key) is deleted as soon as the connection stands.
//! - Host keys are pinned: only those that the [`crate::world::Host`] accepts are known, under the node's address. A call
//!   that no longer accepts a key which an open connection may have been made with gets a new connection.
//! - What runs on a node is `steps/scripts/runner.sh` with a script and its input inside, all on standard input. See
//!   `program` for the text and `unit` for how a run outlives its connection.
//! - The master is a daemon with a session of its own: a Ctrl-C at the terminal does not reach it once it stands. It ends with
//!   the connection's value, or 60 seconds after its last use where relight was killed.
//! - The master inherits the environment of relight. `main` removes the tokens from it before the runtime starts.

mod known;
mod node;
#[cfg(test)]
mod on_bash;
mod operator;
mod place;
mod program;
mod provider;
mod seen;
mod session;
mod trouble;
mod tunnel;
mod unit;

pub use operator::Operator;
pub use provider::OpenSsh;

//! The SSH door: a real SSH server for each node, behind which the model stands.
//!
//! It takes what relight sends to a node's bash, hands script, verb and input to the model, and answers as the runner on a
//! real node would. Ports are forwarded to where the sandbox serves them. It runs no program.
//!
//! [`SshFleet`] opens a door for each machine with power; [`SshDoor`] is one of them, before anything that answers the
//! questions of [`SshBackend`] and [`SshLogin`].

mod door;
mod fleet;
mod node;
mod program;
mod visit;

pub use door::{Dropped, LoginRefused, ScriptLookup, SshBackend, SshDoor, SshLogin, UnitState};
pub use fleet::SshFleet;
pub use node::{ForwardTable, ModelNode};
pub use program::Work;

//! The doors: each translates one protocol to the model, and decides nothing.

mod ssh;
mod ssh_fleet;
mod ssh_model;
mod ssh_program;
mod ssh_visit;

pub use ssh::{Dropped, LoginRefused, ScriptLookup, SshBackend, SshDoor, SshLogin, UnitState};
pub use ssh_fleet::SshFleet;
pub use ssh_model::{ForwardTable, ModelNode};
pub use ssh_program::Work;

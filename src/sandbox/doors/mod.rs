//! The doors: each translates one protocol to the model, and decides nothing.

mod ssh;
mod ssh_program;
mod ssh_visit;

pub use ssh::{ScriptLookup, SshBackend, SshDoor, UnitState};
pub use ssh_program::Work;

//! The doors: each translates one protocol to the model, and decides nothing.

mod broken;
mod cloudflare;
mod edge;
mod hetzner;
mod serve;
mod ssh;
mod ssh_program;
mod ssh_visit;

pub use cloudflare::CloudflareDoor;
pub use edge::{edge, node_http};
pub use hetzner::{HetznerDoor, Shape};
pub use serve::{serve, serve_tls};
pub use ssh::{ScriptLookup, SshBackend, SshDoor, UnitState};
pub use ssh_program::Work;

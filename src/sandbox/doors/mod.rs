//! The doors: each translates one protocol to the model, and decides nothing.

mod broken;
mod cloudflare;
pub mod direct;
mod edge;
mod hetzner;
mod serve;

pub use cloudflare::CloudflareDoor;
pub use edge::{edge, node_http};
pub use hetzner::{HetznerDoor, Shape};
pub use serve::{serve, serve_tls};

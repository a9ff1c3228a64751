//! The emulated world: one deterministic model of the outside, and doors that translate to it.
//!
//! The model knows the time only by being told: every call first lets happen what was due until then. The direct door
//! implements the world's traits under virtual time; the network doors serve the same model to real clients on loopback.

mod authority;
pub mod doors;
mod joined;
pub mod model;
mod node_doors;
pub mod objects;
mod served;
mod singletons;
mod told;
mod worlds;

pub use authority::{Authority, Issued, Kubeconfigs};
pub use joined::{ApiServers, Clusters};
pub use served::{Served, Setting};
pub use worlds::StartingWorld;

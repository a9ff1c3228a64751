//! The emulated world: one deterministic model of the outside, and doors that translate to it.
//!
//! The model knows the time only by being told: every call first lets happen what was due until then. The direct door
//! implements the world's traits under virtual time; the network doors serve the same model to real clients on loopback.

mod clusters;
pub mod doors;
pub mod model;
pub mod objects;

pub use clusters::{Clusters, ModelKubernetes};

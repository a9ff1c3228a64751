//! The outside, as traits and plain data: the cloud, DNS, nodes by SSH, Kubernetes, HTTP, files, time, randomness, secrets
//! and the person at the terminal.
//!
//! Nothing here does anything. `providers` implements these traits for real systems, `sandbox` for the emulated one; actions
//! and the engine know nothing but what is in this room. To add an outside system: one trait file here, one provider, one
//! field in [`World`].
//!
//! Every call that changes the outside takes a [`Permit`], which only the engine's guard can issue, and which it issues only
//! after the intent is on disk. A provider's first line in such a call is [`Permit::covers`].

mod addresses;
mod cloud;
mod cluster;
mod dns;
mod error;
mod files;
mod http;
mod keys;
mod labels;
mod lease;
mod permit;
mod person;
mod prices;
mod refusal;
mod secret;
mod shell;
mod time;
mod whole;

pub use addresses::*;
pub use cloud::*;
pub use cluster::*;
pub use dns::*;
pub use error::{Class, Error, Result};
pub use files::*;
pub use http::*;
pub use keys::*;
pub use labels::*;
pub use lease::*;
pub use permit::{Permit, Target};
pub use person::*;
pub use prices::*;
pub use refusal::{not_served, Refusal};
pub use secret::*;
pub use shell::*;
pub use time::*;
pub use whole::{World, WorldKind};

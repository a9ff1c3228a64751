//! Real implementations of the world's traits: Hetzner Cloud, Cloudflare, HTTP, files, clock, randomness and secrets.
//!
//! A provider turns one trait call into the outside's own words and its answer, or its refusal, back into the world's; it
//! decides the class of every error (what the engine does about it) and decides nothing else. To add one: a file here, a
//! folder where it outgrows one, and a field in [`crate::world::World`].

mod age_file;
mod budget;
mod cloudflare;
mod files;
mod hetzner;
mod http;
mod kube_api;
mod lock;
mod nowhere;
mod openssh;
mod sealed;
mod secrets;
mod system;
mod transport;

pub use age_file::encrypt;
pub use budget::Budget;
pub use cloudflare::Cloudflare;
pub use files::RunFiles;
pub use hetzner::Hetzner;
pub use http::{OnlyEdge, Visitor};
pub use kube_api::KubeApi;
pub use lock::{Held, Holder, Lock, LOCK, STATE_LOCKED};
pub use nowhere::NoDns;
pub use openssh::{OpenSsh, Operator};
pub use sealed::{seal, SEALED};
pub use secrets::{Answered, Generated, Secrets};
pub use system::{OsRandom, SystemClock};
pub use transport::Endpoint;

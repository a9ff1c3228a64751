//! Cloudflare's DNS by plain HTTP and a handful of structs.
//!
//! The `cloudflare` crate is not used: its error code is a `u16`, so that every DNS code (81044, 81057, 81058) loses the whole
//! error; one CAA record in the zone makes listing fail; it has neither batch nor comments.

mod api;
mod dns;
mod refusal;
mod reply;

pub use dns::Cloudflare;

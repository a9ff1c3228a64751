//! Hetzner Cloud, by the `hcloud` crate's requests over a transport of our own.
//!
//! Requests are built with the crate's models. Replies are not read with them, and the crate's client is not used, because
//! both lose what a recovery needs (hcloud 0.26):
//! - its reply models are strict: one missing key, one new word in an enumeration or `80.0` for an integer makes the whole
//!   call an error, *after* the server was made, so its id would be lost. Hetzner has since removed `datacenter`, is replacing
//!   `image.deprecated`, and says `unassigned` of primary IPs. We read the few fields we need from plain JSON ([`reply`]),
//!   and take every other word as one that we do not know yet;
//! - it drops `server_types[].locations[].available`, the only word about stock;
//! - it drops the replies' headers, so that neither the rate limit nor the correlation id could be seen;
//! - its client has no time-out, and its errors print neither code nor message.
//!
//! `api` sends one request or reads all pages, `refusal` classes the error codes, `request`, `reply`, `primary_ip` and `pricing` translate, `actions`
//! waits for what the cloud does meanwhile, `cloud` is the world's trait.

mod actions;
mod api;
mod cloud;
mod pricing;
mod primary_ip;
mod refusal;
mod reply;
mod request;

pub use cloud::Hetzner;

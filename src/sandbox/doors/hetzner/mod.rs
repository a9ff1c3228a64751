//! The Hetzner door: the model's cloud as the HTTP API of Hetzner Cloud, for relight's provider and anyone's official client.
//!
//! Handlers read a request, make one call of the model and show its answer; they decide nothing. `call` reads requests and
//! writes replies, `show` and `show_offer` write the model's values in the API's words, `order` reads bodies.

mod call;
mod offer;
mod order;
mod primary_ips;
mod servers;
mod show;
mod show_offer;
mod things;

pub use call::{HetznerDoor, Shape};

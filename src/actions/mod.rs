//! What steps do: one file per action, each a read-only look and an apply that is safe to repeat.
//!
//! To add an action: a file here with a type that implements [`Action`], and two lines in `registry.rs`: its name and its
//! parameters in [`action`]'s match.

mod access;
mod action;
mod address;
mod adopt;
mod apart;
mod behind;
mod cluster_node;
mod cost;
mod dns;
mod dns_undo;
mod drift;
mod fact;
mod fence;
mod firewall_peers;
mod found;
mod found_text;
mod going;
mod host_key;
mod inventory;
mod k3s;
mod lease;
mod living;
mod manifests;
mod members;
mod node;
mod old;
mod patience;
mod piece;
mod preflight;
mod rank;
mod regain;
mod registry;
mod rollout;
mod server;
mod server_end;
mod shown_key;
mod stock;
mod teardown;
mod teardown_live;
mod thing;
mod token;
mod verify;

pub use access::UNWRITTEN;
pub use action::*;
pub use behind::Behind;
pub use dns_undo::{earlier_addresses, earlier_records, undone, WANTED};
pub use fact::{Fact, FactKind, Facts, OWN, UNKNOWN};
pub use found::{Found, Hindrances};
pub use going::Going;
pub use preflight::{resolve_all, secret_sources};
pub use registry::{action, NAMES};

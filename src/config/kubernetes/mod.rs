//! What is known of Kubernetes v1.34 without asking one: the kinds it serves, the shape of their objects, and which values it
//! refuses. Judges manifests before anything is touched, and is what the sandbox's API server refuses by.
//!
//! To add a rule: a row in `words.rs`, `numbers.rs` or `together.rs`; only what compares several fields is code, in `compare.rs`.

mod compare;
mod groups;
mod judge;
mod numbers;
mod pods;
mod quantity;
mod schema;
mod selects;
mod shape;
mod together;
mod words;

pub use groups::{is_built_in, never_served, standing, Meant, Standing, MINOR};
pub use judge::{invalid, Invalid};
pub use pods::pod_path;
pub use schema::{all, of_kind, split_api_version, ListKind, Schema};
pub use selects::selects;
pub use shape::{described, shape, Shape, Unknown};

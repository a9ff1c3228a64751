//! The sandbox's Kubernetes: a pure model of a K3s cluster's API server, datastore, controllers and kubelets.
//!
//! It knows the time only by being told, holds no lock, starts no task. [`Objects`] is the whole of it; [`Objects::answer`] is the
//! HTTP API as a function, which the network door only carries. To add a kind: a row in `kinds.rs`, its schema in
//! `config/kubernetes/data/reduce-openapi.py`; a controller is one file in `control`.

mod answer;
mod apply;
mod control;
mod defaults;
mod discovery;
mod failure;
mod fields;
mod kinds;
mod lists;
mod machines;
mod pace;
mod patch;
mod protobuf;
mod read;
mod requests;
mod schema;
mod selector;
mod store;
mod table;
mod validate;
mod watch;
mod words;

pub use answer::{Answer, Asked};
pub use failure::Failure;
pub use kinds::Served;
pub use lists::Selection;
pub use machines::NodeView;
pub use pace::{Pace, Startup};
pub use requests::{Named, PatchKind, Writer};
pub use store::{Change, Objects};
pub use watch::Watch;

//! `relight.yaml` read into validated [`Settings`]. Parsing and checking only: nothing here looks at the outside but the files
//! that the configuration names.

pub mod kubernetes;
mod load;
mod manifests;
mod names;
mod problem;
mod raw;
mod record;
mod rehearsed;
mod rule;
mod schema;
mod settings;
mod shape;
mod taken_down;
mod validate;
mod yaml;

pub use load::load;
pub use manifests::{manifests, Manifest, ReadOnce};
pub use problem::{known, nearest, Place, Problem, Problems};
pub use record::differences;
pub use rehearsed::{Differs, Rehearsed};
pub use schema::schema;
pub use settings::*;
pub use taken_down::TakenDown;

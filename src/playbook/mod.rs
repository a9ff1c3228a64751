//! `steps/*.yaml` read into a [`Plan`]: a DAG of steps, with every mistake found at load, with file, line and column.
//!
//! The text becomes a tree that knows places (`tree`), then steps as written (`written`), then links and an order between
//! them (`order`), then one step a node (`expand`); it is checked that facts flow (`flow`), and
//! last the playbooks that it stands on take their places (`compose`).
//!
//! To add a key of a step: `written`. To add a node set: `sets`. To add a playbook: a file under `steps/`, and nothing here.

mod compose;
mod duration;
mod expand;
mod fields;
mod flow;
mod load;
mod order;
mod plan;
mod problem;
mod sets;
mod source;
mod tree;
mod written;

pub use load::{load, Binding, MakeAction};
pub use plan::*;
pub use source::{Source, SourceFile};

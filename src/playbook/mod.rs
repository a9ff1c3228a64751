//! `steps/*.yaml` read into a [`Plan`]: a DAG of steps, with every mistake found at load, with file, line and column.

mod plan;

pub use plan::*;

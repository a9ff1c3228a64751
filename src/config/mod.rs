//! `relight.yaml` read into validated [`Settings`]. Parsing and checking only: nothing here looks at the outside but the files
//! that the configuration names.

mod settings;

pub use settings::*;

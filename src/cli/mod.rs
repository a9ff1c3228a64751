//! The command line: one file a subcommand, and the only room that prompts.
//!
//! ```text
//! rebuild: args -> prepare (files) -> sandbox or tokens -> plan shown -> agreed -> prompts -> first record -> drive -> ending
//! resume:  args -> runs (journal)  -> card or tokens    -> what changed, agreed -> prompts -> drive -> ending
//! reconstruct: args -> prepare     -> card or tokens    -> what carries a run's labels -> first record
//! ```

mod addresses;
mod adopting;
mod args;
mod begin;
mod binary;
mod card;
mod commands;
mod control;
mod digests;
mod drawing;
mod drive;
mod ending;
mod entry;
mod exit;
mod history;
mod kept;
mod kubeconfig;
mod kubectl;
mod lease;
mod look;
mod merge;
mod operator;
mod person;
mod prepare;
mod prompts;
mod proofs;
mod reconstruct;
mod resume;
mod retold;
mod runs;
mod sandbox;
mod say;
mod serve;
mod sources;
mod spares;
mod taking_down;
mod undo;
mod usage;
mod validate;
mod worlds;

pub use args::Cli;
pub use entry::{run, take_environment};
pub use exit::{Exit, Stop};

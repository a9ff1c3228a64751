//! Runs a plan: intent before effect, a journal that survives everything, and nothing outside but through the world.
//!
//! ```text
//!            +-------------------------- transient, unknown: backoff ---------------------------+
//!            v                                                                                  |
//! start -> gate -> check -- done ---------------------------------------------> result (fsync) |
//!                    |  ^-- pending: pause                                                      |
//!                    |-- refused -> evidence? a person types the name -> accepted               |
//!                    +-- needed -> guard looks -> intent (fsync) -> permit -> call -> check ----+
//! ```
//!
//! The engine knows no provider: what an error means is said by its class, what a step does by its action, what a run may
//! touch by the guard.

mod cost;
mod effects;
mod event;
mod fold;
mod gate;
mod guard;
mod journal;
mod lease;
mod reconstruct;
mod retry;
mod run;
mod stages;
mod step;

pub use event::*;
pub use fold::RunState;
pub use journal::{read as read_journal, Broken, Journal, Reading, Record, JOURNAL};
pub use reconstruct::Lost;
pub use run::{place, step_records, Run};
pub use stages::ahead;

//! Draws what a run tells. Knows events and nothing else, and decides nothing.
//!
//! [`Bars`] for a terminal, [`Lines`] without one, [`Json`] for programs; [`summary`] and [`status`] are the text of a run that
//! ended or that is looked at from outside, [`plan_text`] of one that has not begun. All but the last are drawn from a
//! board: a fold of the events.
//!
//! To add a way of drawing: one file here whose type implements [`crate::engine::Listener`].

mod bars;
mod board;
mod json;
mod lines;
mod plan_text;
#[cfg(test)]
mod samples;
mod status;
mod summary;
mod whole;
mod words;

pub use bars::{Bars, Quiet};
pub use json::Json;
pub use lines::Lines;
pub use plan_text::{plan_text, PlanLine};
pub use status::status;
pub use summary::summary;
pub use words::{fit, plain};

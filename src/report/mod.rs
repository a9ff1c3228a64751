//! Draws what a run tells. Knows events and nothing else, and decides nothing.
//!
//! [`Bars`] for a terminal, [`Lines`] without one, [`Json`] for programs; [`summary`] and [`status`] are the text of a run that
//! ended or that is looked at from outside, [`plan_text`] of one that has not begun. All but the last are drawn from a
//! board: a fold of the events.
//!
//! What remains of runs is made of a second fold, their past: [`proof`] of a rehearsal, its [`Standing`] today, and the
//! [`History`] that forecasts are made of.
//!
//! To add a way of drawing: one file here whose type implements [`crate::engine::Listener`].

mod bars;
mod board;
mod history;
mod json;
mod lines;
mod past;
mod plan_text;
mod proof;
mod proof_text;
mod proven;
mod proven_text;
mod repeats;
#[cfg(test)]
mod samples;
mod status;
mod summary;
mod whole;
mod words;

pub use bars::{Bars, Quiet};
pub use history::{Alike, History, Usual, ENOUGH};
pub use json::Json;
pub use lines::Lines;
pub use plan_text::{plan_text, Forecast, PlanLine};
pub use proof::*;
pub use proof_text::proof_text;
pub use proven::{FailedRun, ProvenRun, Standing, Today};
pub use proven_text::{proven_text, unproven_text};
pub use status::status;
pub use summary::summary;
pub use words::{fit, plain};

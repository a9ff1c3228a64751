//! Runs a plan: intent before effect, a journal that survives everything, and nothing outside but through the world.

mod event;

pub use event::*;

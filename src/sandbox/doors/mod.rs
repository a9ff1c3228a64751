//! The doors: each translates one protocol to the model, and decides nothing.

pub mod direct;
pub mod ssh;

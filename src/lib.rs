//! relight brings a K3s cluster back.

pub mod actions;
pub mod cli;
pub mod config;
pub mod engine;
pub mod playbook;
pub mod providers;
pub mod report;
pub mod sandbox;
pub mod world;

//! relight brings a K3s cluster back.

pub mod actions;
pub mod config;
pub mod engine;
pub mod playbook;
pub mod providers;
pub mod sandbox;
pub mod world;

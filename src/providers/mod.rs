//! Real implementations of the world's traits: a file each, a folder where one outgrows it.
//!
//! A provider decides the class of every error, takes a permit for every change, and tells nobody a secret.

mod openssh;

pub use openssh::OpenSsh;

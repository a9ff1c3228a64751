//! The sandbox's model answers like the outside: cloud, DNS, nodes and K3s, under time that the test tells it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test's helpers may fail like tests.

mod cloud;
mod dns;
mod expiry;
mod k3s;
mod nodes;
mod outside;

//! Promises of the rebuild playbook, under virtual time on the sandbox's direct door.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::needless_for_each,
    reason = "a test stops where it fails"
)]

mod addresses;
mod adopt;
mod by_hand;
mod cloudflare_down;
mod drift;
mod every_playbook;
mod fail_each_step;
mod full_disk;
mod given_up;
mod guarded;
mod guarded_labels;
mod happy;
mod insists;
mod judged;
mod k3s_changed;
mod k3s_config;
mod kept_addresses;
mod kept_secrets;
mod kill_anywhere;
mod killed_again;
mod lease;
mod leave;
mod life;
mod living;
mod lost_again;
mod lying;
mod named;
mod old_cluster;
mod planted;
mod public;
mod reconstruct;
mod rehearsal;
mod saboteur;
mod teardown;
mod undone;
mod unsteady;
mod worlds;
mod wrong_hands;

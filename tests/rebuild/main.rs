//! Promises of the rebuild playbook, under virtual time on the sandbox's direct door.

mod fail_each_step;
mod happy;
mod life;
mod wrong_hands;

//! Promises of the rebuild playbook, under virtual time on the sandbox's direct door.

mod happy;
mod kill_anywhere;
mod life;

//! Machines that power themselves off at a time that their user data named.
//!
//! The timer is systemd's. Source: systemd.timer(5), `OnCalendar=` and `Persistent=`, and systemd's `src/core/timer.c`: a
//! persistent timer that was missed while the machine was off elapses at the next boot; one that is enabled after its only
//! moment never elapses; one that has elapsed does not do so again.

use super::state::Due;
use super::Model;
use crate::world::ServerStatus;
use std::time::Duration;

/// The timer of a machine that has not elapsed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry {
    /// When the machine powers itself off, in clock time.
    pub at: Duration,
    /// Which planned end is this boot's.
    turn: u64,
}

impl Expiry {
    pub fn at(at: Duration) -> Self {
        Self { at, turn: 0 }
    }
}

impl Model {
    /// A boot: the timer waits for its moment, or has missed it. At the first boot cloud-init enables it, as the last it does.
    pub(super) fn wait_for_expiry(&mut self, server: i64, first: bool) {
        let (now, turn) = (self.now, self.next_turn());
        let enabled = now + self.latency.cloud_init;
        let boots = self.latency.boot;
        let Some(machine) = self.machines.get_mut(&server) else { return };
        machine.expiry = machine.expiry.filter(|expiry| !first || expiry.at > enabled);
        let Some(expiry) = machine.expiry.as_mut() else { return };
        expiry.turn = turn;
        let after = expiry.at.saturating_sub(now).max(boots);
        self.plan(after, Due::Expires { server, turn });
    }
    /// The timer elapses: the machine powers itself off, and the cloud shows it.
    pub(super) fn expires(&mut self, server: i64, turn: u64) {
        let Some(machine) = self.machines.get_mut(&server) else { return };
        // Off, it misses the moment; rebooted, it waits anew; wiped, it has another disk.
        if machine.on_since.is_none() || machine.expiry.map(|e| e.turn) != Some(turn) {
            return;
        }
        machine.expiry = None;
        let project = machine.project;
        self.machine_off(server);
        if self.find_server(project, server).is_ok_and(|s| s.status == ServerStatus::Running) {
            self.set_status(project, server, ServerStatus::Off);
        }
    }
}

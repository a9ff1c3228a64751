//! How long things take outside, in clock time.

use std::time::Duration;

/// One profile of latencies. Numbers of [`Latency::real`] are from experience with three small nodes; the benchmark of a real
/// rebuild replaces them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    /// One API request, there and back.
    pub request: Duration,
    /// One SSH command on an open connection; twice that for a new connection.
    pub ssh: Duration,
    /// `create_server`.
    pub create: Duration,
    /// `start_server`.
    pub start: Duration,
    /// `stop_server`, `delete_server`, `reset_server`.
    pub stop: Duration,
    /// Any other action of the cloud.
    pub action: Duration,
    /// Power on until sshd answers.
    pub boot: Duration,
    /// Power on until cloud-init is done.
    pub cloud_init: Duration,
    /// `harden.sh apply`.
    pub harden: Duration,
    /// The timed revert of `harden.sh`: a promise of the script's contract, the same in every profile.
    pub revert: Duration,
    /// `k3s.sh install`: download, check, write.
    pub install: Duration,
    /// Start of the first server until `/readyz`.
    pub first_ready: Duration,
    /// Start of another server until it asks to join.
    pub join: Duration,
    /// Joined as a learner until it has caught up and its node is Ready.
    pub catch_up: Duration,
    /// The leader looks for learners to promote this often. Source: k3s pkg/etcd, `manageTickerTime`.
    pub tick: Duration,
    /// A joining server asks again this often. Source: k3s pkg/etcd, `join` polls every second.
    pub join_poll: Duration,
    /// A restarted server until it serves again.
    pub restart: Duration,
    /// `late.sh apply`.
    pub late: Duration,
    /// Any other verb of a script that changes something.
    pub script: Duration,
    /// How long a request to something that does not answer hangs.
    pub silence: Duration,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Latency {
    /// As in life. The profile `fast` is the same, on a clock that runs 30 times faster.
    pub const fn real() -> Self {
        Self {
            request: ms(150),
            ssh: ms(120),
            create: ms(8_000),
            start: ms(2_000),
            stop: ms(2_000),
            action: ms(1_000),
            boot: ms(20_000),
            cloud_init: ms(25_000),
            harden: ms(15_000),
            revert: ms(120_000),
            install: ms(12_000),
            first_ready: ms(25_000),
            join: ms(12_000),
            catch_up: ms(8_000),
            tick: ms(15_000),
            join_poll: ms(1_000),
            restart: ms(15_000),
            late: ms(40_000),
            script: ms(1_000),
            silence: ms(5_000),
        }
    }
    /// Nothing takes noticeable time; order is kept.
    pub const fn instant() -> Self {
        Self {
            request: ms(1),
            ssh: ms(1),
            create: ms(2),
            start: ms(1),
            stop: ms(1),
            action: ms(1),
            boot: ms(2),
            cloud_init: ms(3),
            harden: ms(2),
            revert: ms(120_000),
            install: ms(2),
            first_ready: ms(3),
            join: ms(2),
            catch_up: ms(1),
            tick: ms(5),
            join_poll: ms(1),
            restart: ms(2),
            late: ms(2),
            script: ms(1),
            silence: ms(50),
        }
    }
}

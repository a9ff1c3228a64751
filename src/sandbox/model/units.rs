//! Logging in to nodes, and scripts that run on them as transient units, whatever happens to the connection.

use super::faults::Stage;
use super::machine::HostKey;
use super::state::Due;
use super::{Caller, Entry, FaultKind, LedgerOutcome, Model, Reach};
use crate::world::Ended;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Why a node cannot be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeError {
    /// Nobody answers: powered off, booting, cut off by a firewall, or no such address.
    Silent,
    /// The machine answers, sshd does not.
    Refused,
    /// sshd does not accept this user with this key.
    KeyRejected,
    /// The connection broke off. What was started goes on.
    Dropped,
}

/// An open connection. It lasts until the machine loses power; firewalls let established connections be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The server's id.
    pub server: i64,
    /// The address connected to.
    pub address: Ipv4Addr,
    /// The user logged in as.
    pub user: String,
    boot_id: String,
}

/// A script to run, as its input file and argument tell it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// `harden.sh`.
    pub script: String,
    /// `apply`.
    pub verb: String,
    /// Parsed input.
    pub input: BTreeMap<String, String>,
    /// Name of the transient unit: `relight-<step>-<digest>`. The same name is the same work.
    pub unit: String,
    /// Tells one call from every other: only those that started or joined a unit are told its end.
    pub call: String,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Inputs may be secret.
        f.debug_struct("Job").field("script", &self.script).field("verb", &self.verb).finish_non_exhaustive()
    }
}

/// A transient unit.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    job: Job,
    /// Those that started or joined it.
    calls: BTreeSet<String>,
    who: Caller,
    ends: Duration,
    turn: u64,
    result: Option<Ended>,
}

/// How far a unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitState {
    /// It runs, until this clock time as things are.
    Running {
        /// When it will end.
        ends: Duration,
    },
    /// It has ended, and the call that asks had started or joined it.
    Ended(Ended),
    /// The node knows nothing of it: never started, ended before the call came, or the node has rebooted.
    Unknown,
}

/// An end without output.
pub(super) fn ended(exit: i32, stderr: &str) -> Ended {
    Ended { exit, stdout: String::new(), stderr: stderr.to_owned() }
}

impl Model {
    /// The host key that sshd at this address shows, for whoever gets that far.
    /// Fault operation: `node.host_key`.
    pub fn host_key(&mut self, now: Duration, address: Ipv4Addr) -> Result<HostKey, NodeError> {
        self.open_ssh(now, address)?;
        if self.faults.take(Stage::Before, "node.host_key", &address.to_string()) == Some(FaultKind::StrangeKey) {
            return Ok(HostKey::make(&mut self.random));
        }
        self.machine_at(address).map(|m| m.host_key.clone()).ok_or(NodeError::Silent)
    }
    fn open_ssh(&mut self, now: Duration, address: Ipv4Addr) -> Result<(), NodeError> {
        match self.reach(now, address, 22) {
            Reach::Silent => Err(NodeError::Silent),
            Reach::Refused => Err(NodeError::Refused),
            Reach::Open => Ok(()),
        }
    }
    /// Logs in. The door has compared the host key before. Fault operation: `node.connect`.
    pub fn connect(
        &mut self,
        now: Duration,
        address: Ipv4Addr,
        user: &str,
        public_key: &str,
    ) -> Result<Connection, NodeError> {
        self.open_ssh(now, address)?;
        match self.faults.take(Stage::Before, "node.connect", &address.to_string()) {
            Some(FaultKind::Down) => return Err(NodeError::Silent),
            Some(_) => return Err(NodeError::Dropped),
            None => {}
        }
        let machine = self.machine_at(address).ok_or(NodeError::Silent)?;
        if !machine.admits_user(user, public_key) {
            return Err(NodeError::KeyRejected);
        }
        Ok(Connection { server: machine.server, address, user: user.to_owned(), boot_id: machine.boot_id.clone() })
    }
    fn check_connection(&mut self, now: Duration, connection: &Connection) -> Result<String, NodeError> {
        self.advance(now);
        let machine = self.machines.get(&connection.server).ok_or(NodeError::Dropped)?;
        if machine.on_since.is_none() || machine.boot_id != connection.boot_id {
            return Err(NodeError::Dropped);
        }
        Ok(format!("{} {}", connection.address, machine.hostname))
    }
    /// Runs a read-only script at once.
    pub fn look(&mut self, now: Duration, connection: &Connection, job: &Job) -> Result<Ended, NodeError> {
        let target = self.check_connection(now, connection)?;
        let op = format!("node.{}.{}", job.script, job.verb);
        match self.faults.take(Stage::Before, &op, &target) {
            Some(FaultKind::Down) => return Err(NodeError::Silent),
            Some(_) => return Err(NodeError::Dropped),
            None => {}
        }
        match self.faults.take(Stage::Script, &op, &target) {
            Some(FaultKind::Exit(exit)) => return Ok(ended(exit, "sandbox: planned failure")),
            Some(FaultKind::Reboot) => {
                self.reboot(connection.server);
                return Err(NodeError::Dropped);
            }
            Some(_) => return Err(NodeError::Dropped),
            None => {}
        }
        Ok(self.carry_out(connection.server, job))
    }
    fn reboot(&mut self, server: i64) {
        self.machine_off(server);
        self.machine_on(server);
    }
    /// Starts a unit, or joins the one of that name that runs. One that has ended, well or not, runs anew for another call.
    pub fn run_script(
        &mut self,
        now: Duration,
        who: &Caller,
        at: &Connection,
        job: &Job,
    ) -> Result<UnitState, NodeError> {
        let target = self.check_connection(now, at)?;
        let known = self.unit_state(at.server, &job.unit, &job.call);
        if known != UnitState::Unknown {
            self.join(at.server, job);
            return Ok(known);
        }
        let op = format!("node.{}.{}", job.script, job.verb);
        match self.faults.take(Stage::Before, &op, &target) {
            Some(FaultKind::Down) => return Err(NodeError::Silent),
            Some(_) => return Err(NodeError::Dropped),
            None => {}
        }
        let fault = self.faults.take(Stage::Script, &op, &target);
        if fault == Some(FaultKind::Reboot) {
            self.reboot(at.server);
            return Err(NodeError::Dropped);
        }
        let turn = self.next_turn();
        let ends = match fault {
            Some(FaultKind::Exit(_)) => self.now,
            _ => self.script_start(at.server) + self.script_time(&job.script, &job.verb),
        };
        let result = match fault {
            Some(FaultKind::Exit(exit)) => Some(ended(exit, "sandbox: planned failure")),
            _ => None,
        };
        let calls = BTreeSet::from([job.call.clone()]);
        let unit = Unit { job: job.clone(), calls, who: who.clone(), ends, turn, result: result.clone() };
        if let Some(machine) = self.machines.get_mut(&at.server) {
            machine.units.insert(job.unit.clone(), unit);
        }
        if result.is_none() {
            let after = ends.saturating_sub(self.now);
            self.plan(after, Due::UnitEnds { server: at.server, unit: job.unit.clone(), turn });
        }
        if fault == Some(FaultKind::SshDrop) {
            return Err(NodeError::Dropped);
        }
        Ok(self.unit_state(at.server, &job.unit, &job.call))
    }
    /// How far a unit is, for the call that started or joined it.
    pub fn script_result(
        &mut self,
        now: Duration,
        at: &Connection,
        unit: &str,
        call: &str,
    ) -> Result<UnitState, NodeError> {
        self.check_connection(now, at)?;
        Ok(self.unit_state(at.server, unit, call))
    }
    /// A call that no other one is like.
    pub fn new_call(&mut self) -> String {
        self.next_turn().to_string()
    }
    fn unit_state(&self, server: i64, unit: &str, call: &str) -> UnitState {
        match self.machines.get(&server).and_then(|m| m.units.get(unit)) {
            None => UnitState::Unknown,
            Some(unit) => match &unit.result {
                None => UnitState::Running { ends: unit.ends },
                Some(ended) if unit.calls.contains(call) => UnitState::Ended(ended.clone()),
                Some(_) => UnitState::Unknown,
            },
        }
    }
    fn join(&mut self, server: i64, job: &Job) {
        let unit = self.machines.get_mut(&server).and_then(|m| m.units.get_mut(&job.unit));
        if let Some(unit) = unit {
            unit.calls.insert(job.call.clone());
        }
    }
    /// Scripts wait for cloud-init first.
    fn script_start(&self, server: i64) -> Duration {
        let booted = self.machines.get(&server).and_then(|m| m.on_since);
        booted.map_or(self.now, |on| self.now.max(on + self.latency.cloud_init))
    }
    /// The end of a unit is when its effect takes place.
    pub(super) fn unit_ends(&mut self, server: i64, name: &str, turn: u64) {
        let unit = self.machines.get(&server).and_then(|m| m.units.get(name));
        let Some(unit) = unit.filter(|u| u.turn == turn && u.result.is_none()) else { return };
        let (job, who) = (unit.job.clone(), unit.who.clone());
        let ended = self.carry_out(server, &job);
        let outcome = match ended.exit {
            0 => LedgerOutcome::Applied,
            exit => LedgerOutcome::Refused(format!("exit {exit}")),
        };
        let Some(machine) = self.machines.get_mut(&server) else { return };
        if let Some(unit) = machine.units.get_mut(name) {
            unit.result = Some(ended);
        }
        let project = self.projects.get(machine.project);
        let labels = project.and_then(|p| p.servers.get(&server)).map(|s| s.labels.clone()).unwrap_or_default();
        self.ledger.entries.push(Entry {
            at: self.now,
            who,
            op: format!("node.{}.{}", job.script, job.verb),
            target: machine.hostname.clone(),
            id: Some(server),
            labels,
            project: project.map(|p| p.name.clone()),
            names: Vec::new(),
            outcome,
            reply_lost: false,
        });
    }
}

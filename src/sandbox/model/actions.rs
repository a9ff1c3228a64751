//! Actions of the modelled cloud: work that takes time, with progress, and may fail.

use super::cloud::{Note, Op};
use super::faults::Stage;
use super::state::Due;
use super::{Answer, ApiError, Caller, FaultKind, Model};
use crate::world::ServerStatus;
use std::time::Duration;

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionStatus {
    /// Under way.
    Running,
    /// Ended well.
    Success,
    /// Ended badly.
    Error,
}

impl ActionStatus {
    /// The API's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

/// What an action brings about when it ends well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Created,
    PowerOn,
    PowerOff,
    Reboot,
    Delete,
    Rebuild,
}

/// An action.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudAction {
    /// The cloud's id.
    pub id: i64,
    /// `create_server`.
    pub command: String,
    /// How far it is.
    pub status: ActionStatus,
    /// 0 to 100.
    pub progress: u32,
    /// Clock time.
    pub started: Duration,
    /// Clock time of its end; `None` while it runs.
    pub finished: Option<Duration>,
    /// `server` and its id, and so on.
    pub resources: Vec<(String, i64)>,
    /// Code and message, where it ended badly.
    pub error: Option<(String, String)>,
    /// When it will end; `None` when it hangs for ever.
    pub(super) ends: Option<Duration>,
    pub(super) effect: Effect,
}

/// How an action begins.
pub(super) struct Begin<'a> {
    pub command: &'a str,
    pub op: &'a str,
    pub target: &'a str,
    pub resources: Vec<(String, i64)>,
    pub lasts: Duration,
    pub effect: Effect,
}

impl CloudAction {
    fn seen_at(&self, now: Duration) -> Self {
        let mut seen = self.clone();
        if let (ActionStatus::Running, Some(ends)) = (self.status, self.ends) {
            let whole = ends.saturating_sub(self.started).as_millis().max(1);
            let part = now.saturating_sub(self.started).as_millis() * 100 / whole;
            seen.progress = u32::try_from(part.min(99)).unwrap_or(99);
        }
        seen
    }
    fn server(&self) -> Option<i64> {
        self.resources.iter().find(|(kind, _)| kind == "server").map(|(_, id)| *id)
    }
}

impl Model {
    /// Starts an action; faults may make it hang or fail.
    pub(super) fn begin(&mut self, project: usize, begin: Begin<'_>) -> Result<CloudAction, ApiError> {
        let id = self.next_id();
        let fault = self.faults.take(Stage::Action, begin.op, begin.target);
        let hangs = fault == Some(FaultKind::HungAction);
        let error = match fault {
            Some(FaultKind::ActionError(code)) => Some((code.clone(), format!("action failed: {code}"))),
            _ => None,
        };
        let action = CloudAction {
            id,
            command: begin.command.to_owned(),
            status: ActionStatus::Running,
            progress: 0,
            started: self.now,
            finished: None,
            resources: begin.resources,
            error,
            ends: (!hangs).then_some(self.now + begin.lasts),
            effect: begin.effect,
        };
        self.project_mut(project)?.actions.insert(id, action.clone());
        if !hangs {
            self.plan(begin.lasts, Due::ActionEnds { project, action: id });
        }
        let mut told = action;
        told.error = None;
        Ok(told)
    }

    pub(super) fn action_ends(&mut self, project: usize, id: i64) {
        let now = self.now;
        let Some(action) = self.projects.get_mut(project).and_then(|p| p.actions.get_mut(&id)) else { return };
        action.finished = Some(now);
        action.progress = 100;
        action.status = if action.error.is_some() { ActionStatus::Error } else { ActionStatus::Success };
        let failed = action.error.is_some();
        let (effect, server) = (action.effect, action.server());
        let Some(server) = server else { return };
        if failed {
            if matches!(effect, Effect::PowerOn | Effect::Created) {
                self.set_status(project, server, ServerStatus::Off);
            }
            return;
        }
        match effect {
            Effect::Nothing => {}
            Effect::Created => self.set_status(project, server, ServerStatus::Starting),
            Effect::PowerOn => {
                // A create that failed leaves nothing to start.
                self.set_status(project, server, ServerStatus::Running);
                self.machine_on(server);
            }
            Effect::PowerOff => {
                self.set_status(project, server, ServerStatus::Off);
                self.machine_off(server);
            }
            Effect::Reboot => {
                self.machine_off(server);
                self.set_status(project, server, ServerStatus::Running);
                self.machine_on(server);
            }
            Effect::Rebuild => {
                self.machine_wiped(project, server);
                self.set_status(project, server, ServerStatus::Running);
                self.machine_on(server);
            }
            Effect::Delete => self.server_gone(project, server),
        }
    }

    pub(super) fn set_status(&mut self, project: usize, server: i64, status: ServerStatus) {
        if let Some(server) = self.projects.get_mut(project).and_then(|p| p.servers.get_mut(&server)) {
            server.status = status;
        }
    }
    /// Whether an action on this server runs: the API then answers 423 to other changes.
    pub(super) fn server_busy(&self, project: usize, server: i64) -> bool {
        let Some(project) = self.projects.get(project) else { return false };
        let mut actions = project.actions.values();
        actions.any(|a| a.status == ActionStatus::Running && a.server() == Some(server))
    }
    /// Actions by id. Ids that do not exist are left out.
    pub fn actions(&mut self, now: Duration, caller: &Caller, ids: &[i64]) -> Answer<Vec<CloudAction>> {
        let act = |model: &mut Self, project: usize, _: &mut Note| {
            let now = model.now;
            let actions = &model.project(project)?.actions;
            Ok(ids.iter().filter_map(|id| actions.get(id)).map(|a| a.seen_at(now)).collect())
        };
        self.cloud(now, caller, &Op::read("cloud.actions.list"), act)
    }
    /// One action.
    pub fn action(&mut self, now: Duration, caller: &Caller, id: i64) -> Answer<CloudAction> {
        let act = |model: &mut Self, project: usize, _: &mut Note| {
            let now = model.now;
            let found = model.project(project)?.actions.get(&id).map(|a| a.seen_at(now));
            found.ok_or_else(|| ApiError::not_found("action", id))
        };
        self.cloud(now, caller, &Op::read("cloud.action.get"), act)
    }
    /// The actions of one server, oldest first.
    pub fn server_actions(&mut self, now: Duration, caller: &Caller, server: i64) -> Answer<Vec<CloudAction>> {
        let act = |model: &mut Self, project: usize, _: &mut Note| {
            let now = model.now;
            let all = model.project(project)?.actions.values();
            Ok(all.filter(|a| a.server() == Some(server)).map(|a| a.seen_at(now)).collect())
        };
        self.cloud(now, caller, &Op::read("cloud.server.actions"), act)
    }
}

//! Projects of the modelled cloud, and what every call to it goes through: token, rate limit, faults, ledger.

use super::faults::Stage;
use super::{
    Answer, ApiError, Budget, Caller, CloudAction, CloudServer, CloudThing, Entry, Failure, FaultKind, LedgerOutcome,
    Model, PrimaryIp,
};
use crate::world::Labels;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenMay {
    /// Everything.
    Write,
    /// Read.
    Read,
    /// Nothing: expired or revoked.
    Nothing,
}

/// Quotas of a project. No endpoint shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Servers, powered off or not.
    pub servers: usize,
    /// Primary IPs.
    pub primary_ips: usize,
    /// Requests per hour; refilled evenly.
    pub requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { servers: 25, primary_ips: 25, requests: 3600 }
    }
}

/// One project of the cloud.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub name: String,
    pub tokens: BTreeMap<String, TokenMay>,
    pub limits: Limits,
    pub servers: BTreeMap<i64, CloudServer>,
    pub things: BTreeMap<i64, CloudThing>,
    pub actions: BTreeMap<i64, CloudAction>,
    pub primary_ips: BTreeMap<i64, PrimaryIp>,
    /// Requests used, in thousandths, and when that was reckoned.
    used: (u64, Duration),
}

/// What a call turns out to be about, for the ledger.
#[derive(Debug, Default)]
pub(super) struct Note {
    pub id: Option<i64>,
    pub labels: Labels,
}

/// What a call is, before it is carried out.
pub(super) struct Op<'a> {
    pub name: &'a str,
    pub write: bool,
    pub target: &'a str,
}

impl<'a> Op<'a> {
    pub fn read(name: &'a str) -> Self {
        Self { name, write: false, target: "" }
    }
    pub fn write(name: &'a str, target: &'a str) -> Self {
        Self { name, write: true, target }
    }
}

impl Project {
    /// Takes one request out of the bucket; `false` when it is empty.
    fn spend(&mut self, now: Duration) -> bool {
        let limit = u64::from(self.limits.requests);
        let passed = u64::try_from(now.saturating_sub(self.used.1).as_millis()).unwrap_or(u64::MAX);
        let refilled = passed.saturating_mul(limit) / 3600;
        self.used = (self.used.0.saturating_sub(refilled), now);
        let fits = self.used.0 + 1000 <= limit * 1000;
        if fits {
            self.used.0 += 1000;
        }
        fits
    }
    fn budget(&self) -> Budget {
        let limit = u64::from(self.limits.requests);
        let left = (limit * 1000).saturating_sub(self.used.0) / 1000;
        let until_full = (self.used.0 * 3600 / limit.max(1)).div_ceil(1000);
        Budget {
            limit: self.limits.requests,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: self.used.1.as_secs() + until_full,
        }
    }
}

impl Model {
    /// Adds a project and its tokens.
    pub fn add_project(&mut self, name: &str, tokens: &[(&str, TokenMay)]) {
        self.projects.push(Project {
            name: name.to_owned(),
            tokens: tokens.iter().map(|(token, may)| ((*token).to_owned(), *may)).collect(),
            limits: Limits::default(),
            servers: BTreeMap::new(),
            things: BTreeMap::new(),
            actions: BTreeMap::new(),
            primary_ips: BTreeMap::new(),
            used: (0, self.now),
        });
    }
    /// Changes what a token may do; adds it where the project does not know it.
    pub fn set_token(&mut self, project: &str, token: &str, may: TokenMay) {
        if let Some(project) = self.projects.iter_mut().find(|p| p.name == project) {
            project.tokens.insert(token.to_owned(), may);
        }
    }
    /// Changes a project's quotas.
    pub fn set_limits(&mut self, project: &str, limits: Limits) {
        if let Some(project) = self.projects.iter_mut().find(|p| p.name == project) {
            project.limits = limits;
        }
    }
    pub(super) fn project_index(&self, name: &str) -> Option<usize> {
        self.projects.iter().position(|p| p.name == name)
    }
    pub(super) fn project(&self, index: usize) -> Result<&Project, ApiError> {
        self.projects.get(index).ok_or_else(unauthorized)
    }
    pub(super) fn project_mut(&mut self, index: usize) -> Result<&mut Project, ApiError> {
        self.projects.get_mut(index).ok_or_else(unauthorized)
    }

    /// Carries out one call: time, token, rate limit, planned faults, the act itself, the ledger.
    pub(super) fn cloud<T>(
        &mut self,
        now: Duration,
        caller: &Caller,
        op: &Op<'_>,
        act: impl FnOnce(&mut Self, usize, &mut Note) -> Result<T, ApiError>,
    ) -> Answer<T> {
        self.advance(now);
        let mut answer =
            Answer { budget: Budget::default(), retry_after: None, result: Err(Failure::Api(unauthorized())) };
        let Some(index) = self.projects.iter().position(|p| p.tokens.contains_key(&caller.token)) else {
            return answer;
        };
        let now = self.now;
        let Some(project) = self.projects.get_mut(index) else { return answer };
        let may = project.tokens.get(&caller.token).copied().unwrap_or(TokenMay::Nothing);
        let fits = may != TokenMay::Nothing && project.spend(now);
        answer.budget = project.budget();
        match may {
            TokenMay::Nothing => return answer,
            _ if !fits => {
                answer.retry_after = Some(Duration::from_secs(1));
                answer.result = Err(Failure::Api(too_many()));
                return answer;
            }
            TokenMay::Read if op.write => {
                let why = ApiError::new(401, "token_readonly", "the token is only allowed to perform GET requests");
                answer.result = Err(Failure::Api(why));
                return answer;
            }
            _ => {}
        }
        if let Some(fault) = self.faults.take(Stage::Before, op.name, op.target) {
            let (failure, wait) = before(&fault);
            answer.retry_after = wait;
            self.note(caller, op, index, Note::default(), Err(&failure));
            answer.result = Err(failure);
            return answer;
        }
        let mut note = Note::default();
        let result = act(self, index, &mut note).map_err(Failure::Api);
        let lost = match &result {
            Ok(_) => self.faults.take(Stage::After, op.name, op.target),
            Err(_) => None,
        };
        self.note(caller, op, index, note, result.as_ref().map(|_| lost.is_some()));
        answer.result = match lost {
            Some(FaultKind::ServerError { status, .. }) => Err(Failure::Api(server_error(status))),
            Some(_) => Err(Failure::Dropped { applied: true }),
            None => result,
        };
        answer
    }

    fn note(&mut self, caller: &Caller, op: &Op<'_>, project: usize, note: Note, how: Result<bool, &Failure>) {
        if !op.write {
            return;
        }
        let outcome = match how {
            Ok(_) => LedgerOutcome::Applied,
            Err(Failure::Api(why)) => LedgerOutcome::Refused(why.code.clone()),
            Err(Failure::Dropped { .. }) => LedgerOutcome::Refused("reset".to_owned()),
        };
        self.ledger.entries.push(Entry {
            at: self.now,
            who: caller.clone(),
            op: op.name.to_owned(),
            target: op.target.to_owned(),
            id: note.id,
            labels: note.labels,
            project: self.projects.get(project).map(|p| p.name.clone()),
            names: Vec::new(),
            outcome,
            reply_lost: how == Ok(true),
        });
    }
    /// Answers like a write request whose body is wrong: 422 where the token may write, else why it may not.
    pub fn probe_write(&mut self, now: Duration, caller: &Caller) -> Answer<()> {
        let op = Op { name: "cloud.probe", write: true, target: "" };
        self.cloud(now, caller, &op, |_, _, _| Err(ApiError::invalid("name", "is required")))
    }
    /// A read that needs only a valid token, such as types, images and locations: these are in [`Model::offer`].
    pub fn read_offer(&mut self, now: Duration, caller: &Caller) -> Answer<super::Offer> {
        self.cloud(now, caller, &Op::read("cloud.offer.list"), |model, _, _| Ok(model.offer.clone()))
    }
}

fn unauthorized() -> ApiError {
    ApiError::new(401, "unauthorized", "unable to authenticate")
}

fn too_many() -> ApiError {
    ApiError::new(429, "rate_limit_exceeded", "limit of requests per hour reached")
}

fn server_error(status: u16) -> ApiError {
    let code = match status {
        502 => "bad_gateway",
        503 => "unavailable",
        504 => "timeout",
        _ => "server_error",
    };
    ApiError::new(status, code, "internal error")
}

fn before(fault: &FaultKind) -> (Failure, Option<Duration>) {
    let api = |why| (Failure::Api(why), None);
    match fault {
        FaultKind::TooMany(wait) => (Failure::Api(too_many()), Some(*wait)),
        FaultKind::ServerError { status, .. } => api(server_error(*status)),
        FaultKind::SoldOut => api(sold_out()),
        FaultKind::NotSoldThere => api(not_sold_there()),
        FaultKind::Quota => api(ApiError::limit("server limit exceeded", "server_limit")),
        FaultKind::Locked => api(ApiError::locked("server")),
        _ => (Failure::Dropped { applied: false }, None),
    }
}

/// Source: replies captured live in public issues: 412 with this message.
pub(super) fn sold_out() -> ApiError {
    ApiError::new(412, "resource_unavailable", "error during placement")
}

/// Source: replies in public issues, as autobase-tech/autobase#1403: 422 with this message and empty details.
pub(super) fn not_sold_there() -> ApiError {
    ApiError::new(422, "invalid_input", "unsupported location for server type").details(serde_json::json!({}))
}

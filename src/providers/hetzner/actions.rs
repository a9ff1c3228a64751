//! Waiting for what the cloud does after it has said yes.

use super::api::Api;
use crate::world::{Class, Clock, Error, Result};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks, while the budget is rich.
const USUAL_PACE: Duration = Duration::from_millis(500);
/// Ids in one request: as many as the official Go client asks for.
const CHUNK: usize = 25;
/// Looks that may fail in a row before the outcome counts as unknown.
const PATIENCE: u32 = 5;

/// How long an action may run, in clock time, before its outcome is left to the step's check: none that relight starts takes
/// a minute.
const LONGEST: Duration = Duration::from_secs(120);

/// How an action stands.
#[derive(Clone)]
enum Standing {
    Running,
    Success,
    Failed { code: String, message: String },
}

/// The actions that somebody waits for. Everyone who waits shares one poll of all of them, so that ten waits cost what one
/// costs; whoever holds the turn asks, the others read what it found.
pub(super) struct Actions {
    clock: Arc<dyn Clock>,
    awaited: Mutex<BTreeMap<i64, (usize, Standing)>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Deserialize)]
struct ActionReply {
    id: i64,
    status: String,
    error: Option<ActionError>,
}

#[derive(Deserialize, Default)]
struct ActionError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Stops awaiting when the wait ends, be it by a deadline.
struct Awaiting<'a> {
    actions: &'a Actions,
    ids: Vec<i64>,
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        let mut awaited = self.actions.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.ids {
            if let Some((waiters, _)) = awaited.get_mut(id) {
                *waiters -= 1;
                if *waiters == 0 {
                    awaited.remove(id);
                }
            }
        }
    }
}

impl Actions {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, awaited: Mutex::default(), turn: tokio::sync::Mutex::new(()) }
    }

    /// Waits until every action that a reply names has ended. One that failed, one that does not end, and one whose end could
    /// not be learnt are `Unknown`: it had begun.
    pub(super) async fn settle(&self, api: &Api, reply: &Value) -> Result<()> {
        let begun = named_in(reply);
        if begun.is_empty() {
            return Ok(());
        }
        let waiting = self.register(&begun);
        let (mut failures, until) = (0, self.clock.now() + LONGEST);
        loop {
            if let Some(end) = self.ended(&waiting.ids) {
                return end;
            }
            if self.clock.now() > until {
                return Err(Error::unknown(format!("Hetzner Cloud: actions {:?} do not end", waiting.ids))
                    .remedy("if this stays, look at them in the console"));
            }
            let _turn = self.turn.lock().await;
            if self.ended(&waiting.ids).is_some() {
                continue;
            }
            self.clock.sleep(api.0.budget.pace(USUAL_PACE)).await;
            let Err(error) = self.look(api).await else {
                failures = 0;
                continue;
            };
            failures += 1;
            if error.class != Class::Transient || failures == PATIENCE {
                return Err(as_unknown(error));
            }
            self.clock.sleep(error.retry_after.unwrap_or_default()).await;
        }
    }

    fn register(&self, begun: &[ActionReply]) -> Awaiting<'_> {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for action in begun {
            awaited.entry(action.id).or_insert((0, standing(action))).0 += 1;
        }
        Awaiting { actions: self, ids: begun.iter().map(|action| action.id).collect() }
    }

    /// How all of these ended; `None` while one still runs.
    fn ended(&self, ids: &[i64]) -> Option<Result<()>> {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let mut end = Ok(());
        for id in ids {
            match awaited.get(id).map(|(_, standing)| standing) {
                Some(Standing::Running) => return None,
                // The first one tells the cause: those after it failed because of it.
                Some(Standing::Failed { code, message }) if end.is_ok() => {
                    end = Err(Error::unknown(format!("Hetzner Cloud: action {id} failed: {code}: {message}"))
                        .code(code)
                        .remedy("if it fails again, look at it in the console"));
                }
                Some(Standing::Success | Standing::Failed { .. }) | None => {}
            }
        }
        Some(end)
    }

    /// Asks once for everything that is awaited and still runs.
    async fn look(&self, api: &Api) -> Result<()> {
        let open: Vec<String> = {
            let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
            awaited.iter().filter(|(_, (_, s))| matches!(s, Standing::Running)).map(|(id, _)| id.to_string()).collect()
        };
        for chunk in open.chunks(CHUNK) {
            let query: Vec<(&str, &str)> = chunk.iter().map(|id| ("id", id.as_str())).collect();
            let reply = api.call(Method::GET, "/actions", &query, None).await?;
            let actions: Vec<ActionReply> = api.part(&Method::GET, "/actions", &reply, "actions")?;
            if let Some(lost) = chunk.iter().find(|id| !actions.iter().any(|a| a.id.to_string() == **id)) {
                return Err(Error::unknown(format!("Hetzner Cloud: action {lost} is not told of any more")));
            }
            let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
            for action in actions {
                if let Some(entry) = awaited.get_mut(&action.id) {
                    entry.1 = standing(&action);
                }
            }
        }
        Ok(())
    }
}

/// The actions that a reply names under `action`, `actions` and `next_actions`.
fn named_in(reply: &Value) -> Vec<ActionReply> {
    let one = reply.get("action").into_iter();
    let lists = ["actions", "next_actions"].iter().filter_map(|key| reply.get(*key)?.as_array()).flatten();
    one.chain(lists).filter_map(|action| serde_json::from_value(action.clone()).ok()).collect()
}

fn standing(action: &ActionReply) -> Standing {
    match action.status.as_str() {
        "success" => Standing::Success,
        "error" => {
            let (code, message) =
                action.error.as_ref().map_or(("error", ""), |error| (error.code.as_str(), error.message.as_str()));
            Standing::Failed { code: code.to_owned(), message: message.to_owned() }
        }
        _ => Standing::Running,
    }
}

fn as_unknown(mut error: Error) -> Error {
    error.class = Class::Unknown;
    error
}

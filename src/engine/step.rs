//! One step's life: look, intend, act, look again, until it is done, refused, or out of time.

use super::effects::{StepEffects, INTERRUPTED};
use super::event::{Event, Found, Outcome};
use super::fold::RunState;
use super::journal::{Broken, Journal};
use super::retry;
use crate::actions::{Check, Facts, Place, StepContext, UNWRITTEN};
use crate::playbook::Step;
use crate::world::{Class, Error, Result as WorldResult, World};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How many looks settle whether something happened whose reply was lost, or that a list does not show yet: about ten
/// seconds, longer than a cloud's lists lag.
const SETTLING_LOOKS: u32 = 5;

/// How many probes' time calls in flight have to come to their end when the run is being stopped: as long as a call that changes
/// something may take. What takes longer (an action of the cloud, a script on a node) goes on without relight; a look settles
/// it on resume.
const GRACE: u32 = 3;

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum StepEnd {
    /// Well.
    Finished { outcome: Outcome, facts: Facts, text: String },
    /// Badly.
    Failed { why: Why, error: String, remedy: String },
}

/// Why a step ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// A check refused.
    Refused,
    /// It did not work.
    Failed,
    /// Nobody answered, or with no.
    NeedsPerson,
    /// The run is being stopped.
    Interrupted,
}

impl Why {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::NeedsPerson => "needs_person",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What one stretch of work came to: the end, or a question to a person (whose thinking does not count as the step's time).
enum Turn {
    End(StepEnd),
    /// The evidence, what must be typed where that is not the cluster's name, and what stands then.
    Accept(String, Option<String>, Facts),
    Repeat(String),
}

pub(super) struct StepRun<'a> {
    pub(super) world: &'a World,
    pub(super) journal: &'a Journal,
    pub(super) memory: &'a RunState,
    pub(super) step: &'a Step,
    pub(super) place: Place<'a>,
    pub(super) facts: Facts,
    pub(super) stop: watch::Receiver<bool>,
}

/// What the attempts so far have come to.
struct Tries {
    attempt: u32,
    /// Since when it has been waiting for something under way.
    waiting: Option<Duration>,
    errors: u32,
    settling: u32,
    acted: bool,
    /// Whether something went wrong since the last apply began.
    failed: bool,
    unknown: bool,
    /// What the last apply set out to do: a look that still finds the same missing may be early, one that finds something else
    /// missing shows progress.
    aim: String,
}

impl Tries {
    /// Whether what is still missing may only not be visible yet: a list lags, or a call whose reply was lost is still on its
    /// way.
    fn early(&self, missing: &str) -> bool {
        let same = self.aim.is_empty() || self.aim == missing;
        ((self.acted && same) || self.unknown) && self.settling < SETTLING_LOOKS
    }
}

impl StepRun<'_> {
    /// Runs the step to its end. An error means that the journal is broken, and that nothing may be done any more.
    pub(super) async fn live(&self) -> Result<StepEnd, Broken> {
        self.journal.append(Event::StepStarted { step: self.step.id.clone() }).await?;
        if let Some(end) = self.gate().await? {
            return Ok(end);
        }
        let unknown = self.memory.open.contains(&self.step.id);
        let mut tries = Tries {
            attempt: 0,
            waiting: None,
            errors: 0,
            settling: 0,
            acted: false,
            failed: false,
            unknown,
            aim: String::new(),
        };
        loop {
            match self.turn(&mut tries).await? {
                Turn::End(end) => return Ok(end),
                Turn::Accept(text, name, facts) => {
                    let name = name.unwrap_or_else(|| self.place.settings.cluster.clone());
                    if let Some(end) = self.ask(&text, Some(name), true).await? {
                        return Ok(refused_instead(end, &text));
                    }
                    return Ok(StepEnd::Finished { outcome: Outcome::Accepted, facts, text });
                }
                Turn::Repeat(text) => {
                    let name = self.place.settings.cluster.clone();
                    if let Some(end) = self.ask(&text, Some(name), true).await? {
                        return Ok(end);
                    }
                    tries.unknown = false;
                }
            }
        }
    }

    async fn turn(&self, tries: &mut Tries) -> Result<Turn, Broken> {
        let effects = StepEffects {
            world: self.world,
            place: self.place,
            journal: self.journal,
            stop: self.stop.clone(),
            attempt: AtomicU32::new(tries.attempt),
            intended: AtomicBool::new(false),
            notes: Mutex::default(),
            facts: &self.facts,
        };
        let last = Mutex::new(String::new());
        let cx = StepContext { place: self.place, world: self.world, facts: &self.facts, effects: &effects };
        // Neither end comes in the middle of a journal's write: that would leave a line that the next one does not follow.
        let late = async {
            self.world.clock.deadline(self.step.deadline).await;
            self.journal.quiet().await
        };
        let stopped = async {
            self.stopping().await;
            self.world.clock.deadline(self.place.settings.timeouts.probe * GRACE).await;
            self.journal.quiet().await
        };
        tokio::select! {
            biased;
            turn = self.attempts(&cx, &effects, tries, &last) => turn,
            _quiet = stopped => Ok(Turn::End(interrupted())),
            _quiet = late => {
                let last = last.lock().map(|l| l.clone()).unwrap_or_default();
                Ok(Turn::End(StepEnd::Failed {
                    why: Why::Failed,
                    error: format!("not done within its deadline of {:?}; last: {last}", self.step.deadline),
                    remedy: "mend the cause, then `relight resume`; `deadline:` of the step is in the playbook".to_owned(),
                }))
            }
        }
    }

    /// Returns when the run is being stopped.
    pub(super) async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // Whoever could stop it is gone: it will not be stopped.
        if stop.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// One look. A run that is being stopped does not wait for it, unless it tells how an effect came out.
    async fn look(&self, cx: &StepContext<'_>, applied: bool) -> Option<WorldResult<Check>> {
        if applied {
            return Some(self.step.action.check(cx).await);
        }
        tokio::select! {
            biased;
            () = self.stopping() => None,
            found = self.step.action.check(cx) => Some(found),
        }
    }

    async fn attempts(
        &self,
        cx: &StepContext<'_>,
        effects: &StepEffects<'_>,
        tries: &mut Tries,
        last: &Mutex<String>,
    ) -> Result<Turn, Broken> {
        // What a step that runs out of time tells is its last trouble, not the look that followed it.
        let note = |text: &str, trouble: bool| {
            if let Some(mut last) = last.lock().ok().filter(|last| trouble || last.is_empty()) {
                text.clone_into(&mut last);
            }
            self.journal.progress(&self.step.id, text);
        };
        let mut applied = false;
        loop {
            effects.notes.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let Some(found) = self.look(cx, std::mem::take(&mut applied)).await else {
                return Ok(Turn::End(interrupted()));
            };
            let error = match found {
                Ok(Check::Done(facts)) => {
                    let notes = effects.notes.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
                    return self.done(tries, facts, notes).await.map(Turn::End);
                }
                Ok(Check::Refused(text)) => return self.refused(text, None, Facts::none()).await,
                Ok(Check::Against(text, facts)) => return self.refused(text, None, facts).await,
                Ok(Check::Anothers { text, name, facts }) => return self.refused(text, Some(name), facts).await,
                Ok(Check::Pending(text)) => {
                    note(&text, true);
                    let now = self.world.clock.now();
                    let since = *tries.waiting.get_or_insert(now);
                    self.rest(retry::pause(now.saturating_sub(since))).await;
                    continue;
                }
                Ok(Check::Needed(text)) if tries.early(&text) => {
                    note(&format!("looking again whether it happened: {text}"), false);
                    self.rest(retry::settling(tries.settling)).await;
                    tries.settling += 1;
                    continue;
                }
                Ok(Check::Needed(text)) if self.step.once && tries.unknown => return Ok(Turn::Repeat(text)),
                Ok(Check::Needed(text)) => {
                    note(&text, false);
                    self.checked(Found::Needed, &text).await?;
                    // Another thing that is missing is progress, and no second attempt at the first.
                    let again = tries.failed || tries.aim == text;
                    tries.attempt += u32::from(tries.attempt == 0 || again);
                    tries.failed = false;
                    tries.settling = 0;
                    tries.aim = text;
                    // From here on this process knows what it did itself.
                    tries.unknown = false;
                    effects.attempt.store(tries.attempt, Ordering::SeqCst);
                    let end = self.step.action.apply(cx).await;
                    tries.acted |= end.is_ok() && effects.intended.load(Ordering::SeqCst);
                    match end {
                        Ok(()) => {
                            applied = true;
                            continue;
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if let Some(broken) = self.journal.broken() {
                return Err(broken.clone());
            }
            if error.is(UNWRITTEN) {
                return Err(self.journal.give_up(&error.what));
            }
            note(&error.what, true);
            tries.failed = true;
            match self.after(tries, &error).await? {
                Some(end) => return Ok(Turn::End(end)),
                None => tries.errors += 1,
            }
        }
    }

    /// What an error leads to: `None` to look again, after a backoff.
    async fn after(&self, tries: &mut Tries, error: &Error) -> Result<Option<StepEnd>, Broken> {
        if error.is(INTERRUPTED) || *self.stop.borrow() {
            return Ok(Some(interrupted()));
        }
        let class = match error.class {
            Class::Transient => "transient",
            Class::Unknown => {
                tries.unknown = true;
                tries.settling = 0;
                "unknown"
            }
            Class::Refused => return Ok(Some(failed(Why::Refused, error))),
            Class::Branch | Class::Fatal => return Ok(Some(failed(Why::Failed, error))),
        };
        let wait = retry::backoff(tries.errors + 1, error.retry_after, &*self.world.random);
        let retry = Event::StepRetry {
            step: self.step.id.clone(),
            attempt: tries.attempt,
            class: class.to_owned(),
            error: error.what.clone(),
            wait_ms: crate::world::millis(wait),
        };
        self.journal.append(retry).await?;
        self.rest(wait).await;
        Ok(None)
    }

    async fn done(&self, tries: &Tries, facts: Facts, text: String) -> Result<StepEnd, Broken> {
        let outcome = match (tries.unknown, tries.acted) {
            (true, _) => Outcome::Adopted,
            (false, true) => Outcome::Done,
            (false, false) if tries.attempt > 0 => Outcome::Done,
            (false, false) => Outcome::Already,
        };
        if outcome == Outcome::Adopted {
            self.checked(Found::Done, "the outcome was unknown; a look shows that it is done").await?;
        }
        Ok(StepEnd::Finished { outcome, facts, text })
    }

    async fn refused(&self, text: String, name: Option<String>, facts: Facts) -> Result<Turn, Broken> {
        self.checked(Found::Refused, &text).await?;
        if self.step.evidence {
            return Ok(Turn::Accept(text, name, facts));
        }
        Ok(Turn::End(StepEnd::Failed {
            why: Why::Refused,
            error: text,
            remedy: "mend what it names, then `relight resume`".to_owned(),
        }))
    }

    async fn checked(&self, found: Found, text: &str) -> Result<(), Broken> {
        let event = Event::StepChecked { step: self.step.id.clone(), found, text: text.to_owned() };
        self.journal.append(event).await.map(|_| ())
    }

    /// Waits in the run's clock, or until the run is being stopped.
    async fn rest(&self, time: Duration) {
        tokio::select! {
            biased;
            () = self.stopping() => {}
            () = self.world.clock.sleep(time) => {}
        }
    }
}

pub(super) fn failed(why: Why, error: &Error) -> StepEnd {
    let remedy = match error.remedy.as_str() {
        "" => "mend the cause, then `relight resume`".to_owned(),
        told => told.to_owned(),
    };
    StepEnd::Failed { why, error: error.what.clone(), remedy }
}

pub(super) fn interrupted() -> StepEnd {
    StepEnd::Failed {
        why: Why::Interrupted,
        error: "interrupted".to_owned(),
        remedy: "`relight resume` goes on from here".to_owned(),
    }
}

/// Evidence that nobody accepted is a refusal, and the flag that accepts it is the remedy.
fn refused_instead(end: StepEnd, text: &str) -> StepEnd {
    match end {
        StepEnd::Failed { why, remedy, .. } => StepEnd::Failed { why, error: text.to_owned(), remedy },
        finished @ StepEnd::Finished { .. } => finished,
    }
}

//! Leave to act: the guard's look, the intent on disk, then the permit. There is no other way to one.

use super::event::Event;
use super::guard;
use super::journal::Journal;
use crate::actions::{Effects, Facts, Place};
use crate::world::{Error, Permit, Result, Target, World};
use async_trait::async_trait;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// The code of the error by which an action learns that the run is being stopped.
pub(super) const INTERRUPTED: &str = "interrupted";
/// The code of the error by which an action learns that the journal cannot be written.
pub(super) const JOURNAL_BROKEN: &str = "journal_broken";

/// Leave for one step.
pub(super) struct StepEffects<'a> {
    pub(super) world: &'a World,
    pub(super) place: Place<'a>,
    pub(super) journal: &'a Journal,
    /// What finished steps found.
    pub(super) facts: &'a Facts,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) attempt: AtomicU32,
    /// Whether an intent was written in this process.
    pub(super) intended: AtomicBool,
    /// What the step told for its result.
    pub(super) notes: Mutex<Vec<String>>,
}

#[async_trait]
impl Effects for StepEffects<'_> {
    async fn permit(&self, target: Target, what: &str) -> Result<Permit> {
        guard::look(self.world, &self.place, self.facts, &target).await?;
        if *self.stop.borrow() {
            return Err(Error::transient("the run is being stopped").code(INTERRUPTED));
        }
        let intent = Event::Intent {
            step: self.place.step.to_owned(),
            attempt: self.attempt.load(Ordering::SeqCst),
            target: target.to_string(),
            what: what.to_owned(),
        };
        let written = self.journal.append(intent).await;
        let seq = written.map_err(|broken| Error::fatal(broken.to_string()).code(JOURNAL_BROKEN))?;
        self.intended.store(true, Ordering::SeqCst);
        Ok(guard::issue(&self.place, target, seq))
    }

    fn progress(&self, text: &str) {
        self.journal.progress(self.place.step, text);
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }
}

//! Which of a waiting step's lines are worth telling: a new reason at once, the same one again at growing intervals.

use crate::engine::Event;
use std::collections::BTreeMap;

/// The same reason is told again after so many milliseconds, then after twice as many each time.
const FIRST: u64 = 30_000;
/// The longest silence about a step that goes on failing, in milliseconds.
const LONGEST: u64 = 600_000;
/// More reasons than these are taken for one: a text with a number in it that always changes is no news.
const REASONS: usize = 8;

/// What was told of steps that try again and again.
#[derive(Debug, Default)]
pub(super) struct Repeats(BTreeMap<String, Told>);

#[derive(Debug, Default)]
struct Told {
    reasons: Vec<String>,
    /// From when on the same may be told again, and how long after that.
    due: u64,
    interval: u64,
}

impl Repeats {
    /// Whether this event of this moment (milliseconds since the epoch) is news.
    pub(super) fn is_news(&mut self, at: u64, event: &Event) -> bool {
        match event {
            Event::StepStarted { step } | Event::StepFinished { step, .. } | Event::StepFailed { step, .. } => {
                self.0.remove(step);
                true
            }
            Event::StepRetry { step, error, .. } => self.told(at, step, error),
            Event::Intent { step, attempt, what, .. } if *attempt > 1 => self.told(at, step, what),
            _ => true,
        }
    }

    fn told(&mut self, at: u64, step: &str, reason: &str) -> bool {
        let told = self.0.entry(step.to_owned()).or_default();
        let new = told.reasons.len() < REASONS && !told.reasons.iter().any(|known| known == reason);
        if new {
            told.reasons.push(reason.to_owned());
        } else if at < told.due {
            return false;
        }
        // Another reason is no repetition of the first: the time until that is told again begins with it.
        told.interval = if new { FIRST } else { (told.interval * 2).min(LONGEST) };
        told.due = at + told.interval;
        true
    }
}

//! How long steps took before: half of them at most so long, nine of ten at most so long.

use super::past::Past;
use crate::engine::{Event, RunStarted};
use std::collections::BTreeMap;

/// So many runs make a history; with fewer the playbook's own expectation is better.
pub const ENOUGH: usize = 3;

/// Which runs tell something about one that is to come.
#[derive(Debug, Clone)]
pub struct Alike {
    /// `real`, `sandbox`, `lab`.
    pub world: String,
    /// Where it is set only runs in this very world count: sandboxes differ in their latencies.
    pub world_uid: Option<String>,
    /// The playbook's name.
    pub playbook: String,
    /// Whether it is a rehearsal.
    pub rehearsal: bool,
}

impl Alike {
    /// A rehearsal runs another playbook's steps, under the same ids: it counts for that one, and that one for it.
    fn counts(&self, first: &RunStarted) -> bool {
        let here = self.world_uid.as_ref().is_none_or(|uid| first.world_uid.starts_with(uid.as_str()));
        let same = first.playbook == self.playbook || self.rehearsal != (first.mode == "rehearsal");
        // One whose journal was made anew found much done that had taken its time before.
        first.world == self.world && here && same && first.reconstructed.is_none()
    }
}

/// Seconds of each step in earlier runs.
#[derive(Debug, Clone, Default)]
pub struct History(BTreeMap<String, Vec<f64>>);

/// What is usual for a step.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Usual {
    /// Half of the runs took at most so many seconds.
    pub p50: f64,
    /// Nine of ten took at most so many.
    pub p90: f64,
    /// How many runs.
    pub runs: usize,
}

impl History {
    /// Takes in the runs that count, each with its moments in milliseconds since the epoch and its events. A run counts once it
    /// has ended, well or not; a step where it ended well and a single process saw the whole of it.
    pub fn of<'e, R, E>(runs: R, alike: &Alike) -> Self
    where
        R: IntoIterator<Item = E>,
        E: IntoIterator<Item = (u64, &'e Event)>,
    {
        let mut all = Self::default();
        for past in runs.into_iter().map(Past::of) {
            let counts = past.first.as_ref().is_some_and(|(_, first)| alike.counts(first));
            if !counts || past.end.is_none() {
                continue;
            }
            for (id, step) in past.steps {
                if let Some(end) = step.end.filter(|end| end.whole) {
                    all.0.entry(id).or_default().push(end.seconds);
                }
            }
        }
        all.0.values_mut().for_each(|seconds| seconds.sort_by(f64::total_cmp));
        all
    }

    /// What is usual for this step; none before there were [`ENOUGH`] runs of it.
    pub fn usual(&self, step: &str) -> Option<Usual> {
        let seconds = self.0.get(step).filter(|s| s.len() >= ENOUGH)?;
        Some(Usual { p50: percentile(seconds, 50)?, p90: percentile(seconds, 90)?, runs: seconds.len() })
    }
}

/// The smallest of the sorted values that so many of a hundred do not exceed.
fn percentile(sorted: &[f64], of_hundred: usize) -> Option<f64> {
    let rank = (sorted.len() * of_hundred).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Outcome;
    use crate::report::samples::{begin, end, finished, pairs, rehearsal, started};

    fn took(seconds: u64, outcome: Outcome) -> Vec<(u64, Event)> {
        let plan = vec![crate::report::samples::record("server", 30.0, &[])];
        vec![
            (0, started(plan, 30.0)),
            (0, begin("server")),
            (seconds * 1000, end("server", outcome, "")),
            (seconds * 1000, finished("succeeded", 1, 1, 0)),
        ]
    }
    fn rebuilds() -> Alike {
        Alike { world: "sandbox".to_owned(), world_uid: None, playbook: "rebuild".to_owned(), rehearsal: false }
    }
    fn history(runs: &[Vec<(u64, Event)>], alike: &Alike) -> History {
        History::of(runs.iter().map(|run| pairs(run)), alike)
    }

    #[test]
    fn half_of_the_runs_and_nine_of_ten_took_at_most_so_long() {
        let runs: Vec<_> = (1..=10).rev().map(|seconds| took(seconds * 10, Outcome::Done)).collect();
        let usual = history(&runs, &rebuilds()).usual("server");
        assert_eq!(usual, Some(Usual { p50: 50.0, p90: 90.0, runs: 10 }));
        let usual = history(&runs[..3], &rebuilds()).usual("server");
        assert_eq!(usual, Some(Usual { p50: 90.0, p90: 100.0, runs: 3 }));
    }

    #[test]
    fn two_runs_are_no_history_and_neither_are_unfinished_ones_or_steps_that_were_not_seen_whole() {
        let (done, adopted) = (took(10, Outcome::Done), took(1, Outcome::Adopted));
        let mut unfinished = took(10, Outcome::Done);
        unfinished.pop();
        let runs = [done.clone(), done.clone(), adopted, unfinished];
        assert_eq!(history(&runs, &rebuilds()).usual("server"), None);
        assert!(history(&[done.clone(), done.clone(), done], &rebuilds()).usual("server").is_some());
    }

    #[test]
    fn a_run_whose_journal_was_made_anew_is_no_history() {
        let mut anew = took(1, Outcome::Already);
        if let Event::RunStarted(first) = &mut anew[0].1 {
            first.reconstructed = Some(crate::engine::Reconstructed::default());
        }
        let done = took(10, Outcome::Done);
        let runs = [done.clone(), done.clone(), anew];
        assert_eq!(history(&runs, &rebuilds()).usual("server"), None);
        assert!(history(&[done.clone(), done.clone(), done], &rebuilds()).usual("server").is_some());
    }

    #[test]
    fn runs_of_another_world_do_not_count_and_rehearsals_count_for_what_they_rehearse() {
        let runs: Vec<_> = (0..3).map(|_| rehearsal("sandbox")).collect();
        assert!(history(&runs, &rebuilds()).usual("late").is_some());
        assert!(history(&runs, &Alike { world: "real".to_owned(), ..rebuilds() }).usual("late").is_none());
        assert!(history(&runs, &Alike { world_uid: Some("w2".to_owned()), ..rebuilds() }).usual("late").is_none());
        assert!(history(&runs, &Alike { world_uid: Some("w1".to_owned()), ..rebuilds() }).usual("late").is_some());
        let live: Vec<_> = (0..3).map(|_| took(10, Outcome::Done)).collect();
        let rehearse = Alike { playbook: "rehearse".to_owned(), rehearsal: true, ..rebuilds() };
        assert!(history(&live, &rehearse).usual("server").is_some());
        assert!(history(&live, &Alike { playbook: "replace".to_owned(), ..rebuilds() }).usual("server").is_none());
    }
}

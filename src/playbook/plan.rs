//! A playbook after expansion: which steps, in which order.

use crate::actions::Action;
use std::sync::Arc;
use std::time::Duration;

/// What a playbook may be for: the world that it begins in.
///
/// `total-loss`: every server is lost. `healthy`: the cluster that relight made serves.
/// `hand-made`: one serves that a person made, without labels. `rehearsal`: a cluster serves, and the
/// project of rehearsals holds nothing of relight's. `kept-rehearsal`: it holds what a rehearsal left whose time is over.
pub const WORLDS: [&str; 5] = ["total-loss", "healthy", "hand-made", "rehearsal", "kept-rehearsal"];
/// Those of them whose playbooks act in the project of rehearsals.
const OF_REHEARSALS: [&str; 2] = ["rehearsal", "kept-rehearsal"];

/// A playbook whose node sets are bound and whose references are resolved.
#[derive(Clone)]
pub struct Plan {
    /// `rebuild`.
    pub name: String,
    /// The world that it begins in, one of [`WORLDS`]: `total-loss`.
    pub mends: String,
    /// One sentence.
    pub summary: String,
    /// In an order in which every step stands behind what it needs.
    pub steps: Vec<Step>,
    /// SHA-256 of the playbook's text.
    pub digest: String,
}

/// One step of a plan.
#[derive(Clone)]
pub struct Step {
    /// `server[node-2]`, or `network` for a step that is for the whole cluster.
    pub id: String,
    /// The configuration's node key, where the step is per node.
    pub node: Option<String>,
    /// The action's name: `server.ensure`.
    pub action_name: String,
    /// What it does.
    pub action: Arc<dyn Action>,
    /// Indices into [`Plan::steps`] of the steps that must be done before, all smaller than its own.
    pub needs: Vec<usize>,
    /// How long it usually takes; for forecast and bar.
    pub expected: Duration,
    /// How long it may take, retries and waiting included.
    pub deadline: Duration,
    /// What must be answered before it starts.
    pub gate: Gate,
    /// Whether a person may go on in spite of what its check refuses.
    pub evidence: bool,
    /// Whether it must never be repeated after an unknown outcome without evidence or a person's word.
    pub once: bool,
    /// Whether its failure is a warning: what depends on it goes on.
    pub optional: bool,
    /// When it may start.
    pub start: Start,
    /// What its end means for the run: `first_answer`.
    pub milestone: Option<String>,
}

/// When a step may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Once what it needs is done.
    Done,
    /// Once what it needs has ended, well or not, as has all before that: what takes down what a run made.
    Ended,
    /// Once what it needs is done; and once it has begun, a resume looks at nothing before it any more: it gives back what those
    /// steps stand on.
    Last,
}

/// What must be answered before a step starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    None,
    /// A yes, which `--yes` gives.
    Confirm,
    /// The cluster's name.
    Typed,
}

impl Plan {
    /// Whether it acts in the project of rehearsals.
    pub fn is_of_rehearsals(&self) -> bool {
        OF_REHEARSALS.contains(&self.mends.as_str())
    }
    /// Indices of the longest chain by expected time, first to last: up to the step after which everything is recovered, where
    /// one is marked so. What comes after that keeps nobody waiting.
    pub fn critical_path(&self) -> Vec<usize> {
        let mut best: Vec<(Duration, Option<usize>)> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let before = step.needs.iter().filter_map(|n| best.get(*n).map(|(t, _)| (*t, *n))).max();
            best.push((step.expected + before.map_or(Duration::ZERO, |(t, _)| t), before.map(|(_, n)| n)));
        }
        let recovered = self.steps.iter().rposition(|s| s.milestone.as_deref() == Some("recovered"));
        let longest = (0..best.len()).max_by_key(|i| best.get(*i).map(|(t, _)| *t));
        let mut at = recovered.or(longest);
        let mut path = Vec::new();
        while let Some(i) = at {
            path.push(i);
            at = best.get(i).and_then(|(_, before)| *before);
        }
        path.reverse();
        path
    }
    /// Expected time until everything is recovered: the length of the critical path.
    pub fn forecast(&self) -> Duration {
        self.critical_path().iter().filter_map(|i| self.steps.get(*i)).map(|s| s.expected).sum()
    }
}

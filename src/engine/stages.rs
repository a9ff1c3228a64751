//! How far each step of a run is, and which may start.

use super::fold::RunState;
use super::step::Why;
use crate::playbook::{Plan, Start, Step};

/// How far a step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Not begun.
    Waiting,
    /// At work.
    Running,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed,
    /// Ended because a person or a signal was in the way: a resume goes on there.
    Held,
}

/// The stages of all steps of a plan.
pub(super) struct Stages<'a> {
    steps: &'a [Step],
    stages: Vec<Stage>,
}

impl<'a> Stages<'a> {
    /// At the start of a process. Once a step has begun that starts whatever comes of those before it (it takes down what they
    /// made), or that is the last, those before it are over: they stay as they ended. But for those among them that come whatever
    /// happened as well.
    pub(super) fn begin(plan: &'a Plan, memory: &RunState) -> Self {
        let mut all = Self { steps: &plan.steps, stages: vec![Stage::Waiting; plan.steps.len()] };
        let mut over = vec![false; plan.steps.len()];
        for (index, step) in plan.steps.iter().enumerate().rev() {
            let begun = step.start != Start::Done && memory.begun.contains(&step.id);
            if begun || over.get(index) == Some(&true) {
                step.needs.iter().filter_map(|n| over.get_mut(*n).map(|o| *o = true)).count();
            }
        }
        for (index, step) in plan.steps.iter().enumerate().filter(|(i, _)| over.get(*i) == Some(&true)) {
            let done = memory.finished.contains_key(&step.id) && !memory.failed.contains_key(&step.id);
            match (done, step.start) {
                (true, _) => all.set(index, Stage::Done),
                (false, Start::Done | Start::Last) => all.set(index, Stage::Failed),
                (false, Start::Ended) => {}
            }
        }
        all
    }

    pub(super) fn set(&mut self, index: usize, stage: Stage) {
        if let Some(of) = self.stages.get_mut(index) {
            *of = stage;
        }
    }

    fn is(&self, index: usize, stage: Stage) -> bool {
        self.stages.get(index) == Some(&stage)
    }

    /// How many ended well.
    pub(super) fn done(&self) -> usize {
        self.stages.iter().filter(|s| **s == Stage::Done).count()
    }

    /// Whether some step ended badly.
    pub(super) fn failed(&self) -> bool {
        self.stages.contains(&Stage::Failed)
    }

    /// Whether a resume has nothing left to do: every step ended well, or those that come whatever happened did.
    pub(super) fn over(&self) -> bool {
        let mut last = vec![false; self.steps.len()];
        for (index, step) in self.steps.iter().enumerate() {
            let after = step.start == Start::Ended || step.needs.iter().any(|n| last.get(*n) == Some(&true));
            if let Some(of) = last.get_mut(index) {
                *of = after;
            }
        }
        let all_done = self.done() == self.stages.len();
        let cleared = (0..last.len()).filter(|i| last.get(*i) == Some(&true)).all(|i| self.is(i, Stage::Done));
        all_done || (last.contains(&true) && cleared)
    }

    /// The steps that may start now.
    pub(super) fn startable(&self) -> Vec<usize> {
        let settled = self.settled();
        let ready = |step: &Step| match step.start {
            Start::Ended => step.needs.iter().all(|n| settled.get(*n) == Some(&true)),
            Start::Done | Start::Last => step.needs.iter().all(|n| self.is(*n, Stage::Done)),
        };
        let steps = self.steps.iter().enumerate();
        steps.filter(|(i, step)| self.is(*i, Stage::Waiting) && ready(step)).map(|(i, _)| i).collect()
    }

    /// For each step whether it and all before it have come to an end, be it that they can never start.
    fn settled(&self) -> Vec<bool> {
        let mut ended: Vec<bool> = Vec::with_capacity(self.steps.len());
        let mut settled: Vec<bool> = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            let blocked = || step.needs.iter().any(|n| ended.get(*n) == Some(&true) && !self.is(*n, Stage::Done));
            let mine = match self.stages.get(index) {
                Some(Stage::Done | Stage::Failed) => true,
                Some(Stage::Waiting) => step.start != Start::Ended && blocked(),
                _ => false,
            };
            settled.push(mine && step.needs.iter().all(|n| settled.get(*n) == Some(&true)));
            ended.push(mine);
        }
        settled
    }
}

/// The steps that a process may still run: those that are over when it starts are not looked at again.
pub fn ahead<'a>(plan: &'a Plan, memory: &RunState) -> Vec<&'a Step> {
    let stages = Stages::begin(plan, memory);
    plan.steps.iter().enumerate().filter(|(i, _)| stages.is(*i, Stage::Waiting)).map(|(_, step)| step).collect()
}

impl Why {
    /// What becomes of a step that ended so.
    pub(super) fn stage(self) -> Stage {
        match self {
            Self::Refused | Self::Failed => Stage::Failed,
            Self::NeedsPerson | Self::Interrupted => Stage::Held,
        }
    }
}

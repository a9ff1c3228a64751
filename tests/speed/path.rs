//! What a run's steps took, and the longest chain of steps that need each other.

use crate::life::Life;
use relight::engine::Event;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A step and how long it took, in clock seconds.
#[derive(Clone)]
pub struct Took {
    pub id: String,
    pub seconds: f64,
}

/// A chain of steps, each of which waits for the one before.
#[derive(Clone, Default)]
pub struct Path {
    pub steps: Vec<Took>,
    pub seconds: f64,
}

impl Path {
    /// A line a step.
    pub fn shown(&self) -> String {
        let mut lines = String::new();
        for step in &self.steps {
            let _ = writeln!(lines, "  {:>6.1} s  {}", step.seconds, step.id);
        }
        lines
    }
}

/// What each step took, by its place in the plan.
pub struct Lasted<'a> {
    life: &'a Life,
    seconds: Vec<f64>,
}

impl<'a> Lasted<'a> {
    pub fn of(life: &'a Life) -> Self {
        let (mut begun, mut ended) = (BTreeMap::new(), BTreeMap::new());
        for (at, event) in life.events() {
            match event {
                Event::StepStarted { step } => begun.insert(step, at),
                Event::StepFinished { step, .. } => ended.insert(step, at),
                _ => None,
            };
        }
        let took = |id: &String| Some(std::time::Duration::from_millis(ended.get(id)? - begun.get(id)?).as_secs_f64());
        Self { life, seconds: life.plan.steps.iter().map(|s| took(&s.id).unwrap_or_default()).collect() }
    }

    /// The longest chain that ends with the step of this milestone.
    pub fn path(&self, milestone: &str) -> Path {
        let steps = &self.life.plan.steps;
        let mut best: Vec<Path> = Vec::new();
        for (step, seconds) in steps.iter().zip(&self.seconds) {
            let before = step.needs.iter().map(|n| &best[*n]).max_by(|a, b| a.seconds.total_cmp(&b.seconds));
            let mut path = before.cloned().unwrap_or_default();
            path.steps.push(Took { id: step.id.clone(), seconds: *seconds });
            path.seconds += seconds;
            best.push(path);
        }
        let last = steps.iter().position(|s| s.milestone.as_deref() == Some(milestone));
        last.map(|index| best.swap_remove(index)).unwrap_or_default()
    }
}

//! Runs a plan: every step whose needs are met runs at once; what fails stops only what needs it.

use super::cost;
use super::event::{Event, Outcome, RunFinished, StepRecord};
use super::fold::{fact_record, RunState};
use super::journal::{Broken, Journal, JOURNAL};
use super::stages::{Stage, Stages};
use super::step::{StepEnd, StepRun, Why};
use crate::actions::{Facts, Place, RunId, Scripts};
use crate::config::Settings;
use crate::playbook::{Plan, Step};
use crate::world::{millis, World};
use futures::stream::{FuturesUnordered, StreamExt};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::sync::watch;

/// What playbooks are for that bring nothing back: a world in which a cluster lives.
const UNBROKEN: [&str; 2] = ["healthy", "hand-made"];

/// A run in this process.
pub struct Run<'a> {
    /// The outside.
    pub world: &'a World,
    /// The cluster.
    pub settings: &'a Settings,
    /// What to do.
    pub plan: &'a Plan,
    /// Which run.
    pub id: &'a RunId,
    /// What runs on nodes.
    pub scripts: &'a Scripts,
    /// Where it is written down. Its first record must be there.
    pub journal: &'a Journal,
    /// What the journal remembers.
    pub memory: RunState,
    /// Turns true when the run shall stop: calls in flight are finished, nothing new is begun.
    pub stop: watch::Receiver<bool>,
}

/// What the run has come to so far.
struct Score<'a> {
    stages: Stages<'a>,
    facts: Facts,
    warnings: usize,
    first_failure: Option<Why>,
}

/// How a step ended, once that is in the journal.
enum Ended {
    Well(Facts),
    Warned,
    Badly(Why),
}

impl Score<'_> {
    /// Counts a step's end. Whether it was a good one.
    fn count(&mut self, index: usize, ended: &Ended) -> bool {
        let stage = match ended {
            Ended::Well(_) | Ended::Warned => Stage::Done,
            Ended::Badly(why) => why.stage(),
        };
        self.stages.set(index, stage);
        match ended {
            Ended::Well(facts) => self.facts.learn(facts),
            Ended::Warned => self.warnings += 1,
            Ended::Badly(why) => {
                self.first_failure.get_or_insert(*why);
            }
        }
        stage == Stage::Done
    }
}

impl Run<'_> {
    /// Runs until nothing more can be done, and journals how it ended. An error means that the journal cannot be written:
    /// all calls in flight were dropped.
    pub async fn execute(mut self) -> Result<RunFinished, Broken> {
        let stages = Stages::begin(self.plan, &self.memory);
        let first_failure = stages.failed().then_some(Why::Failed);
        let mut score = Score { stages, facts: self.memory.facts.clone(), warnings: 0, first_failure };
        let this = &self;
        let mut finished = Vec::new();
        {
            let mut running = FuturesUnordered::new();
            loop {
                let startable = if *this.stop.borrow() { Vec::new() } else { score.stages.startable() };
                for index in startable {
                    if let Some(step) = this.plan.steps.get(index) {
                        score.stages.set(index, Stage::Running);
                        let facts = score.facts.clone();
                        running.push(async move { (index, this.one(step, facts).await) });
                    }
                }
                // Nothing may be awaited here but the steps themselves: one that holds the journal's lock must be polled.
                let Some((index, end)) = running.next().await else { break };
                let end = end?;
                let well = score.count(index, &end);
                if let (Some(step), true) = (this.plan.steps.get(index), well) {
                    finished.push((step.id.clone(), millis(this.world.clock.now())));
                }
            }
        }
        for (id, at) in finished {
            self.memory.finished.entry(id).or_insert((Outcome::Done, at));
        }
        let mut end = self.end(&score);
        if end.outcome != Why::Interrupted.word() {
            end.cost = cost::now(self.world, &self.settings.cluster, &self.id.id, self.settings.timeouts.probe).await;
        }
        self.journal.append(Event::RunFinished(end.clone())).await?;
        Ok(end)
    }

    /// Runs a step and journals how it ended.
    async fn one(&self, step: &Step, facts: Facts) -> Result<Ended, Broken> {
        let place = place(self.settings, self.id, self.scripts, step);
        let (world, journal, memory) = (self.world, self.journal, &self.memory);
        let end = StepRun { world, journal, memory, step, place, facts, stop: self.stop.clone() }.live().await?;
        let (event, ended) = match end {
            StepEnd::Finished { outcome, facts, text } => {
                let record = fact_record(&facts);
                (Event::StepFinished { step: step.id.clone(), outcome, facts: record, text }, Ended::Well(facts))
            }
            StepEnd::Failed { why, error, remedy } if step.optional && why != Why::Interrupted => {
                let text = format!("{error}. {remedy}");
                let facts = fact_record(&Facts::none());
                (Event::StepFinished { step: step.id.clone(), outcome: Outcome::Warning, facts, text }, Ended::Warned)
            }
            StepEnd::Failed { why, error, remedy } => {
                let word = why.word().to_owned();
                (Event::StepFailed { step: step.id.clone(), why: word, error, remedy }, Ended::Badly(why))
            }
        };
        self.journal.append(event).await?;
        Ok(ended)
    }

    fn end(&self, score: &Score<'_>) -> RunFinished {
        let done = score.stages.done();
        let outcome = match score.first_failure {
            Some(why) => why.word(),
            None if done == self.plan.steps.len() => "succeeded",
            None => Why::Interrupted.word(),
        };
        let milestone = |name: &str| {
            let step = self.plan.steps.iter().find(|s| s.milestone.as_deref() == Some(name))?;
            self.memory.seconds_until(&step.id)
        };
        let mends = self.settings.taken_down.is_none() && !UNBROKEN.contains(&self.plan.mends.as_str());
        let since = Duration::from_millis(millis(self.world.clock.now()).saturating_sub(self.memory.started_at));
        RunFinished {
            outcome: outcome.to_owned(),
            over: score.stages.over(),
            steps: self.plan.steps.len(),
            done,
            warnings: score.warnings,
            journal: format!("{}/{JOURNAL}", self.world.files.place()),
            first_answer_seconds: milestone("first_answer"),
            cost: None,
            recovery_seconds: (outcome == "succeeded" && mends)
                .then(|| milestone("recovered").unwrap_or(since.as_secs_f64())),
        }
    }
}

/// What a step is about.
pub fn place<'a>(settings: &'a Settings, run: &'a RunId, scripts: &'a Scripts, step: &'a Step) -> Place<'a> {
    Place { settings, run, step: &step.id, node: step.node.as_deref().and_then(|n| settings.node(n)), scripts }
}

/// The steps as the journal's first record lists them.
pub fn step_records(plan: &Plan, settings: &Settings, run: &RunId, scripts: &Scripts) -> Vec<StepRecord> {
    let id = |index: &usize| plan.steps.get(*index).map(|s| s.id.clone());
    let record = |step: &Step| {
        let place = place(settings, run, scripts, step);
        let inputs = serde_json::json!([step.action_name, step.action.inputs(&place)]).to_string();
        StepRecord {
            id: step.id.clone(),
            text: step.action.describe(&place),
            needs: step.needs.iter().filter_map(id).collect(),
            expected_seconds: step.expected.as_secs_f64(),
            inputs: hex::encode(Sha256::digest(inputs.as_bytes())),
        }
    };
    plan.steps.iter().map(record).collect()
}

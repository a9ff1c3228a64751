//! `relight plan --check`: the plan, and what a look at the world finds of each step.

use super::args::Global;
use super::card;
use super::drawing::fitted;
use super::drive;
use super::exit::{Exit, Stop};
use super::prepare;
use super::prompts;
use super::runs;
use super::say::say;
use super::worlds::{self, Environment};
use crate::actions::{Check, Effects, Facts, RunId, StepContext};
use crate::config::TakenDown;
use crate::engine::{place, RunState};
use crate::report;
use crate::world::{Error, NobodyThere, Permit, Result as WorldResult, Target, World, WorldKind};
use async_trait::async_trait;
use dialoguer::console::Term;
use serde_json::json;
use std::sync::Arc;

/// Leave to do nothing.
struct LookOnly;

#[async_trait]
impl Effects for LookOnly {
    async fn permit(&self, target: Target, _what: &str) -> WorldResult<Permit> {
        Err(Error::fatal(format!("a look must not touch {target}")))
    }
    fn progress(&self, _text: &str) {}
    fn note(&self, _text: &str) {}
}

/// Looks at the world step by step, as far as facts allow: a step whose server does not exist cannot be looked at.
pub async fn plan_check(global: &Global, environment: &Environment, playbook: &str) -> Result<Exit, Stop> {
    let (prepared, mode) = prepare::as_it_would_run(global, playbook)?;
    let settings = &prepared.settings;
    let kind = if global.sandbox { WorldKind::Sandbox } else { WorldKind::Real };
    let card = match kind {
        WorldKind::Sandbox => Some(super::sandbox::running(global, settings)?),
        _ => None,
    };
    // The last run's secrets and facts, where there is one: without them nobody gets into a node.
    let mut runs = runs::whole(runs::all(&global.state, &[kind], &settings.cluster)?);
    // Of the same mode: a rehearsal's addresses and keys are none of the living cluster's.
    runs.retain(|run| run.state.started.as_ref().is_some_and(|s| s.mode == mode.word()));
    // Nor has one that takes down any of its own.
    runs.retain(|run| TakenDown::of_record(&run.state.settings).is_none());
    let last = runs.pop();
    let scratch = tempfile::tempdir().map_err(|e| Stop::usage(format!("no temporary directory: {e}"), ""))?;
    let directory = last.as_ref().map_or_else(|| scratch.path().to_owned(), |run| run.directory.clone());
    let world =
        worlds::world(settings, environment, card.as_ref().map(|c: &card::Card| c), &directory, Arc::new(NobodyThere))?;
    let (source, all) = (Arc::clone(&world.secrets), (&prepared.plan, &RunState::default()));
    let secrets = prompts::answered(kind, source, settings, all, Arc::new(|then| then())).await?;
    let world = World { secrets, ..world };
    let run = RunId { id: last.as_ref().map_or_else(|| "none".to_owned(), |r| r.id.clone()), mode };
    let mut facts = last.map(|run| run.state.facts).unwrap_or_default();
    let header = drive::header(&world, settings, mode).await;
    let stdout = Term::stdout();
    if !global.json {
        say!("{}", fitted(&header, &stdout));
    }
    let (mut missing, mut looks) = (0, Vec::new());
    for step in &prepared.plan.steps {
        let place = place(settings, &run, &prepared.scripts, step);
        let cx = StepContext { place, world: &world, facts: &facts, effects: &LookOnly };
        let limit = tokio::time::timeout(settings.timeouts.probe * 3, step.action.check(&cx)).await;
        let (word, text, found) = told(limit.ok());
        missing += usize::from(word == "needed" || word == "refused");
        if global.json {
            looks.push(json!({ "id": step.id, "found": word, "text": text }));
        } else {
            say!("{}", fitted(&format!("{word:<8}  {:<26}  {}", step.id, report::plain(&text)), &stdout));
        }
        facts.learn(&found);
    }
    if global.json {
        let all = json!({
            "v": 1, "playbook": prepared.plan.name, "cluster": settings.cluster, "world": kind.word(), "header": header,
            "steps": looks, "to_do": missing,
        });
        say!("{all}");
    } else {
        say!("{missing} of {} steps would have something to do", prepared.plan.steps.len());
    }
    Ok(Exit::Done)
}

fn told(check: Option<WorldResult<Check>>) -> (&'static str, String, Facts) {
    match check {
        Some(Ok(Check::Done(facts))) => ("done", String::new(), facts),
        Some(Ok(Check::Needed(text))) => ("needed", text, Facts::none()),
        Some(Ok(Check::Pending(text))) => ("waiting", text, Facts::none()),
        Some(Ok(Check::Refused(text) | Check::Against(text, _) | Check::Anothers { text, .. })) => {
            ("refused", text, Facts::none())
        }
        Some(Err(error)) => ("unknown", error.what, Facts::none()),
        None => ("unknown", "no answer in time".to_owned(), Facts::none()),
    }
}

//! `relight plan --check`: the plan, and what a look at the world finds of each step.

use super::args::Global;
use super::card;
use super::drawing::fitted;
use super::drive;
use super::exit::{no_temporary_directory, Exit, Stop};
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

/// Looks at the world step by step, as far as facts allow: a step whose server does not exist cannot be looked at. Where a check
/// refuses, the exit code says so.
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
    let scratch = tempfile::tempdir().map_err(|e| no_temporary_directory(&e))?;
    let directory = last.as_ref().map_or_else(|| scratch.path().to_owned(), |run| run.directory.clone());
    let world =
        worlds::world(settings, environment, card.as_ref().map(|c: &card::Card| c), &directory, Arc::new(NobodyThere))?;
    let (source, all) = (Arc::clone(&world.secrets), (&prepared.plan, &RunState::default()));
    let secrets = prompts::answered(kind, source, settings, all, Arc::new(|then| then())).await?;
    let world = World { secrets, ..world };
    let run = RunId { id: last.as_ref().map_or_else(|| "none".to_owned(), |r| r.id.clone()), mode };
    let begun = last.is_some();
    let mut facts = last.map(|run| run.state.facts).unwrap_or_default();
    let header = drive::header(&world, settings, mode).await;
    let stdout = Term::stdout();
    if !global.json {
        say!("{}", fitted(&header, &stdout));
    }
    let (mut missing, mut refused, mut looks) = (0, 0, Vec::new());
    // A refusal says something only where what comes before is done: what is yet to be fenced is refused by the step behind it.
    let mut settled: Vec<bool> = Vec::new();
    for step in &prepared.plan.steps {
        let place = place(settings, &run, &prepared.scripts, step);
        let cx = StepContext { place, world: &world, facts: &facts, effects: &LookOnly };
        let limit = tokio::time::timeout(settings.timeouts.probe * 3, step.action.check(&cx)).await;
        let (word, mut text, found) = told(limit.ok());
        if !begun {
            // There is nothing to resume.
            text = text.replace("`relight resume`", "the run");
        }
        let clear = step.needs.iter().all(|need| settled.get(*need).copied().unwrap_or_default());
        settled.push(clear && word == "done");
        refused += usize::from(clear && word == "refused");
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
            "steps": looks, "to_do": missing, "refused": refused,
        });
        say!("{all}");
    } else {
        say!("{missing} of {} steps would have something to do", prepared.plan.steps.len());
        if refused > 0 {
            say!("at {refused} of them a run would be refused, or ask for what speaks against it");
        }
    }
    Ok(if refused > 0 { Exit::Refused } else { Exit::Done })
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

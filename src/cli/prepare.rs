//! From files to a plan: configuration, playbook and scripts, with all mistakes told at once.

use super::args::Global;
use super::exit::{Exit, Stop};
use super::history::Outlook;
use crate::actions::{self, Mode, RunId, Scripts};
use crate::config::{self, Problem, Settings, TakenDown};
use crate::playbook::{self, Binding, Plan, Source, SourceFile};
use crate::world::Random;
use std::fmt::Display;

/// Everything that a run needs to know before it looks at the outside.
pub struct Prepared {
    /// The cluster.
    pub settings: Settings,
    /// What to do.
    pub plan: Plan,
    /// What runs on nodes.
    pub scripts: Scripts,
    /// What earlier runs took, once [`super::history::informed`] has looked.
    pub outlook: Outlook,
}

impl Prepared {
    /// Gives a rehearsal another budget than the configuration does.
    pub fn set_budget(&mut self, budget: Option<f64>) {
        if let (Some(spare), Some(_)) = (&mut self.settings.spare, budget) {
            spare.budget = budget;
        }
    }
}

/// The settings of a run in this mode. A rehearsal that would have something of production's is refused, whatever is agreed to.
fn of_mode(settings: Settings, run: &RunId) -> Result<Settings, Stop> {
    match run.mode {
        Mode::Live => Ok(settings),
        Mode::Rehearsal => settings.rehearsed_as(&run.id).map_err(|missing| {
            let remedy = "production's values are shared only where relight.yaml says so";
            Stop::new(Exit::Refused, missing.join("\n"), remedy)
        }),
    }
}

/// Reads the configuration.
pub fn settings(global: &Global) -> Result<Settings, Stop> {
    config::load(&global.config).map_err(|problems| Stop::usage(lines(&problems.0), ""))
}

/// Reads the playbooks' and scripts' directory.
pub fn source(global: &Global) -> Result<Source, Stop> {
    Source::new(global.steps.as_deref()).map_err(|what| Stop::usage(what, ""))
}

/// The texts of all scripts.
pub fn scripts(source: &Source) -> Result<Scripts, Stop> {
    let mut scripts = Scripts::new();
    for name in source.scripts() {
        if let Some(text) = source.script(&name).map_err(|what| Stop::usage(what, ""))? {
            scripts.insert(name, text);
        }
    }
    Ok(scripts)
}

/// Expands a playbook for the cluster's nodes.
pub fn plan(source: &Source, name: &str, settings: &Settings, mode: Mode) -> Result<Plan, Stop> {
    let known = || format!("playbooks are: {}", source.names().join(", "));
    let file = source.playbook(name).map_err(|what| Stop::usage(what, ""))?;
    let file = file.ok_or_else(|| Stop::usage(format!("there is no playbook {name}"), known()))?;
    expanded(source, &file, settings, mode).map_err(|problems| Stop::usage(lines(&problems), ""))
}

/// Expands a playbook that was read.
pub fn expanded(source: &Source, file: &SourceFile, settings: &Settings, mode: Mode) -> Result<Plan, Vec<Problem>> {
    let make = |name: &str, params: &serde_json::Value| actions::action(name, params);
    let binding =
        Binding { nodes: &settings.nodes, default_deadline: settings.timeouts.step, mode, actions: &make, source };
    playbook::load(&file.text, &file.file, &binding)
}

/// All of it, for this run.
pub fn prepare(global: &Global, playbook: &str, run: &RunId) -> Result<Prepared, Stop> {
    with(global, playbook, run.mode, of_mode(settings(global)?, run)?)
}

/// The same for a run that takes this down, where it takes something down.
pub fn prepare_for(
    global: &Global,
    playbook: &str,
    run: &RunId,
    taken_down: Option<TakenDown>,
) -> Result<Prepared, Stop> {
    match taken_down {
        None => prepare(global, playbook, run),
        Some(what) => with(global, playbook, run.mode, settings(global)?.taking_down(what)),
    }
}

/// What a playbook of relight's takes down that other runs made, before it is known which.
fn takes_down(playbook: &str) -> Option<TakenDown> {
    match playbook {
        "teardown" => Some(TakenDown::Rehearsals(Vec::new())),
        "sweep" => Some(TakenDown::Expired(Vec::new())),
        "teardown-live" => Some(TakenDown::Living),
        _ => None,
    }
}

fn with(global: &Global, playbook: &str, mode: Mode, settings: Settings) -> Result<Prepared, Stop> {
    let source = source(global)?;
    let plan = plan(&source, playbook, &settings, mode)?;
    let scripts = scripts(&source)?;
    Ok(Prepared { settings, plan, scripts, outlook: Outlook::default() })
}

/// The same in the mode that the playbook is for: one for rehearsals is never shown with production's names.
pub fn as_it_would_run(global: &Global, playbook: &str) -> Result<(Prepared, Mode), Stop> {
    let run = |mode| RunId { id: "<run>".to_owned(), mode };
    let live = prepare_for(global, playbook, &run(Mode::Live), takes_down(playbook))?;
    if !live.plan.is_of_rehearsals() {
        return Ok((live, Mode::Live));
    }
    Ok((prepare_for(global, playbook, &run(Mode::Rehearsal), takes_down(playbook))?, Mode::Rehearsal))
}

/// A new run's id: 12 lower-case base32 characters of 60 random bits.
pub fn new_run(random: &dyn Random, mode: Mode) -> RunId {
    let mut bytes = [0u8; 8];
    random.fill(&mut bytes);
    let text = data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase();
    RunId { id: text.chars().take(12).collect(), mode }
}

fn lines(problems: &[impl Display]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

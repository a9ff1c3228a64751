//! `relight rebuild`: a new run.

use super::args::Global;
use super::card::Card;
use super::drawing::{columns, fitted, Drawing};
use super::drive::{self, Drive};
use super::exit::{before_a_run, Exit, Stop};
use super::person::{Agreed, Terminal};
use super::prepare::{self, Prepared};
use super::runs::KeptRun;
use super::worlds::{self, Environment};
use super::{commands, digests, history, kept, lease, prompts, proofs, runs, sandbox, spares, taking_down, undo};
use crate::actions::{Going, Mode, RunId};
use crate::config::TakenDown;
use crate::engine::{step_records, Event, Journal, RunStarted, RunState, StepRecord, FORMAT};
use crate::playbook::Gate;
use crate::providers::{Holder, Lock, OsRandom, STATE_LOCKED};
use crate::report;
use crate::world::{self, Answer, Person, Question, SecretSource, World, WorldKind};
use dialoguer::console::Term;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

/// Takes the lock under which every live mutating run of the cluster stands.
pub fn lock(directory: &Path, run: &str) -> Result<Lock, Stop> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let holder = Holder { pid: std::process::id(), run: run.to_owned(), since: world::rfc3339(since) };
    Lock::take(directory, &holder).map_err(|error| match error.is(STATE_LOCKED) {
        true => Stop::new(Exit::Locked, error.what, error.remedy),
        false => Stop::usage(error.what, error.remedy),
    })
}

/// The person for a run, and the drawing that makes room for questions.
pub fn person(global: &Global, header: &str, drawing: &Drawing) -> Arc<dyn Person> {
    Arc::new(Terminal {
        yes: global.yes,
        confirm: global.confirm.clone(),
        header: header.to_owned(),
        quiet: drawing.quieting(),
    })
}

/// What a new run is for.
pub struct Purpose {
    /// Its playbook.
    playbook: &'static str,
    /// Production, or spare nodes.
    mode: Mode,
    /// A rehearsal's budget instead of the configured one.
    budget: Option<f64>,
    /// What of earlier runs it takes down.
    taken_down: Option<TakenDown>,
    /// The records that it puts back, as an earlier run kept them.
    records: Option<Vec<u8>>,
}

impl Purpose {
    /// `relight rebuild`.
    pub fn rebuild() -> Self {
        Self { playbook: "rebuild", mode: Mode::Live, budget: None, taken_down: None, records: None }
    }
    /// `relight rehearse`.
    pub fn rehearse(keep: bool, budget: Option<f64>) -> Self {
        let playbook = if keep { "rehearse-keep" } else { "rehearse" };
        Self { playbook, mode: Mode::Rehearsal, budget, taken_down: None, records: None }
    }
    /// `relight teardown`, `relight sweep`.
    pub fn take_down(what: TakenDown) -> Self {
        let (playbook, mode) = match what {
            TakenDown::Rehearsals(_) => ("teardown", Mode::Rehearsal),
            TakenDown::Expired(_) => ("sweep", Mode::Rehearsal),
            TakenDown::Living => ("teardown-live", Mode::Live),
        };
        Self { playbook, mode, budget: None, taken_down: Some(what), records: None }
    }
    /// `relight dns undo`.
    pub fn undo(records: Vec<u8>) -> Self {
        Self { playbook: "dns-undo", records: Some(records), ..Self::rebuild() }
    }
}

/// Where a run's lock lies: live runs of a cluster have one among them, a rehearsal its own.
pub fn locked_directory(cluster: &Path, id: &RunId) -> std::path::PathBuf {
    match id.mode {
        Mode::Live => cluster.to_owned(),
        Mode::Rehearsal => cluster.join(&id.id),
    }
}

/// Begins a run.
pub async fn begin(global: &Global, environment: &Environment, purpose: &Purpose) -> Result<Exit, Stop> {
    let id = prepare::new_run(&OsRandom, purpose.mode);
    let mut prepared = prepare::prepare_for(global, purpose.playbook, &id, purpose.taken_down.clone())?;
    prepared.set_budget(purpose.budget);
    let prepared = prepared;
    let kind = if global.sandbox { WorldKind::Sandbox } else { WorldKind::Real };
    if !global.sandbox {
        worlds::no_leftovers(environment)?;
    }
    let cluster = prepared.settings.cluster.clone();
    let directory = runs::cluster_directory(&global.state, kind, &cluster);
    kept::leftovers(global, &prepared.settings).await?;
    let _lock = lock(&locked_directory(&directory, &id), &id.id)?;
    if purpose.mode == Mode::Live {
        // Before the sandbox is put into disaster: what is refused must leave it as it is.
        no_broken(&runs::all(&global.state, &[kind], &cluster)?)?;
    }
    let card = match kind {
        WorldKind::Sandbox => Some(sandbox::ready_for(global, &prepared).await?),
        _ => None,
    };
    if purpose.mode == Mode::Live {
        no_unfinished(global, kind, &cluster, card.as_ref())?;
    }
    let prepared = history::informed(global, prepared, kind, purpose.mode)?;
    let place = directory.join(&id.id);
    let nobody = Arc::new(crate::world::NobodyThere);
    let look = worlds::world(&prepared.settings, environment, card.as_ref(), &place, nobody)?;
    if kind == WorldKind::Real {
        // Nobody can say yes to a project that cannot be shown.
        look.cloud.servers("").await.map_err(|error| {
            let _ = std::fs::remove_dir(&place);
            before_a_run(error)
        })?;
    }
    let header = drive::header(&look, &prepared.settings, id.mode).await;
    let records = step_records(&prepared.plan, &prepared.settings, &id, &prepared.scripts);
    let stderr = Term::stderr();
    eprint!("{}", commands::plan_shown(&header, &prepared, &records, columns(&stderr)));
    let begun = shown(global, environment, &look, &prepared, purpose).await.map(|text| {
        eprintln!("{}", fitted(text.trim_end(), &stderr));
    });
    if begun.is_err() {
        let _ = std::fs::remove_dir(&place);
    }
    begun?;
    if let Some(text) = lease::text(&look, &prepared.settings, id.mode).await {
        eprintln!("{}", fitted(&text, &stderr));
    }
    // The header stands above the plan and above the question; who reads stdout alone needs it there too.
    let above = if stderr.is_term() && !global.json { "" } else { header.as_str() };
    let drawing = Drawing::new(global, above, look.clock.factor());
    let person = person(global, &header, &drawing);
    let agreed = agreed(&*person, &look, &id, &prepared, &drawing).await;
    if agreed.is_err() {
        // Made for the run's files, of which there is none yet; where there is one after all, it stays.
        let _ = std::fs::remove_dir(&place);
    }
    let secrets = agreed?;
    let person = Arc::new(Agreed { person, to: answered_already(&prepared, &records) });
    let world = World { secrets, person, ..look };
    if let Some(records) = &purpose.records {
        undo::carry(&world, records).await?;
    }
    start(global, &prepared, &id, world, records, &drawing, &header).await
}

/// What a person has to know before saying yes: the price, what is proven; or what goes, by id.
async fn shown(
    global: &Global,
    environment: &Environment,
    look: &World,
    prepared: &Prepared,
    purpose: &Purpose,
) -> Result<String, Stop> {
    let settings = &prepared.settings;
    if let Some(records) = &purpose.records {
        return undo::difference(look, settings, records).await;
    }
    if settings.taken_down.is_some() {
        let going = Going::look(look, settings).await.map_err(before_a_run)?;
        return taking_down::goes_text(&going, settings);
    }
    let mut text = commands::cost(look, settings).await;
    if purpose.mode == Mode::Rehearsal {
        text = format!("{text}\n{}", spares::expired_text(global, environment, settings).await);
        return Ok(text);
    }
    let past = runs::glimpses(&global.state, &[look.kind], &settings.cluster)?;
    let standing = proofs::standing(global, settings, &past, look.kind)?;
    let unproven = report::unproven_text(&standing, commands::rehearsal_price(look, settings).await);
    Ok([Some(text), unproven].into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

async fn start(
    global: &Global,
    prepared: &Prepared,
    id: &RunId,
    world: World,
    plan: Vec<StepRecord>,
    drawing: &Drawing,
    header: &str,
) -> Result<Exit, Stop> {
    let (files, clock) = (Arc::clone(&world.files), Arc::clone(&world.clock));
    let (journal, _) = Journal::open(&id.id, files, clock, Arc::new(drawing.clone())).await?;
    journal.append(Event::RunStarted(Box::new(first_record(global, prepared, id, &world, plan)))).await?;
    let started_at = world::millis(world.clock.now());
    let memory = RunState { started_at, ..RunState::default() };
    let json = global.json;
    Drive { world: &world, prepared, id, journal: &journal, memory, drawing, header, json }.run().await
}

/// What a run is, as its journal begins.
pub fn first_record(
    global: &Global,
    prepared: &Prepared,
    id: &RunId,
    world: &World,
    plan: Vec<StepRecord>,
) -> RunStarted {
    RunStarted {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: id.id.clone(),
        world: world.kind.word().to_owned(),
        world_uid: world.uid.clone(),
        mode: id.mode.word().to_owned(),
        cluster: prepared.settings.cluster.clone(),
        playbook: prepared.plan.name.clone(),
        playbook_digest: prepared.plan.digest.clone(),
        plan,
        settings: prepared.settings.record(),
        forecast_seconds: prepared.plan.forecast().as_secs_f64(),
        wall_at: world::millis(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()),
        digests: digests::of(&global.state, prepared),
        left_out: digests::left_out(global, prepared, id.mode),
        reconstructed: None,
    }
}

/// The typed gates that the question before the run has answered, where what goes was shown and the name typed: nobody is asked
/// the same twice.
fn answered_already(prepared: &Prepared, plan: &[StepRecord]) -> Vec<(String, String)> {
    if prepared.settings.taken_down != Some(TakenDown::Living) {
        return Vec::new();
    }
    let typed = prepared.plan.steps.iter().zip(plan).filter(|(step, _)| step.gate == Gate::Typed);
    typed.map(|(_, record)| (record.id.clone(), record.text.clone())).collect()
}

/// A run whose journal says nothing may be one that is half done.
fn no_broken(kept: &[KeptRun]) -> Result<(), Stop> {
    kept.iter().find_map(|run| run.broken.clone()).map_or(Ok(()), |broken| Err(broken.into()))
}

/// A second run beside an unfinished one would fence what the first one built. In the sandbox only runs of its present world
/// count: what an earlier sandbox held is gone.
pub fn no_unfinished(global: &Global, kind: WorldKind, cluster: &str, card: Option<&Card>) -> Result<(), Stop> {
    let mut kept = runs::all(&global.state, &[kind], cluster)?;
    no_broken(&kept)?;
    kept.retain(|run| {
        let live = run.state.started.as_ref().is_none_or(|s| s.mode == Mode::Live.word());
        let uid = run.state.started.as_ref().map(|s| s.world_uid.as_str());
        live && !run.state.over() && card.is_none_or(|card| uid == Some(card.uid.as_str()))
    });
    match kept.pop() {
        None => Ok(()),
        Some(run) => Err(Stop::new(
            Exit::Refused,
            format!("run {} of cluster {cluster} is not finished", run.id),
            format!(
                "`relight resume {0}` finishes it; delete {1} to give it up (the lease that it may hold is then broken by its name, \
                 {0})",
                run.id,
                run.directory.display()
            ),
        )),
    }
}

/// Asks whether to begin, then for the secrets that only a person has.
async fn agreed(
    person: &dyn Person,
    look: &World,
    id: &RunId,
    prepared: &Prepared,
    drawing: &Drawing,
) -> Result<Arc<dyn SecretSource>, Stop> {
    agree(person, look.kind, id, prepared).await?;
    let (source, ahead) = (Arc::clone(&look.secrets), (&prepared.plan, &RunState::default()));
    prompts::answered(look.kind, source, &prepared.settings, ahead, drawing.quieting()).await
}

/// Asks before a run begins: live (and for the end of the living cluster in the sandbox too) with the cluster's name typed, in the
/// sandbox with a yes. Without a terminal a sandbox run begins at once: there is nothing that it could harm.
async fn agree(person: &dyn Person, kind: WorldKind, id: &RunId, prepared: &Prepared) -> Result<(), Stop> {
    let (real, taken_down) = (kind == WorldKind::Real, &prepared.settings.taken_down);
    let living = taken_down == &Some(TakenDown::Living);
    let live = living || (real && id.mode == Mode::Live);
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    // What has expired was agreed to when it was made.
    let agreed = taken_down.as_ref().is_some_and(TakenDown::only_expired);
    if agreed || (!real && !terminal && !living) {
        return Ok(());
    }
    let cluster = &prepared.settings.cluster;
    let what = match (taken_down, id.mode) {
        (Some(_), _) => "teardown",
        (None, Mode::Live) if prepared.plan.name == "dns-undo" => "change of the records",
        (None, Mode::Live) => "rebuild",
        (None, Mode::Rehearsal) => "rehearsal",
    };
    let question = Question {
        step: "begin".to_owned(),
        text: format!("{} Begin the {what} of cluster {cluster}?", prepared.plan.summary),
        type_this: live.then(|| cluster.clone()),
        evidence: false,
    };
    match person.ask(&question).await? {
        Answer::Yes => Ok(()),
        Answer::No => {
            Err(Stop::new(Exit::NeedsPerson, "not agreed to; nothing was touched", "run it again to be asked again"))
        }
        Answer::Nobody(flag) => Err(Stop::new(Exit::NeedsPerson, "nobody to ask whether to begin", flag)),
    }
}

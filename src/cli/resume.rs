//! `relight resume`: goes on with a run, in the world that its first record names.

use super::args::Global;
use super::begin::{lock, locked_directory, person};
use super::card;
use super::drawing::{fitted, Drawing};
use super::drive::{self, Drive};
use super::exit::{Exit, Stop};
use super::prepare::{self, Prepared};
use super::prompts;
use super::runs::{self, KeptRun};
use super::worlds::{self, Environment};
use crate::actions::{FactKind, Mode, RunId};
use crate::config::{self, TakenDown};
use crate::engine::{step_records, Event, Journal, RunStarted, RunState, StepRecord, FORMAT};
use crate::world::{selector, Answer, Question, World, WorldKind};
use dialoguer::console::Term;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `relight resume [RUN]`.
pub async fn resume(global: &Global, environment: &Environment, named: Option<&str>) -> Result<Exit, Stop> {
    let settings = prepare::settings(global)?;
    super::kept::leftovers(global, &settings).await?;
    let kinds = super::commands::kinds(global);
    let kept = runs::unfinished(runs::all(&global.state, &kinds, &settings.cluster)?, named)?;
    let first = kept.state.started.clone().ok_or_else(|| Stop::usage("the run has no first record", ""))?;
    if first.format > FORMAT {
        let what = format!("run {} was written by relight {} in a newer format", kept.id, first.version);
        return Err(Stop::usage(what, "resume it with that version"));
    }
    let mode = Mode::from_word(&first.mode).unwrap_or(Mode::Live);
    let id = RunId { id: kept.id.clone(), mode };
    let directory = runs::cluster_directory(&global.state, kept.world, &settings.cluster);
    let _lock = lock(&locked_directory(&directory, &id), &kept.id)?;
    let card = match kept.world {
        WorldKind::Sandbox => Some(card::required(&global.state, &settings.cluster, &first.world_uid)?),
        _ => None,
    };
    let taken_down = TakenDown::of_record(&kept.state.settings);
    let mut prepared = prepare::prepare_for(global, &first.playbook, &id, taken_down)?;
    prepared.set_budget(kept.state.settings.pointer("/spare/budget").and_then(serde_json::Value::as_f64));
    let prepared = prepared;
    let nobody = Arc::new(crate::world::NobodyThere);
    let look = worlds::world(&prepared.settings, environment, card.as_ref(), &kept.directory, nobody)?;
    same_project(&look, &first, &kept).await?;
    let header = drive::header(&look, &prepared.settings, mode).await;
    let drawing = Drawing::new(global, &header, look.clock.factor());
    let world = World { person: person(global, &header, &drawing), ..look };
    go_on(global, &world, &prepared, &id, &drawing, &header).await
}

async fn go_on(
    global: &Global,
    world: &World,
    prepared: &Prepared,
    id: &RunId,
    drawing: &Drawing,
    header: &str,
) -> Result<Exit, Stop> {
    let (files, clock) = (Arc::clone(&world.files), Arc::clone(&world.clock));
    let (journal, reading) = Journal::open(&id.id, files, clock, Arc::new(drawing.clone())).await?;
    if reading.torn > 0 {
        eprintln!("the journal's last line was torn by a crash; {} bytes of it were cut", reading.torn);
    }
    drawing.recall(&id.id, &reading.records);
    let memory = RunState::of(&reading.records);
    let records = step_records(&prepared.plan, &prepared.settings, id, &prepared.scripts);
    no_server_without_a_node(prepared, &memory)?;
    if let Some(changed) = changes(prepared, &memory, &records) {
        accept(world, &changed).await?;
        journal.append(changed).await?;
    }
    let ahead = (&prepared.plan, &memory);
    let source = Arc::clone(&world.secrets);
    let secrets = prompts::answered(world.kind, source, &prepared.settings, ahead, drawing.quieting()).await?;
    let world = &World { secrets, ..world.clone() };
    let resumed = Event::RunResumed {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        finished: memory.finished.len(),
        unknown: memory.open.iter().cloned().collect(),
        digests: super::digests::of(&global.state, prepared),
    };
    eprintln!("{}", fitted(&found(&memory), &Term::stderr()));
    journal.append(resumed).await?;
    Drive { world, prepared, id, journal: &journal, memory, drawing, header, json: global.json }.run().await
}

/// A node that was renamed or taken out has left a server behind, which no step would look at any more, and which goes on
/// running, voting and costing.
fn no_server_without_a_node(prepared: &Prepared, memory: &RunState) -> Result<(), Stop> {
    let known = |node: &String| prepared.settings.nodes.iter().any(|n| n.key == *node);
    let servers = memory.facts.iter().filter(|fact| fact.kind == FactKind::ServerId);
    match servers.into_iter().find_map(|fact| Some((fact.node.filter(|node| !known(node))?, fact.value))) {
        None => Ok(()),
        Some((node, id)) => Err(Stop::new(
            Exit::Refused,
            format!("this run made server {id} for node {node}, which the configuration no longer has"),
            format!("put node {node} back into `nodes` and run this again; a cluster of other nodes is a new run's"),
        )),
    }
}

/// What the journal remembers, before the world is looked at again.
fn found(memory: &RunState) -> String {
    let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let mut text = format!("the journal knows {} finished steps; all are looked at again", memory.finished.len());
    if memory.started.as_ref().is_some_and(|first| first.reconstructed.is_some()) {
        text.push_str(
            "\nit was reconstructed from labels: what the run did before is looked up as far as it can be seen",
        );
    }
    if !memory.open.is_empty() {
        let open = list(memory.open.iter().collect());
        text.push_str("\nbegun, outcome unknown, to be settled by a look: ");
        text.push_str(&open);
    }
    if !memory.failed.is_empty() {
        text.push_str("\nfailed last time: ");
        text.push_str(&list(memory.failed.keys().collect()));
    }
    text
}

/// A token of another project would look at the wrong servers. A rotated token of the same project sees what the run made.
async fn same_project(world: &World, first: &RunStarted, kept: &KeptRun) -> Result<(), Stop> {
    let untouched = kept.state.finished.is_empty() && kept.state.open.is_empty() && first.reconstructed.is_none();
    if world.uid == first.world_uid || untouched {
        return Ok(());
    }
    let made = world.cloud.servers(&selector(&first.cluster, Some(&kept.id))).await?;
    if made.is_empty() {
        return Err(Stop::new(
            Exit::Refused,
            format!(
                "HCLOUD_TOKEN is not the one that run {} began with, and its project holds nothing of that run",
                kept.id
            ),
            "use a token of the project that the run began in",
        ));
    }
    Ok(())
}

/// What of the configuration, playbook or scripts is not as it was, and which steps it concerns.
fn changes(prepared: &Prepared, memory: &RunState, records: &[StepRecord]) -> Option<Event> {
    let settings = prepared.settings.record();
    let mut what = config::differences(&memory.settings, &settings);
    let changed = |r: &&StepRecord| memory.inputs.get(&r.id) != Some(&r.inputs);
    let steps: Vec<String> = records.iter().filter(changed).map(|r| r.id.clone()).collect();
    let gone: Vec<&String> = memory.inputs.keys().filter(|id| !records.iter().any(|r| r.id == **id)).collect();
    if !gone.is_empty() {
        what.push(format!("steps that are gone: {}", gone.into_iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    if what.is_empty() && steps.is_empty() {
        return None;
    }
    what.extend(edited(prepared, &memory.digests));
    if what.is_empty() {
        what.push("the playbook, a script or a manifest".to_owned());
    }
    Some(Event::PlanChanged { what, steps, settings, plan: records.to_vec() })
}

/// Files that are not as the last process had them, by name.
fn edited(prepared: &Prepared, before: &BTreeMap<String, String>) -> Vec<String> {
    let file = |name: &str| name == "playbook" || name.starts_with("script ") || name.starts_with("manifest ");
    let now = super::digests::files(prepared);
    let changed = now.iter().filter(|(name, digest)| before.get(*name).is_some_and(|old| old != *digest));
    let mut what: Vec<String> = changed.map(|(name, _)| format!("{name} was edited")).collect();
    let gone = before.keys().filter(|name| file(name) && !now.contains_key(*name));
    what.extend(gone.map(|name| format!("{name} is gone")));
    let new = now.keys().filter(|name| !before.is_empty() && !before.contains_key(*name));
    what.extend(new.map(|name| format!("{name} is new")));
    what
}

async fn accept(world: &World, changed: &Event) -> Result<(), Stop> {
    let Event::PlanChanged { what, steps, .. } = changed else { return Ok(()) };
    let steps = if steps.is_empty() { "no step".to_owned() } else { steps.join(", ") };
    let text = format!(
        "Since this run began these have changed:\n  {}\nThey matter for: {steps}. Those steps will be looked at again.",
        what.join("\n  ")
    );
    let question = Question { step: "resume".to_owned(), text: text.clone(), type_this: None, evidence: false };
    match world.person.ask(&question).await? {
        Answer::Yes => {
            eprintln!("{text}");
            Ok(())
        }
        Answer::No => Err(Stop::new(Exit::NeedsPerson, text, "undo the change, or accept it")),
        Answer::Nobody(flag) => Err(Stop::new(Exit::NeedsPerson, text, flag)),
    }
}

//! Proofs of rehearsals: kept beside the journal that they are made from, and held against what would run today.

use super::args::Global;
use super::card;
use super::digests;
use super::exit::Stop;
use super::prepare::{self, Prepared};
use super::runs::{Glimpse, KeptRun};
use super::worlds;
use crate::actions::{Mode, RunId};
use crate::config::{self, Settings};
use crate::engine::{step_records, Reading};
use crate::providers::RunFiles;
use crate::report::{self, Proof, Standing, Today};
use crate::world::{millis, Clock, Files, WorldKind};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// For programs.
const PROOF: &str = "proof.json";
/// For people.
const READABLE: &str = "proof.md";

/// Writes the proof of a run that has just ended, where it is a rehearsal, and says so.
pub async fn at_the_end(files: &dyn Files, reading: &Reading, text: &mut String) -> Result<(), Stop> {
    let Some(proof) = report::proof(reading.records.iter().map(|r| (r.at, &r.event)), &reading.head) else {
        return Ok(());
    };
    write(files, &proof).await?;
    let is = match (proof.proven, proof.demonstration) {
        (true, false) => "proven",
        (true, true) => "demonstrated, not proven: this is no real world",
        (false, _) => "not proven",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "proof: {is}; {}/{READABLE}", files.place());
    Ok(())
}

/// The readable one first: the other tells that both are there.
async fn write(files: &dyn Files, proof: &Proof) -> Result<(), Stop> {
    let unwritable =
        |e: std::io::Error| Stop::usage(format!("{}/{PROOF}: {e}", files.place()), "make the state directory writable");
    let json = serde_json::to_string_pretty(proof).map_err(|e| unwritable(e.into()))?;
    files.write(READABLE, report::proof_text(proof).as_bytes()).await.map_err(unwritable)?;
    files.write(PROOF, format!("{json}\n").as_bytes()).await.map_err(unwritable)
}

/// Makes the proofs that a kill between a run's last record and its proof left unmade, and anew what was made of a shorter
/// journal.
pub async fn leftovers(runs: &[Glimpse]) -> Result<(), Stop> {
    for run in runs.iter().filter(|run| run.rehearsal) {
        if kept(run).is_some() {
            continue;
        }
        let Some(proof) = run.read()?.as_ref().and_then(proof_of) else { continue };
        let place = run.directory.display();
        let Ok(files) = RunFiles::open(&run.directory) else { continue };
        // A proof is no reason to stop whoever came to recover a cluster.
        match write(&files, &proof).await {
            Ok(()) => eprintln!("run {} had ended without its proof; it is in {place}/{READABLE} now", run.id),
            Err(stop) => eprintln!("run {} has no proof yet: {stop}", run.id),
        }
    }
    Ok(())
}

/// The proof beside the journal, where there is one that this version can read, of this very journal.
fn kept(run: &Glimpse) -> Option<Proof> {
    let bytes = std::fs::read(run.directory.join(PROOF)).ok()?;
    serde_json::from_slice(&bytes)
        .ok()
        .filter(|proof: &Proof| (proof.journal.records, &proof.journal.head) == (run.lines, &run.head))
}

fn proof_of(run: &KeptRun) -> Option<Proof> {
    report::proof(run.events.iter().map(|r| (r.at, &r.event)), &run.head)
}

/// How the cluster stands in a world, by the journals of its rehearsals. None is looked at that is older than the last proof.
pub fn standing(global: &Global, settings: &Settings, runs: &[Glimpse], world: WorldKind) -> Result<Standing, Stop> {
    let mut proofs = Vec::new();
    for run in runs.iter().rev().filter(|run| run.world == world && run.rehearsal) {
        proofs.extend(run.read()?.as_ref().and_then(proof_of));
        if proofs.last().is_some_and(|proof| proof.proven) {
            break;
        }
    }
    proofs.reverse();
    let today = |proof: &Proof| {
        let read = |run: &Glimpse| run.read().ok().flatten().map(|run| run.state.settings);
        let record = runs.iter().find(|run| run.id == proof.run).and_then(read).unwrap_or_default();
        today(global, proof, &record).map_err(|stop| first_line(&stop.to_string()))
    };
    Ok(Standing::of(world.word(), &proofs, now(global, settings, world), today))
}

/// The standings that matter to whoever looks: the real world's, and the sandbox's where something was shown there.
pub fn standings(global: &Global, settings: &Settings, runs: &[Glimpse]) -> Result<Vec<Standing>, Stop> {
    let mut all = Vec::new();
    for world in super::commands::kinds(global) {
        let standing = standing(global, settings, runs, world)?;
        if world == WorldKind::Real || global.sandbox || standing.proof.is_some() || standing.failed.is_some() {
            all.push(standing);
        }
    }
    Ok(all)
}

/// What the same rehearsal would be now; an error where the configuration no longer allows one.
fn today(global: &Global, proof: &Proof, record: &serde_json::Value) -> Result<Today, Stop> {
    let run = RunId { id: proof.run.clone(), mode: Mode::Rehearsal };
    let prepared = rehearsal(prepare::prepare(global, &proof.playbook, &run)?, &run)?;
    let live = prepare::plan(&prepare::source(global)?, &proof.playbook, &prepared.settings, Mode::Live)?;
    let (then, now) = (digests::configuration(record), digests::configuration(&prepared.settings.record()));
    let path = |line: &String| line.split_once(": ").map_or(line.as_str(), |(path, _)| path).to_owned();
    Ok(Today {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        digests: digests::of(&global.state, &prepared),
        settings: config::differences(&then, &now).iter().map(path).collect(),
        rehearsed: step_records(&prepared.plan, &prepared.settings, &run, &prepared.scripts),
        live: live.steps.into_iter().map(|step| step.id).collect(),
    })
}

/// With a rehearsal's settings, where they are not yet.
fn rehearsal(prepared: Prepared, run: &RunId) -> Result<Prepared, Stop> {
    if prepared.settings.spare.is_some() {
        return Ok(prepared);
    }
    let settings = prepared.settings.rehearsed_as(&run.id).map_err(|missing| Stop::usage(missing.join("\n"), ""))?;
    Ok(Prepared { settings, ..prepared })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Now, by the clock that the world's runs are told in.
fn now(global: &Global, settings: &Settings, world: WorldKind) -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let card = || card::read(&global.state, &settings.cluster).ok().flatten();
    let sandbox = (world == WorldKind::Sandbox).then(card).flatten();
    millis(sandbox.map_or(wall, |card| worlds::clock(&card).now()))
}

//! The state directory: `<state>/<world>/<cluster>/<run>/`.

use super::exit::{Exit, Stop};
use crate::actions::Mode;
use crate::engine::{read_journal, Broken, RunState, JOURNAL};
use crate::providers::LOCK;
use crate::world::WorldKind;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What the name of a run's directory ends with that was set aside: it counts no more.
pub const ASIDE: &str = ".broken";

/// A run on disk.
pub struct KeptRun {
    /// Its id.
    pub id: String,
    /// Its world.
    pub world: WorldKind,
    /// Its directory.
    pub directory: PathBuf,
    /// What its journal says.
    pub state: RunState,
    /// Its events.
    pub events: Vec<crate::engine::Record>,
    /// When it began, in milliseconds by the wall's clock: a sandbox's runs faster.
    pub begun: u64,
    /// Why its journal cannot be believed, where that is so; then state and events say nothing.
    pub broken: Option<Broken>,
    /// Digest of its journal's last line.
    pub head: String,
}

/// What the ends of a run's journal say of it, without the rest being read: enough to choose among many runs.
pub struct Glimpse {
    /// Its id.
    pub id: String,
    /// Its world.
    pub world: WorldKind,
    /// Its directory.
    pub directory: PathBuf,
    /// When it began, as in [`KeptRun::begun`]; 0 where its first line is no record.
    pub begun: u64,
    /// Whether it is a rehearsal.
    pub rehearsal: bool,
    /// How many whole lines its journal has.
    pub lines: usize,
    /// Digest of the last of them.
    pub head: String,
}

impl Glimpse {
    /// The whole run; `None` where it is gone by now.
    pub fn read(&self) -> Result<Option<KeptRun>, Stop> {
        one(&self.directory, self.world)
    }
}

/// What of the first record [`Glimpse`] tells. Everything else in it is passed over.
#[derive(Deserialize)]
struct FirstLine {
    at: u64,
    event: FirstEvent,
}

#[derive(Deserialize)]
struct FirstEvent {
    #[serde(default)]
    mode: String,
    #[serde(default)]
    wall_at: u64,
}

/// The directory of a cluster's runs in a world.
pub fn cluster_directory(state: &Path, world: WorldKind, cluster: &str) -> PathBuf {
    state.join(world.word()).join(cluster)
}

/// All runs of a cluster in the given worlds, oldest first, those with a broken journal among them. A directory without a whole
/// first record is no run.
pub fn all(state: &Path, worlds: &[WorldKind], cluster: &str) -> Result<Vec<KeptRun>, Stop> {
    let mut runs = each(state, worlds, cluster, one)?;
    runs.sort_by_key(|run| run.begun);
    Ok(runs)
}

/// The same without reading more than the ends of each journal: looking at one run must not take longer with every run there is.
pub fn glimpses(state: &Path, worlds: &[WorldKind], cluster: &str) -> Result<Vec<Glimpse>, Stop> {
    let mut runs = each(state, worlds, cluster, glimpse)?;
    runs.sort_by_key(|run| run.begun);
    Ok(runs)
}

fn glimpse(directory: &Path, world: WorldKind) -> Result<Option<Glimpse>, Stop> {
    let Some(bytes) = journal(directory)? else { return Ok(None) };
    let lines = || bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let (first, last) = (lines().next(), lines().next_back());
    if first.is_none() && !holds_more(directory) {
        return Ok(None);
    }
    let first: Option<FirstLine> = first.and_then(|line| serde_json::from_slice(line).ok());
    Ok(Some(Glimpse {
        id: id(directory),
        world,
        directory: directory.to_owned(),
        begun: first.as_ref().map_or(0, |f| if f.event.wall_at > 0 { f.event.wall_at } else { f.at }),
        rehearsal: first.is_some_and(|f| f.event.mode == Mode::Rehearsal.word()),
        lines: lines().count(),
        head: last.map(crate::world::sha256_hex).unwrap_or_default(),
    }))
}

fn id(directory: &Path) -> String {
    directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What this makes of each run's directory.
fn each<T>(
    state: &Path,
    worlds: &[WorldKind],
    cluster: &str,
    make: impl Fn(&Path, WorldKind) -> Result<Option<T>, Stop>,
) -> Result<Vec<T>, Stop> {
    let mut runs = Vec::new();
    for world in worlds {
        let directory = cluster_directory(state, *world, cluster);
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&directory, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| unreadable(&directory, &e))?;
            if entry.file_name().to_string_lossy().ends_with(ASIDE) {
                continue;
            }
            runs.extend(make(&entry.path(), *world)?);
        }
    }
    Ok(runs)
}

/// The bytes of a run's journal, where there is one.
fn journal(directory: &Path) -> Result<Option<Vec<u8>>, Stop> {
    let path = directory.join(JOURNAL);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn one(directory: &Path, world: WorldKind) -> Result<Option<KeptRun>, Stop> {
    let (path, id) = (directory.join(JOURNAL), id(directory));
    let Some(bytes) = journal(directory)? else { return Ok(None) };
    // One broken journal says nothing about the other runs: it is in the way of its own run alone.
    let (records, head, broken) = match read_journal(&bytes, &path.display().to_string()) {
        Ok(reading) => (reading.records, reading.head, None),
        Err(broken) => (Vec::new(), String::new(), Some(broken)),
    };
    let state = RunState::of(&records);
    // A crash before the first record leaves nothing else; where there is more, that record was lost, and the run was not.
    let broken = match state.started.is_none() && broken.is_none() {
        true if !holds_more(directory) => return Ok(None),
        true => Some(Broken::Line {
            place: path.display().to_string(),
            line: 1,
            why: "the first record is missing".to_owned(),
        }),
        false => broken,
    };
    let directory = directory.to_owned();
    let begun = state.started.as_ref().map_or(0, |s| if s.wall_at > 0 { s.wall_at } else { state.started_at });
    Ok(Some(KeptRun { id, world, directory, begun, state, events: records, broken, head }))
}

/// Whether a run's directory holds anything beside its journal.
fn holds_more(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| ![JOURNAL, LOCK].map(std::ffi::OsStr::new).contains(&&*entry.file_name()))
}

/// The runs whose journals are whole. Those that are broken are told.
pub fn whole(runs: Vec<KeptRun>) -> Vec<KeptRun> {
    let (whole, broken): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.broken.is_none());
    for run in &broken {
        if let Some(why) = &run.broken {
            eprintln!("run {} is left out: {why}", run.id);
        }
    }
    whole
}

/// The run, if its journal is whole.
fn if_whole(run: KeptRun) -> Result<KeptRun, Stop> {
    match run.broken {
        Some(broken) => Err(Stop::from(broken)),
        None => Ok(run),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Stop {
    Stop::usage(
        format!("{}: {error}", path.display()),
        "make the state directory readable, or give another with --state",
    )
}

/// The run to go on with: the named one, or the only unfinished one.
pub fn unfinished(mut runs: Vec<KeptRun>, named: Option<&str>) -> Result<KeptRun, Stop> {
    if let Some(id) = named {
        let missing = || Stop::usage(format!("there is no run {id}"), "`relight status` shows the last one");
        let run = if_whole(runs.into_iter().find(|run| run.id == id).ok_or_else(missing)?)?;
        if run.state.over() {
            return Err(Stop::usage(format!("run {id} is over"), "there is nothing to resume"));
        }
        return Ok(run);
    }
    let broken = runs.iter().find_map(|run| run.broken.clone());
    runs = whole(runs);
    runs.retain(|run| !run.state.over());
    match (runs.pop(), runs.is_empty()) {
        // It may be the very run that is meant.
        (None, _) if broken.is_some() => Err(broken.map_or_else(|| Stop::usage("", ""), Stop::from)),
        (None, _) => Err(Stop::usage("no run is unfinished", "`relight rebuild` starts one")),
        (Some(run), true) => Ok(run),
        (Some(run), false) => {
            let mut ids: Vec<_> = runs.iter().map(|r| format!("{} ({})", r.id, r.world.word())).collect();
            ids.push(format!("{} ({})", run.id, run.world.word()));
            Err(Stop::new(
                Exit::NeedsPerson,
                format!("several runs are unfinished: {}", ids.join(", ")),
                "name one: `relight resume RUN`",
            ))
        }
    }
}

/// Whether a run in the sandbox of this uid is unfinished.
pub fn unfinished_in(global: &super::args::Global, cluster: &str, uid: &str) -> Result<bool, Stop> {
    let kept = whole(all(&global.state, &[WorldKind::Sandbox], cluster)?);
    let here = |run: &KeptRun| run.state.started.as_ref().is_some_and(|s| s.world_uid == uid);
    Ok(kept.iter().any(|run| here(run) && !run.state.over()))
}

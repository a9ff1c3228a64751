//! The state directory: `<state>/<world>/<cluster>/<run>/`.

use super::exit::{Exit, Stop};
use crate::engine::{read_journal, RunState, JOURNAL};
use crate::world::WorldKind;
use std::path::{Path, PathBuf};

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
    /// Digest of its journal's last line.
    pub head: String,
}

/// The directory of a cluster's runs in a world.
pub fn cluster_directory(state: &Path, world: WorldKind, cluster: &str) -> PathBuf {
    state.join(world.word()).join(cluster)
}

/// All runs of a cluster in the given worlds, oldest first. A directory without a whole first record is no run.
pub fn all(state: &Path, worlds: &[WorldKind], cluster: &str) -> Result<Vec<KeptRun>, Stop> {
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
            if let Some(run) = one(&entry.path(), *world)? {
                runs.push(run);
            }
        }
    }
    runs.sort_by_key(|run| run.state.started_at);
    Ok(runs)
}

fn one(directory: &Path, world: WorldKind) -> Result<Option<KeptRun>, Stop> {
    let path = directory.join(JOURNAL);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None)
        }
        Err(error) => return Err(unreadable(&path, &error)),
    };
    let reading = read_journal(&bytes, &directory.display().to_string())?;
    let state = RunState::of(&reading.records);
    let id = directory.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let whole = state.started.is_some();
    let directory = directory.to_owned();
    let (events, head) = (reading.records, reading.head);
    Ok(whole.then_some(KeptRun { id, world, directory, state, events, head }))
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
        let run = runs.into_iter().find(|run| run.id == id).ok_or_else(missing)?;
        if run.state.over() {
            return Err(Stop::usage(format!("run {id} is over"), "there is nothing to resume"));
        }
        return Ok(run);
    }
    runs.retain(|run| !run.state.over());
    match (runs.pop(), runs.is_empty()) {
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
    let kept = all(&global.state, &[WorldKind::Sandbox], cluster)?;
    let here = |run: &KeptRun| run.state.started.as_ref().is_some_and(|s| s.world_uid == uid);
    Ok(kept.iter().any(|run| here(run) && !run.state.over()))
}

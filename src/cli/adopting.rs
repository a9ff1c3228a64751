//! `relight adopt`: what is shown before it, and its dry run. The rest is a run like others.

use super::args::Global;
use super::drawing::fitted;
use super::drive;
use super::exit::{before_a_run, no_temporary_directory, Exit, Stop};
use super::prepare;
use super::retold::retold;
use super::sandbox;
use super::say::{out, say};
use super::worlds::{self, Environment};
use crate::actions::{Found, Mode};
use crate::config::Settings;
use crate::world::{NobodyThere, World};
use dialoguer::console::Term;
use serde_json::json;
use std::sync::Arc;

/// What would be taken over, for a person to see by id before anything is written; an end where it must not be.
pub async fn found(look: &World, settings: &Settings, run: &str) -> Result<Found, Stop> {
    look.shell.equipped().map_err(before_a_run)?;
    Found::look(look, settings, run).await.map_err(before_a_run)?.map_err(|wrong| {
        let what = format!("cluster {} is not adopted: {}", settings.cluster, wrong.join("\n"));
        Stop::new(Exit::Refused, what, "mend what it names, then run this again; nothing was written")
    })
}

/// `relight adopt --dry-run`: a look that leaves no trace, on this machine either.
pub async fn dry_run(global: &Global, environment: &Environment) -> Result<Exit, Stop> {
    let settings = prepare::settings(global)?;
    let card = match global.sandbox {
        true => Some(sandbox::running(global, &settings)?),
        false => None,
    };
    let scratch = tempfile::tempdir().map_err(|e| no_temporary_directory(&e))?;
    let look = worlds::world(&settings, environment, card.as_ref(), scratch.path(), Arc::new(NobodyThere))?;
    let header = drive::header(&look, &settings, Mode::Live).await;
    let found = found(&look, &settings, "<run>").await?;
    if global.json {
        let (written, left) = (found.lines(), &found.left);
        say!("{}", json!({ "v": 1, "cluster": settings.cluster, "header": header, "to_write": written, "left": left }));
        return Ok(Exit::Done);
    }
    let text = format!("{header}\n{}\na dry run: nothing was written. `relight adopt` asks first\n", found.text());
    out(&fitted(&retold(&text), &Term::stdout()));
    Ok(Exit::Done)
}

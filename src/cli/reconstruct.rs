//! `relight reconstruct`: a run's journal, made anew from the labels of what the run made. The world is only looked at; whatever
//! has to be done is `relight resume`'s.

use super::args::Global;
use super::begin::{first_record, lock, no_unfinished};
use super::drawing::fitted;
use super::drive;
use super::exit::{before_a_run, Exit, Stop};
use super::prepare::{self, Prepared};
use super::say::{out, say};
use super::worlds::{self, Environment};
use super::{runs, sandbox};
use crate::actions::{Mode, RunId};
use crate::config::Settings;
use crate::engine::{step_records, Event, Journal, Listener, Lost, RunStarted, Told, JOURNAL};
use crate::report::plain;
use crate::world::{NobodyThere, WorldKind};
use dialoguer::console::Term;
use serde_json::json;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// The only playbook that makes what carries labels and is gone on with.
const PLAYBOOK: &str = "rebuild";

/// Hears nothing: there is one event, and it is told in words.
struct Deaf;
impl Listener for Deaf {
    fn told(&self, _told: &Told) {}
}

/// `relight reconstruct [--run ID]`.
pub async fn reconstruct(global: &Global, environment: &Environment, named: Option<&str>) -> Result<Exit, Stop> {
    let settings = &prepare::settings(global)?;
    let cluster = &settings.cluster;
    let (kind, card) = match global.sandbox {
        true => (WorldKind::Sandbox, Some(sandbox::running(global, settings)?)),
        false => (WorldKind::Real, None),
    };
    let project = worlds::project(settings, environment, card.as_ref())?;
    let all = Lost::all(&*project.cloud, cluster).await.map_err(before_a_run)?;
    let lost = chosen(&all, named, cluster)?;
    let id = RunId { id: lost.run.clone(), mode: Mode::Live };
    let prepared = prepare::prepare(global, PLAYBOOK, &id)?;
    let directory = runs::cluster_directory(&global.state, kind, cluster);
    let place = directory.join(&id.id);
    let _lock = lock(&directory, &id.id)?;
    no_journal(&place, &id.id)?;
    no_unfinished(global, kind, cluster, card.as_ref())?;
    let world = worlds::world(settings, environment, card.as_ref(), &place, Arc::new(NobodyThere))?;
    let header = drive::header(&world, settings, id.mode).await;
    let plan = step_records(&prepared.plan, settings, &id, &prepared.scripts);
    let found = lost.reconstructed(&prepared.plan, settings, &id, &prepared.scripts);
    let first = RunStarted { reconstructed: Some(found), ..first_record(global, &prepared, &id, &world, plan) };
    let (journal, _) =
        Journal::open(&id.id, Arc::clone(&world.files), Arc::clone(&world.clock), Arc::new(Deaf)).await?;
    journal.append(Event::RunStarted(Box::new(first.clone()))).await?;
    told(global, &header, &prepared, &first, &place.join(JOURNAL));
    Ok(Exit::Done)
}

/// The run that is meant: the named one, or the only one that it can be.
fn chosen<'a>(all: &'a [Lost], named: Option<&str>, cluster: &str) -> Result<&'a Lost, Stop> {
    let listed = |runs: &mut dyn Iterator<Item = &Lost>| {
        let mut text = String::new();
        for lost in runs {
            let note = if lost.over { ", fenced by a later run" } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {}{note}: {}", lost.run, lost.lines().join("; "));
        }
        plain_lines(&text)
    };
    if let Some(id) = named {
        let missing = || {
            let what = format!(
                "nothing in the project carries the labels of live run {id} of cluster {cluster}; what is there:{}",
                listed(&mut all.iter())
            );
            Stop::new(
                Exit::Refused,
                what,
                "name one of these; `relight teardown --run ID` takes down what a rehearsal left",
            )
        };
        return all.iter().find(|lost| lost.run == id).ok_or_else(missing);
    }
    match Lost::candidates(all).as_slice() {
        [] => {
            let mut what = format!("nothing in the project carries the labels of a live run of cluster {cluster}");
            let mut remedy =
                "`relight rebuild` begins anew; where this should not be so, check that HCLOUD_TOKEN is of the \
                              cluster's project"
                    .to_owned();
            if let Some(holder) = all.iter().find(|lost| lost.holds) {
                // It may have been a teardown: there is nothing to tell it by.
                what = format!("run {} holds the lease of cluster {cluster}, and has made nothing", holder.run);
                remedy = format!(
                    "begin what it was for anew: the question about the lease is answered with its name, `--confirm {}`",
                    holder.run
                );
            }
            Err(Stop::new(Exit::Refused, format!("{what}: there is nothing to go on with"), remedy))
        }
        [lost] => Ok(lost),
        several => Err(Stop::new(
            Exit::NeedsPerson,
            format!("what is there is of several runs:{}", listed(&mut several.iter().copied())),
            "name the one to go on with: `relight reconstruct --run ID`",
        )),
    }
}

fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// A journal that is there is better than one that is made anew.
fn no_journal(place: &Path, run: &str) -> Result<(), Stop> {
    match place.join(JOURNAL).exists() {
        false => Ok(()),
        true => Err(Stop::new(
            Exit::Refused,
            format!("the journal of run {run} is there: {}", place.join(JOURNAL).display()),
            format!(
                "`relight resume {run}` goes on with it; where it is broken, set it aside first: mv {0} {0}{1}",
                place.display(),
                runs::ASIDE
            ),
        )),
    }
}

/// What was found, what was not, and how to go on.
fn told(global: &Global, header: &str, prepared: &Prepared, first: &RunStarted, journal: &Path) {
    let Some(found) = &first.reconstructed else { return };
    let next = format!("relight resume {}", first.run);
    if global.json {
        let lost: Vec<&str> = lost(&prepared.settings).iter().map(|(what, _)| *what).collect();
        say!(
            "{}",
            json!({
                "v": 1, "run": first.run, "world": first.world, "cluster": first.cluster, "found": found.from,
                "differs": found.differs, "lost": lost, "journal": journal.display().to_string(), "next": next,
            })
        );
        return;
    }
    let mut text = format!("{header}\nrun {} of {}, by what carries its labels:\n", first.run, first.playbook);
    for line in &found.from {
        let _ = writeln!(text, "  {}", plain(line));
    }
    if !found.differs.is_empty() {
        text.push_str("not as relight.yaml says now:\n");
        for line in &found.differs {
            let _ = writeln!(text, "  {}", plain(line));
        }
    }
    text.push_str("lost with the state:\n");
    for (what, then) in lost(&prepared.settings) {
        let _ = writeln!(text, "  {what:<18}  {then}");
    }
    let _ = writeln!(text, "its journal is made anew: {}\nnext: `{next}`", journal.display());
    out(&fitted(&super::retold::retold(&text), &Term::stdout()));
}

/// What no label tells, and what becomes of it.
fn lost(settings: &Settings) -> Vec<(&'static str, String)> {
    let key = match settings.cloud.authorized_keys.is_empty() {
        false => format!(
            "a new one is made, and let in on the nodes as you log in to them: `ssh {}@ADDRESS` must get in without a question",
            settings.cloud.user
        ),
        true => "and relight.yaml names no other (`cloud.ssh_authorized_keys`): what has served nobody yet is made again, which \
                 is asked first; what serves already is left as it is"
            .to_owned(),
    };
    vec![
        ("the run's SSH key", key),
        (
            "host keys",
            "a node must show the one that its label vouches for; one without a label is made again".to_owned(),
        ),
        ("the K3s token", "read from a node that has one, else made".to_owned()),
        ("the kubeconfig", "fetched again".to_owned()),
        ("answers", "whatever was agreed to is asked again where it still matters".to_owned()),
        (
            "earlier records",
            "what DNS said before the run: `relight dns undo` has only what it finds from now on".to_owned(),
        ),
        ("times", "count from now on".to_owned()),
    ]
}

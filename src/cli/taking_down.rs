//! `relight teardown`, `relight sweep`: which runs' things go. The rest is a run like others.

use super::args::{Global, Which};
use super::begin::{begin, locked_directory, Purpose};
use super::card::Card;
use super::exit::{before_a_run, Exit, Stop};
use super::retold::retold;
use super::say::say;
use super::spares::{self, Spares};
use super::worlds::{self, Environment, Project};
use super::{commands, kept, prepare, resume, runs, sandbox};
use crate::actions::{Going, Mode, RunId};
use crate::config::{Settings, TakenDown};
use crate::providers::Lock;
use crate::world::WorldKind;
use serde_json::json;
use std::time::Duration;

/// What a person is shown before it goes; an end where nothing of it may go, or nothing is there.
pub fn goes_text(going: &Going, settings: &Settings) -> Result<String, Stop> {
    let all = settings.taken_down.as_ref().map(|what| what.words(&settings.cluster)).unwrap_or_default();
    if let Some((why, remedy)) = &going.refused {
        return Err(Stop::new(Exit::Refused, format!("{all} is not taken down: {why}"), remedy));
    }
    if going.lines.is_empty() {
        let remedy = "check that the token is of the project that it lives in, and the cluster's name in relight.yaml";
        return Err(Stop::new(Exit::Refused, format!("nothing of {all} is here"), remedy));
    }
    let mut lines = vec!["will be deleted:".to_owned()];
    lines.extend(going.lines.iter().map(|line| format!("  {line}")));
    lines.extend(going.left.iter().map(|line| format!("left as it is: {line}")));
    Ok(lines.join("\n"))
}

/// A line for a crontab that sweeps every hour.
pub fn cron_line(settings: &Settings) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let relight = std::env::current_exe().unwrap_or_default();
    // cron makes a line's end of each percent sign that is not escaped.
    let plain = format!("17 * * * * cd '{}' && '{}'", here.display(), relight.display()).replace('%', "\\%");
    let tokens = match settings.rehearsal.zone.is_some() {
        true => "HCLOUD_TOKEN_REHEARSAL and CLOUDFLARE_API_TOKEN_REHEARSAL",
        false => "HCLOUD_TOKEN_REHEARSAL",
    };
    format!("{plain} sweep{} --yes  # with {tokens} in its environment", super::retold::flags())
}

/// What rehearsals have left, and what time it is there.
async fn left(
    global: &Global,
    environment: &Environment,
    settings: &Settings,
) -> Result<(Vec<Spares>, Duration), Stop> {
    let card: Option<Card> = match global.sandbox {
        true => Some(sandbox::running(global, settings)?),
        false => None,
    };
    let looked_at = settings.taking_down(TakenDown::Rehearsals(Vec::new()));
    let Project { cloud, clock } = worlds::project(&looked_at, environment, card.as_ref())?;
    let all = spares::left(&*cloud, &settings.cluster, world(global)).await.map_err(before_a_run)?;
    Ok((all, clock.now()))
}

fn world(global: &Global) -> WorldKind {
    match global.sandbox {
        true => WorldKind::Sandbox,
        false => WorldKind::Real,
    }
}

/// Whether somebody is running this rehearsal now, on this machine.
fn is_held(global: &Global, cluster: &str, run: &str) -> bool {
    let id = RunId { id: run.to_owned(), mode: Mode::Rehearsal };
    Lock::is_held(&locked_directory(&runs::cluster_directory(&global.state, world(global), cluster), &id))
}

fn nothing(global: &Global, cluster: &str, text: &str) -> Exit {
    match global.json {
        true => say!("{}", json!({ "v": 1, "cluster": cluster, "taken_down": [] })),
        false => say!("{}", retold(text)),
    }
    Exit::Done
}

/// `relight teardown`.
pub async fn teardown(global: &Global, environment: &Environment, which: &Which) -> Result<Exit, Stop> {
    if which.live {
        return begin(global, environment, &Purpose::take_down(TakenDown::Living)).await;
    }
    let settings = prepare::settings(global)?;
    kept::leftovers(global, &settings).await?;
    let cluster = &settings.cluster;
    if let Some(run) = &which.run {
        of_a_rehearsal(global, cluster, run)?;
    }
    let (all, _) = left(global, environment, &settings).await?;
    let mut runs: Vec<String> = all.into_iter().map(|spares| spares.run).collect();
    if let Some(run) = &which.run {
        runs.retain(|of| of == run);
        if is_held(global, cluster, run) {
            let what = format!("another relight is running rehearsal {run} now");
            return Err(Stop::new(Exit::Locked, what, "stop it (Ctrl-C) or wait for its end, then run this again"));
        }
    }
    let (held, runs): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| is_held(global, cluster, run));
    for run in &held {
        eprintln!("rehearsal {run} is left as it is: another relight is running it now");
    }
    if runs.is_empty() {
        let of = which.run.as_ref().map_or_else(|| "any rehearsal".to_owned(), |run| format!("rehearsal {run}"));
        return Ok(nothing(global, cluster, &format!("nothing of {of} of cluster {cluster} is left")));
    }
    begin(global, environment, &Purpose::take_down(TakenDown::Rehearsals(runs))).await
}

/// Refuses a run that is known to be no rehearsal.
fn of_a_rehearsal(global: &Global, cluster: &str, run: &str) -> Result<(), Stop> {
    let known = runs::all(&global.state, &commands::kinds(global), cluster)?.into_iter().find(|kept| kept.id == run);
    let live = known.and_then(|kept| kept.state.started).is_some_and(|first| first.mode == Mode::Live.word());
    match live {
        false => Ok(()),
        true => Err(Stop::new(
            Exit::Refused,
            format!("run {run} is a live run, no rehearsal"),
            "`relight teardown --live` deletes the living cluster",
        )),
    }
}

/// `relight sweep`. Without `--yes`, which the cron line has, it tells the cron line.
pub async fn sweep(global: &Global, environment: &Environment) -> Result<Exit, Stop> {
    let settings = prepare::settings(global)?;
    kept::leftovers(global, &settings).await?;
    if !global.yes {
        eprintln!("to sweep every hour by cron:\n{}", cron_line(&settings));
    }
    let (all, now) = left(global, environment, &settings).await?;
    // One that was stopped half-way is taken up: else each would leave one that is unfinished.
    if let Some(id) = unfinished(global, &settings)? {
        return resume::resume(global, environment, Some(&id)).await;
    }
    let over = spares::over(all, now);
    if over.is_empty() && global.yes && !global.json {
        // Whatever cron's job says is sent by mail.
        return Ok(Exit::Done);
    }
    if over.is_empty() {
        let text = format!("nothing has expired of rehearsals of cluster {}", settings.cluster);
        return Ok(nothing(global, &settings.cluster, &text));
    }
    eprint!("{}", spares::text(&over));
    let runs = over.into_iter().map(|spares| spares.run).collect();
    begin(global, environment, &Purpose::take_down(TakenDown::Expired(runs))).await
}

/// A sweep of this world that has not come to its end, and that nobody is at now.
fn unfinished(global: &Global, settings: &Settings) -> Result<Option<String>, Stop> {
    let cluster = &settings.cluster;
    let uid = match global.sandbox {
        true => Some(sandbox::running(global, settings)?.uid),
        false => None,
    };
    let kept = runs::whole(runs::all(&global.state, &[world(global)], cluster)?);
    let here = |run: &runs::KeptRun| {
        let first = run.state.started.as_ref();
        first.is_some_and(|first| first.playbook == "sweep" && uid.as_ref().is_none_or(|uid| *uid == first.world_uid))
    };
    let left = kept.into_iter().find(|run| here(run) && !run.state.over() && !is_held(global, cluster, &run.id));
    Ok(left.map(|run| run.id))
}

//! `relight sandbox`: the emulated world, in a process of its own, so that a killed run finds its world still there.

use super::args::{Global, SandboxCommand};
use super::begin;
use super::card::{self, Card};
use super::exit::{Exit, Stop};
use super::prepare::{self, Prepared};
use super::retold::retold;
use super::runs;
use super::say::say;
use crate::config::Settings;
use crate::providers::{Held, Lock};
use crate::world::WorldKind;
use serde_json::{json, Value};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a sandbox may take to open its doors, in wall time.
const START: Duration = Duration::from_secs(60);
/// Pause between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Carries out a command of the sandbox.
pub async fn command(global: &Global, command: &SandboxCommand) -> Result<Exit, Stop> {
    let settings = prepare::settings(global)?;
    match command {
        SandboxCommand::Start { world } => {
            let runs = card::read(&global.state, &settings.cluster)?;
            if let (Some(world), Some(card)) = (world, runs) {
                return Err(Stop::usage(
                    format!("sandbox {} of cluster {} runs already", card.uid, settings.cluster),
                    format!("`relight sandbox break {world}` puts it into that world; what is in it would be gone"),
                ));
            }
            let card = started(global, &settings, World::Kept).await?;
            if let Some(world) = world {
                broken(&card, world).await?;
            }
            say!(
                "sandbox {} of cluster {} runs (pid {}, profile {})",
                card.uid,
                settings.cluster,
                card.pid,
                card.profile
            );
        }
        SandboxCommand::Stop => {
            let _undisturbed = match card::read(&global.state, &settings.cluster)? {
                Some(_) => Some(no_run_acts(global, &settings, "stop")?),
                None => None,
            };
            stop(global, &settings).await?;
        }
        SandboxCommand::Status => status(global, &settings).await?,
        SandboxCommand::Env => env(global, &settings).await?,
        SandboxCommand::Break { disaster } => {
            let card = running(global, &settings)?;
            let _undisturbed = no_run_acts(global, &settings, "break")?;
            broken(&card, disaster).await?;
            say!("the sandbox's world is {disaster} now");
        }
        SandboxCommand::Serve => super::serve::serve(global, &settings).await?,
    }
    Ok(Exit::Done)
}

/// A run would find another world under its feet, or none. Held while the world is changed, so that no live run begins meanwhile.
/// `then`: what shall be done to the sandbox.
fn no_run_acts(global: &Global, settings: &Settings, then: &str) -> Result<Lock, Stop> {
    let directory = runs::cluster_directory(&global.state, WorldKind::Sandbox, &settings.cluster);
    let lock = begin::lock(&directory, &format!("none, it is about to {then} the sandbox"))?;
    let all = runs::all(&global.state, &[WorldKind::Sandbox], &settings.cluster)?;
    // A rehearsal has a lock of its own.
    match all.iter().find(|run| Lock::is_held(&run.directory)) {
        None => Ok(lock),
        Some(run) => Err(Stop::new(
            Exit::Locked,
            format!("run {} acts in the sandbox", run.id),
            format!("wait until it has ended, or end it with Ctrl-C, then {then} the sandbox"),
        )),
    }
}

/// The running sandbox's card.
pub fn running(global: &Global, settings: &Settings) -> Result<Card, Stop> {
    let none = || {
        Stop::usage(format!("no sandbox of cluster {} runs", settings.cluster), "`relight sandbox start` starts one")
    };
    card::read(&global.state, &settings.cluster)?.ok_or_else(none)
}

/// What a playbook is for that mends nothing: it needs the world as it is.
const UNBROKEN: &str = "healthy";

/// What a playbook is for that takes over what is there: where no sandbox runs, one is started that has something.
const HAND_MADE: &str = "hand-made";

/// A running sandbox in the disaster that the playbook is for.
pub async fn ready_for(global: &Global, prepared: &Prepared) -> Result<Card, Stop> {
    if prepared.settings.taken_down.is_some() || prepared.plan.mends == UNBROKEN {
        // What is taken down or changed is what is there; and another profile is no reason for another world.
        return running(global, &prepared.settings);
    }
    if prepared.plan.mends == HAND_MADE {
        if let Some(card) = card::read(&global.state, &prepared.settings.cluster)? {
            return Ok(card);
        }
    }
    // A rehearsal leaves the living cluster as it is, whatever it is.
    let spare = prepared.settings.spare.is_some();
    let world = if spare { World::Kept } else { World::PutIntoDisaster };
    let card = started(global, &prepared.settings, world).await?;
    if spare || runs::unfinished_in(global, &prepared.settings.cluster, &card.uid)? {
        return Ok(card);
    }
    broken(&card, &prepared.plan.mends).await?;
    match prepared.plan.mends.as_str() {
        HAND_MADE => eprintln!("the sandbox ({}) has a cluster that was made by hand", card.uid),
        disaster => eprintln!("the sandbox ({}) has been put into disaster: {disaster}", card.uid),
    }
    Ok(card)
}

/// What becomes of the world in the sandbox that is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    /// Whatever is in it stays.
    Kept,
    /// What is in it will be gone at once.
    PutIntoDisaster,
}

/// The running sandbox's card; where none runs, one is started. Another relight may be doing the same, or may have died while
/// it did: then the lock is held already, and the card comes. One of another profile is ended only where nothing is lost by that.
async fn started(global: &Global, settings: &Settings, world: World) -> Result<Card, Stop> {
    let (begun, mut child) = (Instant::now(), None::<Child>);
    loop {
        if let Some(card) = card::read(&global.state, &settings.cluster)? {
            if card.profile == global.profile.word() || stays(global, settings, &card, world).await? {
                not_needed(child, &card);
                return Ok(card);
            }
            stop(global, settings).await?;
        }
        let free = Lock::held_by(&card::lock_path(&global.state, &settings.cluster)) == Held::ByNobody;
        child = match child {
            None if free => Some(spawn(global, settings)?),
            Some(mut child) => still_runs(&mut child, global, settings)?.then_some(child),
            None => None,
        };
        if begun.elapsed() > START {
            return Err(not_started(&format!("its doors were not open within {}s", START.as_secs())));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a sandbox of another profile goes on all the same, which is said.
async fn stays(global: &Global, settings: &Settings, card: &Card, world: World) -> Result<bool, Stop> {
    let why = if runs::unfinished_in(global, &settings.cluster, &card.uid)? {
        "a run in it is not finished"
    } else if world == World::Kept && holds_anything(card).await? {
        "what is in it would be gone"
    } else {
        return Ok(false);
    };
    let (uid, profile, wanted) = (&card.uid, &card.profile, global.profile.word());
    eprintln!(
        "{}",
        retold(&format!(
            "the sandbox ({uid}, profile {profile}) goes on: {why}. `relight sandbox stop` makes room for one of profile {wanted}"
        ))
    );
    Ok(true)
}

async fn holds_anything(card: &Card) -> Result<bool, Stop> {
    let world = control(card, "/status").await?;
    Ok(["servers", "records"]
        .iter()
        .any(|list| world.get(list).and_then(Value::as_array).is_some_and(|l| !l.is_empty())))
}

/// Ends a sandbox's process that came second: it may be so late that it would take the lock of one that was stopped meanwhile.
fn not_needed(child: Option<Child>, card: &Card) {
    let Some(mut child) = child.filter(|child| child.id() != card.pid) else { return };
    // One that has ended by itself needs no signal.
    let _ = child.kill();
    let _ = child.wait();
}

fn not_started(why: &str) -> Stop {
    Stop::new(Exit::Failed, format!("the sandbox did not start: {why}"), "look into its log beside its card")
}

fn log_path(global: &Global, settings: &Settings) -> PathBuf {
    card::path(&global.state, &settings.cluster).with_file_name("sandbox.log")
}

fn spawn(global: &Global, settings: &Settings) -> Result<Child, Stop> {
    let failed = |e: std::io::Error| not_started(&e.to_string());
    let log = log_path(global, settings);
    if let Some(directory) = log.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    let mut file = std::fs::OpenOptions::new();
    let log = file.write(true).create(true).truncate(true).mode(0o600).open(log).map_err(failed)?;
    let mut child = std::process::Command::new(std::env::current_exe().map_err(failed)?);
    child.args(["sandbox", "serve", "--profile", global.profile.word()]);
    child.arg("--config").arg(&global.config).arg("--state").arg(&global.state);
    if let Some(steps) = &global.steps {
        child.arg("--steps").arg(steps);
    }
    child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // Its own process group: neither a Ctrl-C nor a hang-up of the run's terminal reaches it.
    std::os::unix::process::CommandExt::process_group(&mut child, 0);
    child.spawn().map_err(failed)
}

/// Whether the child still runs; one that found another sandbox before it is no failure.
fn still_runs(child: &mut Child, global: &Global, settings: &Settings) -> Result<bool, Stop> {
    match child.try_wait().map_err(|e| not_started(&e.to_string()))? {
        None => Ok(true),
        Some(status) if status.code() == Some(i32::from(Exit::Locked.code())) => Ok(false),
        Some(status) => {
            let log = std::fs::read_to_string(log_path(global, settings)).unwrap_or_default();
            Err(not_started(&format!("it ended with {status}: {}", log.trim())))
        }
    }
}

/// Talks to the sandbox's control door.
async fn control(card: &Card, path: &str) -> Result<Value, Stop> {
    let failed = |e: &dyn std::fmt::Display| {
        Stop::new(Exit::Failed, format!("the sandbox does not answer: {e}"), "stop and start it again")
    };
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().map_err(|e| failed(&e))?;
    let request = client.post(format!("{}{path}", card.control)).bearer_auth(&card.control_token);
    let reply = request.send().await.map_err(|e| failed(&e))?;
    let status = reply.status();
    let body: Value = reply.json().await.map_err(|e| failed(&e))?;
    match status.is_success() {
        true => Ok(body),
        false => Err(Stop::usage(body.get("error").and_then(Value::as_str).unwrap_or("refused").to_owned(), "")),
    }
}

async fn broken(card: &Card, disaster: &str) -> Result<(), Stop> {
    control(card, &format!("/break/{disaster}")).await.map(|_| ())
}

async fn stop(global: &Global, settings: &Settings) -> Result<(), Stop> {
    let Some(card) = card::read(&global.state, &settings.cluster)? else {
        eprintln!("no sandbox of cluster {} runs", settings.cluster);
        return Ok(());
    };
    control(&card, "/stop").await?;
    let begun = Instant::now();
    // Until its lock is free, not only until its card is gone: the next one may start at once.
    let path = card::lock_path(&global.state, &settings.cluster);
    while matches!(Lock::held_by(&path), Held::By(holder) if holder.pid == card.pid) {
        if begun.elapsed() > START {
            return Err(Stop::new(Exit::Failed, format!("the sandbox (pid {}) does not stop", card.pid), "kill it"));
        }
        tokio::time::sleep(LOOK).await;
    }
    eprintln!("the sandbox is stopped");
    Ok(())
}

async fn status(global: &Global, settings: &Settings) -> Result<(), Stop> {
    let Some(card) = card::read(&global.state, &settings.cluster)? else {
        match global.json {
            true => say!("{}", json!({ "v": 1, "running": false })),
            false => say!("no sandbox of cluster {} runs", settings.cluster),
        }
        return Ok(());
    };
    let world = control(&card, "/status").await?;
    if global.json {
        say!(
            "{}",
            json!({ "v": 1, "running": true, "pid": card.pid, "uid": card.uid, "profile": card.profile, "world": world })
        );
        return Ok(());
    }
    say!("sandbox {} (pid {}, profile {})", card.uid, card.pid, card.profile);
    for (title, list) in [("server", "servers"), ("record", "records")] {
        for line in world.get(list).and_then(Value::as_array).into_iter().flatten() {
            say!("  {title:<8} {}", line.as_str().unwrap_or_default());
        }
    }
    Ok(())
}

/// `export` lines for other people's clients. The kubeconfig that they name is written anew each time.
async fn env(global: &Global, settings: &Settings) -> Result<(), Stop> {
    let card = running(global, settings)?;
    let path = card::path(&global.state, &settings.cluster).with_file_name("kubeconfig");
    let failed = |e: std::io::Error| Stop::usage(format!("{}: {e}", path.display()), "make it writable");
    let admin = control(&card, "/kubeconfig").await?;
    // Without a cluster KUBECONFIG names a file that is not there: else kubectl would turn to somebody's real cluster.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let text = |key: &str| admin.get(key).and_then(Value::as_str);
    match (text("kubeconfig"), text("server")) {
        (Some(text), Some(server)) => {
            let text = super::kubeconfig::pointed(text.as_bytes(), server, &settings.cluster)?;
            let mut file = std::fs::OpenOptions::new();
            let mut file = file.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
        }
        _ => eprintln!("no cluster serves in the sandbox yet: there is no kubeconfig"),
    }
    let kubeconfig = std::path::absolute(&path).map_err(failed)?;
    for (name, value) in [
        ("HCLOUD_ENDPOINT", card.hcloud_endpoint.as_str()),
        ("HCLOUD_TOKEN", &card.hcloud_token),
        ("HCLOUD_TOKEN_REHEARSAL", &card.hcloud_token_rehearsal),
        ("CLOUDFLARE_BASE_URL", &card.cloudflare_base_url),
        ("CLOUDFLARE_API_TOKEN", &card.cloudflare_api_token),
        ("CLOUDFLARE_API_TOKEN_REHEARSAL", &card.cloudflare_api_token_rehearsal),
        ("KUBECONFIG", &kubeconfig.display().to_string()),
    ] {
        say!("export {name}='{}'", value.replace('\'', "'\\''"));
    }
    Ok(())
}

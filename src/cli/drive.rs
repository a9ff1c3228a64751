//! Drives a run in this process, from the first or the next record to its end, and tells how it ended.

use super::drawing::{fitted, Drawing};
use super::ending;
use super::exit::{Exit, Stop};
use super::prepare::Prepared;
use super::retold::retold;
use super::say::out;
use crate::actions::{Mode, RunId};
use crate::config::Settings;
use crate::engine::{Journal, RunState};
use crate::world::{World, WorldKind};
use dialoguer::console::Term;
use std::sync::Arc;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::watch;

/// World, project and zone: stands above everything that is shown or asked.
pub async fn header(world: &World, settings: &Settings, mode: Mode) -> String {
    let project = match world.cloud.servers("").await {
        Ok(servers) if servers.is_empty() => "project without servers".to_owned(),
        Ok(servers) => {
            let names: Vec<_> = servers.iter().take(6).map(|s| s.name.as_str()).collect();
            let more = servers.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("project with servers {}{more}", names.join(", "))
        }
        Err(error) => format!("project that cannot be listed ({})", error.what),
    };
    let name = title(world.kind, mode);
    format!("{name} · cluster {} · {project} · zone {}", settings.cluster, settings.dns.zone)
}

/// The world and the mode in the words that stand above everything.
pub fn title(world: WorldKind, mode: Mode) -> &'static str {
    match (world, mode) {
        (WorldKind::Real, Mode::Live) => "LIVE",
        (WorldKind::Real, Mode::Rehearsal) => "REHEARSAL",
        (WorldKind::Sandbox, Mode::Live) => "SANDBOX",
        (WorldKind::Sandbox, Mode::Rehearsal) => "REHEARSAL in the SANDBOX",
        (WorldKind::Lab, Mode::Live) => "LAB",
        (WorldKind::Lab, Mode::Rehearsal) => "REHEARSAL in the LAB",
    }
}

/// What a run needs to be driven.
pub struct Drive<'a> {
    /// The outside.
    pub world: &'a World,
    /// What to do.
    pub prepared: &'a Prepared,
    /// Which run.
    pub id: &'a RunId,
    /// Its journal, with its first record.
    pub journal: &'a Journal,
    /// What the journal remembers.
    pub memory: RunState,
    /// How it is shown.
    pub drawing: &'a Drawing,
    /// Stands above the end.
    pub header: &'a str,
    /// Whether stdout belongs to the events.
    pub json: bool,
}

impl Drive<'_> {
    /// Runs to the end. The first signal finishes the calls in flight; the second ends the process at once.
    pub async fn run(self) -> Result<Exit, Stop> {
        let (stop, stopped) = watch::channel(false);
        let ended_by = Arc::new(std::sync::Mutex::new(Exit::Interrupted));
        let signals = tokio::spawn(signals(stop, Arc::clone(&ended_by)));
        let run = crate::engine::Run {
            world: self.world,
            settings: &self.prepared.settings,
            plan: &self.prepared.plan,
            id: self.id,
            scripts: &self.prepared.scripts,
            journal: self.journal,
            memory: self.memory,
            stop: stopped,
        };
        let end = run.execute().await;
        signals.abort();
        let end = end?;
        let exit = match Exit::of_outcome(&end.outcome) {
            Exit::Interrupted => ended_by.lock().map_or(Exit::Interrupted, |exit| *exit),
            exit => exit,
        };
        let (mut text, reading) =
            ending::ending(self.world, &self.prepared.settings, self.id, self.header, &end).await?;
        let proof = super::proofs::at_the_end(&*self.world.files, &reading, &mut text).await;
        let sealed = match end.outcome.as_str() {
            "succeeded" => super::kept::at_the_end(&*self.world.files, &self.prepared.settings, &mut text).await,
            _ => Ok(()),
        };
        let text = retold(&text);
        if self.json {
            eprint!("{}", fitted(&text, &Term::stderr()));
        } else {
            self.drawing.quiet(&mut || out(&fitted(&text, &Term::stdout())));
        }
        sealed.and(proof).map(|()| exit)
    }
}

async fn signals(stop: watch::Sender<bool>, ended_by: Arc<std::sync::Mutex<Exit>>) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut asked = false;
    loop {
        let exit = tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        };
        if asked {
            eprintln!("{}", retold("\nstopped at once; `relight resume` goes on"));
            std::process::exit(i32::from(exit.code()));
        }
        asked = true;
        eprintln!("\nfinishing the calls in flight (once more to stop at once)");
        if let Ok(mut by) = ended_by.lock() {
            *by = exit;
        }
        let _ = stop.send(true);
    }
}

//! Drives a run in this process, from the first or the next record to its end, and tells how it ended.

use super::drawing::{fitted, Drawing};
use super::exit::{Exit, Stop};
use super::prepare::Prepared;
use crate::actions::RunId;
use crate::config::Settings;
use crate::engine::{Journal, Reading, RunFinished, RunState};
use crate::report;
use crate::world::{selector, Server, ServerStatus, World, STATE};
use dialoguer::console::Term;
use std::fmt::Write;
use std::sync::Arc;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::watch;

/// World, project and zone: stands above everything that is shown or asked.
pub async fn header(world: &World, settings: &Settings) -> String {
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
    let name = match world.kind {
        crate::world::WorldKind::Real => "LIVE",
        crate::world::WorldKind::Sandbox => "SANDBOX",
        crate::world::WorldKind::Lab => "LAB",
    };
    format!("{name} · cluster {} · {project} · zone {}", settings.cluster, settings.dns.zone)
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
        let (mut text, reading) = ending(self.world, &self.prepared.settings, self.id, self.header, &end).await?;
        let proof = super::proofs::at_the_end(&*self.world.files, &reading, &mut text).await;
        let sealed = match end.outcome.as_str() {
            "succeeded" => super::kept::at_the_end(&*self.world.files, &self.prepared.settings, &mut text).await,
            _ => Ok(()),
        };
        if self.json {
            eprint!("{}", fitted(&text, &Term::stderr()));
        } else {
            self.drawing.quiet(&mut || print!("{}", fitted(&text, &Term::stdout())));
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
            eprintln!("\nstopped at once; `relight resume` goes on");
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

/// The text after the last event: summary, the health check's answer, and what a person has to hand over; and the journal.
async fn ending(
    world: &World,
    settings: &Settings,
    id: &RunId,
    header: &str,
    end: &RunFinished,
) -> Result<(String, Reading), Stop> {
    let bytes = world.files.read(crate::engine::JOURNAL).await;
    let bytes = bytes.map_err(|e| Stop::new(Exit::Journal, format!("the journal cannot be read: {e}"), ""))?;
    let reading = crate::engine::read_journal(&bytes.unwrap_or_default(), &world.files.place())?;
    let mut text = report::summary(header, reading.records.iter().map(|r| (r.at, &r.event)));
    if end.outcome == "succeeded" {
        answer(world, settings, &mut text).await;
        hand_over(world, settings, id, &mut text).await;
    } else {
        fenced(&world.cloud.servers(&selector(&settings.cluster, None)).await.unwrap_or_default(), &mut text);
        let _ = writeln!(text, "next: `relight resume {}` goes on from here", id.id);
    }
    let _ = writeln!(text, "journal: {}/{}", world.files.place(), crate::engine::JOURNAL);
    Ok((text, reading))
}

async fn answer(world: &World, settings: &Settings, text: &mut String) {
    let Some(health) = settings.health.first() else { return };
    let get = crate::world::Get { url: health.url.clone(), node: None, timeout: settings.timeouts.probe };
    match world.http.get(&get).await {
        Ok(reply) => {
            let body = String::from_utf8_lossy(&reply.body).chars().take(200).collect::<String>();
            let _ = writeln!(text, "{} answers {}: {}", health.url, reply.status, report::plain(body.trim()));
        }
        Err(error) => {
            let _ = writeln!(text, "{} does not answer now: {}", health.url, report::plain(&error.what));
        }
    }
}

/// What changed for others: addresses, kubeconfigs, credentials that old disks still hold.
async fn hand_over(world: &World, settings: &Settings, id: &RunId, text: &mut String) {
    let mut servers = world.cloud.servers(&selector(&settings.cluster, None)).await.unwrap_or_default();
    servers.sort_by_key(|server| place_of(settings, &server.name));
    let _ = writeln!(text, "to hand over:");
    for server in servers.iter().filter(|s| crate::world::of_run(&s.labels, &settings.cluster, &id.id)) {
        let _ = writeln!(text, "  new address   {} {}", server.name, address(server));
    }
    let _ = writeln!(
        text,
        "  kubeconfig    all earlier ones are stale; this one works through SSH: `relight kubectl -- get nodes`"
    );
    fenced(&servers, text);
    let _ = writeln!(
        text,
        "  credentials   secrets that the old nodes held may be in others' hands: rotate them where that matters"
    );
}

fn address(server: &Server) -> String {
    server.public_ip.map(|ip| ip.to_string()).unwrap_or_default()
}

/// Old servers that are out of action, and how.
fn fenced(servers: &[Server], text: &mut String) {
    for server in servers.iter().filter(|s| s.labels.contains_key(STATE)) {
        let state = match server.status {
            ServerStatus::Off => "is off, still costs,",
            _ => {
                "could NOT be powered off: a firewall cuts it off from all but its private network. Power it off in the \
                 console; until then it runs and costs,"
            }
        };
        let _ = writeln!(
            text,
            "  fenced        {} {} {state} and its disk still holds the old credentials; delete it when nothing on it is needed",
            server.name,
            address(server)
        );
    }
}

/// Servers in the order of the configuration's nodes: by the node whose name is in the server's, the longest such name.
fn place_of(settings: &Settings, server: &str) -> (usize, String) {
    let named = |key: &str| {
        let rest = server.strip_prefix(&settings.cluster).and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|rest| rest.strip_prefix(key)).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let nodes = settings.nodes.iter().enumerate().filter(|(_, node)| named(&node.key));
    let place = nodes.max_by_key(|(_, node)| node.key.len()).map_or(usize::MAX, |(place, _)| place);
    (place, server.to_owned())
}

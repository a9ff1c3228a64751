//! What stands after a run's last event: the summary, the health check's answer, and what a person has to hand over or to know.

use super::exit::{Exit, Stop};
use super::{addresses, lease, taking_down};
use crate::actions::{Mode, RunId};
use crate::config::Settings;
use crate::engine::{Event, Reading, RunFinished, RunState};
use crate::report;
use crate::world::{rfc3339, selector, wall_name, Server, ServerStatus, ThingKind, World, EXPIRES, STATE};
use std::fmt::Write;
use std::time::Duration;

/// The text after the last event: summary, the health check's answer, and what a person has to hand over.
pub async fn ending(
    world: &World,
    settings: &Settings,
    id: &RunId,
    header: &str,
    end: &RunFinished,
) -> Result<(String, Reading), Stop> {
    let bytes = world.files.read(crate::engine::JOURNAL).await;
    let bytes = bytes.map_err(|e| Stop::new(Exit::Journal, format!("the journal cannot be read: {e}"), ""))?;
    let reading = crate::engine::read_journal(&bytes.unwrap_or_default(), &world.files.place())?;
    let events: Vec<(u64, &Event)> = reading.records.iter().map(|r| (r.at, &r.event)).collect();
    let mut text = report::summary(header, events);
    if settings.taken_down.is_some() {
        if end.outcome == "succeeded" {
            let _ = writeln!(text, "nothing of it is left");
        }
    } else if id.mode == Mode::Rehearsal {
        spare(world, settings, id, end, &mut text).await;
    } else if end.outcome == "succeeded" && RunState::of(&reading.records).facts.logs_in_as_the_operator() {
        answer(world, settings, &mut text).await;
        let _ = writeln!(
            text,
            "it is relight's now: a rebuild, a rehearsal and a teardown know it by its labels. `relight kubectl -- get nodes` works \
             through SSH, with your own keys"
        );
    } else if end.outcome == "succeeded" {
        answer(world, settings, &mut text).await;
        hand_over(world, settings, id, &mut text).await;
    } else {
        let servers = world.cloud.servers(&selector(&settings.cluster, None)).await.unwrap_or_default();
        fenced(world, &settings.cluster, &servers, &mut text).await;
    }
    if !end.over {
        if let Some(kept) = lease::kept(world, settings, id).await {
            let _ = writeln!(text, "{kept}");
        }
    }
    let _ = writeln!(text, "journal: {}/{}", world.files.place(), crate::engine::JOURNAL);
    Ok((text, reading))
}

/// What is left of a rehearsal. Production's edge is not asked: it says nothing about spare nodes.
async fn spare(world: &World, settings: &Settings, id: &RunId, end: &RunFinished, text: &mut String) {
    let mine = selector(&settings.cluster, Some(&id.id));
    let servers = match world.cloud.servers(&mine).await {
        Ok(servers) => servers,
        Err(error) => {
            let _ = writeln!(text, "what is left of it cannot be listed now: {}", report::plain(&error.what));
            return;
        }
    };
    if servers.is_empty() && end.over {
        let _ = writeln!(text, "nothing of it is left in the project");
    }
    for server in &servers {
        let seconds = server.labels.get(EXPIRES).and_then(|text| text.parse().ok()).unwrap_or_default();
        let until = rfc3339(Duration::from_secs(seconds));
        let _ = writeln!(
            text,
            "  left          {} {} until {until}, when it powers itself off",
            server.name,
            address(server)
        );
    }
    if !servers.is_empty() && end.outcome == "succeeded" {
        let _ = writeln!(
            text,
            "a server that is off still costs: `relight teardown --run {}` deletes it all when you are done, `relight sweep` \
             what has expired. By cron:\n{}",
            id.id,
            taking_down::cron_line(settings)
        );
    }
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
    let mut new = servers.iter().filter(|s| crate::world::of_run(&s.labels, &settings.cluster, &id.id)).peekable();
    if new.peek().is_none() {
        // It made no cluster: what it changed stands above.
        return fenced(world, &settings.cluster, &servers, text).await;
    }
    text.push_str(&addresses::lines(world, settings, &new.collect::<Vec<_>>(), &servers).await);
    let _ = writeln!(
        text,
        "  kubeconfig    all earlier ones are stale; this one works through SSH: `relight kubectl -- get nodes`"
    );
    fenced(world, &settings.cluster, &servers, text).await;
    let _ = writeln!(
        text,
        "  credentials   secrets that the old nodes held may be in others' hands: rotate them where that matters"
    );
}

fn address(server: &Server) -> String {
    server.public_ip.map(|ip| ip.to_string()).unwrap_or_default()
}

/// Old servers that were fenced, and whether they still are.
async fn fenced(world: &World, cluster: &str, servers: &[Server], text: &mut String) {
    let walls = world.cloud.things(ThingKind::Firewall, &selector(cluster, None)).await.unwrap_or_default();
    let wall = walls.into_iter().find(|f| f.name == wall_name(cluster)).map(|f| f.id);
    for server in servers.iter().filter(|s| s.labels.contains_key(STATE)) {
        let state = match (server.status, server.is_fenced(wall)) {
            (ServerStatus::Off, _) => "is off, still costs,",
            (_, true) => {
                "could NOT be powered off: a firewall cuts it off from all but its private network. Power it off in the \
                 console; until then it runs and costs,"
            }
            _ => "RUNS AGAIN and nothing cuts it off: power it off in the console at once. It costs,",
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

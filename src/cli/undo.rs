//! `relight dns undo`: the records of before a run. The rest is a run like others.

use super::args::Global;
use super::begin::{begin, Purpose};
use super::exit::{before_a_run, Exit, Stop};
use super::worlds::Environment;
use super::{prepare, runs};
use crate::actions::{earlier_records, undone, Behind, WANTED};
use crate::config::Settings;
use crate::world::{World, WorldKind};

/// Where a run keeps the records that it found.
const BEFORE: &str = "dns-before.json";

/// `relight dns undo RUN`.
pub async fn undo(global: &Global, environment: &Environment, run: &str) -> Result<Exit, Stop> {
    let settings = prepare::settings(global)?;
    let kind = if global.sandbox { WorldKind::Sandbox } else { WorldKind::Real };
    let kept = runs::all(&global.state, &[kind], &settings.cluster)?.into_iter().find(|kept| kept.id == run);
    let none = || {
        Stop::usage(format!("there is no run {run} in world {}", kind.word()), "`relight status` shows the last one")
    };
    let file = kept.ok_or_else(none)?.directory.join(BEFORE);
    let records = std::fs::read(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Stop::usage(format!("run {run} has changed no record"), "there is nothing to put back")
        }
        _ => Stop::usage(format!("{}: {error}", file.display()), "make it readable, then run this again"),
    })?;
    earlier_records(&records).map_err(|why| {
        Stop::usage(format!("{}: {why}", file.display()), "put the records back by hand, in the console")
    })?;
    begin(global, environment, &Purpose::undo(records)).await
}

/// What would change, for a person to see before saying yes.
pub async fn difference(look: &World, settings: &Settings, records: &[u8]) -> Result<String, Stop> {
    let dns = &settings.dns;
    let zone = look.dns.zone(&dns.zone).await.map_err(before_a_run)?;
    let invisible =
        || Stop::new(Exit::Refused, format!("zone {} is not visible", dns.zone), "check CLOUDFLARE_API_TOKEN");
    let now = look.dns.records(&zone.ok_or_else(invisible)?, &dns.hosts).await.map_err(before_a_run)?;
    let earlier = earlier_records(records).map_err(|why| Stop::usage(why, ""))?;
    let (batch, lines) = undone(&now, &earlier);
    if batch.is_empty() {
        return Ok("the records are as they were: nothing will be changed".to_owned());
    }
    let behind = Behind::look(look, &settings.cluster, &earlier).await.map_err(before_a_run)?;
    let (lines, servers) = (lines.join("\n"), behind.lines().join("\n"));
    let against = behind.against().map(|text| format!("\n{text}")).unwrap_or_default();
    Ok(format!("the records will be changed:\n{lines}\nbehind the addresses that they get:\n{servers}{against}"))
}

/// Puts the records where the run's step finds them.
pub async fn carry(world: &World, records: &[u8]) -> Result<(), Stop> {
    let written = world.files.write(WANTED, records).await;
    written.map_err(|error| {
        Stop::new(Exit::Journal, format!("{WANTED} cannot be written: {error}"), "make room, then run this again")
    })
}

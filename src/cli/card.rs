//! A running sandbox's card: how other processes find it and talk to it.

use super::exit::{Exit, Stop};
use crate::providers::{Held, Lock};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Written by the sandbox's process when all its doors are open; removed when it stops.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Card {
    /// The serving process.
    pub pid: u32,
    /// Tells this sandbox from every other one.
    pub uid: String,
    /// `instant`, `fast`, `real`.
    pub profile: String,
    /// How many clock seconds pass in a wall second.
    pub factor: f64,
    /// The clock's time at [`Card::wall_ms`], milliseconds since the epoch.
    pub clock_ms: u64,
    /// Wall time of [`Card::clock_ms`], milliseconds since the epoch.
    pub wall_ms: u64,
    /// The Hetzner API.
    pub hcloud_endpoint: String,
    /// Its token.
    pub hcloud_token: String,
    /// The token of the project for rehearsals.
    pub hcloud_token_rehearsal: String,
    /// The Cloudflare API.
    pub cloudflare_base_url: String,
    /// Its token.
    pub cloudflare_api_token: String,
    /// The token of the zone for rehearsals, where the configuration names one.
    #[serde(default)]
    pub cloudflare_api_token_rehearsal: String,
    /// What every host name resolves to.
    pub edge: IpAddr,
    /// The sandbox's certificate authority, PEM.
    pub authority: String,
    /// Where its operator's SSH key and known hosts lie. (Cards of earlier versions name none.)
    #[serde(default)]
    pub operator: PathBuf,
    /// Where it is told what to do: `http://127.a.b.1:port`.
    pub control: String,
    /// What control wants as bearer token.
    pub control_token: String,
}

/// Where the card of a cluster's sandbox lies.
pub fn path(state: &Path, cluster: &str) -> PathBuf {
    super::runs::cluster_directory(state, crate::world::WorldKind::Sandbox, cluster).join("sandbox.json")
}

/// The lock file that a sandbox holds from before it opens its doors until its process ends: two sandboxes of one state
/// directory cannot be, and a card counts only while the process that it names holds the lock. Whoever starts a sandbox may die
/// at any instant; the one it started is found by its lock, and by its card as soon as that is there.
pub fn lock_path(state: &Path, cluster: &str) -> PathBuf {
    path(state, cluster).with_file_name("sandbox.lock")
}

/// The card of the running sandbox, `None` where none runs or its doors are not open yet.
pub fn read(state: &Path, cluster: &str) -> Result<Option<Card>, Stop> {
    let Some(card) = written(&path(state, cluster))? else { return Ok(None) };
    let lives = matches!(Lock::held_by(&lock_path(state, cluster)), Held::By(holder) if holder.pid == card.pid);
    Ok(lives.then_some(card))
}

/// The card that lies there, whoever wrote it.
pub fn written(path: &Path) -> Result<Option<Card>, Stop> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Stop::usage(format!("{}: {error}", path.display()), "make it readable or delete it")),
    };
    let card = serde_json::from_str(&text).map_err(|error| {
        Stop::usage(format!("{}: {error}", path.display()), "delete it and start the sandbox again")
    })?;
    Ok(Some(card))
}

/// The card appears whole or not at all; it holds tokens, if only a sandbox's.
pub fn write(path: &Path, card: &Card) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    serde_json::to_writer(&file, card)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

/// The card, or the error that says that the run's world is gone.
pub fn required(state: &Path, cluster: &str, uid: &str) -> Result<Card, Stop> {
    match read(state, cluster)? {
        Some(card) if card.uid == uid => Ok(card),
        Some(_) => Err(gone("another sandbox runs now")),
        None => Err(gone("no sandbox runs")),
    }
}

fn gone(why: &str) -> Stop {
    Stop::new(
        Exit::Refused,
        format!("the sandbox of this run is gone ({why}): its world lived in memory"),
        "start a new run: `relight rebuild --sandbox`",
    )
}

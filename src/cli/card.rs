//! A running sandbox's card: how other processes find it and talk to it.

use super::exit::{Exit, Stop};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
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
    /// What every host name resolves to.
    pub edge: IpAddr,
    /// The sandbox's certificate authority, PEM.
    pub authority: String,
    /// Where it is told what to do: `http://127.a.b.1:port`.
    pub control: String,
    /// What control wants as bearer token.
    pub control_token: String,
}

/// Where the card of a cluster's sandbox lies.
pub fn path(state: &Path, cluster: &str) -> PathBuf {
    super::runs::cluster_directory(state, crate::world::WorldKind::Sandbox, cluster).join("sandbox.json")
}

/// The card of the running sandbox, `None` where none runs.
pub fn read(state: &Path, cluster: &str) -> Result<Option<Card>, Stop> {
    let path = path(state, cluster);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Stop::usage(format!("{}: {error}", path.display()), "make it readable or delete it")),
    };
    let card: Card = serde_json::from_str(&text).map_err(|error| {
        Stop::usage(format!("{}: {error}", path.display()), "delete it and start the sandbox again")
    })?;
    Ok(alive(card.pid).then_some(card))
}

/// Whether a process lives and is a relight.
fn alive(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline"));
    match command {
        Ok(command) => String::from_utf8_lossy(&command).contains("sandbox"),
        // No /proc (macOS): ask the kernel.
        Err(_) if !Path::new("/proc/self").exists() => {
            i32::try_from(pid).is_ok_and(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok())
        }
        Err(_) => false,
    }
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

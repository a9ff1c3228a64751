//! `relight sandbox serve`: the sandbox's process.

use super::args::{Global, Profile};
use super::card::{self, Card};
use super::control;
use super::exit::{Exit, Stop};
use super::{operator, prepare};
use crate::config::Settings;
use crate::providers::{Holder, Lock, OsRandom, SystemClock, STATE_LOCKED};
use crate::sandbox::model::Latency;
use crate::sandbox::{Served, Setting};
use crate::world::{millis, rfc3339, Clock, Random};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::watch;

/// Clock seconds in a wall second of the fast profile.
const FAST: f64 = 30.0;
/// Port of the control door on the sandbox's `.1`.
const CONTROL: u16 = 18_003;
/// How often the lock is tried, and the pause between two tries.
const LOCK_TRIES: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);
/// Wall time between two looks at whether the card is still its own.
const OWN: Duration = Duration::from_millis(500);

/// Clock seconds in a wall second.
pub fn factor(profile: Profile) -> f64 {
    match profile {
        Profile::Fast => FAST,
        Profile::Instant | Profile::Real => 1.0,
    }
}

/// Serves until it is told to stop, or terminated, or nobody can find it any more.
pub async fn serve(global: &Global, settings: &Settings) -> Result<(), Stop> {
    let failed = |e: &dyn std::fmt::Display| Stop::new(Exit::Failed, e.to_string(), "");
    let _lock = lock(&card::lock_path(&global.state, &settings.cluster)).await?;
    let scripts = Arc::new(prepare::scripts(&prepare::source(global)?)?);
    let clock = Arc::new(SystemClock::faster(factor(global.profile)));
    let latency = if global.profile == Profile::Instant { Latency::instant() } else { Latency::real() };
    let place = operator::directory(&global.state, &settings.cluster);
    let place = std::path::absolute(place).map_err(|e| failed(&e))?;
    let setting = Setting {
        settings: settings.clone(),
        latency,
        scripts: Arc::new(move |name| scripts.get(name).cloned()),
        clock: clock.clone(),
        random: Arc::new(OsRandom),
        operators_key: operator::key(&place).map_err(|e| failed(&format!("{}: {e}", place.display())))?,
    };
    let served = Served::open(setting).await.map_err(|e| failed(&e))?;
    let listener = TcpListener::bind(SocketAddr::new(served.edge, CONTROL)).await.map_err(|e| failed(&e))?;
    let mut bytes = [0u8; 24];
    OsRandom.fill(&mut bytes);
    let card = Card { operator: place, ..card_of(global, &served, &*clock, hex::encode(bytes)) };
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| failed(&e))?;
    let path = card::path(&global.state, &settings.cluster);
    card::write(&path, &card).map_err(|e| failed(&e))?;
    let (stop, mut stopped) = watch::channel(false);
    let router = control::router(served, card.control_token.clone(), stop);
    let ended = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    tokio::select! {
        end = ended => end.map_err(|e| failed(&e))?,
        _ = terminate.recv() => {}
        () = disowned(&path, &card.uid) => return Ok(()),
    }
    std::fs::remove_file(&path).map_err(|e| failed(&e))
}

/// The lock that makes this the only sandbox of its state directory. One who only looks holds it for an instant, hence a few
/// tries.
async fn lock(path: &Path) -> Result<Lock, Stop> {
    let since = rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let holder = Holder { pid: std::process::id(), run: "sandbox".to_owned(), since };
    let mut tries = 0;
    loop {
        match Lock::take_file(path, &holder) {
            Ok(lock) => return Ok(lock),
            Err(error) if error.is(STATE_LOCKED) && tries < LOCK_TRIES => tries += 1,
            Err(error) if error.is(STATE_LOCKED) => return Err(Stop::new(Exit::Locked, error.what, error.remedy)),
            Err(error) => return Err(Stop::usage(error.what, error.remedy)),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns when the card is gone or another sandbox's: somebody has deleted the state directory, and with it the only way to
/// find this process.
async fn disowned(path: &Path, uid: &str) {
    loop {
        tokio::time::sleep(OWN).await;
        match card::written(path) {
            Ok(None) => return,
            Ok(Some(card)) if card.uid != uid => return,
            // What cannot be read now may be readable again.
            Ok(Some(_)) | Err(_) => {}
        }
    }
}

fn card_of(global: &Global, served: &Served, clock: &dyn Clock, control_token: String) -> Card {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Card {
        pid: std::process::id(),
        uid: served.uid.clone(),
        profile: global.profile.word().to_owned(),
        factor: factor(global.profile),
        clock_ms: millis(clock.now()),
        wall_ms: millis(wall),
        hcloud_endpoint: served.hcloud_endpoint.clone(),
        hcloud_token: served.cloud_token().to_owned(),
        hcloud_token_rehearsal: format!("{}-rehearsal", served.cloud_token()),
        cloudflare_base_url: served.cloudflare_base_url.clone(),
        cloudflare_api_token: served.dns_token().to_owned(),
        cloudflare_api_token_rehearsal: format!("{}-rehearsal", served.dns_token()),
        edge: served.edge,
        authority: served.authority.pem().to_owned(),
        operator: std::path::PathBuf::new(),
        control: format!("http://{}", SocketAddr::new(served.edge, CONTROL)),
        control_token,
    }
}

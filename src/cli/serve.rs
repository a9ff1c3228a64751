//! `relight sandbox serve`: the sandbox's process.

use super::args::{Global, Profile};
use super::card::{self, Card};
use super::exit::{Exit, Stop};
use super::prepare;
use crate::config::Settings;
use crate::providers::{OsRandom, SystemClock};
use crate::sandbox::model::{lock, Latency};
use crate::sandbox::{Served, Setting};
use crate::world::{millis, Clock, Random};
use axum::extract::{Path, State};
use axum::http::{header, HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{json, Value};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{watch, Mutex};

/// Clock seconds in a wall second of the fast profile.
const FAST: f64 = 30.0;
/// Port of the control door on the sandbox's `.1`.
const CONTROL: u16 = 18_003;

struct Control {
    served: Mutex<Served>,
    token: String,
    stop: watch::Sender<bool>,
}

fn factor(profile: Profile) -> f64 {
    match profile {
        Profile::Fast => FAST,
        Profile::Instant | Profile::Real => 1.0,
    }
}

/// Serves until it is told to stop, or terminated.
pub async fn serve(global: &Global, settings: &Settings) -> Result<(), Stop> {
    let failed = |e: &dyn std::fmt::Display| Stop::new(Exit::Failed, e.to_string(), "");
    let scripts = Arc::new(prepare::scripts(&prepare::source(global)?)?);
    let clock = Arc::new(SystemClock::faster(factor(global.profile)));
    let latency = if global.profile == Profile::Instant { Latency::instant() } else { Latency::real() };
    let setting = Setting {
        settings: settings.clone(),
        latency,
        scripts: Arc::new(move |name| scripts.get(name).cloned()),
        clock: clock.clone(),
        random: Arc::new(OsRandom),
    };
    let served = Served::open(setting).await.map_err(|e| failed(&e))?;
    let listener = TcpListener::bind(SocketAddr::new(served.edge, CONTROL)).await.map_err(|e| failed(&e))?;
    let mut bytes = [0u8; 24];
    OsRandom.fill(&mut bytes);
    let card = card_of(global, &served, &*clock, hex::encode(bytes));
    let path = card::path(&global.state, &settings.cluster);
    write(&path, &card).map_err(|e| failed(&e))?;
    let (stop, mut stopped) = watch::channel(false);
    let control = Arc::new(Control { served: Mutex::new(served), token: card.control_token, stop });
    let router = Router::new()
        .route("/break/{disaster}", post(break_into))
        .route("/status", post(status))
        .route("/kubeconfig", post(kubeconfig))
        .route("/stop", post(stop_now))
        .with_state(control);
    let ended = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(|e| failed(&e))?;
    tokio::select! {
        end = ended => end.map_err(|e| failed(&e))?,
        _ = terminate.recv() => {}
    }
    // Another sandbox may have put its card there meanwhile.
    match card::read(&global.state, &settings.cluster)? {
        Some(card) if card.pid == std::process::id() => std::fs::remove_file(&path).map_err(|e| failed(&e)),
        _ => Ok(()),
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
        edge: served.edge,
        authority: served.authority.pem().to_owned(),
        control: format!("http://{}", SocketAddr::new(served.edge, CONTROL)),
        control_token,
    }
}

/// The card appears whole or not at all; it holds tokens, if only a sandbox's.
fn write(path: &std::path::Path, card: &Card) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    serde_json::to_writer(&file, card)?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

fn allowed(control: &Control, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    given.and_then(|v| v.strip_prefix("Bearer ")) == Some(control.token.as_str())
}

type Reply = (StatusCode, Json<Value>);

fn no(status: StatusCode, why: impl Into<String>) -> Reply {
    (status, Json(json!({ "error": why.into() })))
}

async fn break_into(State(control): State<Arc<Control>>, Path(disaster): Path<String>, headers: HeaderMap) -> Reply {
    if !allowed(&control, &headers) {
        return no(StatusCode::UNAUTHORIZED, "wrong control token");
    }
    match control.served.lock().await.break_into(&disaster) {
        Ok(()) => (StatusCode::OK, Json(json!({}))),
        Err(why) => no(StatusCode::UNPROCESSABLE_ENTITY, why),
    }
}

async fn status(State(control): State<Arc<Control>>, headers: HeaderMap) -> Reply {
    if !allowed(&control, &headers) {
        return no(StatusCode::UNAUTHORIZED, "wrong control token");
    }
    let served = control.served.lock().await;
    let (servers, records) = lock(&served.model).inventory();
    (StatusCode::OK, Json(json!({ "servers": servers, "records": records, "ledger": served.judged() })))
}

/// The admin kubeconfig of the cluster that serves, and the address of its API: both null where none serves.
async fn kubeconfig(State(control): State<Arc<Control>>, headers: HeaderMap) -> Reply {
    if !allowed(&control, &headers) {
        return no(StatusCode::UNAUTHORIZED, "wrong control token");
    }
    let served = control.served.lock().await;
    let (text, server) = served.admin().unzip();
    (StatusCode::OK, Json(json!({ "kubeconfig": text, "server": server })))
}

async fn stop_now(State(control): State<Arc<Control>>, headers: HeaderMap) -> Reply {
    if !allowed(&control, &headers) {
        return no(StatusCode::UNAUTHORIZED, "wrong control token");
    }
    let _ = control.stop.send(true);
    (StatusCode::OK, Json(json!({})))
}

//! The sandbox's control door: what only its owner may do to the emulated world.

use crate::sandbox::model::{lock, Fault, FaultId};
use crate::sandbox::Served;
use axum::extract::{Path, State};
use axum::http::{header, HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{json, Value};
use std::sync::Arc;
use tokio::sync::{watch, Mutex};

struct Control {
    served: Mutex<Served>,
    token: String,
    stop: watch::Sender<bool>,
}

/// The door's routes; `token` is wanted as bearer, `stop` turns true when the sandbox shall end.
pub fn router(served: Served, token: String, stop: watch::Sender<bool>) -> Router {
    Router::new()
        .route("/break/{disaster}", post(break_into))
        .route("/fault", post(plan_fault))
        .route("/fault/{id}/fired", post(fired))
        .route("/status", post(status))
        .route("/kubeconfig", post(kubeconfig))
        .route("/stop", post(stop_now))
        .with_state(Arc::new(Control { served: Mutex::new(served), token, stop }))
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
    let mut served = control.served.lock().await;
    match served.break_into(&disaster) {
        Ok(()) => {
            served.doors_open().await;
            (StatusCode::OK, Json(json!({})))
        }
        Err(why) => no(StatusCode::UNPROCESSABLE_ENTITY, why),
    }
}

/// Plans a fault, written as [`Fault`] is: `{"on":{"op":"cloud.server.create"},"kind":"hung_action","times":{"times":1}}`.
/// It outlives a disaster that comes after it.
async fn plan_fault(State(control): State<Arc<Control>>, headers: HeaderMap, Json(fault): Json<Value>) -> Reply {
    if !allowed(&control, &headers) {
        return no(StatusCode::UNAUTHORIZED, "wrong control token");
    }
    match serde_json::from_value::<Fault>(fault) {
        Ok(fault) => {
            let id = lock(&control.served.lock().await.model).faults.plan(fault);
            (StatusCode::OK, Json(json!({ "id": id })))
        }
        Err(error) => no(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

/// How often a planned fault fired.
async fn fired(State(control): State<Arc<Control>>, Path(id): Path<FaultId>, headers: HeaderMap) -> Reply {
    if !allowed(&control, &headers) {
        return no(StatusCode::UNAUTHORIZED, "wrong control token");
    }
    let fired = lock(&control.served.lock().await.model).faults.fired(id);
    (StatusCode::OK, Json(json!({ "fired": fired })))
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

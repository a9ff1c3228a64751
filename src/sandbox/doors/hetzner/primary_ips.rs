//! Primary IPs.

use super::call::{Call, HetznerDoor, Shown};
use super::offer::keep;
use super::order::{read, AddressBody};
use super::servers::begun;
use super::show;
use crate::sandbox::model::Filter;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::Router;
use serde_json::{json, Value};

/// The routes below `/v1`.
pub(super) fn routes() -> Router<HetznerDoor> {
    Router::new()
        .route("/primary_ips", get(list))
        .route("/primary_ips/{id}", get(one).put(change).delete(remove))
        .route("/primary_ips/{id}/actions/unassign", post(unassign))
}

async fn list(State(door): State<HetznerDoor>, call: Call) -> Response {
    let (name, selector) = (call.value("name").to_owned(), call.value("label_selector").to_owned());
    let filter = Filter { name, selector, ..Filter::default() };
    let shape = door.shape();
    door.ask(
        &call,
        |model, now, caller| model.primary_ips(now, caller, &filter),
        |model, ips| {
            let mut all: Vec<Value> = ips.iter().map(|ip| show::primary_ip(model, shape, ip)).collect();
            keep(&mut all, "ip", call.value("ip"));
            Shown::page(&call, "primary_ips", all)
        },
    )
}

async fn one(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    let shape = door.shape();
    door.ask(
        &call,
        |model, now, caller| model.primary_ip(now, caller, id),
        |model, ip| Shown::ok(json!({ "primary_ip": show::primary_ip(model, shape, &ip) })),
    )
}

async fn change(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>, body: Bytes) -> Response {
    let AddressBody { name, labels, auto_delete } = match read(&body) {
        Ok(change) => change,
        Err(why) => return door.refuse(&call, why),
    };
    let shape = door.shape();
    door.ask(
        &call,
        |model, now, caller| model.update_primary_ip(now, caller, id, name.as_deref(), labels.as_ref(), auto_delete),
        |model, ip| Shown::ok(json!({ "primary_ip": show::primary_ip(model, shape, &ip) })),
    )
}

async fn unassign(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.ask(&call, |model, now, caller| model.unassign_primary_ip(now, caller, id), begun)
}

async fn remove(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.ask(&call, |model, now, caller| model.delete_primary_ip(now, caller, id), |_, ()| Shown::nothing())
}

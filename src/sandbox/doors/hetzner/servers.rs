//! Servers and actions.

use super::call::{Call, HetznerDoor, Shown};
use super::order::{read, ChangeBody, ProtectionBody, RebuildBody, ServerBody};
use super::show;
use crate::sandbox::model::{CloudAction, Filter, Model, Power, ServerOrder};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::Router;
use serde_json::{json, Value};

/// The routes below `/v1`.
pub(super) fn routes() -> Router<HetznerDoor> {
    Router::new()
        .route("/servers", get(list).post(create))
        .route("/servers/{id}", get(one).put(change).delete(remove))
        .route("/servers/{id}/actions", get(actions_of))
        .route("/servers/{id}/actions/{word}", post(act))
        .route("/actions", get(actions))
        .route("/actions/{id}", get(action))
}

/// What an action's start answers.
#[expect(clippy::needless_pass_by_value, reason = "a door hands over what the model answered")]
pub(super) fn begun(_: &Model, action: CloudAction) -> Shown {
    Shown::created(json!({ "action": show::action(&action) }))
}

async fn list(State(door): State<HetznerDoor>, call: Call) -> Response {
    let filter = Filter {
        name: call.value("name").to_owned(),
        selector: call.value("label_selector").to_owned(),
        ..Filter::default()
    };
    let shape = door.shape();
    door.ask(
        &call,
        |model, now, caller| model.servers(now, caller, &filter),
        |model, servers| {
            let mut shown: Vec<Value> = servers.iter().map(|server| show::server(model, shape, server)).collect();
            let wanted: Vec<&str> = call.values("status").collect();
            shown.retain(|server| {
                wanted.is_empty() || server.get("status").and_then(Value::as_str).is_some_and(|s| wanted.contains(&s))
            });
            Shown::page(&call, "servers", shown)
        },
    )
}

async fn create(State(door): State<HetznerDoor>, call: Call, body: Bytes) -> Response {
    let order: ServerOrder = match read::<ServerBody>(&body) {
        Ok(body) => body.into(),
        Err(why) => return door.refuse(&call, why),
    };
    let shape = door.shape();
    door.ask(
        &call,
        |model, now, caller| model.create_server(now, caller, &order),
        |model, created| {
            Shown::created(json!({
                "server": show::server(model, shape, &created.server),
                "action": show::action(&created.action),
                "next_actions": created.next_actions.iter().map(show::action).collect::<Vec<_>>(),
                "root_password": created.root_password,
            }))
        },
    )
}

async fn one(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    let shape = door.shape();
    door.ask(
        &call,
        |model, now, caller| model.server(now, caller, id),
        |model, server| Shown::ok(json!({ "server": show::server(model, shape, &server) })),
    )
}

async fn change(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>, body: Bytes) -> Response {
    let change: ChangeBody = match read(&body) {
        Ok(change) => change,
        Err(why) => return door.refuse(&call, why),
    };
    let shape = door.shape();
    door.ask(
        &call,
        |model, now, caller| model.update_server(now, caller, id, change.name.as_deref(), change.labels.as_ref()),
        |model, server| Shown::ok(json!({ "server": show::server(model, shape, &server) })),
    )
}

async fn remove(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.ask(
        &call,
        |model, now, caller| model.delete_server(now, caller, id),
        |_, action| Shown::ok(json!({ "action": show::action(&action) })),
    )
}

/// `poweron`, `rebuild`, ...
async fn act(
    State(door): State<HetznerDoor>,
    call: Call,
    Path((id, word)): Path<(i64, String)>,
    body: Bytes,
) -> Response {
    let power = match word.as_str() {
        "poweron" => Power::On,
        "poweroff" => Power::Off,
        "reset" => Power::Reset,
        "reboot" => Power::Reboot,
        "shutdown" => Power::Shutdown,
        "rebuild" => return rebuild(&door, &call, id, &body),
        "change_protection" => return protect(&door, &call, id, &body),
        _ => return door.unknown(&call),
    };
    door.ask(&call, |model, now, caller| model.power(now, caller, id, power), begun)
}

fn rebuild(door: &HetznerDoor, call: &Call, id: i64, body: &[u8]) -> Response {
    let mut order: RebuildBody = match read(body) {
        Ok(order) => order,
        Err(why) => return door.refuse(call, why),
    };
    let user_data = order.user_data.take();
    let image = order.image();
    door.ask(
        call,
        |model, now, caller| model.rebuild_server(now, caller, id, &image, user_data.as_deref()),
        |_, action| Shown::created(json!({ "action": show::action(&action), "root_password": null })),
    )
}

fn protect(door: &HetznerDoor, call: &Call, id: i64, body: &[u8]) -> Response {
    match read::<ProtectionBody>(body).and_then(|body| body.on()) {
        Ok(on) => door.ask(call, |model, now, caller| model.protect_server(now, caller, id, on), begun),
        Err(why) => door.refuse(call, why),
    }
}

async fn actions_of(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.ask(
        &call,
        |model, now, caller| model.server_actions(now, caller, id),
        |_, actions| Shown::page(&call, "actions", actions.iter().map(show::action).collect()),
    )
}

/// Only by id, without pages: a list of all actions was removed in January 2025. Source: Hetzner Cloud API changelog.
async fn actions(State(door): State<HetznerDoor>, call: Call) -> Response {
    let ids: Vec<i64> = call.values("id").filter_map(|id| id.parse().ok()).collect();
    if ids.is_empty() {
        return door.gone(&call);
    }
    door.ask(
        &call,
        |model, now, caller| model.actions(now, caller, &ids),
        |_, actions| Shown::ok(json!({ "actions": actions.iter().map(show::action).collect::<Vec<_>>() })),
    )
}

async fn action(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.ask(
        &call,
        |model, now, caller| model.action(now, caller, id),
        |_, action| Shown::ok(json!({ "action": show::action(&action) })),
    )
}

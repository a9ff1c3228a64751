//! SSH keys, networks, firewalls and placement groups.

use super::call::{Call, HetznerDoor, Shown};
use super::order::{read, ChangeBody, Resource, ResourcesBody, RulesBody, SubnetBody, ThingBody};
use super::show;
use crate::sandbox::model::{CloudAction, Filter, Model};
use crate::world::ThingKind;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::Router;
use serde_json::json;

/// The routes below `/v1`.
pub(super) fn routes() -> Router<HetznerDoor> {
    let kinds = [ThingKind::SshKey, ThingKind::Network, ThingKind::Firewall, ThingKind::PlacementGroup];
    let all = kinds.into_iter().fold(Router::new(), |router, kind| {
        let list = move |State(door): State<HetznerDoor>, call: Call| async move { list(&door, &call, kind) };
        let create = move |State(door): State<HetznerDoor>, call: Call, body: Bytes| async move {
            create(&door, &call, kind, &body)
        };
        let one = move |State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>| async move {
            one(&door, &call, kind, id)
        };
        let change = move |State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>, body: Bytes| async move {
            change(&door, &call, kind, id, &body)
        };
        let remove = move |State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>| async move {
            door.ask(&call, |m, now, caller| m.delete_thing(now, caller, kind, id), |_, ()| Shown::nothing())
        };
        router
            .route(&format!("/{}s", kind.word()), get(list).post(create))
            .route(&format!("/{}s/{{id}}", kind.word()), get(one).put(change).delete(remove))
    });
    all.route("/networks/{id}/actions/add_subnet", post(add_subnet)).route("/firewalls/{id}/actions/{word}", post(act))
}

fn list(door: &HetznerDoor, call: &Call, kind: ThingKind) -> Response {
    let filter = Filter {
        name: call.value("name").to_owned(),
        selector: call.value("label_selector").to_owned(),
        fingerprint: call.value("fingerprint").to_owned(),
    };
    door.ask(
        call,
        |model, now, caller| model.things(now, caller, kind, &filter),
        |_, things| Shown::page(call, &format!("{}s", kind.word()), things.iter().map(show::thing).collect()),
    )
}

fn create(door: &HetznerDoor, call: &Call, kind: ThingKind, body: &[u8]) -> Response {
    let read = read::<ThingBody>(body).and_then(|mut body| Ok((body.state(kind)?, body)));
    let (state, body) = match read {
        Ok(read) => read,
        Err(why) => return door.refuse(call, why),
    };
    let labels = body.labels.unwrap_or_default();
    door.ask(
        call,
        |model, now, caller| model.create_thing(now, caller, &body.name, &state, &labels),
        |_, thing| {
            let mut shown = json!({ kind.word(): show::thing(&thing) });
            if let (ThingKind::Firewall, Some(members)) = (kind, shown.as_object_mut()) {
                members.insert("actions".to_owned(), json!([]));
            }
            Shown::created(shown)
        },
    )
}

fn one(door: &HetznerDoor, call: &Call, kind: ThingKind, id: i64) -> Response {
    door.ask(
        call,
        |model, now, caller| model.thing(now, caller, kind, id),
        |_, thing| Shown::ok(json!({ kind.word(): show::thing(&thing) })),
    )
}

fn change(door: &HetznerDoor, call: &Call, kind: ThingKind, id: i64, body: &[u8]) -> Response {
    let change: ChangeBody = match read(body) {
        Ok(change) => change,
        Err(why) => return door.refuse(call, why),
    };
    door.ask(
        call,
        |model, now, caller| model.update_thing(now, caller, kind, id, change.name.as_deref(), change.labels.as_ref()),
        |_, thing| Shown::ok(json!({ kind.word(): show::thing(&thing) })),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "a door hands over what the model answered")]
fn begun(_: &Model, action: CloudAction) -> Shown {
    Shown::created(json!({ "actions": [show::action(&action)] }))
}

async fn add_subnet(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>, body: Bytes) -> Response {
    match read::<SubnetBody>(&body).and_then(SubnetBody::subnet) {
        Ok(subnet) => {
            door.ask(&call, |model, now, caller| model.add_subnet(now, caller, id, &subnet), super::servers::begun)
        }
        Err(why) => door.refuse(&call, why),
    }
}

/// Actions of firewalls.
async fn act(
    State(door): State<HetznerDoor>,
    call: Call,
    Path((id, word)): Path<(i64, String)>,
    body: Bytes,
) -> Response {
    let on = match word.as_str() {
        "set_rules" => {
            return match read::<RulesBody>(&body).and_then(RulesBody::rules) {
                Ok(rules) => door.ask(&call, |model, now, caller| model.set_rules(now, caller, id, &rules), begun),
                Err(why) => door.refuse(&call, why),
            };
        }
        "apply_to_resources" => true,
        "remove_from_resources" => false,
        _ => return door.unknown(&call),
    };
    match read::<ResourcesBody>(&body).and_then(ResourcesBody::resource) {
        Ok(Resource::Server(server)) => {
            door.ask(&call, |model, now, caller| model.apply_firewall(now, caller, id, server, on), begun)
        }
        Ok(Resource::Selected(selector)) => {
            let selector = on.then_some(selector.as_str());
            door.ask(&call, |model, now, caller| model.select_for_firewall(now, caller, id, selector), begun)
        }
        Err(why) => door.refuse(&call, why),
    }
}

//! What is sold, and the router as a whole.

use super::call::{Call, HetznerDoor, Shape, Shown};
use super::{primary_ips, servers, show_offer, things};
use crate::sandbox::model::{Answer, ApiError, Caller, Failure, Model, Offer};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::Router;
use serde_json::{json, Value};
use std::time::Duration;

impl HetznerDoor {
    /// The API, below `/v1`.
    pub fn router(self) -> Router {
        let routes = Router::new()
            .merge(servers::routes())
            .merge(things::routes())
            .merge(primary_ips::routes())
            .route("/server_types", get(types))
            .route("/server_types/{id}", get(one_type))
            .route("/locations", get(locations))
            .route("/locations/{id}", get(one_location))
            .route("/images", get(images))
            .route("/images/{id}", get(one_image))
            .route("/pricing", get(pricing))
            .route("/datacenters", get(datacenters))
            .route("/datacenters/{id}", get(datacenters));
        let unknown = |State(door): State<HetznerDoor>, call: Call| async move { door.unknown(&call) };
        Router::new().nest("/v1", routes).fallback(unknown).with_state(self)
    }

    /// 404 for a path that this API, or this sandbox, does not have.
    pub(super) fn unknown(&self, call: &Call) -> Response {
        self.deny(
            call,
            ApiError::new(404, "not_found", "no such route: the sandbox has what relight and its checks need"),
        )
    }

    /// 410 for a path that the API no longer has.
    pub(super) fn gone(&self, call: &Call) -> Response {
        self.deny(call, ApiError::new(410, "deprecated_api_endpoint", "this endpoint was removed"))
    }

    fn deny(&self, call: &Call, why: ApiError) -> Response {
        let act = |model: &mut Model, now: Duration, caller: &Caller| {
            let answer = model.read_offer(now, caller);
            let result = answer.result.and(Err::<(), _>(Failure::Api(why)));
            Answer { budget: answer.budget, retry_after: answer.retry_after, result }
        };
        self.ask(call, act, |_, ()| Shown::nothing())
    }

    fn offer(&self, call: &Call, show: impl FnOnce(&Offer, Shape) -> Shown) -> Response {
        let shape = self.shape();
        self.ask(call, Model::read_offer, |_, offer| show(&offer, shape))
    }

    /// One of a list of what is sold.
    fn offered(&self, call: &Call, key: &str, id: i64, all: impl FnOnce(&Offer, Shape) -> Vec<Value>) -> Response {
        let shape = self.shape();
        let act = |model: &mut Model, now: Duration, caller: &Caller| {
            let answer = model.read_offer(now, caller);
            let find = |offer: &Offer| all(offer, shape).into_iter().find(|one| one.get("id") == Some(&json!(id)));
            let result =
                answer.result.and_then(|offer| find(&offer).ok_or_else(|| Failure::Api(ApiError::not_found(key, id))));
            Answer { budget: answer.budget, retry_after: answer.retry_after, result }
        };
        self.ask(call, act, |_, one| Shown::ok(json!({ key: one })))
    }
}

/// Keeps what has this text under this key; an empty text keeps everything.
pub(super) fn keep(all: &mut Vec<Value>, key: &str, text: &str) {
    all.retain(|one| text.is_empty() || one.get(key).and_then(Value::as_str) == Some(text));
}

fn all_types(offer: &Offer, shape: Shape) -> Vec<Value> {
    let mut types: Vec<_> = offer.types.values().collect();
    types.sort_by_key(|offered| offered.id);
    types.into_iter().map(|offered| show_offer::server_type(offer, shape, offered)).collect()
}

fn all_locations(offer: &Offer, _: Shape) -> Vec<Value> {
    let mut places: Vec<_> = offer.locations.values().collect();
    places.sort_by_key(|place| place.id);
    places.into_iter().map(show_offer::location).collect()
}

fn all_images(offer: &Offer, shape: Shape) -> Vec<Value> {
    offer.images.iter().map(|image| show_offer::image(shape, image)).collect()
}

async fn types(State(door): State<HetznerDoor>, call: Call) -> Response {
    door.offer(&call, |offer, shape| {
        let mut all = all_types(offer, shape);
        keep(&mut all, "name", call.value("name"));
        Shown::page(&call, "server_types", all)
    })
}

async fn one_type(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.offered(&call, "server_type", id, all_types)
}

async fn locations(State(door): State<HetznerDoor>, call: Call) -> Response {
    door.offer(&call, |offer, shape| {
        let mut all = all_locations(offer, shape);
        keep(&mut all, "name", call.value("name"));
        Shown::page(&call, "locations", all)
    })
}

async fn one_location(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.offered(&call, "location", id, all_locations)
}

async fn images(State(door): State<HetznerDoor>, call: Call) -> Response {
    door.offer(&call, |offer, shape| {
        let mut all = all_images(offer, shape);
        for key in ["name", "architecture", "type", "status"] {
            keep(&mut all, key, call.value(key));
        }
        Shown::page(&call, "images", all)
    })
}

async fn one_image(State(door): State<HetznerDoor>, call: Call, Path(id): Path<i64>) -> Response {
    door.offered(&call, "image", id, all_images)
}

async fn pricing(State(door): State<HetznerDoor>, call: Call) -> Response {
    door.offer(&call, |offer, _| Shown::ok(json!({ "pricing": show_offer::pricing(offer) })))
}

/// Removed on 1 October 2026. Source: Hetzner Cloud API changelog.
async fn datacenters(State(door): State<HetznerDoor>, call: Call) -> Response {
    door.gone(&call)
}

//! Tokens, zones and their settings.

use super::call::{Call, CloudflareDoor, Shown};
use crate::sandbox::model::{ApiError, DnsZone, Failure, Model};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::Router;
use serde_json::{json, Value};

/// The one account that all zones of a sandbox belong to.
const ACCOUNT: &str = "5a11db0c5a11db0c5a11db0c5a11db0c";

pub(super) fn routes() -> Router<CloudflareDoor> {
    Router::new()
        .route("/user/tokens/verify", get(verify_user))
        .route("/accounts/{account}/tokens/verify", get(verify_account))
        .route("/zones", get(list))
        .route("/zones/{zone}", get(one))
        .route("/zones/{zone}/settings/ssl", get(ssl))
}

fn verify(door: &CloudflareDoor, call: &Call) -> Response {
    door.ask(call, Model::dns_verify, |(id, status)| {
        let text = format!("This API Token is valid and {status}");
        Shown::one(json!({ "id": id, "status": status })).message(10000, &text)
    })
}

async fn verify_user(State(door): State<CloudflareDoor>, call: Call) -> Response {
    if call.of_account() {
        return door.refuse(&call, ApiError::new(401, "1000", "Invalid API Token"));
    }
    verify(&door, &call)
}

async fn verify_account(State(door): State<CloudflareDoor>, call: Call, Path(account): Path<String>) -> Response {
    if account != ACCOUNT || !call.of_account() {
        return door.refuse(&call, ApiError::new(401, "1000", "Invalid API Token"));
    }
    verify(&door, &call)
}

fn show(zone: &DnsZone) -> Value {
    json!({
        "id": zone.id, "name": zone.name, "status": zone.status, "paused": false, "type": "full", "development_mode": 0,
        "name_servers": ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"], "original_name_servers": null,
        "original_registrar": null, "original_dnshost": null, "created_on": "2024-01-01T00:00:00.000000Z",
        "modified_on": "2024-01-01T00:00:00.000000Z", "activated_on": "2024-01-01T00:00:00.000000Z",
        "account": { "id": ACCOUNT, "name": "sandbox" }, "owner": { "id": ACCOUNT, "name": "sandbox", "type": "organization" },
        "meta": { "cdn_only": false, "custom_certificate_quota": 0, "dns_only": false, "foundation_dns": false,
            "page_rule_quota": 3, "phishing_detected": false, "step": 2 },
        "permissions": ["#zone:read", "#dns_records:read", "#dns_records:edit"],
    })
}

async fn list(State(door): State<CloudflareDoor>, call: Call) -> Response {
    let name = call.value("name").to_owned();
    door.ask(
        &call,
        |model, now, caller| model.dns_zones(now, caller, &name),
        |zones| Shown::page(&call, zones.iter().map(show).collect(), 20),
    )
}

async fn one(State(door): State<CloudflareDoor>, call: Call, Path(id): Path<String>) -> Response {
    let unseen = || Failure::Api(ApiError::new(403, "9109", "Unauthorized to access requested resource"));
    door.ask(
        &call,
        |model, now, caller| {
            let zones = model.dns_zones(now, caller, "")?;
            zones.into_iter().find(|zone| zone.id == id).ok_or_else(unseen)
        },
        |zone| Shown::one(show(&zone)),
    )
}

async fn ssl(State(door): State<CloudflareDoor>, call: Call, Path(id): Path<String>) -> Response {
    door.ask(
        &call,
        |model, now, caller| model.dns_ssl(now, caller, &id),
        |mode| {
            let (certificate, modified) = ("active", "2024-01-01T00:00:00.000000Z");
            Shown::one(json!({
                "id": "ssl", "value": mode, "editable": true, "modified_on": modified, "certificate_status": certificate,
            }))
        },
    )
}

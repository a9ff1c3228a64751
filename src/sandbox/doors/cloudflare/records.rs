//! DNS records.

use super::call::{Call, CloudflareDoor, Shown};
use super::filter;
use super::order::{read, BatchBody, RecordBody};
use crate::sandbox::model::{ApiError, DnsBatch, DnsBatchDone, DnsRecord, Failure};
use crate::world::rfc3339;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::Router;
use serde_json::{json, Value};

pub(super) fn routes() -> Router<CloudflareDoor> {
    Router::new()
        .route("/zones/{zone}/dns_records", get(list).post(create))
        .route("/zones/{zone}/dns_records/batch", post(batch))
        .route("/zones/{zone}/dns_records/{id}", get(one).patch(patch).put(put).delete(remove))
}

fn show(record: &DnsRecord) -> Value {
    let proxiable = ["A", "AAAA", "CNAME"].contains(&record.kind.as_str());
    json!({
        "id": record.id, "type": record.kind, "name": record.name, "content": record.content, "proxiable": proxiable,
        "proxied": record.proxied, "ttl": record.ttl, "settings": {}, "meta": {}, "comment": record.comment, "tags": [],
        "created_on": rfc3339(record.created), "modified_on": rfc3339(record.modified),
    })
}

async fn list(State(door): State<CloudflareDoor>, call: Call, Path(zone): Path<String>) -> Response {
    door.ask(
        &call,
        |model, now, caller| model.dns_records(now, caller, &zone),
        |records| {
            let shown = records.iter().filter(|record| filter::selects(&call, record)).map(show);
            Shown::page(&call, shown.collect(), 100)
        },
    )
}

async fn one(State(door): State<CloudflareDoor>, call: Call, Path((zone, id)): Path<(String, String)>) -> Response {
    let missing = || Failure::Api(ApiError::new(404, "81044", "Record does not exist."));
    door.ask(
        &call,
        |model, now, caller| {
            let records = model.dns_records(now, caller, &zone)?;
            records.into_iter().find(|record| record.id == id).ok_or_else(missing)
        },
        |record| Shown::one(show(&record)),
    )
}

/// A change of one record is a batch of one.
fn change(
    door: &CloudflareDoor,
    call: &Call,
    zone: &str,
    batch: &DnsBatch,
    show: impl FnOnce(&DnsBatchDone) -> Option<Value>,
) -> Response {
    door.ask(
        call,
        |model, now, caller| model.dns_change(now, caller, zone, batch),
        |done| Shown::one(show(&done).unwrap_or_default()),
    )
}

async fn create(State(door): State<CloudflareDoor>, call: Call, Path(zone): Path<String>, body: Bytes) -> Response {
    let record: RecordBody = match read(&body) {
        Ok(record) => record,
        Err(why) => return door.refuse(&call, why),
    };
    let batch = DnsBatch { posts: vec![record.into()], ..DnsBatch::default() };
    change(&door, &call, &zone, &batch, |done| done.posts.first().map(show))
}

async fn patch(
    State(door): State<CloudflareDoor>,
    call: Call,
    Path((zone, id)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let record: RecordBody = match read(&body) {
        Ok(record) => record,
        Err(why) => return door.refuse(&call, why),
    };
    let batch = DnsBatch { patches: vec![(id, record.into())], ..DnsBatch::default() };
    change(&door, &call, &zone, &batch, |done| done.patches.first().map(show))
}

async fn put(
    State(door): State<CloudflareDoor>,
    call: Call,
    Path((zone, id)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let record: RecordBody = match read(&body) {
        Ok(record) => record,
        Err(why) => return door.refuse(&call, why),
    };
    let batch = DnsBatch { puts: vec![(id, record.into())], ..DnsBatch::default() };
    change(&door, &call, &zone, &batch, |done| done.puts.first().map(show))
}

async fn remove(State(door): State<CloudflareDoor>, call: Call, Path((zone, id)): Path<(String, String)>) -> Response {
    let batch = DnsBatch { deletes: vec![id], ..DnsBatch::default() };
    change(&door, &call, &zone, &batch, |done| done.deletes.first().map(|record| json!({ "id": record.id })))
}

async fn batch(State(door): State<CloudflareDoor>, call: Call, Path(zone): Path<String>, body: Bytes) -> Response {
    let batch = match read::<BatchBody>(&body).and_then(BatchBody::batch) {
        Ok(batch) => batch,
        Err(why) => return door.refuse(&call, why),
    };
    // What a call did not use is null in its reply.
    let part = |records: &[DnsRecord]| match records {
        [] => Value::Null,
        some => some.iter().map(show).collect(),
    };
    change(&door, &call, &zone, &batch, |done| {
        Some(json!({
            "deletes": part(&done.deletes), "patches": part(&done.patches), "puts": part(&done.puts),
            "posts": part(&done.posts),
        }))
    })
}

//! One whole rebuild, and one rehearsal, of the real binary: everything that they say to Hetzner and Cloudflare, and everything that they are
//! answered, goes through a recorder and is held to the official API descriptions.

use super::description::{Description, Exchange};
use super::place::Place;
use super::{succeeded, wire, REBUILD};
use axum::body::{to_bytes, Body};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::response::Response;
use axum::Router;
use std::collections::BTreeSet;

/// Carries every request on to the sandbox's door, and its reply back, unchanged.
fn carrier(origin: String) -> Router {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    Router::new().fallback(move |request: Request| {
        let (client, origin) = (client.clone(), origin.clone());
        async move {
            let (head, body) = request.into_parts();
            let url = format!("{origin}{}", head.uri.path_and_query().unwrap());
            let mut headers = head.headers;
            for own in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
                headers.remove(own);
            }
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let reply = client.request(head.method, url).headers(headers).body(body).send().await.unwrap();
            let mut response = Response::builder().status(reply.status());
            for (name, value) in reply.headers().iter().filter(|(name, _)| **name != TRANSFER_ENCODING) {
                response = response.header(name, value);
            }
            response.body(Body::from(reply.bytes().await.unwrap())).unwrap()
        }
    })
}

/// The running sandbox's card with a recorder before the API that this key names.
async fn recorded(place: &Place, key: &str, base: &'static str) -> wire::Log {
    let mut card = place.card();
    let origin = card[key].as_str().unwrap().strip_suffix(base).unwrap().to_owned();
    let (address, log) = wire::open_recorded(carrier(origin), base).await;
    card[key] = format!("http://{address}{base}").into();
    let path = place.path().join("state/sandbox/honeydue/sandbox.json");
    // In one step: the sandbox looks every now and then whether this is still its card.
    std::fs::write(path.with_extension("new"), card.to_string()).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
    log
}

/// The operations that were spoken, without the ids in their paths.
fn operations(log: &[Exchange]) -> BTreeSet<String> {
    let id = |part: &&str| part.len() == 32 || part.chars().all(|c| c.is_ascii_digit());
    let path = |e: &Exchange| -> Vec<String> {
        e.path.split('/').skip(1).map(|p| if id(&p) { "*".to_owned() } else { p.to_owned() }).collect()
    };
    log.iter().map(|e| format!("{} /{}", e.method, path(e).join("/"))).collect()
}

/// Nothing of it is other than described, and these operations were among it. `proof`: the request is wrong on purpose.
fn judge(description: &Description, log: &wire::Log, proof: impl Fn(&Exchange) -> bool, spoken: &[&str]) {
    let log = log.lock().unwrap();
    let complaints: BTreeSet<String> = log.iter().flat_map(|e| description.complaints(e, proof(e))).collect();
    assert!(complaints.is_empty(), "{} complaints:\n{complaints:#?}", complaints.len());
    let operations = operations(&log);
    for operation in spoken {
        assert!(operations.contains(*operation), "{operation} is not among {operations:#?}");
    }
    println!("{} exchanges, {} operations: {operations:?}", log.len(), operations.len());
}

#[test]
fn a_whole_rebuild_and_a_rehearsal_keep_to_the_official_descriptions() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = Place::new(&[]);
    assert!(place.run("start", &["sandbox", "start"]).status.success());
    let cloud = runtime.block_on(recorded(&place, "hcloud_endpoint", "/v1"));
    let dns = runtime.block_on(recorded(&place, "cloudflare_base_url", "/client/v4"));
    succeeded(&place.run("rebuild", &REBUILD));
    place.is_as_wanted();
    succeeded(&place.run("rehearse", &["rehearse", "--sandbox", "--json", "--yes"]));
    let wanted = [
        "POST /ssh_keys",
        "POST /networks",
        "POST /firewalls",
        "POST /placement_groups",
        "POST /servers",
        "PUT /servers/*",
        "DELETE /servers/*",
        "DELETE /firewalls/*",
        "POST /servers/*/actions/change_protection",
        "GET /actions",
        "GET /primary_ips",
        "GET /pricing",
    ];
    judge(&Description::hetzner_late_2026(), &cloud, |_| false, &wanted);
    let wanted =
        ["GET /user/tokens/verify", "GET /zones", "GET /zones/*/settings/ssl", "POST /zones/*/dns_records/batch"];
    // relight proves that it may write by a record that Cloudflare must refuse.
    let proof = |e: &Exchange| e.method == "POST" && e.path.ends_with("/dns_records");
    judge(&Description::cloudflare(), &dns, proof, &wanted);
}

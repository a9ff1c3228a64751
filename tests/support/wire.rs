//! The doors on loopback with everything written down that passes through them.

use super::description::Exchange;
use axum::body::{to_bytes, Body};
use axum::extract::Request;
use axum::middleware::{from_fn, Next};
use axum::response::Response;
use axum::Router;
use relight::sandbox::doors::serve;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What was said, in order.
pub type Log = Arc<Mutex<Vec<Exchange>>>;

/// Serves a router on a free port of loopback until the test ends.
pub async fn open(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router));
    address
}

/// The same, writing everything down; `base` is taken off the paths.
pub async fn open_recorded(router: Router, base: &'static str) -> (SocketAddr, Log) {
    let log = Log::default();
    let pen = log.clone();
    let recorded = router.layer(from_fn(move |request: Request, next: Next| record(request, next, base, pen.clone())));
    (open(recorded).await, log)
}

async fn record(request: Request, next: Next, base: &'static str, log: Log) -> Response {
    let (head, body) = request.into_parts();
    let asked = to_bytes(body, usize::MAX).await.unwrap();
    let path = head.uri.path().strip_prefix(base).unwrap_or("outside the base").to_owned();
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let method = head.method.to_string();
    let response = next.run(Request::from_parts(head, Body::from(asked.clone()))).await;
    let (head, body) = response.into_parts();
    let said = to_bytes(body, usize::MAX).await.unwrap();
    log.lock().unwrap().push(Exchange {
        method,
        path,
        query,
        request: (!asked.is_empty()).then(|| serde_json::from_slice(&asked).unwrap()),
        status: head.status.as_u16(),
        reply: serde_json::from_slice(&said).ok(),
    });
    Response::from_parts(head, Body::from(said))
}

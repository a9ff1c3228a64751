//! The edge, and port 80 of a node: what a visitor's GET meets.

use super::broken::drop_connection;
use crate::sandbox::model::{lock, Shared, Visit};
use crate::world::Clock;
use axum::body::Body;
use axum::http::{header, HeaderValue, Request, Response, StatusCode};
use axum::Router;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The edge: answers by the request's Host header, over TLS (`https`) or not.
pub fn edge(model: Shared, clock: Arc<dyn Clock>, https: bool) -> Router {
    let visit = move |request: Request<Body>| {
        let (host, path) = asked(&request);
        let visit = lock(&model).edge_get(clock.now(), &host, &path, https);
        meet(visit)
    };
    Router::new().fallback(visit)
}

/// Port 80 of the node at this address.
pub fn node_http(model: Shared, clock: Arc<dyn Clock>, address: Ipv4Addr) -> Router {
    let visit = move |request: Request<Body>| {
        let (host, path) = asked(&request);
        let visit = lock(&model).port80(clock.now(), address, &host, &path);
        meet(visit)
    };
    Router::new().fallback(visit)
}

/// The host without its port (HTTP/2 has it in the URI), and the path with its query.
fn asked(request: &Request<Body>) -> (String, String) {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().host().or(header).unwrap_or_default();
    let host = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    (host.to_ascii_lowercase(), path.to_owned())
}

/// Where the model says that no reply comes, none does: the connection ends, or stays silent until the visitor gives up. A
/// name that does not resolve is met here as an ended connection, since on loopback every name leads to the edge.
async fn meet(visit: Visit) -> Response<Body> {
    let (status, body, location) = match visit {
        Visit::Reply { status, body, location } => (status, body, location),
        Visit::NoSuchName | Visit::NoCertificate | Visit::Refused => drop_connection(),
        Visit::Silent => std::future::pending().await,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

//! The network door to the sandbox's Kubernetes: HTTP as kubectl and the kube crate speak it.
//!
//! The API itself is [`Objects::answer`]; here are only bodies, headers, streams, and the ways in which an API server does not
//! answer.

use crate::sandbox::objects::{Answer, Asked, Objects, Watch};
use crate::world::Secret;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{header, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Router;
use futures::stream;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest body that is read: etcd's limit is 1.5 MiB, kubectl's own 3 MiB.
const LARGEST: usize = 3 * 1024 * 1024;
/// How often a watch looks. The model moves only when it is asked, so a watch has to ask.
const LOOK: Duration = Duration::from_millis(50);
/// A bookmark is sent after so many looks.
const LOOKS_TO_BOOKMARK: u32 = 200;

/// How a node's port 6443 behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// It answered.
    Up,
    /// It takes the request and never answers: there is no quorum.
    Hangs,
    /// Nothing listens.
    Refuses,
    /// K3s is starting: 503.
    Starting,
    /// The request was carried out, and the connection broke before the reply.
    Lost,
}

/// What stands between a node's port 6443 and the objects: implemented by the sandbox's model.
pub trait KubernetesBackend: Send + Sync + 'static {
    /// Lets the time pass ([`Objects::advance`]) and, where the API server of the node at this address answers, does the work on
    /// the objects of its cluster. `work` is called for [`Api::Up`] and [`Api::Lost`] alone, once. `writes`: whether the request
    /// may change something, for faults that are aimed at writes.
    fn at(&self, node: IpAddr, writes: bool, work: &mut dyn FnMut(&mut Objects)) -> Api;
    /// Whether the API server of that node accepts this kubeconfig. The network door leaves this to TLS and the bearer token.
    fn accepts(&self, node: IpAddr, kubeconfig: &Secret) -> bool;
}

#[derive(Clone)]
struct Door {
    backend: Arc<dyn KubernetesBackend>,
    node: IpAddr,
    token: Option<Secret>,
}

/// Told by the TLS side of a connection: a client certificate of the cluster's CA was shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownCertificate;

/// The API of one node. Without a client certificate (which TLS checks, see [`super::serve_kubernetes`]) a request needs the
/// bearer token; where there is no token every request is let in, for tests without TLS.
pub fn kubernetes(backend: Arc<dyn KubernetesBackend>, node: IpAddr, token: Option<Secret>) -> Router {
    Router::new().fallback(handle).with_state(Door { backend, node, token })
}

async fn handle(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let shown = parts.extensions.get::<ShownCertificate>().is_some();
    if !shown && !door.lets_in(&parts.headers) {
        let failure = crate::sandbox::objects::Failure::new(401, "Unauthorized", "Unauthorized");
        return door.whole(failure.into());
    }
    let Ok(body) = axum::body::to_bytes(body, LARGEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let word =
        |name: header::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let query = parts.uri.query().unwrap_or_default();
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        accept: word(header::ACCEPT),
        content_type: word(header::CONTENT_TYPE),
        user_agent: word(header::USER_AGENT),
        body: body.to_vec(),
    };
    let mut answer = None;
    let writes = !matches!(asked.method.as_str(), "GET" | "HEAD");
    match door.backend.at(door.node, writes, &mut |objects| answer = Some(objects.answer(&asked))) {
        Api::Up => answer.map_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |a| door.reply(a)),
        Api::Hangs => futures::future::pending().await,
        Api::Starting => {
            let failure = crate::sandbox::objects::Failure::new(503, "ServiceUnavailable", "apiserver not ready");
            door.whole(failure.into())
        }
        Api::Refuses | Api::Lost => broken(),
    }
}

/// A reply whose body breaks off: the connection is reset.
fn broken() -> Response {
    let end = stream::once(async { Err::<Bytes, _>(std::io::Error::other("connection lost")) });
    Response::builder().header(header::CONTENT_LENGTH, 1024).body(Body::from_stream(end)).unwrap_or_default()
}

impl Door {
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
        given == Some(token.expose())
    }
    fn reply(&self, answer: Answer) -> Response {
        match answer {
            Answer::Watch(watch) => self.stream(watch),
            whole @ Answer::Whole { .. } => self.whole(whole),
        }
    }
    fn whole(&self, answer: Answer) -> Response {
        let Answer::Whole { status, content_type, body, retry_after } = answer else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut reply = Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
        if let Some(after) = retry_after {
            reply = reply.header(header::RETRY_AFTER, after);
        }
        reply.body(Body::from(body)).unwrap_or_default()
    }
    fn stream(&self, watch: Watch) -> Response {
        let until = Instant::now() + watch.timeout;
        let state = (self.clone(), watch, 0_u32, false);
        let lines = stream::unfold(state, move |(door, mut watch, mut looks, ended)| async move {
            if ended {
                return None;
            }
            loop {
                if Instant::now() >= until {
                    return None;
                }
                let mut told = None;
                let api = door.backend.at(door.node, false, &mut |objects| told = Some(watch.lines(objects)));
                match (api, told) {
                    (Api::Hangs, _) => {}
                    (Api::Up, Some(Ok(lines))) if !lines.is_empty() => {
                        return Some((Ok::<_, std::io::Error>(Bytes::from(lines)), (door, watch, looks, false)));
                    }
                    (Api::Up, Some(Err(last))) => return Some((Ok(Bytes::from(last)), (door, watch, looks, true))),
                    (Api::Up, _) => {}
                    _ => return Some((Err(std::io::Error::other("connection lost")), (door, watch, looks, true))),
                }
                looks += 1;
                if looks % LOOKS_TO_BOOKMARK == 0 {
                    if let Some(line) = watch.bookmark() {
                        return Some((Ok(Bytes::from(line)), (door, watch, looks, false)));
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(lines))
            .unwrap_or_default()
    }
}

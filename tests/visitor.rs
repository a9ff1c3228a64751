//! Health checks see what a visitor sees: the edge over TLS by name, a node directly by its Host header, no redirect followed,
//! nothing outside loopback.

#[path = "support/description.rs"]
#[allow(dead_code)]
mod description;
#[path = "support/wire.rs"]
#[allow(dead_code)]
mod wire;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::{any, get};
use axum::Router;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use relight::config::Timeouts;
use relight::providers::{OnlyEdge, SystemClock, Visitor};
use relight::sandbox::doors::{edge, serve, serve_tls};
use relight::sandbox::model::{Latency, Model, RecordChange, TokenMay};
use relight::world::{Addresses, Class, Clock, Get, Http};
use rustls::pki_types::PrivateKeyDer;
use rustls::ServerConfig;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// An address of loopback that no other test of this file uses: ports are fixed, addresses are not.
fn own(last: u8) -> IpAddr {
    let pid = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, pid[2] | 1, pid[3], last))
}

fn get_url(url: &str, node: Option<IpAddr>) -> Get {
    Get { url: url.into(), node, timeout: Duration::from_secs(10) }
}

/// An authority as PEM, and a server's TLS by it.
fn authority(name: &str) -> (Vec<u8>, Arc<ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (issuer.pem().into_bytes(), Arc::new(config))
}

async fn listen(at: IpAddr, port: u16) -> TcpListener {
    TcpListener::bind((at, port)).await.unwrap()
}

#[tokio::test]
async fn the_edge_is_met_by_name_over_tls_and_answers_for_the_zone() {
    let address = own(2);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::wall());
    let mut model = Model::new(7, Ipv4Addr::new(127, 91, 4, 0), Latency::real(), clock.now());
    model.add_project("live", &[("t", TokenMay::Write)]);
    model.add_zone("example.org", "strict", "live");
    model.place_record("example.org", &RecordChange::address("api.example.org", "127.91.4.9", true, None));
    let model = model.shared();
    let (pem, config) = authority("api.example.org");
    let door = edge(model.clone(), clock, true);
    tokio::spawn(serve_tls(listen(address, 10_443).await, config, door));
    let with = |pem: Vec<u8>| {
        Visitor::new(Addresses::sandbox(), Some(OnlyEdge { address, authority: pem }), &Timeouts::default()).unwrap()
    };
    let visitor = with(pem);
    let strict = visitor.get(&get_url("https://api.example.org/health", None)).await.unwrap();
    assert_eq!(strict.status, 526);
    model.lock().unwrap().set_ssl("example.org", "off");
    let reply = visitor.get(&get_url("https://api.example.org/health", None)).await.unwrap();
    assert_eq!((reply.status, reply.location.as_deref()), (301, Some("http://api.example.org/health")));
    let stranger = visitor.get(&get_url("https://www.example.com/", None)).await.unwrap_err();
    assert_eq!(stranger.class, Class::Transient, "a name of another certificate: {stranger:?}");
    let (other, _) = authority("api.example.org");
    let distrust = with(other).get(&get_url("https://api.example.org/health", None)).await.unwrap_err();
    assert!(distrust.class == Class::Transient && distrust.what.contains("certificate"), "{distrust:?}");
}

#[tokio::test]
async fn a_node_is_asked_by_plain_http_with_the_host_of_the_url() {
    let node = own(3);
    let show = |headers: HeaderMap| async move { headers["host"].to_str().unwrap().to_owned() };
    let router = Router::new()
        .route("/health", get(show))
        .route("/moved", get(|| async { Redirect::permanent("https://elsewhere.example.org/") }))
        .route("/long", get(|| async { vec![b'x'; 3 << 20] }))
        .route("/ill", any(|| async { (StatusCode::SERVICE_UNAVAILABLE, "no") }))
        .route("/silent", any(std::future::pending::<String>));
    tokio::spawn(serve(listen(node, 10_080).await, router));
    let visitor = Visitor::new(Addresses::sandbox(), None, &Timeouts::default()).unwrap();
    let health = visitor.get(&get_url("https://api.example.org/health", Some(node))).await.unwrap();
    assert_eq!((health.status, health.body.as_slice()), (200, "api.example.org".as_bytes()));
    let port = visitor.get(&get_url("http://api.example.org:8080/health", Some(node))).await.unwrap();
    assert_eq!(port.body, b"api.example.org:8080");
    let moved = visitor.get(&get_url("https://api.example.org/moved", Some(node))).await.unwrap();
    assert_eq!((moved.status, moved.location.as_deref()), (308, Some("https://elsewhere.example.org/")));
    assert_eq!(visitor.get(&get_url("https://a.example.org/long", Some(node))).await.unwrap().body.len(), 1 << 20);
    assert_eq!(visitor.get(&get_url("https://a.example.org/ill", Some(node))).await.unwrap().status, 503);
    let impatient = Get { timeout: Duration::from_millis(200), ..get_url("https://a.example.org/silent", Some(node)) };
    let silent = visitor.get(&impatient).await.unwrap_err();
    assert!(silent.class == Class::Transient && silent.what.contains("no answer within 200ms"), "{silent:?}");
    let nobody = visitor.get(&get_url("https://a.example.org/", Some(own(4)))).await.unwrap_err();
    assert!(nobody.class == Class::Transient && !nobody.remedy.is_empty());
}

#[tokio::test]
async fn a_url_that_is_none_is_named() {
    let visitor = Visitor::new(Addresses::identity(), None, &Timeouts::default()).unwrap();
    for url in ["nonsense", "mailto:a@b"] {
        let error = visitor.get(&get_url(url, None)).await.unwrap_err();
        assert!(error.class == Class::Fatal && error.what.contains(url), "{error:?}");
    }
}

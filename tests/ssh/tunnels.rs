//! Tunnels to a port of the node's own loopback.

use crate::node::{provider, script, Node};
use axum::{routing::get, Router};
use relight::world::Shell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;

async fn web() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let big = "0123456789abcdef".repeat(64 * 1024);
    let app = Router::new().route("/readyz", get(|| async { "ok" })).route("/big", get(move || async move { big }));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    at
}

async fn fetch(at: SocketAddr, path: &str) -> Result<String, reqwest::Error> {
    // A client of its own for each request: a kept connection would not show a tunnel that is gone.
    let client = reqwest::Client::builder().no_proxy().build()?;
    client.get(format!("http://{at}{path}")).send().await?.text().await
}

/// Until the client has noticed that its connection broke, it takes a caller in and drops him: callers try again, as
/// relight's Kubernetes provider does.
pub async fn fetch_again(at: SocketAddr, path: &str) -> String {
    loop {
        if let Ok(text) = fetch(at, path).await {
            return text;
        }
    }
}

#[tokio::test]
async fn a_tunnel_carries_http_and_keeps_its_address_when_the_connection_breaks() {
    let node = Node::boot(10).await;
    let web = web().await;
    node.backend.forwards.lock().unwrap().insert(6443, web);
    let (ssh, host) = (provider(), node.host(&[10]));
    let at = ssh.tunnel(&host, 6443).await.unwrap();
    assert!(at.ip().is_loopback());
    assert_eq!(fetch(at, "/readyz").await.unwrap(), "ok");
    let (one, two) = tokio::join!(fetch(at, "/big"), fetch(at, "/big"));
    assert_eq!((one.unwrap().len(), two.unwrap().len()), (1024 * 1024, 1024 * 1024));
    node.backend.cut_connections();
    assert_eq!(fetch_again(at, "/readyz").await, "ok");
    assert_eq!(ssh.tunnel(&host, 6443).await.unwrap(), at);
    ssh.reconnect(&host).await.unwrap();
    assert_eq!(fetch(at, "/readyz").await.unwrap(), "ok");
    assert_eq!(node.backend.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn nobody_behind_a_tunnel_is_an_end_and_not_a_wait_and_looks_go_on_beside_it() {
    let node = Node::boot(10).await;
    let (ssh, host) = (provider(), node.host(&[10]));
    let at = ssh.tunnel(&host, 6443).await.unwrap();
    assert!(fetch(at, "/readyz").await.is_err());
    ssh.look(&host, &script("echo.sh", "check", &[])).await.unwrap();
    drop(ssh);
    assert!(fetch(at, "/readyz").await.is_err());
}

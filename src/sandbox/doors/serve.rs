//! Serving a door's router on a listener.

use axum::serve::ListenerExt;
use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until the future is dropped or the listener fails. Replies go out at once (`TCP_NODELAY`): a client that waits for
/// one would else wait for its own delayed acknowledgement, 40 ms a call.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // A connection that is already gone cannot be hurried.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

/// The same over TLS.
pub async fn serve_tls(listener: TcpListener, config: Arc<ServerConfig>, router: Router) -> std::io::Result<()> {
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(config)).acceptor(NoDelayAcceptor);
    axum_server::from_tcp(listener.into_std()?)?.acceptor(acceptor).serve(router.into_make_service()).await
}

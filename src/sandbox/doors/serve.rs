//! Serving a door's router on a listener.

use axum::serve::ListenerExt;
use axum::Router;
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

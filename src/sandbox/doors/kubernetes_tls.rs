//! TLS before the Kubernetes door: the server's certificate, and client certificates of the cluster's CA.

use super::kubernetes::ShownCertificate;
use axum::{Extension, Router};
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use futures::future::BoxFuture;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::net::TcpStream;

/// What an API server needs for TLS.
pub struct KubernetesTls {
    /// Its certificate and the chain above it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The CA whose client certificates are let in.
    pub client_ca: CertificateDer<'static>,
}

fn config(tls: KubernetesTls) -> io::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(tls.client_ca).map_err(io::Error::other)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(tls.chain, tls.key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Tells the requests of a connection whether it showed a client certificate. One that is not of the cluster's CA does not get
/// through the handshake.
#[derive(Clone)]
struct Telling(RustlsAcceptor);

impl Accept<TcpStream, Router> for Telling {
    type Stream = <RustlsAcceptor as Accept<TcpStream, Router>>::Stream;
    type Service = Router;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Router)>>;

    fn accept(&self, stream: TcpStream, service: Router) -> Self::Future {
        let accepting = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            let shown = stream.get_ref().1.peer_certificates().is_some_and(|c| !c.is_empty());
            Ok((stream, if shown { service.layer(Extension(ShownCertificate)) } else { service }))
        })
    }
}

/// Serves a node's API ([`super::kubernetes`]) with TLS until the future is dropped; connections that are open then go on, and are
/// answered as the backend says.
///
/// # Errors
/// Of the listener, and where the certificates do not fit.
pub async fn serve_kubernetes(listener: TcpListener, tls: KubernetesTls, router: Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let acceptor = Telling(RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config(tls)?))));
    axum_server::from_tcp(listener)?.acceptor(acceptor).serve(router.into_make_service()).await
}

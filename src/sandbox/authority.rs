//! The sandbox's certificate authority: for the edge, for API servers, and for the admin's client certificate.

use super::model::KubeconfigIssuer;
use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;

/// An authority with a key of its own; lives as long as its sandbox.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate and its key, as PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

fn broken(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("the sandbox's certificates: {error}"))
}

impl Issued {
    /// As rustls takes them.
    pub fn rustls(self) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = PrivateKeyDer::try_from(self.key_der).map_err(|e| broken(&e))?;
        Ok((vec![self.der], key))
    }
}

impl Authority {
    /// A new authority.
    pub fn new(name: &str) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(|e| broken(&e))?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(|e| broken(&e))?;
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Ok(Self { issuer: Issuer::new(params, key), pem, der })
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's certificate for these names and addresses.
    pub fn server(&self, names: &[String]) -> io::Result<Issued> {
        let mut params = CertificateParams::new(names.to_vec()).map_err(|e| broken(&e))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// A client's certificate; Kubernetes takes the organisation as the user's group.
    pub fn client(&self, name: &str, group: &str) -> io::Result<Issued> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> io::Result<Issued> {
        let key = KeyPair::generate().map_err(|e| broken(&e))?;
        let signed = params.signed_by(&key, &self.issuer).map_err(|e| broken(&e))?;
        Ok(Issued {
            certificate: signed.pem(),
            key: key.serialize_pem(),
            der: signed.der().clone(),
            key_der: key.serialize_der(),
        })
    }

    /// Its certificate, DER.
    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// TLS for a door with a certificate for these names.
    pub fn tls(&self, names: &[String]) -> io::Result<Arc<ServerConfig>> {
        let (chain, key) = self.server(names)?.rustls()?;
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|e| broken(&e))?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|e| broken(&e))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Issues admin kubeconfigs as K3s writes them: server `https://127.0.0.1:6443`, everything named `default`.
/// Source: K3s documentation, "Cluster Access".
pub struct Kubeconfigs(pub Arc<Authority>);

impl KubeconfigIssuer for Kubeconfigs {
    fn issue(&mut self, _cluster: &str) -> String {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let (certificate, key) = match self.0.client("system:admin", "system:masters") {
            Ok(issued) => (issued.certificate, issued.key),
            Err(error) => {
                tracing::error!(%error, "no admin certificate");
                (String::new(), String::new())
            }
        };
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://127.0.0.1:6443\n  \
             name: default\ncontexts:\n- context:\n    cluster: default\n    user: default\n  name: default\n\
             current-context: default\nkind: Config\npreferences: {{}}\nusers:\n- name: default\n  user:\n    \
             client-certificate-data: {}\n    client-key-data: {}\n",
            encode(self.0.pem()),
            encode(&certificate),
            encode(&key),
        )
    }
}

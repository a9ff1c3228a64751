//! Errors of the kube crate, classed.

use crate::world::{Error, Refusal};
use std::error::Error as _;

/// Every error of a chain in words.
fn chain(error: &kube::Error) -> Vec<String> {
    let mut words = vec![error.to_string()];
    let mut at = error.source();
    while let Some(inner) = at {
        words.push(inner.to_string());
        at = inner.source();
    }
    words
}

fn cause(cause: &kube::core::response::StatusCause) -> (String, String, String) {
    (cause.reason.clone(), cause.message.clone(), cause.field.clone())
}

/// Classes an error of one call. A connection that was never made did nothing; anything else that breaks a write leaves its
/// outcome open.
pub(super) fn classed(error: &kube::Error, doing: &str, writes: bool) -> Error {
    if let kube::Error::Api(status) = error {
        let refusal = Refusal {
            code: status.code,
            reason: status.reason.clone(),
            message: status.message.clone(),
            causes: status.details.iter().flat_map(|d| &d.causes).map(cause).collect(),
            retry_after: status.details.as_ref().map_or(0, |d| d.retry_after_seconds),
        };
        return refusal.error(doing, writes);
    }
    let words = chain(error);
    let last = words.last().cloned().unwrap_or_default();
    let says = |part: &str| words.iter().any(|w| w.contains(part));
    if says("invalid peer certificate") {
        return Error::fatal(format!(
            "{doing}: the API server's certificate is not of this kubeconfig's cluster: {last}"
        ))
        .remedy("fetch the kubeconfig from a node again");
    }
    if says("CertificateUnknown") || says("UnknownCA") || says("BadCertificate") || says("DecryptError") {
        return Error::fatal(format!("{doing}: the API server does not accept this kubeconfig's certificate: {last}"))
            .remedy("fetch the kubeconfig from a node again");
    }
    let unsent =
        matches!(error, kube::Error::BuildRequest(_) | kube::Error::HttpError(_)) || says("client error (Connect)");
    let what = format!("{doing}: {last}");
    if writes && !unsent {
        Error::unknown(what)
    } else {
        Error::transient(what)
    }
}

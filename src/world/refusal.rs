//! What an API server's refusal means to relight: the one place that classes a Kubernetes `Status`, for every implementation of
//! [`super::Cluster`].

use super::{Class, Error, Kind};
use std::time::Duration;

/// The parts of a Kubernetes `Status` that relight reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// `Conflict`, `Invalid`; empty where a proxy answered.
    pub reason: String,
    /// In the server's words.
    pub message: String,
    /// Reason, message and field of each cause.
    pub causes: Vec<(String, String, String)>,
    /// Seconds that the server asked us to wait; 0 for none.
    pub retry_after: u32,
}

/// What an API server's not serving a kind means to `doing`: an end where no definition can ever bring it (`never`), else a wait,
/// for its definition may be applied by now. The code is `KindNotServed`.
pub fn not_served(doing: &str, kind: &Kind, never: bool) -> Error {
    let what = format!("{doing}: the API server does not serve {} {}", kind.api_version, kind.kind);
    let error = match never {
        true => Error::fatal(what).remedy("correct the object's apiVersion or kind, then `relight resume`"),
        false => Error::transient(what).remedy("its CustomResourceDefinition is applied first"),
    };
    error.code("KindNotServed")
}

/// What a person does about fields that another manager set: relight takes none over by force.
const CONFLICT: &str =
    "take the fields out of what relight applies to leave them to the other manager, or set them back with \
     kubectl (`kubectl apply --server-side --force-conflicts --field-manager=relight -f FILE` does)";

impl Refusal {
    /// The error of a call. `doing` says what was tried (`apply Deployment honeydue/api`); `writes` whether it could change
    /// anything: a 5xx to a write leaves its outcome open.
    pub fn error(&self, doing: &str, writes: bool) -> Error {
        let conflicts: Vec<_> = self.causes.iter().filter(|(reason, ..)| reason == "FieldManagerConflict").collect();
        let error = |class, remedy: &str| {
            let mut error =
                Error::new(class, format!("{doing}: {}{}", self.message, self.spoken_causes())).remedy(remedy);
            error.code = Some(if self.reason.is_empty() { self.code.to_string() } else { self.reason.clone() });
            error.retry_after = (self.retry_after > 0).then(|| Duration::from_secs(self.retry_after.into()));
            error
        };
        match self.code {
            409 if !conflicts.is_empty() => {
                let fields: Vec<_> = conflicts.iter().map(|(_, with, field)| format!("{with} over {field}")).collect();
                let mut error = error(Class::Refused, CONFLICT);
                error.what = format!("{doing}: {}", fields.join("; "));
                error.code = Some("FieldManagerConflict".into());
                error
            }
            409 if self.reason == "AlreadyExists" => error(Class::Refused, "it is there already: look at it"),
            403 if self.message.contains("being terminated") => {
                error(Class::Transient, "the namespace is being deleted")
            }
            401 | 403 => {
                error(Class::Fatal, "the kubeconfig's credentials are not accepted: fetch it from a node again")
            }
            500.. if writes => error(Class::Unknown, ""),
            409 | 410 | 429 | 500.. => error(Class::Transient, ""),
            404 => error(Class::Fatal, "what the object belongs to does not exist: apply that first"),
            _ => error(Class::Fatal, "correct the manifest"),
        }
    }
    fn spoken_causes(&self) -> String {
        let new = self.causes.iter().filter(|(_, message, _)| !self.message.contains(message.as_str()));
        let words: Vec<_> = new.map(|(_, message, field)| format!("{field}: {message}")).collect();
        if words.is_empty() {
            String::new()
        } else {
            format!(" ({})", words.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, reason: &str) -> Refusal {
        Refusal { code, reason: reason.into(), message: "no".into(), ..Refusal::default() }
    }

    #[test]
    fn a_server_error_leaves_only_a_writes_outcome_open() {
        assert_eq!(refusal(503, "ServiceUnavailable").error("x", true).class, Class::Unknown);
        assert_eq!(refusal(503, "ServiceUnavailable").error("x", false).class, Class::Transient);
    }

    #[test]
    fn a_conflict_of_managers_names_the_other_and_the_field() {
        let cause = ("FieldManagerConflict".into(), "conflict with \"kubectl\"".into(), ".data.a".into());
        let error = Refusal { causes: vec![cause], ..refusal(409, "Conflict") }.error("apply ConfigMap a/b", true);
        assert_eq!((error.class, error.is("FieldManagerConflict")), (Class::Refused, true));
        assert!(error.what.contains("kubectl") && error.what.contains(".data.a"), "{}", error.what);
        // What is told can be done: relight itself has no force.
        assert!(error.remedy.contains("kubectl apply --server-side --force-conflicts"), "{}", error.remedy);
    }

    #[test]
    fn a_budgets_refusal_is_tried_again_after_the_time_asked_for() {
        let error = Refusal { retry_after: 10, ..refusal(429, "TooManyRequests") }.error("evict", true);
        assert_eq!((error.class, error.retry_after), (Class::Transient, Some(Duration::from_secs(10))));
    }
}

//! What can go wrong outside, classed by what is to be done about it.

use std::time::Duration;

/// The result of every call to the outside.
pub type Result<T> = std::result::Result<T, Error>;

/// What the engine does about an error. Providers decide the class; the engine never looks at a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It did not happen, and will soon: retried with backoff inside the step's deadline.
    Transient,
    /// It may have happened (time-out, reset, 5xx or unreadable reply to a mutating call): settled by a check, never repeated
    /// blindly.
    Unknown,
    /// This choice cannot be had (`resource_unavailable`): the next of the declared list is tried by the action.
    Branch,
    /// It exists and differs, or is forbidden by its state: a person decides.
    Refused,
    /// It will not happen however often it is tried.
    Fatal,
}

/// An error of an outside system: what it said, its class and what to do next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    /// What the engine does about it.
    pub class: Class,
    /// What happened, in one sentence, with the system's own words. Never holds a secret.
    pub what: String,
    /// What the person does next; empty where the class says it all.
    pub remedy: String,
    /// The system's own code (`resource_unavailable`, `81058`), where it gave one.
    pub code: Option<String>,
    /// How long the system asked us to wait.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error of the given class.
    pub fn new(class: Class, what: impl Into<String>) -> Self {
        Self { class, what: what.into(), remedy: String::new(), code: None, retry_after: None }
    }
    /// See [`Class::Transient`].
    pub fn transient(what: impl Into<String>) -> Self {
        Self::new(Class::Transient, what)
    }
    /// See [`Class::Unknown`].
    pub fn unknown(what: impl Into<String>) -> Self {
        Self::new(Class::Unknown, what)
    }
    /// See [`Class::Refused`].
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Class::Refused, what)
    }
    /// See [`Class::Fatal`].
    pub fn fatal(what: impl Into<String>) -> Self {
        Self::new(Class::Fatal, what)
    }
    /// Adds what to do next.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
    /// Adds the system's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
    /// Adds how long the system asked us to wait.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
    /// An order of a server that cannot be had there, where the cloud says so: another type or place may be had.
    ///
    /// A type that is not sold in a place has the code of a mistyped name, without details, also where the list of types says
    /// that it is; source: replies in public issues, as roots/trellis-cli#622 and autobase-tech/autobase#1403.
    #[must_use]
    pub fn branch_where_sold_out(mut self) -> Self {
        let not_sold_there = || {
            let of_type = self.what.contains("server type");
            of_type && (self.what.contains("unsupported location") || self.what.contains("deprecated"))
        };
        let sold_out = self.is("resource_unavailable") || self.is("placement_error");
        if sold_out || (self.is("invalid_input") && not_sold_there()) {
            self.class = Class::Branch;
        }
        self
    }
    /// Whether the system gave this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

//! What all parts of the direct door share: one call to the model with its latency and kill points, and the classes of errors.

use super::{DirectClock, Tripwire};
use crate::sandbox::model::{lock, Answer, ApiError, Caller, Failure, Latency, Model, Shared};
use crate::world::{Class, Error, Permit, Result};
use std::time::Duration;

/// How a door of one process reaches the model.
#[derive(Clone)]
pub(super) struct Entry {
    pub model: Shared,
    pub clock: DirectClock,
    pub wire: Tripwire,
    pub latency: Latency,
    pub token: String,
}

impl Entry {
    pub fn caller(&self, permit: Option<&Permit>) -> Caller {
        Caller {
            token: self.token.clone(),
            run: permit.map(|p| p.run().to_owned()).unwrap_or_default(),
            step: permit.map(|p| p.step().to_owned()).unwrap_or_default(),
            intent: permit.map(Permit::intent).unwrap_or_default(),
        }
    }
    /// Acts on the model now, unless the process is dead.
    pub async fn act<T>(&self, act: impl FnOnce(&mut Model, Duration) -> T + Send) -> T {
        self.wire.alive().await;
        let now = self.clock.time();
        act(&mut lock(&self.model), now)
    }
    /// One request with its way there and back; an effect has a kill point before and after it.
    pub async fn request<T: Send>(
        &self,
        effect: Option<&str>,
        act: impl FnOnce(&mut Model, Duration) -> T + Send,
    ) -> T {
        if let Some(what) = effect {
            self.wire.point(&format!("before {what}")).await;
        }
        self.clock.wait(self.latency.request / 2).await;
        let got = self.act(act).await;
        if let Some(what) = effect {
            self.wire.point(&format!("after {what}")).await;
        }
        self.clock.wait(self.latency.request / 2).await;
        got
    }
    /// The value of an answer, or its error classed as the real provider classes it.
    pub async fn open<T>(&self, what: &str, mutating: bool, answer: Answer<T>) -> Result<T> {
        match answer.result {
            Ok(value) => Ok(value),
            Err(failure) => {
                if matches!(failure, Failure::Dropped { .. }) {
                    self.clock.wait(self.latency.silence).await;
                }
                Err(classed(what, mutating, failure, answer.retry_after))
            }
        }
    }
}

/// What a person does about an error of this code.
fn remedy(error: &ApiError) -> &'static str {
    match error.code.as_str() {
        "unauthorized" => "make a new API token in the project's console and set it",
        "token_readonly" => "make an API token with read and write permission and set it",
        "resource_limit_exceeded" => "delete what is not needed, or ask the cloud's support for a higher limit",
        "uniqueness_error" => "look at what has this name; rename or delete it if it is not needed",
        "protected" => "take the protection off in the console if it shall really go",
        "1000" | "10000" | "9109" => "make an API token with Zone:DNS:Edit and Zone:Zone:Read for the zone and set it",
        _ => "",
    }
}

/// The class that a real provider gives: out of stock is another choice, locks and limits pass, a 5xx after a change is
/// unknown, what a token may not do is fatal.
pub(super) fn classed(what: &str, mutating: bool, failure: Failure, retry_after: Option<Duration>) -> Error {
    let unsure = if mutating { Class::Unknown } else { Class::Transient };
    let error = match failure {
        Failure::Dropped { .. } => return Error::new(unsure, format!("{what}: the connection ended without a reply")),
        Failure::Api(error) => error,
    };
    let class = match (error.status, error.code.as_str()) {
        (_, "resource_unavailable" | "placement_error") => Class::Branch,
        (429, _) | (_, "locked" | "conflict" | "resource_in_use" | "81044" | "81057" | "81058") => Class::Transient,
        (409 | 423, _)
        | (
            _,
            "81053"
            | "must_be_unassigned"
            | "firewall_managed_by_label_selector"
            | "server_not_stopped"
            | "primary_ip_assigned"
            | "primary_ip_datacenter_mismatch",
        ) => Class::Refused,
        (status, _) if status >= 500 => unsure,
        _ => Class::Fatal,
    };
    let told = format!("{what}: {} ({}, HTTP {})", error.message, error.code, error.status);
    let made = Error::new(class, told).code(error.code.clone()).remedy(remedy(&error));
    match retry_after {
        Some(after) => made.retry_after(after),
        None => made,
    }
}

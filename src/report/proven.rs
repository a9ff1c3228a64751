//! What of a cluster is proven now: its last proof held against what would run today.

use super::proof::Proof;
use super::words::seconds_between;
use crate::engine::StepRecord;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a rehearsal would be today, to hold a proof against.
#[derive(Debug, Clone, Default)]
pub struct Today {
    /// The version of relight.
    pub version: String,
    /// What it would be made of, as in [`Proof::digests`].
    pub digests: BTreeMap<String, String>,
    /// Settings that are other than the proven run's, by path: `cloud.image`.
    pub settings: Vec<String>,
    /// Its steps.
    pub rehearsed: Vec<StepRecord>,
    /// Ids of the live run's steps.
    pub live: Vec<String>,
}

/// How a cluster stands in one world.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// `real`, `sandbox`.
    pub world: String,
    /// Whether it is an emulated world, where nothing is proven.
    pub demonstration: bool,
    /// The last rehearsal that succeeded.
    pub proof: Option<ProvenRun>,
    /// The last rehearsal that did not, where it is later.
    pub failed: Option<FailedRun>,
}

/// A proof as it stands today.
#[derive(Debug, Clone, Serialize)]
pub struct ProvenRun {
    /// The run's id.
    pub run: String,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// How long ago that is.
    pub age_seconds: f64,
    /// Clock seconds without waiting for people, from the first record until the first health answer.
    pub first_answer_seconds: Option<f64>,
    /// And until everything was verified.
    pub recovery_seconds: Option<f64>,
    /// What it cost, as `EUR 0.05`.
    pub cost: Option<String>,
    /// What is other than it was: `manifests/api.yaml`, `K3s pin`.
    pub changed: Vec<String>,
    /// Steps of a live run that it does not prove, or no longer.
    pub unproven: Vec<String>,
    /// What it did not execute.
    pub not_executed: Vec<String>,
}

/// A rehearsal that proved nothing.
#[derive(Debug, Clone, Serialize)]
pub struct FailedRun {
    /// The run's id.
    pub run: String,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// How long ago that is.
    pub age_seconds: f64,
    /// Why.
    pub why_not: Vec<String>,
}

impl Standing {
    /// The standing by all proofs of a world, oldest first, at a moment in milliseconds since the epoch. `today` is asked for
    /// what would run now, only where there is something to hold against it; its error says why nothing would.
    pub fn of(world: &str, proofs: &[Proof], now: u64, today: impl FnOnce(&Proof) -> Result<Today, String>) -> Self {
        let age_seconds = |proof: &Proof| seconds_between(proof.ended_ms, now);
        let proven = proofs.iter().rev().find(|p| p.proven);
        let failed = proofs.last().filter(|p| !p.proven).map(|p| FailedRun {
            run: p.run.clone(),
            ended: p.ended.clone(),
            age_seconds: age_seconds(p),
            why_not: p.why_not.clone(),
        });
        let proof = proven.map(|proof| {
            let (changed, unproven) = match today(proof) {
                Ok(today) => (changed(proof, &today), unproven(proof, &today)),
                Err(why) => (vec![format!("the configuration, so that it would be refused ({why})")], Vec::new()),
            };
            ProvenRun {
                run: proof.run.clone(),
                ended: proof.ended.clone(),
                age_seconds: age_seconds(proof),
                first_answer_seconds: proof.seconds.first_answer,
                recovery_seconds: proof.seconds.recovery,
                cost: proof.cost.actual.clone().or_else(|| proof.cost.forecast.clone()),
                changed,
                unproven,
                not_executed: proof.not_executed.clone(),
            }
        });
        Self { world: world.to_owned(), demonstration: world != "real", proof, failed }
    }

    /// Whether a live run by this binary and configuration was proven as it is.
    pub fn is_proven(&self) -> bool {
        !self.demonstration && self.proof.as_ref().is_some_and(|p| p.changed.is_empty())
    }
}

/// What differs, in a person's words.
fn changed(proof: &Proof, today: &Today) -> Vec<String> {
    let names: BTreeSet<&String> = proof.digests.keys().chain(today.digests.keys()).collect();
    let differs =
        |name: &String| proof.digests.get(name) != today.digests.get(name) || proof.changed_underway.contains(name);
    names.into_iter().filter(|name| differs(name)).filter_map(|name| named(name, proof, today)).collect()
}

fn named(name: &str, proof: &Proof, today: &Today) -> Option<String> {
    if let Some((_, file)) = name.split_once(' ') {
        let of = |digests: &BTreeMap<String, String>| digests.contains_key(name);
        return Some(match (of(&proof.digests), of(&today.digests)) {
            (true, false) => format!("{file} (gone)"),
            (false, true) => format!("{file} (new)"),
            _ => file.to_owned(),
        });
    }
    match name {
        "k3s" => Some("K3s pin".to_owned()),
        "binary" if proof.version != today.version => Some(format!("relight {} -> {}", proof.version, today.version)),
        "binary" => Some("relight's binary".to_owned()),
        "configuration" => {
            // The pin is told by its own name.
            let paths: Vec<&str> = today.settings.iter().map(String::as_str).filter(|p| !is_pin(p)).collect();
            let pin_alone = paths.is_empty() && !today.settings.is_empty();
            let paths = if paths.is_empty() { String::new() } else { format!(" ({})", paths.join(", ")) };
            (!pin_alone).then(|| format!("configuration{paths}"))
        }
        other => Some(other.to_owned()),
    }
}

fn is_pin(path: &str) -> bool {
    ["k3s.version", "k3s.sha256"].contains(&path)
}

/// Steps of a live run that the rehearsal did not execute, or whose inputs are others today.
fn unproven(proof: &Proof, today: &Today) -> Vec<String> {
    let proves = |id: &String| {
        let inputs = today.rehearsed.iter().find(|record| record.id == *id).map(|record| &record.inputs);
        proof.steps.iter().any(|step| step.id == *id && step.executed() && Some(&step.inputs) == inputs)
    };
    today.live.iter().filter(|id| !proves(id)).cloned().collect()
}

//! Raw input to [`Settings`]: the third stage. Every check notes what it finds and goes on, so that one reading of the file
//! finds every mistake in it.

use super::problem::{Place, Problems};
use super::raw::{At, RawSettings, RawTimeouts};
use super::rule;
use super::settings::{Settings, Timeouts};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod cloud;
mod k3s;
mod manifests;
mod outside;
mod secrets;

/// What all checks share.
pub(super) struct Checks {
    /// `relight.yaml`, as a person names it.
    pub file: PathBuf,
    /// Its directory, absolute.
    pub base: PathBuf,
    /// What was found so far.
    pub problems: Problems,
}

/// All checks that need nothing but the file and those it names.
pub(super) fn settings(checks: &mut Checks, raw: RawSettings) -> Settings {
    checks.label(&raw.cluster, "the cluster's name");
    let nodes = checks.nodes(&raw.cluster, raw.nodes);
    let cloud = checks.cloud(raw.cloud);
    let k3s = checks.k3s(raw.k3s, &cloud.network);
    let names: Vec<At<String>> = raw.secrets.0.iter().map(|(name, _)| name.clone()).collect();
    let secrets = checks.secrets(raw.secrets);
    let manifests = checks.manifests(raw.manifests, &k3s, raw.rehearsal.as_ref(), &names);
    let dns = checks.dns(raw.dns);
    let health = checks.health(raw.health, &dns.hosts);
    let rehearsal = raw.rehearsal.map(|r| checks.rehearsal(r, &secrets, &dns)).unwrap_or_default();
    let recipients = checks.recipients(raw.recipients);
    let timeouts = checks.timeouts(&raw.timeouts.unwrap_or_default());
    let (cluster, base) = (raw.cluster.value, checks.base.clone());
    Settings {
        cluster,
        cloud,
        nodes,
        k3s,
        secrets,
        manifests,
        dns,
        health,
        rehearsal,
        spare: None,
        taken_down: None,
        recipients,
        timeouts,
        base,
    }
}

impl Checks {
    pub fn add(&mut self, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        let file = self.file.clone();
        self.problems.add(&file, place, what, remedy);
    }

    /// A name that becomes part of host names.
    fn label(&mut self, name: &At<String>, of: &str) {
        if !rule::is_label(&name.value) {
            let what = format!("{of} \"{}\" is no host name", name.value);
            let remedy = "use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends";
            self.add(name.place, what, remedy);
        }
    }

    /// Notes values that stand twice.
    fn unique<'a>(&mut self, what: &str, values: impl IntoIterator<Item = (&'a str, Place)>) {
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for (value, place) in values {
            if let Some(first) = seen.insert(value, place) {
                let what = format!("{what} \"{value}\" is written twice, first in line {}", first.line);
                self.add(place, what, "keep one of the two");
            }
        }
    }

    /// A list that needs at least one entry.
    fn some<T>(&mut self, list: &At<Vec<T>>, what: &str, remedy: &str) {
        if list.value.is_empty() {
            self.add(list.place, format!("{what} is empty"), remedy);
        }
    }

    /// A text that must not be empty.
    fn filled(&mut self, text: At<String>, what: &str, remedy: &str) -> String {
        if text.value.trim().is_empty() {
            self.add(text.place, format!("{what} is empty"), remedy);
        }
        text.value
    }

    /// A time; `default` where none is written.
    fn time(&mut self, text: Option<&At<String>>, what: &str, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        rule::duration(&text.value).unwrap_or_else(|| {
            let what = format!("{what} \"{}\" is no time", text.value);
            self.add(text.place, what, "write it as 20s, 5m, 4h or 1h30m");
            default
        })
    }

    /// A time that must not be zero.
    fn limit(&mut self, text: Option<&At<String>>, what: &str, default: Duration) -> Duration {
        let time = self.time(text, what, default);
        if let (Some(text), true) = (text, time.is_zero()) {
            self.add(text.place, format!("{what} is zero"), "write a time above zero, or leave it out for the default");
        }
        time
    }

    /// A range of addresses.
    fn range(&mut self, text: &At<String>, what: &str) -> Option<rule::Range> {
        let Some(range) = rule::Range::read(&text.value) else {
            let what = format!("{what} \"{}\" is no range of addresses", text.value);
            self.add(text.place, what, "write it as 10.0.0.0/16 (a single address as 203.0.113.7/32)");
            return None;
        };
        if range.aligned() != range {
            let what = format!("{what} \"{}\" has bits set behind its prefix", text.value);
            self.add(text.place, what, format!("write {}", range.aligned()));
        }
        Some(range)
    }

    /// `namespace/name`.
    fn object_name(&mut self, text: &str, place: Place, what: &str) -> Option<(String, String)> {
        match text.split_once('/') {
            Some((namespace, name)) if rule::is_label(namespace) && rule::is_domain(name) => {
                Some((namespace.to_owned(), name.to_owned()))
            }
            _ => {
                let remedy = "write namespace/name, both in lower-case letters, digits and hyphens";
                self.add(place, format!("{what} \"{text}\" is no namespace and name"), remedy);
                None
            }
        }
    }

    fn timeouts(&mut self, raw: &RawTimeouts) -> Timeouts {
        let default = Timeouts::default();
        Timeouts {
            connect: self.limit(raw.connect.as_ref(), "timeouts.connect", default.connect),
            probe: self.limit(raw.probe.as_ref(), "timeouts.probe", default.probe),
            step: self.limit(raw.step.as_ref(), "timeouts.step", default.step),
        }
    }

    fn recipients(&mut self, raw: Vec<At<String>>) -> Vec<String> {
        for recipient in &raw {
            if let Err(why) = recipient.value.parse::<age::x25519::Recipient>() {
                let what = format!("\"{}\" is no age recipient ({why})", recipient.value);
                self.add(recipient.place, what, "write the public key that age-keygen prints: age1...");
            }
        }
        raw.into_iter().map(|r| r.value).collect()
    }
}

/// A path as it is used: `~` is the home directory, anything else is below the configuration's directory.
pub(super) fn resolved(base: &Path, text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(below), Some(home)) => home.join(below),
        _ => base.join(text),
    }
}

//! Secrets, and what a rehearsal does with them.

use super::super::problem::{known, Place};
use super::super::raw::{At, Ordered, RawFrom, RawRegistry, RawRehearsal, RawRehearsalSecret, RawSecret};
use super::super::rule;
use super::super::settings::{DnsSettings, RehearsalSecret, RehearsalSettings, SecretContent, SecretSettings};
use super::{resolved, Checks};
use crate::world::SecretFrom;
use std::collections::BTreeMap;
use std::time::Duration;

impl Checks {
    /// Where a value comes from; paths become absolute.
    pub(super) fn source(&mut self, raw: At<RawFrom>) -> SecretFrom {
        let mut empty = |word: &str, what: &str| {
            self.add(raw.place, format!("{word}: names no {what}"), format!("write the {what}"));
        };
        match raw.value {
            RawFrom::Env(name) => {
                if !rule::is_variable(&name) {
                    let what = format!("\"{name}\" is no name of an environment variable");
                    self.add(raw.place, what, "use letters, digits and _, not beginning with a digit");
                }
                SecretFrom::Env(name)
            }
            RawFrom::Command(words) => {
                if words.first().is_none_or(String::is_empty) {
                    empty("command", "program");
                }
                SecretFrom::Command(words)
            }
            RawFrom::File(path) | RawFrom::Age(path) if path.is_empty() => {
                empty("file or age", "file");
                SecretFrom::File(path.into())
            }
            RawFrom::File(path) => SecretFrom::File(resolved(&self.base, &path)),
            RawFrom::Age(path) => SecretFrom::Age(resolved(&self.base, &path)),
            RawFrom::Prompt(text) => SecretFrom::Prompt(text),
            RawFrom::Value(text) => SecretFrom::Value(text),
        }
    }

    pub(super) fn secrets(&mut self, raw: Ordered<At<RawSecret>>) -> Vec<SecretSettings> {
        let mut secrets = Vec::new();
        for (key, At { place, value: raw }) in raw.0 {
            let named = self.object_name(&key.value, key.place, "secret");
            let content = match (raw.keys, raw.registry) {
                (Some(keys), None) => self.keys(&key, raw.kind, keys),
                (None, Some(registry)) => {
                    if let Some(kind) = raw.kind {
                        let what = format!("secret \"{}\" has a type beside registry", key.value);
                        self.add(kind.place, what, "leave type out: registry makes it kubernetes.io/dockerconfigjson");
                    }
                    self.registry(registry)
                }
                (keys, _) => {
                    let many = if keys.is_some() { "both keys and registry" } else { "neither keys nor registry" };
                    self.add(place, format!("secret \"{}\" has {many}", key.value), "write one of the two");
                    // Kept, so that what speaks of it is not said to speak of nothing.
                    SecretContent::Keys { kind: "Opaque".to_owned(), keys: BTreeMap::new() }
                }
            };
            if let Some((namespace, name)) = named {
                secrets.push(SecretSettings { namespace, name, content });
            }
        }
        secrets
    }

    fn keys(&mut self, of: &At<String>, kind: Option<At<String>>, raw: Ordered<At<RawFrom>>) -> SecretContent {
        if raw.0.is_empty() {
            self.add(of.place, format!("secret \"{}\" has no keys", of.value), "name at least one, or leave it out");
        }
        let kind = kind.map_or_else(
            || "Opaque".to_owned(),
            |k| self.filled(k, "the secret's type", "write a type, or leave it out for Opaque"),
        );
        SecretContent::Keys { kind, keys: self.sources(raw) }
    }

    fn sources(&mut self, raw: Ordered<At<RawFrom>>) -> BTreeMap<String, SecretFrom> {
        let mut sources = BTreeMap::new();
        for (key, from) in raw.0 {
            if !rule::is_secret_key(&key.value) {
                let what = format!("\"{}\" cannot be a key of a Secret", key.value);
                self.add(key.place, what, "use letters, digits, - _ and .");
            }
            let from = self.source(from);
            sources.insert(key.value, from);
        }
        sources
    }

    fn registry(&mut self, raw: RawRegistry) -> SecretContent {
        let host = raw.server.value.split(':').next().unwrap_or_default();
        if raw.server.value.contains('/') || !rule::is_domain(host) {
            let what = format!("\"{}\" is no host name of a registry", raw.server.value);
            self.add(raw.server.place, what, "write the host alone as images name it: registry.example.org");
        }
        let password = self.source(raw.password);
        SecretContent::Registry { server: raw.server.value, username: raw.username, password }
    }

    pub(super) fn rehearsal(
        &mut self,
        raw: RawRehearsal,
        secrets: &[SecretSettings],
        dns: &DnsSettings,
    ) -> RehearsalSettings {
        if let Some(budget) = raw.budget.as_ref().filter(|b| b.value <= 0.0) {
            self.add(
                budget.place,
                "rehearsal.budget allows nothing",
                "write what a rehearsal may cost in euro, such as 2.00",
            );
        }
        let expires_after = raw.expires_after.as_ref();
        let expires_after =
            expires_after.map(|t| self.limit(Some(t), "rehearsal.expires_after", Duration::from_secs(1)));
        if let Some(zone) = &raw.zone {
            self.test_zone(zone, dns);
        }
        let held = raw.hold_at_zero.iter().map(|h| (h.value.as_str(), h.place));
        self.unique("workload", held);
        let mut changed = BTreeMap::new();
        for (key, what) in raw.secrets.0 {
            let names: Vec<String> = secrets.iter().map(|s| format!("{}/{}", s.namespace, s.name)).collect();
            let Some(at) = names.iter().position(|n| *n == key.value) else {
                let remedy = known(&key.value, names.iter().map(String::as_str), "there are no secrets");
                self.add(key.place, format!("rehearsal.secrets names the unknown secret \"{}\"", key.value), remedy);
                continue;
            };
            let what = match what {
                RawRehearsalSecret::Shared => RehearsalSecret::SharedReadonly,
                RawRehearsalSecret::Overrides(raw) => {
                    let places: Vec<(String, Place)> = raw.0.iter().map(|(k, _)| (k.value.clone(), k.place)).collect();
                    if let Some(secret) = secrets.get(at) {
                        self.overridden(&key.value, secret, &places);
                    }
                    RehearsalSecret::Overrides(self.sources(raw))
                }
            };
            changed.insert(key.value, what);
        }
        let hold_at_zero = raw.hold_at_zero.into_iter().map(|h| h.value).collect();
        RehearsalSettings {
            budget: raw.budget.map(|b| b.value),
            expires_after,
            zone: raw.zone.map(|zone| zone.value),
            hold_at_zero,
            secrets: changed,
        }
    }

    /// A rehearsal can only give other values to keys that the Secret has.
    fn overridden(&mut self, name: &str, secret: &SecretSettings, keys: &[(String, Place)]) {
        let has: Vec<&str> = match &secret.content {
            SecretContent::Keys { keys, .. } => keys.keys().map(String::as_str).collect(),
            SecretContent::Registry { .. } => vec!["password"],
        };
        for (key, place) in keys.iter().filter(|(k, _)| !has.contains(&k.as_str())) {
            let what = format!("rehearsal.secrets: secret \"{name}\" has no key \"{key}\"");
            self.add(*place, what, known(key, has.iter().copied(), "it has none"));
        }
    }
}

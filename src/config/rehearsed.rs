//! The cluster as a rehearsal builds it: the same settings, but for what would act on the outside. Nothing later asks whether
//! it is a rehearsal: it finds other settings.
//!
//! Default is deny. A Secret's value is production's only where the configuration says that sharing it is harmless.

use super::settings::{RehearsalSecret, SecretContent, SecretSettings, Settings, SpareSettings};
use crate::world::SecretFrom;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// When a rehearsal's servers power themselves off where the configuration does not say.
const EXPIRES_AFTER: Duration = Duration::from_secs(4 * 3600);

/// Ports of mail: SMTP, and its submission with and without TLS.
const MAIL: [u16; 3] = [25, 465, 587];

/// What a rehearsal does with one thing that production has: a row of the table that preflight shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// `secret honeydue/app DATABASE_URL`, `workload worker`.
    pub what: String,
    /// How it differs.
    pub how: Differs,
}

/// How something differs in a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    /// Another value, from this source.
    Other(String),
    /// Production's value, by the mark `shared-readonly`.
    Shared,
    /// It does not run.
    Held,
    /// It is off.
    Off,
    /// It has another name.
    Named(String),
}

impl std::fmt::Display for Rehearsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.how {
            Differs::Other(from) => write!(f, "{}: another value, from {from}", self.what),
            Differs::Shared => write!(f, "{}: production's value (shared-readonly)", self.what),
            Differs::Held => write!(f, "{}: held at zero", self.what),
            Differs::Off => write!(f, "{}: off", self.what),
            Differs::Named(name) => write!(f, "{}: as {name}", self.what),
        }
    }
}

impl Settings {
    /// The settings of a rehearsal that is not begun: its names hold `<run>` where its id will be.
    ///
    /// # Errors
    /// As [`Settings::rehearsed_as`].
    pub fn rehearsed(&self) -> Result<Settings, Vec<String>> {
        self.rehearsed_as("<run>")
    }

    /// The settings of a rehearsal of this id, which its names hold where it has any.
    ///
    /// # Errors
    /// Every value that would be production's without a mark, each with what to write.
    pub fn rehearsed_as(&self, run: &str) -> Result<Settings, Vec<String>> {
        let (mut settings, mut table, mut missing) = (self.clone(), Vec::new(), Vec::new());
        for secret in &mut settings.secrets {
            let name = format!("{}/{}", secret.namespace, secret.name);
            match self.rehearsal.secrets.get(&name) {
                Some(RehearsalSecret::SharedReadonly) => {
                    table.push(Rehearsed { what: format!("secret {name}"), how: Differs::Shared });
                }
                Some(RehearsalSecret::Overrides(others)) => override_all(secret, &name, others, &mut table, &mut missing),
                None => missing.push(format!(
                    "secret {name} would hold production's values: add rehearsal.secrets.{name} with other values for all \
                     of its keys, or `{name}: shared-readonly` where a copy of this cluster can do no harm with it"
                )),
            }
        }
        self.written_secrets(&mut table, &mut missing);
        for name in &self.rehearsal.hold_at_zero {
            table.push(Rehearsed { what: format!("workload {name}"), how: Differs::Held });
        }
        if settings.k3s.snapshots.s3.take().is_some() {
            table.push(Rehearsed { what: "uploads of etcd snapshots".to_owned(), how: Differs::Off });
        }
        if std::mem::take(&mut settings.cloud.keep_addresses) {
            table.push(Rehearsed { what: "keeping of addresses".to_owned(), how: Differs::Off });
        }
        settings.manifests.inward = Some(self.rehearsal.hold_at_zero.clone());
        settings.dns.hosts = Vec::new();
        table.push(Rehearsed { what: format!("records of {}", self.dns.zone), how: Differs::Off });
        for (host, name) in self.test_names(run) {
            table.push(Rehearsed { what: format!("host {host}"), how: Differs::Named(name) });
        }
        table.push(Rehearsed { what: format!("ways out by TCP ports {}", words(&MAIL)), how: Differs::Off });
        settings.spare = Some(SpareSettings {
            expires_after: self.rehearsal.expires_after.unwrap_or(EXPIRES_AFTER),
            closed_ports: MAIL.to_vec(),
            budget: self.rehearsal.budget,
            apart_from: None,
            differs: table,
        });
        let names = self.test_names(run);
        settings.name_in_test_zone(names.iter().map(|(_, name)| name.clone()).collect());
        settings.ask_names(&names);
        settings.manifests.names = names;
        match missing.is_empty() {
            true => Ok(settings),
            false => Err(missing),
        }
    }
}

impl Settings {
    /// Secrets that stand in manifests: their values are production's, and there is no other source for them.
    fn written_secrets(&self, table: &mut Vec<Rehearsed>, missing: &mut Vec<String>) {
        // A manifest that cannot be read is preflight's to tell.
        for manifest in self.objects().unwrap_or_default() {
            let text = |pointer: &str| manifest.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if text("/kind") != "Secret" {
                continue;
            }
            let name = format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"));
            match self.rehearsal.secrets.get(&name) {
                Some(RehearsalSecret::SharedReadonly) => {
                    table.push(Rehearsed { what: format!("secret {name}"), how: Differs::Shared });
                }
                _ => missing.push(format!(
                    "{}:{}: secret {name} stands in a manifest, with production's values: move it to `secrets:`, or mark it \
                     `{name}: shared-readonly` in rehearsal.secrets",
                    manifest.file.display(),
                    manifest.line
                )),
            }
        }
    }
}

fn words(ports: &[u16]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn override_all(
    secret: &mut SecretSettings,
    name: &str,
    others: &BTreeMap<String, SecretFrom>,
    table: &mut Vec<Rehearsed>,
    missing: &mut Vec<String>,
) {
    let of: Vec<(&str, &mut SecretFrom)> = match &mut secret.content {
        SecretContent::Keys { keys, .. } => keys.iter_mut().map(|(key, from)| (key.as_str(), from)).collect(),
        SecretContent::Registry { password, .. } => vec![("password", password)],
    };
    for (key, from) in of {
        let what = format!("secret {name} {key}");
        match others.get(key) {
            Some(other) if other == from => missing.push(format!(
                "{what} has the same source in the rehearsal as in production ({from}): give it another"
            )),
            Some(other) => {
                table.push(Rehearsed { what, how: Differs::Other(other.to_string()) });
                *from = other.clone();
            }
            None => missing.push(format!(
                "{what} would be production's: add {key} to rehearsal.secrets.{name}, as `{key}: {{ value: rehearsal }}`"
            )),
        }
    }
}

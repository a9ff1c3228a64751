//! What is applied: the files named exist, and the workloads named are in them.

use super::super::manifests::ReadOnce;
use super::super::manifests::{namespaces, read, workload_names};
use super::super::problem::known;
use super::super::raw::{At, RawManifests, RawRehearsal};
use super::super::settings::ManifestSettings;
use super::{resolved, Checks};
use std::path::{Path, PathBuf};

/// Kinds that something else may provide.
const EXTERNAL: [&str; 5] = ["Secret", "ConfigMap", "Service", "ServiceAccount", "PersistentVolumeClaim"];

impl Checks {
    pub(super) fn manifests(
        &mut self,
        raw: RawManifests,
        traefik: Option<&Path>,
        rehearsal: Option<&RawRehearsal>,
        secrets: &[At<String>],
    ) -> ManifestSettings {
        self.some(&raw.paths, "manifests.paths", "name at least one file or directory, such as manifests/");
        self.unique("path", raw.paths.value.iter().map(|p| (p.value.trim_end_matches('/'), p.place)));
        let mut all_there = true;
        for path in &raw.paths.value {
            if !resolved(&self.base, &path.value).exists() {
                all_there = false;
                let what = format!("manifests.paths: {} does not exist", path.value);
                self.add(path.place, what, "name files and directories relative to this file");
            }
        }
        self.unique("workload", raw.order.iter().map(|o| (o.value.as_str(), o.place)));
        for external in &raw.external {
            let (kind, name) = external.value.split_once(' ').unwrap_or_default();
            if EXTERNAL.contains(&kind) {
                self.object_name(name, external.place, "manifests.external:");
            } else {
                let what = format!("manifests.external: \"{}\" names nothing that can be declared", external.value);
                self.add(
                    external.place,
                    what,
                    format!("write Kind namespace/name; kinds are: {}", EXTERNAL.join(", ")),
                );
            }
        }
        let plain = |list: Vec<At<String>>| list.into_iter().map(|v| v.value).collect();
        let named: Vec<At<String>> =
            raw.order.iter().chain(rehearsal.iter().flat_map(|r| &r.hold_at_zero)).cloned().collect();
        let paths = raw.paths.value.into_iter().map(|p| PathBuf::from(p.value)).collect();
        let settings = ManifestSettings {
            paths,
            order: plain(raw.order),
            external: plain(raw.external),
            inward: None,
            read: ReadOnce::default(),
        };
        if all_there {
            self.found(&settings, traefik, &named, secrets);
        }
        settings
    }

    /// The workloads named and the Secrets' namespaces must be in the manifests. Where one cannot be read this cannot be told;
    /// [`manifests`](crate::config::manifests()) says so.
    fn found(
        &mut self,
        settings: &ManifestSettings,
        traefik: Option<&Path>,
        named: &[At<String>],
        secrets: &[At<String>],
    ) {
        let Ok(documents) = read(&self.base, settings, traefik) else { return };
        let there = workload_names(&documents);
        for name in named.iter().filter(|n| !there.contains(&n.value.as_str())) {
            let what = format!("no manifest has a workload \"{}\"", name.value);
            self.add(name.place, what, known(&name.value, there.iter().copied(), "the manifests have no workload"));
        }
        let made = namespaces::made(&documents);
        for secret in secrets {
            let namespace = secret.value.split_once('/').map(|(namespace, _)| namespace);
            if let Some(namespace) = namespace.filter(|n| !made.contains(n)) {
                let what = format!("secret \"{}\": nothing makes the namespace \"{namespace}\"", secret.value);
                self.add(secret.place, what, namespaces::remedy(namespace, &made));
            }
        }
    }
}

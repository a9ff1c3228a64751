//! What is applied: the files named exist, and the workloads named are in them.

use super::super::manifests::ReadOnce;
use super::super::manifests::{kinds, namespaces, read, workload_names};
use super::super::problem::known;
use super::super::raw::{At, RawManifests, RawRehearsal};
use super::super::settings::{K3sSettings, ManifestSettings};
use super::{resolved, Checks};
use std::path::PathBuf;

/// Kinds that something else may provide, in a namespace.
const EXTERNAL: [&str; 6] = ["Secret", "ConfigMap", "Service", "ServiceAccount", "PersistentVolumeClaim", "Role"];
/// The same of the whole cluster.
const OF_CLUSTER: [&str; 5] =
    ["ClusterRole", "StorageClass", "IngressClass", "PriorityClass", "CustomResourceDefinition"];

impl Checks {
    pub(super) fn manifests(
        &mut self,
        raw: RawManifests,
        k3s: &K3sSettings,
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
            let of_cluster = OF_CLUSTER.contains(&kind) && !name.is_empty() && !name.contains('/');
            if EXTERNAL.contains(&kind) {
                self.object_name(name, external.place, "manifests.external:");
            } else if !of_cluster {
                let what = format!("manifests.external: \"{}\" names nothing that can be declared", external.value);
                let (homed, wide) = (EXTERNAL.join(", "), OF_CLUSTER.join(", "));
                let remedy = format!("write Kind namespace/name of {homed}, or Kind name of {wide}");
                self.add(external.place, what, remedy);
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
            names: Vec::new(),
            read: ReadOnce::default(),
        };
        if all_there {
            self.found(&settings, k3s, &named, secrets);
        }
        settings
    }

    /// The workloads named and the Secrets' namespaces must be in the manifests. Where one cannot be read this cannot be told;
    /// [`manifests`](crate::config::manifests()) says so. Where a kind is misspelt it may be why one is missing: then the kind is
    /// told instead.
    fn found(&mut self, settings: &ManifestSettings, k3s: &K3sSettings, named: &[At<String>], secrets: &[At<String>]) {
        let traefik = k3s.traefik.as_ref().map(|file| file.path.as_path());
        let Ok(documents) = read(&self.base, settings, traefik) else { return };
        let before = self.problems.0.len();
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
        let misspelt = kinds::check(&documents, &settings.external, &k3s.version);
        if self.problems.0.len() > before && !misspelt.is_empty() {
            self.problems.0.truncate(before);
            self.problems.0.extend(misspelt);
        }
    }
}

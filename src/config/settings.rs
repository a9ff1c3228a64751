//! What a validated configuration says. The rest of relight sees this and never the YAML.

use super::manifests::ReadOnce;
use super::yaml::Yaml;
use super::{Rehearsed, TakenDown};
use crate::world::SecretFrom;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A cluster, as `relight.yaml` describes it. Holds no secret, only where secrets come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The cluster's name: `honeydue`.
    pub cluster: String,
    /// Hetzner Cloud.
    pub cloud: CloudSettings,
    /// In the order written; the first starts the cluster.
    pub nodes: Vec<NodeSettings>,
    /// K3s.
    pub k3s: K3sSettings,
    /// Kubernetes Secrets to make.
    pub secrets: Vec<SecretSettings>,
    /// What is applied.
    pub manifests: ManifestSettings,
    /// Cloudflare.
    pub dns: DnsSettings,
    /// All must answer before a run succeeds; the first decides `first_answer_seconds`.
    pub health: Vec<HealthSettings>,
    /// How a rehearsal differs.
    pub rehearsal: RehearsalSettings,
    /// Set in a rehearsal's settings: its servers are spare ones.
    pub spare: Option<SpareSettings>,
    /// Set in the settings of a run that takes down what earlier runs made.
    pub taken_down: Option<TakenDown>,
    /// age recipients for secrets kept with the cluster's state; empty: kept 0600, unencrypted.
    pub recipients: Vec<String>,
    /// Limits of waiting.
    pub timeouts: Timeouts,
    /// The directory of `relight.yaml`: paths are relative to it.
    pub base: PathBuf,
}

/// Hetzner Cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudSettings {
    /// In order of preference.
    pub server_types: Vec<String>,
    /// In order; all nodes together where possible.
    pub locations: Vec<String>,
    /// `ubuntu-24.04`.
    pub image: String,
    /// Whether nodes talk over a private network or over their public addresses.
    pub network: NetworkSettings,
    /// Public keys of people who may log in, in OpenSSH's form: read from the files that the configuration names.
    pub authorized_keys: Vec<String>,
    /// The user that relight and people log in as.
    pub user: String,
    /// CIDRs that may reach 6443 directly; empty: through SSH alone.
    pub api_access: Vec<String>,
    /// Whether the nodes' addresses outlive their servers, and are taken up again.
    pub keep_addresses: bool,
}

/// How nodes talk to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkSettings {
    /// Over a private network of this range.
    Private {
        /// `10.0.0.0/16`.
        range: String,
        /// `eu-central`.
        zone: String,
    },
    /// Over public addresses.
    Public,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// The key in `nodes:`; step ids use it.
    pub key: String,
    /// Kubernetes node labels.
    pub labels: BTreeMap<String, String>,
}

/// K3s.
#[derive(Debug, Clone, PartialEq)]
pub struct K3sSettings {
    /// `v1.34.6+k3s1`.
    pub version: String,
    /// SHA-256 of the release's binary, where pinned here; else taken from the release's checksum file and frozen in the run.
    pub sha256: Option<String>,
    /// Encrypt Secrets in etcd.
    pub secrets_encryption: bool,
    /// etcd snapshots.
    pub snapshots: SnapshotSettings,
    /// Traefik's HelmChartConfig, written to every server before its first start.
    pub traefik: Option<TraefikFile>,
    /// `10.42.0.0/16`.
    pub pod_cidr: String,
    /// `10.43.0.0/16`.
    pub service_cidr: String,
}

/// Traefik's HelmChartConfig, read once with the configuration so that all nodes get the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraefikFile {
    /// As the configuration names it, relative to it.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

impl TraefikFile {
    /// The chart's values in it.
    pub fn values(&self) -> Option<String> {
        let documents = Yaml::documents(&self.path, &self.text).ok()?;
        documents.iter().find_map(|d| d.at(&["spec", "valuesContent"]).and_then(Yaml::text).map(str::to_owned))
    }
}

/// etcd snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Cron: `0 */6 * * *`.
    pub schedule: String,
    /// Kept per node.
    pub retention: u32,
    /// S3-compatible storage.
    pub s3: Option<S3Settings>,
}

/// Where snapshots are uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Host without scheme.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// Region, where the storage wants one.
    pub region: Option<String>,
    /// Folder in the bucket.
    pub folder: Option<String>,
    /// Access key.
    pub access_key: SecretFrom,
    /// Secret key.
    pub secret_key: SecretFrom,
}

/// One Kubernetes Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSettings {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What it holds.
    pub content: SecretContent,
}

/// What a Kubernetes Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretContent {
    /// `Opaque`, or the given type: keys and where their values come from.
    Keys {
        /// `Opaque`.
        kind: String,
        /// By key.
        keys: BTreeMap<String, SecretFrom>,
    },
    /// `kubernetes.io/dockerconfigjson`.
    Registry {
        /// `gitea.example.org`.
        server: String,
        /// User name.
        username: String,
        /// Password.
        password: SecretFrom,
    },
}

/// What is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestSettings {
    /// Files and directories (every `*.yaml`, `*.yml`, `*.json` in them, not deeper), in order. The Traefik file of
    /// [`K3sSettings::traefik`] is left out: it goes to the nodes' disks alone.
    pub paths: Vec<PathBuf>,
    /// Workloads by name; each waits until the one before is ready.
    pub order: Vec<String>,
    /// What something else provides: `Kind namespace/name`, of a Secret, `ConfigMap`, Service, `ServiceAccount`,
    /// `PersistentVolumeClaim` or Role; `Kind name`, of a `ClusterRole`, `StorageClass`, `IngressClass`, `PriorityClass` or
    /// `CustomResourceDefinition`.
    pub external: Vec<String>,
    /// In a rehearsal: the workloads that stay at zero; nothing else may act on the outside either.
    pub inward: Option<Vec<String>>,
    /// In a rehearsal that has names: those of production, each with the one that stands for it.
    pub names: Vec<(String, String)>,
    /// What [`Settings::objects`] has read.
    pub read: ReadOnce,
}

/// Cloudflare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Zone name.
    pub zone: String,
    /// The zone's SSL mode as it should be: `flexible`.
    pub ssl: Option<String>,
    /// Whether the edge stands before the nodes.
    pub proxied: bool,
    /// Names that get an A record on every node.
    pub hosts: Vec<String>,
}

/// One health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Through the edge as written; directly on a node by plain HTTP with the URL's host as Host header.
    pub url: String,
    /// Expected status.
    pub status: u16,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// How long it must answer without a failure.
    pub stable_for: Duration,
}

/// How a rehearsal differs from a live run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RehearsalSettings {
    /// Euro.
    pub budget: Option<f64>,
    /// When its servers power themselves off.
    pub expires_after: Option<Duration>,
    /// The zone in which it has names for its time; `None`: it has none.
    pub zone: Option<String>,
    /// Workloads that stay at zero replicas.
    pub hold_at_zero: Vec<String>,
    /// By `namespace/name`.
    pub secrets: BTreeMap<String, RehearsalSecret>,
}

/// What a cluster of spare servers has that production has not.
#[derive(Debug, Clone, PartialEq)]
pub struct SpareSettings {
    /// Its servers power themselves off after this time, and may be deleted by anybody who sweeps.
    pub expires_after: Duration,
    /// TCP ports that nothing in it reaches outside: mail would go to people.
    pub closed_ports: Vec<u16>,
    /// Euro, net; a forecast above it is refused.
    pub budget: Option<f64>,
    /// Production's zone, where it has names of its own in another one; `None`: it has no names.
    pub apart_from: Option<String>,
    /// How it differs from production, a row a thing.
    pub differs: Vec<Rehearsed>,
}

/// What a rehearsal does with one Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RehearsalSecret {
    /// Production's value may be used.
    SharedReadonly,
    /// These keys have other values.
    Overrides(BTreeMap<String, SecretFrom>),
}

/// Limits of waiting. `connect` and `probe` are wall time; `step` is the clock's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, TLS and SSH connects.
    pub connect: Duration,
    /// One read-only request: a control plane without quorum hangs rather than refuses.
    pub probe: Duration,
    /// A step whose playbook names no deadline.
    pub step: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), probe: Duration::from_secs(10), step: Duration::from_secs(600) }
    }
}

impl HealthSettings {
    /// The host of its URL, and what stands behind it. (A name that only stands for a run's that is not begun makes no URL.)
    pub fn host(&self) -> (&str, &str) {
        let rest = self.url.strip_prefix("https://").unwrap_or(&self.url);
        rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
    }
}

impl Settings {
    /// The node of this key.
    pub fn node(&self, key: &str) -> Option<&NodeSettings> {
        self.nodes.iter().find(|n| n.key == key)
    }
    /// The node that starts the cluster.
    pub fn first(&self) -> Option<&NodeSettings> {
        self.nodes.first()
    }
}

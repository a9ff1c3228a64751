//! What a cluster is made of: nodes, K3s, secrets, manifests.

use super::{At, Ordered, RawCloud, RawDns, RawFrom, RawHealth, RawRehearsal};
use schemars::JsonSchema;
use serde::Deserialize;

/// A K3s cluster on Hetzner Cloud behind Cloudflare, as relight rebuilds it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "relight.yaml")]
pub(in super::super) struct RawSettings {
    /// The cluster's name: at most 63 lower-case letters, digits and hyphens. Servers are named `<cluster>-<node>`.
    pub cluster: At<String>,
    /// Hetzner Cloud. The token comes from HCLOUD_TOKEN, a rehearsal's from HCLOUD_TOKEN_REHEARSAL.
    pub cloud: RawCloud,
    /// The nodes by name, all of them servers of K3s: 1, 3 or 5, because etcd needs a majority. The first one starts
    /// the cluster.
    pub nodes: At<Ordered<Option<RawNode>>>,
    /// K3s.
    pub k3s: RawK3s,
    /// Kubernetes Secrets to make, by `namespace/name`.
    #[serde(default)]
    pub secrets: Ordered<At<RawSecret>>,
    /// What is applied to the cluster.
    pub manifests: RawManifests,
    /// Cloudflare. The token comes from CLOUDFLARE_API_TOKEN.
    pub dns: RawDns,
    /// What must answer before a run has succeeded. The first one tells when the cluster serves again.
    pub health: At<Vec<RawHealth>>,
    /// How a rehearsal differs from a live run.
    pub rehearsal: Option<RawRehearsal>,
    /// age recipients (`age1...`) for the secrets that relight makes and keeps with its state. Without any they are
    /// kept unencrypted, readable by you alone.
    #[serde(default)]
    pub recipients: Vec<At<String>>,
    /// Limits of waiting.
    pub timeouts: Option<RawTimeouts>,
}

/// One node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Node")]
pub(in super::super) struct RawNode {
    /// Kubernetes labels of the node.
    #[serde(default)]
    pub labels: Ordered<At<String>>,
}

/// K3s.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "K3s")]
pub(in super::super) struct RawK3s {
    /// The release: `v1.34.6+k3s1`.
    pub version: At<String>,
    /// SHA-256 of the release's binary for amd64. Default: taken from the release's own checksum file and frozen in
    /// the run.
    pub sha256: Option<At<String>>,
    /// Encrypt Secrets in etcd. Can only be chosen for a new cluster. Default: true.
    pub secrets_encryption: Option<bool>,
    /// etcd snapshots. Default: every 12 hours, 5 kept per node, on the nodes alone.
    pub snapshots: Option<RawSnapshots>,
    /// The file with Traefik's HelmChartConfig. It is put on every server's disk before K3s starts first, and not
    /// applied.
    pub traefik: Option<At<String>>,
    /// The pods' addresses. Default: 10.42.0.0/16.
    pub pod_cidr: Option<At<String>>,
    /// The Services' addresses. Default: 10.43.0.0/16.
    pub service_cidr: Option<At<String>>,
}

/// etcd snapshots.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Snapshots")]
pub(in super::super) struct RawSnapshots {
    /// When, as five fields of cron. Default: `0 */12 * * *`.
    pub schedule: Option<At<String>>,
    /// How many each node keeps. Default: 5.
    pub retention: Option<At<u32>>,
    /// S3-compatible storage to upload them to. Without it the snapshots are lost with the nodes.
    pub s3: Option<RawS3>,
}

/// S3-compatible storage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "S3")]
pub(in super::super) struct RawS3 {
    /// Host name without scheme: `s3.eu-central-003.backblazeb2.com`.
    pub endpoint: At<String>,
    /// Bucket.
    pub bucket: At<String>,
    /// Region, where the storage wants one.
    pub region: Option<At<String>>,
    /// Folder in the bucket.
    pub folder: Option<At<String>>,
    /// Access key.
    pub access_key: At<RawFrom>,
    /// Secret key.
    pub secret_key: At<RawFrom>,
}

/// A Kubernetes Secret: either `keys` or `registry`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Secret")]
pub(in super::super) struct RawSecret {
    /// The Secret's type, with `keys`. Default: Opaque.
    #[serde(rename = "type")]
    pub kind: Option<At<String>>,
    /// Its keys, and where their values come from.
    pub keys: Option<Ordered<At<RawFrom>>>,
    /// The login of an image registry; makes a Secret of type kubernetes.io/dockerconfigjson.
    pub registry: Option<RawRegistry>,
}

/// The login of an image registry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Registry")]
pub(in super::super) struct RawRegistry {
    /// Host name, with a port where it needs one.
    pub server: At<String>,
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: At<RawFrom>,
}

/// What is applied to the cluster.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Manifests")]
pub(in super::super) struct RawManifests {
    /// Files and directories, relative to this file. Of a directory every *.yaml, *.yml and *.json in it, not deeper.
    pub paths: At<Vec<At<String>>>,
    /// Workloads by name, each of which waits until the one before is ready. Everything else is ordered by kind.
    #[serde(default)]
    pub order: Vec<At<String>>,
    /// What something else provides: `Kind namespace/name`, of a Secret, ConfigMap, Service, ServiceAccount,
    /// PersistentVolumeClaim or Role; `Kind name`, of a ClusterRole, StorageClass, IngressClass, PriorityClass or
    /// CustomResourceDefinition.
    #[serde(default)]
    pub external: Vec<At<String>>,
}

/// Limits of waiting.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Timeouts")]
pub(in super::super) struct RawTimeouts {
    /// TCP, TLS and SSH connects. Default: 5s.
    pub connect: Option<At<String>>,
    /// One read-only request: a control plane without quorum hangs rather than refuses. Default: 10s.
    pub probe: Option<At<String>>,
    /// A step whose playbook names no deadline. Default: 10m.
    pub step: Option<At<String>>,
}

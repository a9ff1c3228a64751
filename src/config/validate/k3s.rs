//! K3s.

use super::super::problem::Place;
use super::super::raw::{At, RawK3s, RawS3, RawSnapshots};
use super::super::rule::{self, Range};
use super::super::settings::{K3sSettings, NetworkSettings, S3Settings, SnapshotSettings, TraefikFile};
use super::{resolved, Checks};
use std::path::PathBuf;

impl Checks {
    pub(super) fn k3s(&mut self, raw: RawK3s, network: &NetworkSettings) -> K3sSettings {
        if !rule::is_k3s_version(&raw.version.value) {
            let what = format!("k3s.version \"{}\" is no release of K3s", raw.version.value);
            self.add(raw.version.place, what, "write it as the release's tag has it: v1.34.6+k3s1");
        }
        if let Some(digest) = &raw.sha256 {
            if digest.value.len() != 64 || !digest.value.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
                let what = "k3s.sha256 is no SHA-256 digest";
                self.add(
                    digest.place,
                    what,
                    "write the 64 lower-case hexadecimal digits of the release's checksum file",
                );
            }
        }
        let default = |text: &str| At { place: raw.version.place, value: text.to_owned() };
        let pods = raw.pod_cidr.unwrap_or_else(|| default("10.42.0.0/16"));
        let services = raw.service_cidr.unwrap_or_else(|| default("10.43.0.0/16"));
        self.apart(&pods, &services, network);
        let traefik = raw.traefik.map(|file| self.traefik(&file));
        K3sSettings {
            version: raw.version.value,
            sha256: raw.sha256.map(|d| d.value),
            secrets_encryption: raw.secrets_encryption.unwrap_or(true),
            snapshots: self.snapshots(raw.snapshots),
            traefik,
            pod_cidr: pods.value,
            service_cidr: services.value,
        }
    }

    /// Pods, Services and nodes must not share addresses.
    fn apart(&mut self, pods: &At<String>, services: &At<String>, network: &NetworkSettings) {
        let pod_range = self.range(pods, "k3s.pod_cidr");
        let service_range = self.range(services, "k3s.service_cidr");
        let mut share = |place: Place, a: Option<Range>, b: Option<Range>, what: &str| {
            if let (Some(a), Some(b)) = (a, b) {
                if a.overlaps(b) {
                    self.add(
                        place,
                        format!("{what} share addresses ({a} and {b})"),
                        "choose ranges apart from each other",
                    );
                }
            }
        };
        share(services.place, pod_range, service_range, "k3s.pod_cidr and k3s.service_cidr");
        if let NetworkSettings::Private { range, .. } = network {
            share(pods.place, pod_range, Range::read(range), "k3s.pod_cidr and the private network");
            share(services.place, service_range, Range::read(range), "k3s.service_cidr and the private network");
        }
    }

    fn traefik(&mut self, file: &At<String>) -> TraefikFile {
        let text = std::fs::read_to_string(resolved(&self.base, &file.value)).unwrap_or_else(|why| {
            let why = match why.kind() {
                std::io::ErrorKind::NotFound => "does not exist".to_owned(),
                _ => format!("cannot be read: {why}"),
            };
            let what = format!("k3s.traefik: the file {} {why}", file.value);
            self.add(file.place, what, "name the file with Traefik's HelmChartConfig, relative to this file");
            String::new()
        });
        TraefikFile { path: PathBuf::from(&file.value), text }
    }

    fn snapshots(&mut self, raw: Option<RawSnapshots>) -> SnapshotSettings {
        let raw = raw.unwrap_or(RawSnapshots { schedule: None, retention: None, s3: None });
        let schedule = raw.schedule.map(|schedule| {
            if !rule::is_cron(&schedule.value) {
                let what = format!("k3s.snapshots.schedule \"{}\" is no cron schedule", schedule.value);
                self.add(
                    schedule.place,
                    what,
                    "write five fields: minute, hour, day, month, weekday, as \"0 */6 * * *\"",
                );
            }
            schedule.value
        });
        if let Some(At { place, value: 0 }) = raw.retention {
            self.add(place, "k3s.snapshots.retention is 0", "keep at least one");
        }
        SnapshotSettings {
            schedule: schedule.unwrap_or_else(|| "0 */12 * * *".into()),
            retention: raw.retention.map_or(5, |r| r.value),
            s3: raw.s3.map(|s3| self.s3(s3)),
        }
    }

    fn s3(&mut self, raw: RawS3) -> S3Settings {
        let host = raw.endpoint.value.split(':').next().unwrap_or_default();
        if raw.endpoint.value.contains("://") || !rule::is_domain(host) {
            let what = format!("k3s.snapshots.s3.endpoint \"{}\" is no host name", raw.endpoint.value);
            self.add(raw.endpoint.place, what, "write the host alone, without https:// and path");
        }
        S3Settings {
            endpoint: raw.endpoint.value,
            bucket: self.filled(raw.bucket, "k3s.snapshots.s3.bucket", "name the bucket"),
            region: raw.region.map(|r| r.value),
            folder: raw.folder.map(|f| f.value),
            access_key: self.source(raw.access_key),
            secret_key: self.source(raw.secret_key),
        }
    }
}

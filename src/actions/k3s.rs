//! `k3s.digest`, `k3s.install`, `k3s.start`, `k3s.voters`, `kubeconfig.fetch`: from a hardened node to a control plane.

use super::access::{self, K3S_TOKEN, KUBECONFIG};
use super::members;
use super::node::{node_name, well};
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::NetworkSettings;
use crate::world::{self, Class, Ended, Error, Get, Result, Secret, Target};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Where K3s publishes its releases; a release has a checksum file beside the binary.
/// Source: K3s' install script (GITHUB_URL, `sha256sum-amd64.txt`).
const RELEASES: &str = "https://github.com/k3s-io/k3s/releases/download";

/// How `k3s.sh install` ends where K3s runs and all that differs takes a restart.
const TAKES_A_RESTART: i32 = 12;
/// Its words where more differs.
const NOT_UNDER_IT: &str = "is not changed under it";
/// What a person does then.
const TAKE_BACK: &str = "take the change of `k3s` in relight.yaml (or of relight's version, or of the secret) back, then \
     `relight resume`: the run can finish with what K3s was started with, and a running cluster be changed by hand after it";

/// Fetches the digest of the pinned release's binary once, so that all nodes run the same.
pub(super) struct ReleaseDigest;

impl ReleaseDigest {
    fn url(place: &Place<'_>) -> String {
        format!("{RELEASES}/{}/sha256sum-amd64.txt", place.settings.k3s.version.replace('+', "%2B"))
    }

    /// Release files are behind redirects to a storage host.
    async fn fetch(cx: &StepContext<'_>) -> Result<String> {
        let mut url = Self::url(&cx.place);
        for _ in 0..5 {
            let get = Get { url: url.clone(), node: None, timeout: cx.settings().timeouts.probe };
            let reply = cx.world.http.get(&get).await?;
            match (reply.status, reply.location) {
                (200, _) => return Ok(String::from_utf8_lossy(&reply.body).into_owned()),
                (301 | 302 | 303 | 307 | 308, Some(next)) => url = next,
                (404, _) => {
                    return Err(
                        Error::fatal(format!("{url} does not exist")).remedy("check `k3s.version` in relight.yaml")
                    )
                }
                (status, _) => return Err(Error::transient(format!("{url} answers {status}"))),
            }
        }
        Err(Error::fatal(format!("{url} redirects for ever")).remedy("pin `k3s.sha256` in relight.yaml"))
    }
}

#[async_trait]
impl Action for ReleaseDigest {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("pin the digest of K3s {}, make the cluster's token", place.settings.k3s.version)
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "version": place.settings.k3s.version, "sha256": place.settings.k3s.sha256 })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::K3sDigest, FactKind::K3sVersion]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        if access::kept(cx, K3S_TOKEN).await?.is_none() {
            return Ok(Check::Needed("the cluster's token".to_owned()));
        }
        let version = &cx.settings().k3s.version;
        let facts = Facts::none().with(FactKind::K3sVersion, version);
        let done = |digest: &str| Ok(Check::Done(facts.clone().with(FactKind::K3sDigest, digest)));
        if let Some(pinned) = &cx.settings().k3s.sha256 {
            return done(pinned);
        }
        // Frozen, so that all nodes run the same: for the version that it was fetched for.
        let same = cx.facts.find(FactKind::K3sVersion, None) == Some(version);
        if let Some(frozen) = cx.facts.find(FactKind::K3sDigest, None).filter(|_| same) {
            return done(frozen);
        }
        let list = Self::fetch(cx).await?;
        let line = list.lines().find_map(|line| line.strip_suffix(" k3s").map(str::trim));
        match line.filter(|digest| digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit())) {
            Some(digest) => done(digest),
            None => {
                Err(Error::fatal("the release's checksum file names no k3s").remedy("pin `k3s.sha256` in relight.yaml"))
            }
        }
    }
    /// The token is made here, by one step, before several nodes ask for it at once.
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let seed = access::random_seed(cx);
        access::kept_or(cx, K3S_TOKEN, || Ok(Secret::new(hex::encode(seed)))).await.map(|_| ())
    }
}

/// The state, and why, where the node tells.
fn told(state: &str, why: &str) -> String {
    if why.is_empty() {
        return state.to_owned();
    }
    format!("{state}: {why}")
}

/// What of K3s a step brings about on its node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnNode {
    /// Binary, unit and configuration are there.
    Install,
    /// It runs, and its API server answers.
    Start,
}

impl OnNode {
    /// The node that this one joins by the plan; the first one joins nobody.
    fn joins(cx: &StepContext<'_>, node: &str) -> Result<Option<String>> {
        let first = access::first(cx)?;
        Ok((node != first).then(|| first.to_owned()))
    }

    async fn config(cx: &StepContext<'_>, node: &str, token: &str, joins: Option<&str>) -> Result<Value> {
        let settings = cx.settings();
        // Its own addresses alone: others' may change while it runs, and K3s serves theirs all the same (`tls-san-security`
        // lets every server node's through).
        let mut san = vec![
            cx.facts.address(FactKind::NodeAddress, node)?.to_string(),
            cx.facts.address(FactKind::PeerAddress, node)?.to_string(),
        ];
        san.dedup();
        let mut config = json!({
            // Else K3s takes the external address, and `kubernetes.default` leads pods to where the firewalls are closed.
            // Source: k3s `pkg/cli/server/server.go`, advertise-ip; k3s#2963.
            "advertise-address": cx.facts.address(FactKind::PeerAddress, node)?.to_string(),
            "token": token,
            "node-name": cx.place.server_name(node),
            "node-ip": cx.facts.address(FactKind::PeerAddress, node)?.to_string(),
            "node-external-ip": cx.facts.address(FactKind::NodeAddress, node)?.to_string(),
            "tls-san": san,
            "cluster-cidr": settings.k3s.pod_cidr,
            "service-cidr": settings.k3s.service_cidr,
            "secrets-encryption": settings.k3s.secrets_encryption,
            "disable": ["servicelb"],
            "write-kubeconfig-mode": "0600",
            "etcd-snapshot-schedule-cron": settings.k3s.snapshots.schedule,
            "etcd-snapshot-retention": settings.k3s.snapshots.retention,
            "kubelet-arg": ["container-log-max-size=10Mi", "container-log-max-files=3"],
        });
        let Some(map) = config.as_object_mut() else { return Ok(config) };
        match joins {
            None => map.insert("cluster-init".to_owned(), json!(true)),
            Some(other) => {
                let server = cx.facts.address(FactKind::PeerAddress, other)?;
                map.insert("server".to_owned(), json!(format!("https://{server}:6443")))
            }
        };
        if matches!(settings.cloud.network, NetworkSettings::Public) {
            map.insert("flannel-external-ip".to_owned(), json!(true));
        }
        if let Some(s3) = &settings.k3s.snapshots.s3 {
            let text = |secret: Secret| secret.expose_str().unwrap_or_default().to_owned();
            map.insert("etcd-s3".to_owned(), json!(true));
            map.insert("etcd-s3-endpoint".to_owned(), json!(s3.endpoint));
            map.insert("etcd-s3-bucket".to_owned(), json!(s3.bucket));
            map.insert("etcd-s3-access-key".to_owned(), json!(text(cx.world.secrets.resolve(&s3.access_key).await?)));
            map.insert("etcd-s3-secret-key".to_owned(), json!(text(cx.world.secrets.resolve(&s3.secret_key).await?)));
            for (key, value) in [("etcd-s3-region", &s3.region), ("etcd-s3-folder", &s3.folder)] {
                value.as_ref().map(|v| map.insert(key.to_owned(), json!(v)));
            }
        }
        Ok(config)
    }

    async fn input(cx: &StepContext<'_>, node: &str, joins: Option<&str>) -> Result<BTreeMap<String, Secret>> {
        let missing =
            || Error::fatal("the cluster's token is missing from the run's secrets").remedy("start a new run");
        let token = access::kept(cx, K3S_TOKEN).await?.ok_or_else(missing)?;
        let config = Self::config(cx, node, token.expose_str().unwrap_or_default(), joins).await?;
        let k3s = &cx.settings().k3s;
        let traefik = k3s.traefik.as_ref().map(|file| file.text.clone()).unwrap_or_default();
        let role = if joins.is_none() { "first" } else { "join" };
        let url = format!("{RELEASES}/{}/k3s", k3s.version.replace('+', "%2B"));
        let pairs = [
            ("VERSION", k3s.version.clone()),
            ("SHA256", cx.facts.text(FactKind::K3sDigest, None)?.to_owned()),
            ("URL", url),
            ("CONFIG_JSON", config.to_string()),
            ("TRAEFIK", traefik),
            ("ROLE", role.to_owned()),
        ];
        Ok(pairs.into_iter().map(|(key, value)| (key.to_owned(), Secret::new(value))).collect())
    }

    async fn look(cx: &StepContext<'_>, node: &str, joins: Option<&str>) -> Result<Ended> {
        let host = access::host(cx, node).await?;
        let script = access::script(cx, "k3s.sh", "check", Self::input(cx, node, joins).await?)?;
        well("k3s.sh", "check", cx.world.shell.look(&host, &script).await?)
    }

    /// What is on the node, and whom it joins. Where an etcd datastore is on its disk, that is settled and nothing changes it.
    async fn found(cx: &StepContext<'_>) -> Result<(Ended, Option<String>)> {
        let node = &cx.node()?.key;
        let joins = Self::joins(cx, node)?;
        let ended = Self::look(cx, node, joins.as_deref()).await?;
        let anew = joins.is_none() && members::replaced(cx, node) && ended.value("datastore") == Some("no");
        match if anew { members::living(cx).await? } else { None } {
            None => Ok((ended, joins)),
            Some(other) => Ok((Self::look(cx, node, Some(&other)).await?, Some(other))),
        }
    }

    async fn run(cx: &StepContext<'_>, verb: &str, joins: Option<&str>) -> Result<Ended> {
        let node = &cx.node()?.key;
        let host = access::host(cx, node).await?;
        let script = access::script(cx, "k3s.sh", verb, Self::input(cx, node, joins).await?)?;
        let permit = cx.effects.permit(Target::Node { address: host.address }, &format!("k3s.sh {verb}")).await?;
        cx.world.shell.run(&permit, &host, &script).await
    }

    /// Restarts go through the nodes in their order: each earlier one that is of a cluster is as configured and ready again, so
    /// that etcd keeps its majority. Later ones are not asked: they may wait for this one themselves.
    async fn is_its_turn(cx: &StepContext<'_>) -> Result<()> {
        let this = &cx.node()?.key;
        let known = |node: &&String| {
            [FactKind::HostKey, FactKind::PeerAddress].iter().all(|kind| cx.facts.find(*kind, Some(node)).is_some())
        };
        let nodes = cx.settings().nodes.iter().map(|n| &n.key);
        for earlier in nodes.take_while(|node| *node != this).filter(known) {
            let unsure = |e: Error| Error::transient(format!("whether K3s on {earlier} is well: {}", e.what));
            let ended = Self::look(cx, earlier, Self::joins(cx, earlier)?.as_deref()).await.map_err(unsure)?;
            let is = |key: &str, value: &str| ended.value(key) == Some(value);
            if is("datastore", "yes") && !(is("state", "running") && is("ready", "yes")) {
                return Err(Error::transient(format!(
                    "K3s is restarted on one node after the other; {earlier} is not ready"
                )));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Action for OnNode {
    fn describe(&self, place: &Place<'_>) -> String {
        let first = place.settings.first().map(|n| &n.key) == place.node.map(|n| &n.key);
        let (node, version) = (node_name(place), &place.settings.k3s.version);
        match (self, first) {
            (Self::Install, _) => format!("install K3s {version} on {node}"),
            (Self::Start, true) => format!("start the cluster on {node}"),
            (Self::Start, false) => format!("join {node} to the cluster"),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        let k3s = &place.settings.k3s;
        json!({
            "version": k3s.version, "cidrs": [k3s.pod_cidr, k3s.service_cidr], "encryption": k3s.secrets_encryption,
            "snapshots": format!("{:?}", k3s.snapshots),
            "traefik": k3s.traefik.as_ref().map(|file| world::sha256_hex(file.text.as_bytes())),
            "script": place.scripts.get("k3s.sh").map(|b| world::sha256_hex(b.as_bytes())),
        })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::PeerAddress, FactKind::K3sDigest]
    }
    fn needs_secrets(&self) -> bool {
        matches!(self, Self::Install)
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let (ended, _) = Self::found(cx).await?;
        let why = ended.value("why").unwrap_or_default().to_owned();
        let state = ended.value("state").unwrap_or_default().to_owned();
        let ready = ended.value("ready") == Some("yes");
        Ok(match (self, state.as_str()) {
            (_, "absent") => Check::Needed("K3s is not installed".to_owned()),
            (_, "differs") => Check::Needed(format!("K3s is not as configured: {why}")),
            (Self::Install, _) => Check::Done(Facts::none()),
            (Self::Start, "running") if ready => Check::Done(Facts::none()),
            (Self::Start, "running" | "starting") => {
                let alone = members::without_majority(cx).await?;
                Check::Pending(alone.unwrap_or_else(|| told("K3s is starting", &why)))
            }
            (Self::Start, "installed" | "failed") => Check::Needed(told("K3s does not run", &why)),
            (Self::Start, other) => Check::Refused(format!("k3s.sh check told an unknown state {other}")),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let verb = match self {
            Self::Install => "install",
            Self::Start => "start",
        };
        let mut joins = Self::joins(cx, &cx.node()?.key)?;
        if members::replaced(cx, &cx.node()?.key) {
            let (ended, other) = Self::found(cx).await?;
            joins = other;
            if let (Self::Start, Some(other), Some("no")) = (self, &joins, ended.value("datastore")) {
                members::forget(cx, other).await?;
            }
        }
        let ended = Self::run(cx, verb, joins.as_deref()).await?;
        let unchanged = |error: Error| match error.what.contains(NOT_UNDER_IT) {
            true => error.remedy(TAKE_BACK),
            false => error,
        };
        if ended.exit != TAKES_A_RESTART {
            return well("k3s.sh", verb, ended).map(|_| ()).map_err(unchanged);
        }
        Self::is_its_turn(cx).await?;
        well("k3s.sh", "change", Self::run(cx, "change", joins.as_deref()).await?).map(|_| ()).map_err(unchanged)
    }
}

/// Waits until every node is a voting member of etcd.
pub(super) struct Voters;

#[async_trait]
impl Action for Voters {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("wait for {} voting etcd members", place.settings.nodes.len())
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "nodes": place.settings.nodes.len() })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let host = access::host(cx, access::first(cx)?).await?;
        let script = access::script(cx, "etcd.sh", "check", BTreeMap::new())?;
        let ended = well("etcd.sh", "check", cx.world.shell.look(&host, &script).await?)?;
        let count = |key: &str| ended.value(key).and_then(|v| v.parse::<usize>().ok()).unwrap_or_default();
        let (voters, learners, wanted) = (count("voters"), count("learners"), cx.settings().nodes.len());
        Ok(match voters == wanted && learners == 0 {
            true => Check::Done(Facts::none()),
            false => Check::Pending(format!("{voters} of {wanted} etcd members vote, {learners} learn")),
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Fetches the admin kubeconfig into the run's secrets.
pub(super) struct Kubeconfig;

impl Kubeconfig {
    async fn fetch(cx: &StepContext<'_>) -> Result<Option<Secret>> {
        let host = access::host(cx, access::first(cx)?).await?;
        let script = access::script(cx, "kubeconfig.sh", "check", BTreeMap::new())?;
        match cx.world.shell.look(&host, &script).await {
            Ok(ended) if ended.exit == 0 && !ended.stdout.trim().is_empty() => Ok(Some(Secret::new(ended.stdout))),
            Ok(_) => Ok(None),
            Err(error) if error.class == Class::Transient => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Action for Kubeconfig {
    fn describe(&self, _place: &Place<'_>) -> String {
        "fetch the admin kubeconfig into the run's secrets".to_owned()
    }
    fn inputs(&self, _place: &Place<'_>) -> Value {
        json!({})
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::Kubeconfig]
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let Some(wanted) = Self::fetch(cx).await? else {
            return Ok(Check::Pending("the kubeconfig is not there yet".to_owned()));
        };
        let kept = access::kept(cx, KUBECONFIG).await?;
        if kept.as_ref().map(Secret::expose) != Some(wanted.expose()) {
            return Ok(Check::Needed("the kubeconfig".to_owned()));
        }
        Ok(Check::Done(Facts::none().with(FactKind::Kubeconfig, world::sha256_hex(wanted.expose()))))
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let gone = || Error::transient("the kubeconfig is not there");
        let kubeconfig = Self::fetch(cx).await?.ok_or_else(gone)?;
        access::keep(cx, KUBECONFIG, &kubeconfig).await
    }
}

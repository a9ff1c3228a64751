//! `workloads.roll` and `traefik.ready`: workloads in their declared order, each ready before the next; the reason shown where
//! one does not come up.

use super::rank::{self, ROLLED_OUT};
use super::{access, manifests, Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::{Manifest, TraefikFile};
use crate::world::{ApiAt, Class, Kind, Result, Scope};
use async_trait::async_trait;
use serde_json::{json, Value};

/// How far `workloads.roll` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Through the workload behind the first health check.
    Serving,
    /// All.
    All,
}

/// Rolls out the ordered workloads, one after the other, then waits for all others.
pub(super) struct Roll(pub(super) Until);

/// A workload's rollout: `None` when it is done, else what is missing.
fn progress(object: &Value) -> Option<String> {
    let number = |path: &str| object.pointer(path).and_then(Value::as_u64);
    let observed = number("/status/observedGeneration").unwrap_or_default();
    if observed < number("/metadata/generation").unwrap_or(1) {
        return Some("its controller has not seen it yet".to_owned());
    }
    let (wanted, updated, ready) = if rank::kind(object).kind == "DaemonSet" {
        let wanted = number("/status/desiredNumberScheduled").unwrap_or_default();
        (wanted, number("/status/updatedNumberScheduled"), number("/status/numberAvailable"))
    } else {
        let wanted = number("/spec/replicas").unwrap_or(1);
        let available = number("/status/availableReplicas").or(number("/status/readyReplicas"));
        if number("/status/replicas").unwrap_or_default() > wanted {
            return Some("old pods are still there".to_owned());
        }
        (wanted, number("/status/updatedReplicas"), available)
    };
    let (updated, ready) = (updated.unwrap_or_default(), ready.unwrap_or_default());
    (updated < wanted || ready < wanted).then(|| format!("{ready} of {wanted} ready"))
}

/// What keeps a workload from serving at all: `None` as soon as one of its pods can be used. The others follow as nodes join.
fn serves(object: &Value) -> Option<String> {
    let number = |path: &str| object.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let available = number("/status/availableReplicas").max(number("/status/numberAvailable"));
    let seen = number("/status/observedGeneration") >= number("/metadata/generation").max(1);
    (!seen || available == 0).then(|| "no pod of it is ready yet".to_owned())
}

/// Why a workload's pods do not come up, in the pods' own words.
async fn reason(cx: &StepContext<'_>, at: &ApiAt, object: &Value) -> Result<String> {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let pairs: Vec<_> =
        labels.into_iter().flatten().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?))).collect();
    let scope =
        Scope { namespace: rank::namespace(object).map(str::to_owned), labels: pairs.join(","), fields: String::new() };
    let pods = cx.world.cluster.list(at, &Kind::new("v1", "Pod"), &scope).await?;
    let told = pods.iter().find_map(|pod| {
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let waiting = |list: &str| {
            let statuses = pod.pointer(list).and_then(Value::as_array)?;
            statuses.iter().find_map(|s| {
                let state = s.pointer("/state/waiting").or(s.pointer("/lastState/terminated"))?;
                let reason = state.get("reason").and_then(Value::as_str)?;
                let message = state.get("message").and_then(Value::as_str).unwrap_or_default();
                (reason != "ContainerCreating" && reason != "PodInitializing").then(|| format!("{reason} {message}"))
            })
        };
        let unscheduled = || {
            let conditions = pod.pointer("/status/conditions").and_then(Value::as_array)?;
            let no = conditions.iter().find(|c| c["type"] == "PodScheduled" && c["status"] == "False")?;
            Some(format!("Unschedulable {}", no["message"].as_str().unwrap_or_default()))
        };
        let why = waiting("/status/initContainerStatuses")
            .or_else(|| waiting("/status/containerStatuses"))
            .or_else(unscheduled)?;
        Some(format!("pod {}: {}", text("/metadata/name")?, why.trim()))
    });
    Ok(told.map(|t| format!("; {t}")).unwrap_or_default())
}

/// Whether the Service's selector picks the workload's pods.
fn selects(service: &Value, workload: &Value) -> bool {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let labels = workload.pointer("/spec/template/metadata/labels");
    selector.is_some_and(|s| !s.is_empty() && s.iter().all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v)))
}

/// The workloads behind a host: Ingress rule, Service, selector.
fn behind<'a>(all: &[&'a Manifest], host: &str) -> Vec<&'a Value> {
    let of = |kind: &'static str| all.iter().map(|m| &m.object).filter(move |o| rank::kind(o).kind == kind);
    let rules = of("Ingress").flat_map(|i| i.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten());
    let paths = rules
        .filter(|r| r["host"].as_str() == Some(host))
        .flat_map(|r| r.pointer("/http/paths").and_then(Value::as_array).into_iter().flatten());
    let names: Vec<&str> = paths.filter_map(|p| p.pointer("/backend/service/name").and_then(Value::as_str)).collect();
    let services: Vec<&Value> = of("Service").filter(|s| names.contains(&rank::name(s))).collect();
    let workloads = all.iter().map(|m| &m.object).filter(|o| ROLLED_OUT.contains(&rank::kind(o).kind.as_str()));
    workloads.filter(|w| services.iter().any(|s| selects(s, w))).collect()
}

impl Roll {
    /// The workloads behind the first health check, by title.
    fn serving(place: &Place<'_>, all: &[&Manifest]) -> Vec<String> {
        let host = place.settings.health.first().and_then(|h| url::Url::parse(&h.url).ok());
        let host = host.and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        behind(all, &host).into_iter().map(rank::title).collect()
    }

    /// The workloads in their order, as far as this step goes; those without a place come last.
    fn workloads<'a>(&self, place: &Place<'a>) -> Result<Vec<&'a Manifest>> {
        let all = manifests::manifests(place)?;
        let order = &place.settings.manifests.order;
        let at = |o: &Value| order.iter().position(|n| n == rank::name(o)).unwrap_or(order.len());
        let serving = Self::serving(place, &all);
        let is_workload = |m: &&&Manifest| ROLLED_OUT.contains(&rank::kind(&m.object).kind.as_str());
        let mut workloads: Vec<&Manifest> = all.iter().filter(is_workload).copied().collect();
        workloads.sort_by_key(|m| at(&m.object));
        if self.0 == Until::Serving {
            let last = workloads.iter().rposition(|m| serving.contains(&rank::title(&m.object)));
            workloads.truncate(last.map_or(0, |i| i + 1));
        }
        Ok(workloads)
    }

    /// The first workload that is not ready: whether it is to be applied, and what is missing.
    async fn next<'a>(&self, cx: &StepContext<'a>, at: &ApiAt) -> Result<Option<(&'a Manifest, bool, String)>> {
        let serving = Self::serving(&cx.place, &manifests::manifests(&cx.place)?);
        let workloads = self.workloads(&cx.place)?;
        let there = manifests::There::of(cx, at, &workloads).await?;
        for workload in workloads {
            let title = rank::title(&workload.object);
            let lacks = there.lacks(workload);
            let Some(object) = there.object(workload).filter(|_| lacks.is_none()) else {
                let lacks = lacks.filter(|l| !l.is_empty()).map(|l| format!(": {l}")).unwrap_or_default();
                return Ok(Some((workload, true, format!("{title} is to be applied{lacks}"))));
            };
            let first = self.0 == Until::Serving && serving.contains(&title);
            if let Some(missing) = if first { serves(object) } else { progress(object) } {
                let why = reason(cx, at, object).await?;
                return Ok(Some((workload, false, format!("{title}: {missing}{why}"))));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Action for Roll {
    fn describe(&self, place: &Place<'_>) -> String {
        let names = |w: Vec<&Manifest>| w.iter().map(|m| rank::name(&m.object).to_owned()).collect::<Vec<_>>();
        let names = self.workloads(place).map(names).unwrap_or_default();
        match self.0 {
            Until::Serving => format!("roll out what serves: {}", names.join(", ")),
            Until::All => format!("roll out all workloads: {}", names.join(", ")),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        let objects = self.workloads(place).unwrap_or_default();
        json!(objects.iter().map(|m| m.object.to_string()).collect::<Vec<_>>())
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::Kubeconfig]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let at = access::api(cx, access::first(cx)?).await?;
        match self.next(cx, &at).await {
            Ok(None) => Ok(Check::Done(Facts::none())),
            Ok(Some((_, true, text))) => Ok(Check::Needed(text)),
            Ok(Some((_, false, text))) => Ok(Check::Pending(text)),
            Err(error) if error.class == Class::Transient => Ok(Check::Pending(error.what)),
            Err(error) => Err(error),
        }
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let at = access::api(cx, access::first(cx)?).await?;
        if let Some((workload, true, _)) = self.next(cx, &at).await? {
            return manifests::apply(cx, &at, &[workload]).await;
        }
        Ok(())
    }
}

/// Waits for K3s' Traefik: the chart's job for the current configuration, then the DaemonSet on every node.
pub(super) struct Traefik;

impl Traefik {
    /// What keeps the chart's job from being that of the configuration. The job's `configHash` is over what the controller alone
    /// puts together, so what it was made from is compared, and when: the job of other values is deleted and made anew.
    /// Source: helm-controller `pkg/controllers/chart/chart.go`.
    async fn earlier_values(cx: &StepContext<'_>, at: &ApiAt, job: &Value) -> Result<Option<String>> {
        let Some(wanted) = cx.settings().k3s.traefik.as_ref().and_then(TraefikFile::values) else { return Ok(None) };
        let kind = Kind::new("helm.cattle.io/v1", "HelmChartConfig");
        let config = cx.world.cluster.get(at, &kind, Some("kube-system"), "traefik").await?.unwrap_or_default();
        let values = config.pointer("/spec/valuesContent").and_then(Value::as_str).unwrap_or_default();
        if values.trim() != wanted.trim() {
            return Ok(Some("HelmChartConfig traefik is not the configured one yet".to_owned()));
        }
        // RFC 3339 in UTC, to the second: the order of the texts is that of the times.
        let made = |o: &Value| o.pointer("/metadata/creationTimestamp").and_then(Value::as_str).map(str::to_owned);
        let older = made(job) < made(&config);
        Ok(older.then(|| "Traefik's job is of before its HelmChartConfig".to_owned()))
    }
}

#[async_trait]
impl Action for Traefik {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("wait for Traefik on {} nodes", place.settings.nodes.len())
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "traefik": place.settings.k3s.traefik.as_ref().map(|file| crate::world::sha256_hex(file.text.as_bytes())) })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::Kubeconfig]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let at = access::api(cx, access::first(cx)?).await?;
        let system = Some("kube-system");
        let chart = cx.world.cluster.get(&at, &Kind::new("helm.cattle.io/v1", "HelmChart"), system, "traefik").await?;
        let Some(chart) = chart else { return Ok(Check::Pending("no HelmChart traefik yet".to_owned())) };
        let name = chart.pointer("/status/jobName").and_then(Value::as_str).unwrap_or("helm-install-traefik");
        let job = cx.world.cluster.get(&at, &Kind::new("batch/v1", "Job"), system, name).await?.unwrap_or_default();
        let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
        if !conditions.into_iter().flatten().any(|c| c["type"] == "Complete" && c["status"] == "True") {
            return Ok(Check::Pending(format!("job {name} is not complete")));
        }
        if let Some(why) = Self::earlier_values(cx, &at, &job).await? {
            return Ok(Check::Pending(why));
        }
        let set = cx.world.cluster.get(&at, &Kind::new("apps/v1", "DaemonSet"), system, "traefik").await?;
        let Some(set) = set else {
            // The job may have been that of the chart's own values, and the one of ours is still to come.
            return Ok(Check::Pending("Traefik is no DaemonSet; its HelmChartConfig was not taken yet".to_owned()));
        };
        let wanted = cx.settings().nodes.len() as u64;
        let desired = set.pointer("/status/desiredNumberScheduled").and_then(Value::as_u64).unwrap_or_default();
        if desired < wanted {
            return Ok(Check::Pending(format!("Traefik is wanted on {desired} of {wanted} nodes")));
        }
        if let Some(missing) = progress(&set) {
            return Ok(Check::Pending(format!("Traefik: {missing}{}", reason(cx, &at, &set).await?)));
        }
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

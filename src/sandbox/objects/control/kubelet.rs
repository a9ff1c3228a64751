//! Kubelets: what becomes of a pod that has a node.

use crate::sandbox::objects::machines::{Run, Stage};
use crate::sandbox::objects::read::{is_leaving, list, map, name, namespace, number, text, uid, unstamp};
use crate::sandbox::objects::store::Objects;
use base64::Engine as _;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// Kubernetes' wait before a crashed container starts again: 10 s, doubled each time, at most 300 s.
fn backoff(restarts: u32) -> Duration {
    Duration::from_secs(10_u64.saturating_mul(1 << restarts.min(5)).min(300))
}

fn seconds(value: Option<i64>) -> Duration {
    Duration::from_secs(value.and_then(|s| u64::try_from(s).ok()).unwrap_or(0))
}

fn images(pod: &Value) -> impl Iterator<Item = &str> {
    ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|p| list(pod, p)).map(|c| text(c, "/image"))
}

impl Objects {
    pub(super) fn run_pods(&mut self) {
        let pods = self.all("pods");
        let known: BTreeSet<&str> = pods.iter().map(|p| uid(p)).collect();
        self.machines.runs.retain(|u, _| known.contains(u.as_str()));
        for pod in pods.iter().filter(|p| !text(p, "/spec/nodeName").is_empty()) {
            let node = text(pod, "/spec/nodeName").to_owned();
            let Some(kubelet) = self.machines.kubelets.get(&node).filter(|k| k.view.ready).cloned() else { continue };
            if is_leaving(pod) {
                self.end_pod(pod);
                continue;
            }
            let mut run = self.machines.runs.get(uid(pod)).cloned().unwrap_or_else(|| Run {
                stage: Stage::Creating(self.now + self.pull_time(pod, &node) + self.pace.start),
                restarts: 0,
                boot: kubelet.view.boot.clone(),
                ip: String::new(),
                shown: (String::new(), false),
            });
            if run.ip.is_empty() {
                run.ip = if pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true) {
                    kubelet.view.address.clone()
                } else {
                    let number = self.next_number();
                    format!("10.42.{}.{}", number / 250 % 250, number % 250 + 2)
                };
            }
            if run.boot != kubelet.view.boot && !matches!(run.stage, Stage::Ended(..)) {
                run.boot.clone_from(&kubelet.view.boot);
                run.restarts += 1;
                run.stage = Stage::Creating(self.now + self.pace.start);
            }
            let before = run.stage.clone();
            self.go_on(pod, &mut run);
            self.tell_change(pod, &before, &run);
            let ready = matches!(run.stage, Stage::Running { ready, .. } if ready <= self.now);
            let revision = |o: &Value| text(o, "/metadata/resourceVersion").to_owned();
            if before != run.stage || run.shown != (revision(pod), ready) {
                self.show(pod, &run, &kubelet.view.address);
                let shown = self.find("pods", namespace(pod), name(pod)).map(|p| revision(p));
                run.shown = (shown.unwrap_or_default(), ready);
            }
            self.machines.runs.insert(uid(pod).to_owned(), run);
        }
    }
    fn pull_time(&self, pod: &Value, node: &str) -> Duration {
        let new = images(pod).any(|i| !self.machines.pulled.contains(&(node.to_owned(), i.to_owned())));
        if new {
            self.pace.pull
        } else {
            Duration::ZERO
        }
    }
    fn end_pod(&mut self, pod: &Value) {
        let grace = number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(30);
        let asked = unstamp(text(pod, "/metadata/deletionTimestamp"));
        // The stamp has whole seconds only: count from now where it lies in this very second.
        let key = format!("end {}", uid(pod));
        let begun = *self.machines.busy.entry(key.clone()).or_insert(self.now.max(asked));
        let takes = self.pace.terminate.min(seconds(Some(grace)));
        if self.due(begun + takes) {
            self.machines.busy.remove(&key);
            if let Some(served) = self.kind("v1", "Pod") {
                self.erase(&served, namespace(pod), name(pod));
            }
        }
    }
    /// The next stage of a pod's containers.
    fn go_on(&mut self, pod: &Value, run: &mut Run) {
        match run.stage.clone() {
            Stage::Creating(until) => {
                if !self.claims_bound(pod) || self.missing_volume(pod).is_some() || !self.due(until) {
                    return;
                }
                run.stage = self.begin(pod);
            }
            Stage::Blocked(..) => run.stage = self.begin(pod),
            Stage::Running { .. } | Stage::Ended(..) => {}
            Stage::Failing { ends, .. } => {
                if self.due(ends) {
                    let for_good = text(pod, "/spec/restartPolicy") == "Never";
                    run.stage = if for_good {
                        Stage::Ended(ends, false)
                    } else {
                        Stage::Crashed { ended: ends, again: ends + backoff(run.restarts) }
                    };
                }
            }
            Stage::Crashed { again, .. } => {
                if self.due(again) {
                    run.restarts += 1;
                    run.stage = self.begin(pod);
                }
            }
            Stage::Working { ends, .. } => {
                if self.due(ends) {
                    run.stage = Stage::Ended(ends, true);
                }
            }
        }
        match &run.stage {
            Stage::Running { ready, .. } => drop(self.due(*ready)),
            Stage::Failing { ends, .. } | Stage::Working { ends, .. } => drop(self.due(*ends)),
            Stage::Crashed { again, .. } => drop(self.due(*again)),
            _ => {}
        }
    }
    /// Starts a pod's containers, or says why it cannot.
    fn begin(&mut self, pod: &Value) -> Stage {
        let node = text(pod, "/spec/nodeName").to_owned();
        for image in images(pod) {
            if let Some(why) = self.not_pullable(pod, image) {
                return Stage::Blocked("ImagePullBackOff".into(), format!("Back-off pulling image \"{image}\": {why}"));
            }
        }
        for image in images(pod) {
            self.machines.pulled.insert((node.clone(), image.to_owned()));
        }
        if let Some(why) = self.missing_environment(pod) {
            return Stage::Blocked("CreateContainerConfigError".into(), why);
        }
        let since = self.now;
        let matching = |all: &BTreeSet<String>| images(pod).any(|i| all.iter().any(|part| i.contains(part.as_str())));
        if matching(&self.pace.crashing) || self.broken_chart(pod) || self.without_api(pod) {
            return Stage::Failing { since, ends: since + self.pace.crash };
        }
        if text(pod, "/spec/restartPolicy") != "Always" {
            return Stage::Working { since, ends: since + self.pace.job };
        }
        let answers = self.answers_at(pod, since);
        let container = list(pod, "/spec/containers").first().cloned().unwrap_or_default();
        // A probe that gives up before the application answers has the container killed.
        let patience = |probe: &str| {
            let probe = container.get(probe)?;
            let tries = number(probe, "/failureThreshold").unwrap_or(3) * number(probe, "/periodSeconds").unwrap_or(10);
            Some(since + seconds(number(probe, "/initialDelaySeconds")) + seconds(Some(tries)))
        };
        if let Some(limit) =
            patience("startupProbe").or_else(|| patience("livenessProbe")).filter(|limit| *limit < answers)
        {
            return Stage::Failing { since, ends: limit };
        }
        let delay = since + seconds(number(&container, "/readinessProbe/initialDelaySeconds"));
        Stage::Running { since, ready: answers.max(delay) }
    }
    /// Whether a pod speaks to the Kubernetes API (it is given a token) and does not reach it: it ends, and is tried again.
    fn without_api(&self, pod: &Value) -> bool {
        let unheard = self.machines.kubelets.get(text(pod, "/spec/nodeName")).is_some_and(|k| !k.view.api);
        let account = self.find("serviceaccounts", namespace(pod), text(pod, "/spec/serviceAccountName"));
        let refuses = |o: &Value, at: &str| o.pointer(at).and_then(Value::as_bool) == Some(false);
        let mute = refuses(pod, "/spec/automountServiceAccountToken")
            || account.is_some_and(|a| refuses(a, "/automountServiceAccountToken"));
        unheard && !mute
    }
    /// When the application of a pod that starts now will answer.
    fn answers_at(&mut self, pod: &Value, since: Duration) -> Duration {
        let rule = self.pace.startup.iter().find(|s| images(pod).any(|i| i.contains(&s.image))).cloned();
        let Some(rule) = rule else { return since + self.pace.ready };
        if !rule.one_at_a_time {
            return since + rule.takes;
        }
        let free = self.machines.busy.get(&rule.image).copied().unwrap_or(since).max(since);
        self.machines.busy.insert(rule.image, free + rule.takes);
        free + rule.takes
    }
    fn not_pullable(&self, pod: &Value, image: &str) -> Option<String> {
        if self.pace.broken_images.iter().any(|part| image.contains(part.as_str())) {
            return Some(format!("failed to resolve reference \"{image}\": not found"));
        }
        let registry = image.split('/').next().filter(|_| image.contains('/'))?;
        if !self.pace.private_registries.contains(registry) {
            return None;
        }
        let account = self.find(
            "serviceaccounts",
            namespace(pod),
            match text(pod, "/spec/serviceAccountName") {
                "" => "default",
                other => other,
            },
        );
        let of_account = account.map(|a| list(a, "/imagePullSecrets").to_vec()).unwrap_or_default();
        let opens = |reference: &Value| {
            let secret = self.find("secrets", namespace(pod), text(reference, "/name"))?;
            let text = map(secret, "/data")?.get(".dockerconfigjson")?.as_str()?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
            let config: Value = serde_json::from_slice(&bytes).ok()?;
            config.get("auths")?.get(registry).map(|_| ())
        };
        let allowed = list(pod, "/spec/imagePullSecrets").iter().chain(&of_account).any(|r| opens(r).is_some());
        (!allowed).then(|| format!("failed to authorize: no credentials for {registry}: 401 Unauthorized"))
    }
    /// A Secret or ConfigMap that a volume needs and that is missing.
    pub(super) fn missing_volume(&self, pod: &Value) -> Option<String> {
        list(pod, "/spec/volumes").iter().find_map(|v| {
            let needed = |kind: &str, resource: &str, field: &str| {
                let source = v.get(kind)?;
                let optional = source.get("optional").and_then(Value::as_bool) == Some(true);
                let wanted = text(source, field);
                let missing = !optional && self.find(resource, namespace(pod), wanted).is_none();
                missing.then(|| {
                    format!(
                        "MountVolume.SetUp failed for volume \"{}\" : {} \"{wanted}\" not found",
                        name_of(v),
                        resource.trim_end_matches('s')
                    )
                })
            };
            needed("secret", "secrets", "/secretName").or_else(|| needed("configMap", "configmaps", "/name"))
        })
    }
    /// A Secret, ConfigMap or key that a container's environment needs and that is missing.
    fn missing_environment(&self, pod: &Value) -> Option<String> {
        let lookup = |resource: &str, reference: &Value, key: &str| {
            if reference.get("optional").and_then(Value::as_bool) == Some(true) {
                return None;
            }
            let wanted = text(reference, "/name");
            let Some(found) = self.find(resource, namespace(pod), wanted) else {
                return Some(format!("{} \"{wanted}\" not found", resource.trim_end_matches('s')));
            };
            let kind = if resource == "secrets" { "Secret" } else { "ConfigMap" };
            let there = key.is_empty() || map(found, "/data").is_some_and(|d| d.contains_key(key));
            (!there).then(|| format!("couldn't find key {key} in {kind} {}/{wanted}", namespace(pod)))
        };
        let containers = ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|p| list(pod, p));
        containers.into_iter().find_map(|container| {
            let single = list(container, "/env").iter().find_map(|e| {
                let secret = e.pointer("/valueFrom/secretKeyRef").and_then(|r| lookup("secrets", r, text(r, "/key")));
                secret.or_else(|| {
                    e.pointer("/valueFrom/configMapKeyRef").and_then(|r| lookup("configmaps", r, text(r, "/key")))
                })
            });
            single.or_else(|| {
                list(container, "/envFrom").iter().find_map(|e| {
                    let secret = e.get("secretRef").and_then(|r| lookup("secrets", r, ""));
                    secret.or_else(|| e.get("configMapRef").and_then(|r| lookup("configmaps", r, "")))
                })
            })
        })
    }
    /// Events that go with a change of stage.
    fn tell_change(&mut self, pod: &Value, before: &Stage, run: &Run) {
        if matches!(run.stage, Stage::Creating(_)) {
            if let Some(why) = self.missing_volume(pod) {
                if !self
                    .within("events", namespace(pod))
                    .iter()
                    .any(|e| text(e, "/involvedObject/uid") == uid(pod) && text(e, "/message") == why)
                {
                    self.event(pod, true, "FailedMount", &why);
                }
            }
        }
        if *before == run.stage {
            return;
        }
        match &run.stage {
            Stage::Blocked(reason, message) => {
                let word = if reason == "ImagePullBackOff" { "BackOff" } else { "Failed" };
                self.event(pod, true, word, message);
            }
            Stage::Running { .. } | Stage::Failing { .. } | Stage::Working { .. } => {
                self.event(
                    pod,
                    false,
                    "Started",
                    &format!("Started container {}", text(pod, "/spec/containers/0/name")),
                );
            }
            Stage::Crashed { .. } => {
                self.event(
                    pod,
                    true,
                    "BackOff",
                    &format!("Back-off restarting failed container {}", text(pod, "/spec/containers/0/name")),
                );
            }
            Stage::Creating(_) | Stage::Ended(..) => {}
        }
    }
}

fn name_of(volume: &Value) -> &str {
    text(volume, "/name")
}

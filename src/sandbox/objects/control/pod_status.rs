//! A pod's status from what its containers do, and their logs.

use crate::sandbox::objects::failure::Failure;
use crate::sandbox::objects::machines::{Run, Stage};
use crate::sandbox::objects::read::{condition, default, list, name, namespace, set, stamp, text, uid};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};

impl Objects {
    /// Writes what the kubelet sees into the pod's status.
    pub(super) fn show(&mut self, pod: &Value, run: &Run, host: &str) {
        let now = self.now;
        let ready = matches!(run.stage, Stage::Running { ready, .. } if ready <= now);
        let (phase, state, last) = states(run);
        let started = matches!(run.stage, Stage::Running { .. } | Stage::Failing { .. } | Stage::Working { .. });
        let begun = !matches!(run.stage, Stage::Creating(_) | Stage::Blocked(..));
        self.edit("pods", namespace(pod), name(pod), |p| {
            set(p, &["status", "phase"], phase);
            set(p, &["status", "hostIP"], host);
            default(p, &["status", "startTime"], stamp(now));
            if begun || !matches!(run.stage, Stage::Creating(_)) {
                set(p, &["status", "podIP"], run.ip.clone());
                set(p, &["status", "podIPs"], json!([{"ip": run.ip}]));
            }
            condition(p, now, "PodScheduled", "True", "", "");
            condition(p, now, "PodReadyToStartContainers", if begun { "True" } else { "False" }, "", "");
            condition(p, now, "Initialized", "True", "", "");
            let names: Vec<_> = list(p, "/spec/containers").iter().map(|c| text(c, "/name").to_owned()).collect();
            let why = if phase == "Succeeded" { "PodCompleted".to_owned() } else { "ContainersNotReady".to_owned() };
            let unready = format!("containers with unready status: [{}]", names.join(" "));
            for kind in ["ContainersReady", "Ready"] {
                if ready {
                    condition(p, now, kind, "True", "", "");
                } else {
                    condition(p, now, kind, "False", &why, if phase == "Succeeded" { "" } else { &unready });
                }
            }
            let statuses: Vec<Value> = list(p, "/spec/containers")
                .iter()
                .map(|c| {
                    let id = if begun { format!("containerd://{}-{}", uid(p), run.restarts) } else { String::new() };
                    json!({"name": text(c, "/name"), "image": text(c, "/image"), "imageID": "", "containerID": id,
                        "ready": ready, "started": started, "restartCount": run.restarts, "state": state, "lastState": last})
                })
                .collect();
            set(p, &["status", "containerStatuses"], statuses);
        });
    }
    /// A container's log: its own text where the sandbox was told one, else that it started, and why it ended.
    pub fn log(&self, home: &str, pod: &str, container: &str, previous: bool) -> Result<String, Failure> {
        let served = self.kind("v1", "Pod").ok_or_else(Failure::no_such_resource)?;
        let found = self.find("pods", home, pod).ok_or_else(|| Failure::not_found(&served, pod))?;
        let containers = list(found, "/spec/containers");
        let chosen = containers
            .iter()
            .find(|c| container.is_empty() || text(c, "/name") == container)
            .ok_or_else(|| Failure::bad_request(format!("container {container} is not valid for pod {pod}")))?;
        let run = self.machines.runs.get(uid(found));
        let restarts = run.map_or(0, |r| r.restarts);
        if previous && restarts == 0 && !matches!(run.map(|r| &r.stage), Some(Stage::Crashed { .. })) {
            return Err(Failure::bad_request(format!(
                "previous terminated container \"{}\" in pod \"{pod}\" not found",
                text(chosen, "/name")
            )));
        }
        if matches!(run.map(|r| &r.stage), None | Some(Stage::Creating(_) | Stage::Blocked(..))) {
            let why = text(found, "/status/containerStatuses/0/state/waiting/reason");
            let why = if why.is_empty() { "ContainerCreating" } else { why };
            return Err(Failure::bad_request(format!(
                "container \"{}\" in pod \"{pod}\" is waiting to start: {why}",
                text(chosen, "/name")
            )));
        }
        let image = text(chosen, "/image");
        if let Some((_, lines)) = self.pace.logs.iter().find(|(part, _)| image.contains(part.as_str())) {
            return Ok(lines.clone());
        }
        let mut lines = format!("{} started\n", text(chosen, "/name"));
        if previous || matches!(run.map(|r| &r.stage), Some(Stage::Crashed { .. } | Stage::Ended(_, false))) {
            lines.push_str("fatal: exit status 1\n");
        } else if matches!(run.map(|r| &r.stage), Some(Stage::Ended(_, true))) {
            lines.push_str("done\n");
        }
        Ok(lines)
    }
}

/// Phase, container state and last state.
fn states(run: &Run) -> (&'static str, Value, Value) {
    let failed = |ended| json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": stamp(ended), "startedAt": stamp(ended)}});
    let running = |since| json!({"running": {"startedAt": stamp(since)}});
    match &run.stage {
        Stage::Creating(_) => ("Pending", json!({"waiting": {"reason": "ContainerCreating"}}), json!({})),
        Stage::Blocked(reason, message) => {
            ("Pending", json!({"waiting": {"reason": reason, "message": message}}), json!({}))
        }
        Stage::Running { since, .. } | Stage::Failing { since, .. } | Stage::Working { since, .. } => {
            let last = if run.restarts > 0 { failed(*since) } else { json!({}) };
            ("Running", running(*since), last)
        }
        Stage::Crashed { ended, .. } => {
            let message = "back-off restarting failed container";
            ("Running", json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}}), failed(*ended))
        }
        Stage::Ended(at, true) => (
            "Succeeded",
            json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": stamp(*at), "startedAt": stamp(*at)}}),
            json!({}),
        ),
        Stage::Ended(at, false) => ("Failed", failed(*at), json!({})),
    }
}

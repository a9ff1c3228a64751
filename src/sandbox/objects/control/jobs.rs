//! Jobs. CronJobs are kept as data: nothing that relight does waits for one.

use super::replicasets::pod_from;
use crate::sandbox::objects::read::{
    condition, default, has_condition, is_leaving, name, namespace, number, set, stamp, text, uid, unstamp,
};
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};
use std::time::Duration;

impl Objects {
    pub(super) fn keep_jobs(&mut self) {
        for job in self.all("jobs.batch").into_iter().filter(|j| !is_leaving(j)) {
            self.keep_job(&job);
        }
    }
    fn keep_job(&mut self, job: &Value) {
        if has_condition(job, "Complete", "True") || has_condition(job, "Failed", "True") {
            self.forget_job(job);
            return;
        }
        if job.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
            return;
        }
        let count = |v: &str| number(job, v).unwrap_or(1);
        let pods = self.pods_of(job);
        let phase = |wanted: &str| {
            i64::try_from(pods.iter().filter(|p| text(p, "/status/phase") == wanted).count()).unwrap_or(0)
        };
        let (succeeded, failed) = (phase("Succeeded"), phase("Failed"));
        let active = i64::try_from(pods.len()).unwrap_or(0) - succeeded - failed;
        let (wanted, at_once) = (count("/spec/completions"), count("/spec/parallelism"));
        let given_up = failed > number(job, "/spec/backoffLimit").unwrap_or(6);
        let missing = if given_up { 0 } else { (wanted - succeeded).min(at_once) - active };
        let template = job.pointer("/spec/template").cloned().unwrap_or_default();
        for _ in 0..missing.max(0) {
            let pod_name = format!("{}-{}", name(job), self.suffix());
            let labels = [
                ("batch.kubernetes.io/job-name", name(job)),
                ("job-name", name(job)),
                ("batch.kubernetes.io/controller-uid", uid(job)),
            ];
            self.make(pod_from(job, &template, &pod_name, &labels));
            self.event(job, false, "SuccessfulCreate", &format!("Created pod: {pod_name}"));
        }
        let now = self.now;
        self.edit("jobs.batch", namespace(job), name(job), |j| {
            default(j, &["status", "startTime"], stamp(now));
            default(j, &["spec", "selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid(job)}}));
            set(j, &["status", "active"], active + missing.max(0));
            set(j, &["status", "succeeded"], succeeded);
            set(j, &["status", "failed"], failed);
            if succeeded >= wanted {
                set(j, &["status", "completionTime"], stamp(now));
                condition(
                    j,
                    now,
                    "SuccessCriteriaMet",
                    "True",
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                );
                condition(
                    j,
                    now,
                    "Complete",
                    "True",
                    "CompletionsReached",
                    "Reached expected number of succeeded pods",
                );
            } else if given_up {
                condition(
                    j,
                    now,
                    "Failed",
                    "True",
                    "BackoffLimitExceeded",
                    "Job has reached the specified backoff limit",
                );
            }
        });
        if succeeded >= wanted {
            self.event(job, false, "Completed", "Job completed");
        }
    }
    /// Deletes a finished job when its time to live is over.
    fn forget_job(&mut self, job: &Value) {
        let Some(ttl) = number(job, "/spec/ttlSecondsAfterFinished").and_then(|s| u64::try_from(s).ok()) else {
            return;
        };
        let ended = unstamp(text(job, "/status/completionTime"));
        if self.due(ended + Duration::from_secs(ttl)) {
            self.discard("jobs.batch", namespace(job), name(job));
        }
    }
}

//! Disruption budgets, and eviction, which they may refuse.

use super::deployments::share;
use super::replicasets::is_ready;
use crate::sandbox::objects::failure::Failure;
use crate::sandbox::objects::read::{condition, is_leaving, name, namespace, number, set, text};
use crate::sandbox::objects::selector::Labels;
use crate::sandbox::objects::store::Objects;
use serde_json::{json, Value};

const BUDGETS: &str = "poddisruptionbudgets.policy";

/// Healthy pods, how many are wanted, how many may go, and all.
struct Health {
    healthy: i64,
    wanted: i64,
    allowed: i64,
    all: i64,
}

impl Objects {
    fn health(&self, budget: &Value) -> Health {
        let selector = Labels::of(budget.pointer("/spec/selector").unwrap_or(&Value::Null));
        let pods: Vec<_> = self
            .within("pods", namespace(budget))
            .into_iter()
            .filter(|p| selector.matches(p) && !is_leaving(p))
            .collect();
        let count = |n: usize| i64::try_from(n).unwrap_or(0);
        let (all, healthy) = (count(pods.len()), count(pods.iter().filter(|p| is_ready(p)).count()));
        let wanted = match budget.pointer("/spec/minAvailable") {
            Some(least) => share(Some(least), all, true),
            None => all - share(budget.pointer("/spec/maxUnavailable"), all, true),
        };
        Health { healthy, wanted, allowed: (healthy - wanted).max(0), all }
    }
    pub(super) fn keep_budgets(&mut self) {
        for budget in self.all(BUDGETS) {
            let health = self.health(&budget);
            let now = self.now;
            self.edit(BUDGETS, namespace(&budget), name(&budget), |b| {
                let generation = number(b, "/metadata/generation");
                set(b, &["status", "observedGeneration"], generation);
                set(b, &["status", "currentHealthy"], health.healthy);
                set(b, &["status", "desiredHealthy"], health.wanted);
                set(b, &["status", "disruptionsAllowed"], health.allowed);
                set(b, &["status", "expectedPods"], health.all);
                let (status, why) =
                    if health.allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
                condition(b, now, "DisruptionAllowed", status, why, "");
            });
        }
    }
    /// Deletes a pod unless a disruption budget forbids it (429, as the eviction API answers).
    pub fn evict(&mut self, home: &str, pod: &str, dry_run: bool) -> Result<(), Failure> {
        let served = self.kind("v1", "Pod").ok_or_else(Failure::no_such_resource)?;
        let found = self.find("pods", home, pod).cloned().ok_or_else(|| Failure::not_found(&served, pod))?;
        let ended = matches!(text(&found, "/status/phase"), "Succeeded" | "Failed" | "Pending");
        for budget in self.within(BUDGETS, home) {
            let selector = Labels::of(budget.pointer("/spec/selector").unwrap_or(&Value::Null));
            let health = self.health(&budget);
            if selector.matches(&found) && !ended && !is_leaving(&found) && health.allowed <= 0 {
                let message = "Cannot evict pod as it would violate the pod's disruption budget.";
                let mut failure = Failure::new(429, "TooManyRequests", message);
                let detail = format!(
                    "The disruption budget {} needs {} healthy pods and has {} currently",
                    name(&budget),
                    health.wanted,
                    health.healthy
                );
                failure.with_causes(std::iter::once(json!({"reason": "DisruptionBudget", "message": detail})));
                failure.retry_after = Some(10);
                return Err(failure);
            }
        }
        if !dry_run {
            self.leave(&served, home, pod);
        }
        Ok(())
    }
}

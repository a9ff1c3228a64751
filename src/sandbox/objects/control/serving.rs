//! What port 80 of a node answers: Traefik, its ingress rules, and the applications behind them.

use super::replicasets::is_ready;
use crate::sandbox::objects::machines::Stage;
use crate::sandbox::objects::read::{list, name, namespace, text, uid};
use crate::sandbox::objects::store::Objects;
use serde_json::Value;
use std::time::Duration;

/// How well an ingress path fits a request's, by its length; `None` where it does not.
fn fit(rule: &Value, path: &str) -> Option<usize> {
    let wanted = match text(rule, "/path") {
        "" => "/",
        other => other,
    };
    let fits = if text(rule, "/pathType") == "Exact" {
        path == wanted
    } else {
        let base = wanted.trim_end_matches('/');
        path == base || path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
    };
    fits.then_some(wanted.len())
}

fn host_fits(pattern: &str, host: &str) -> bool {
    pattern.is_empty()
        || pattern == host
        || pattern
            .strip_prefix('*')
            .is_some_and(|tail| host.split_once('.').is_some_and(|(_, rest)| tail == format!(".{rest}")))
}

impl Objects {
    /// What port 80 of a node answers to a request for `host` and `path`: status and body. `None`: nothing listens there.
    ///
    /// The caller knows whether the node has power and network; here the kubelet's containers count, which run on without an API
    /// server. Traefik answers 404 without a rule and 503 without endpoints.
    pub fn serving(&mut self, now: Duration, node: &str, host: &str, path: &str) -> Option<(u16, String)> {
        self.advance(now);
        let host = host.split(':').next().unwrap_or_default().to_lowercase();
        let path = path.split('?').next().unwrap_or("/");
        let traefik = self.traefik_pods();
        let here = |p: &Value| text(p, "/spec/nodeName") == node;
        // Without hostPort 80, K3s' service load balancer listens on every node for a Service of type LoadBalancer.
        let balanced =
            self.find("services", "kube-system", "traefik").is_some_and(|s| text(s, "/spec/type") == "LoadBalancer");
        let pod = traefik.iter().find(|p| self.is_running(p) && ((here(p) && Self::takes_port_80(p)) || balanced))?;
        if text(pod, "/metadata/annotations/relight.sandbox~1redirects") == "true" {
            return Some((301, "Moved Permanently".into()));
        }
        let Some((home, service)) = self.route(&host, path) else { return Some((404, "404 page not found\n".into())) };
        let service = match self.find("services", &home, &service) {
            Some(service) => service.clone(),
            None => return Some((503, "no available server\n".into())),
        };
        let ready: Vec<_> = self.pods_behind(&service).into_iter().filter(|p| is_ready(p)).collect();
        if ready.is_empty() {
            return Some((503, "no available server\n".into()));
        }
        if !ready.iter().any(|p| self.is_running(p)) {
            return Some((502, "Bad Gateway".into()));
        }
        Some(self.body(&host, path, name(&service)))
    }
    /// Whether a pod's containers answer, whatever the API server knows.
    fn is_running(&self, pod: &Value) -> bool {
        let alive = self
            .machines
            .kubelets
            .get(text(pod, "/spec/nodeName"))
            .is_some_and(|k| k.view.ready || !self.machines.quorum);
        let running = self
            .machines
            .runs
            .get(uid(pod))
            .is_some_and(|r| matches!(r.stage, Stage::Running { ready, .. } if ready <= self.now));
        alive && running
    }
    fn route(&self, host: &str, path: &str) -> Option<(String, String)> {
        let mut best: Option<((bool, usize), (String, String))> = None;
        for ingress in self.all("ingresses.networking.k8s.io") {
            for rule in list(&ingress, "/spec/rules").iter().filter(|r| host_fits(text(r, "/host"), host)) {
                for candidate in list(rule, "/http/paths") {
                    let Some(length) = fit(candidate, path) else { continue };
                    let rank = (text(rule, "/host") == host, length);
                    if best.as_ref().is_none_or(|(b, _)| rank > *b) {
                        best = Some((
                            rank,
                            (namespace(&ingress).to_owned(), text(candidate, "/backend/service/name").to_owned()),
                        ));
                    }
                }
            }
        }
        best.map(|(_, target)| target)
    }
    fn body(&self, host: &str, path: &str, service: &str) -> (u16, String) {
        let asked = format!("{host}{path}");
        let known =
            self.pace.bodies.iter().filter(|(key, _)| asked.starts_with(key.as_str())).max_by_key(|(key, _)| key.len());
        known.map_or_else(
            || (200, format!("{{\"status\":\"ok\",\"service\":\"{service}\"}}\n")),
            |(_, answer)| answer.clone(),
        )
    }
}

//! Rules that compare several fields of one type.

use super::judge::{list, one_of, text, Findings};
use super::numbers::share;
use super::quantity::quantity;
use super::words::{SECURITY, SECURITY_LABELS};
use crate::config::rule::{is_label_key, is_label_value};
use serde_json::Value;

/// A rule: the value, its path, what was found.
type Rule = fn(&Value, &str, &mut Findings);

/// Type and rule.
/// Source: `pkg/apis/*/validation` of k8s.io/kubernetes v1.34, the function named at each.
const RULES: &[(&str, Rule)] = &[
    ("core.v1.ResourceRequirements", limits),
    ("core.v1.Namespace", pod_security),
    ("core.v1.Container", single_success),
    ("core.v1.ServiceSpec", service_ports),
    ("apis.meta.v1.ObjectMeta", labels),
    ("apps.v1.DeploymentStrategy", recreate),
    ("apps.v1.StatefulSetUpdateStrategy", recreate),
    ("apps.v1.RollingUpdateDeployment", no_room),
    ("apps.v1.DeploymentSpec", always),
    ("apps.v1.StatefulSetSpec", always),
    ("apps.v1.DaemonSetSpec", always),
    ("apps.v1.ReplicaSetSpec", always),
    ("batch.v1.JobSpec", ends),
    ("batch.v1.CronJobSpec", schedule),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", replicas),
    ("networking.v1.HTTPIngressPath", absolute),
];

pub(super) fn check(value: &Value, of: &str, path: &str, found: &mut Findings) {
    for (_, rule) in RULES.iter().filter(|(known, _)| *known == of) {
        rule(value, path, found);
    }
}

/// `ValidateResourceRequirements`: a limit is never below its request.
fn limits(value: &Value, path: &str, found: &mut Findings) {
    let requests = value.get("requests").and_then(Value::as_object).into_iter().flatten();
    for (name, request) in requests {
        let Some(limit) = value.get("limits").and_then(|limits| limits.get(name)) else { continue };
        if let (Some(asked), Some(most)) = (quantity(request), quantity(limit)) {
            if most < asked && most >= 0 {
                let shown = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                let what = format!("{} is below the request of {}", shown(limit), shown(request));
                found.add(format!("{path}.limits.{name}"), what, "raise the limit, or lower the request");
            }
        }
    }
}

/// Pod Security Admission, `ValidateNamespace`: levels and versions.
fn pod_security(value: &Value, _: &str, found: &mut Findings) {
    let labels = value.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    for (key, level) in labels.filter_map(|(key, value)| Some((key, value.as_str()?))) {
        let path = format!("metadata.labels.{key}");
        if SECURITY_LABELS.contains(&key.as_str()) && !SECURITY.contains(&level) {
            found.add(path, format!("\"{level}\" is not what Kubernetes knows here"), one_of(level, &SECURITY));
        } else if SECURITY_LABELS.iter().any(|known| key.strip_suffix("-version") == Some(*known)) {
            let minor = level.strip_prefix("v1.").is_some_and(|n| n.parse::<u32>().is_ok());
            if !minor && level != "latest" {
                found.add(path, format!("\"{level}\" is no version"), "write latest, or v1. and a minor");
            }
        }
    }
}

/// `validateLivenessProbe`, `validateStartupProbe`.
fn single_success(value: &Value, path: &str, found: &mut Findings) {
    for probe in ["livenessProbe", "startupProbe"] {
        let threshold = value.get(probe).and_then(|probe| probe.get("successThreshold")).and_then(Value::as_i64);
        if threshold.is_some_and(|n| n > 1) {
            found.add(format!("{path}.{probe}.successThreshold"), "it must be 1 here", "write 1 or leave it out");
        }
    }
}

/// `ValidateService`: of several ports each has a name.
fn service_ports(value: &Value, path: &str, found: &mut Findings) {
    let ports = list(value, "ports");
    for (i, port) in ports.iter().enumerate().filter(|_| ports.len() > 1) {
        if text(port, "name").is_empty() {
            found.add(format!("{path}.ports[{i}]"), "one of several ports has no name", "give each a name");
        }
    }
}

/// `ValidateLabels`.
fn labels(value: &Value, path: &str, found: &mut Findings) {
    for (key, value) in value.get("labels").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.labels.{key}");
        if !is_label_key(key) {
            let remedy = "write name or domain/name: letters, digits, hyphens, dots and underscores";
            found.at_key(path, "it is no key of a label", remedy);
        } else if value.as_str().is_some_and(|text| !is_label_value(text)) {
            let remedy = "write at most 63 letters, digits, hyphens, dots and underscores";
            found.add(path, "it is no value of a label", remedy);
        }
    }
}

/// `ValidateDeploymentStrategy`, `ValidateStatefulSetSpec`: only a rolling update has its parameters.
fn recreate(value: &Value, path: &str, found: &mut Findings) {
    let kind = text(value, "type");
    if ["Recreate", "OnDelete"].contains(&kind) && value.get("rollingUpdate").is_some_and(|v| !v.is_null()) {
        let what = format!("it may not be specified when strategy `type` is '{kind}'");
        found.at_key(format!("{path}.rollingUpdate"), what, "remove it, or write type: RollingUpdate");
    }
}

/// `ValidateRollingUpdateDeployment`: with neither, nothing could ever move.
fn no_room(value: &Value, path: &str, found: &mut Findings) {
    let zero =
        |field: &str| value.get(field).is_some_and(|v| v.as_i64() == Some(0) || v.as_str().and_then(share) == Some(0));
    if zero("maxUnavailable") && zero("maxSurge") {
        found.add(format!("{path}.maxUnavailable"), "it may not be 0 when maxSurge is 0", "give one of the two room");
    }
}

fn restart_policy(value: &Value) -> Option<&str> {
    value.pointer("/template/spec/restartPolicy").and_then(Value::as_str)
}

/// `ValidatePodTemplateSpecForReplicaSet`: what stays is always started again.
fn always(value: &Value, path: &str, found: &mut Findings) {
    if restart_policy(value).is_some_and(|policy| ["OnFailure", "Never"].contains(&policy)) {
        let what = "it must be Always here";
        found.add(format!("{path}.template.spec.restartPolicy"), what, "write Always or leave it out");
    }
}

/// `validateJobTemplateSpec`: a Job's pods end.
fn ends(value: &Value, path: &str, found: &mut Findings) {
    if value.pointer("/template/spec").is_some() && restart_policy(value).is_none_or(|policy| policy == "Always") {
        let path = format!("{path}.template.spec.restartPolicy");
        found.add(path, "it must be OnFailure or Never in a Job", "write one of the two");
    }
}

/// `validateScheduleFormat`: five fields, or a word such as `@daily`.
fn schedule(value: &Value, path: &str, found: &mut Findings) {
    let Some(text) = value.get("schedule").and_then(Value::as_str) else { return };
    let inner = |c: char| c.is_ascii_alphanumeric() || "*,-/?".contains(c);
    let fields: Vec<&str> = text.split_whitespace().collect();
    let five = fields.len() == 5 && fields.iter().all(|field| field.chars().all(inner));
    if !five && !text.starts_with('@') {
        let path = format!("{path}.schedule");
        found.add(path, format!("\"{text}\" is no schedule"), "write five fields of cron, such as \"0 3 * * *\"");
    }
}

/// `validateHorizontalPodAutoscalerSpec`.
fn replicas(value: &Value, path: &str, found: &mut Findings) {
    let number = |field: &str| value.get(field).and_then(Value::as_i64);
    if let (Some(least), Some(most)) = (number("minReplicas"), number("maxReplicas")) {
        if most < least {
            found.add(format!("{path}.maxReplicas"), format!("it is below minReplicas ({least})"), "raise it");
        }
    }
}

/// `validateHTTPIngressPath`.
fn absolute(value: &Value, path: &str, found: &mut Findings) {
    let (kind, text) = (text(value, "pathType"), text(value, "path"));
    if ["Exact", "Prefix"].contains(&kind) && !text.starts_with('/') {
        found.add(format!("{path}.path"), format!("\"{text}\" does not begin with /"), "write an absolute path");
    }
}

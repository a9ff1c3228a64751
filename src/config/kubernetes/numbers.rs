//! Fields that hold a number, a port or a share, by the type they are in.

/// What such a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// A whole number from the one to the other.
    Between(i64, i64),
    /// A port's number or its name.
    PortOrName,
    /// A port's name alone.
    PortName,
    /// A count from 0 or a percentage.
    CountOrShare,
}

use Number::{Between, CountOrShare, PortName, PortOrName};

/// From 0: counts and times.
const COUNT: Number = Between(0, i32::MAX as i64);
const SOME: Number = Between(1, i32::MAX as i64);
const PORT: Number = Between(1, 65_535);
/// Rights of a file: 0777.
const FILE_MODE: Number = Between(0, 0o777);

/// Type, fields (space separated), and what they may hold.
type Row = (&'static str, &'static str, Number);

/// Source: Kubernetes API reference v1.34; `pkg/apis/*/validation` of k8s.io/kubernetes v1.34. Where 0 means "not set" it is
/// allowed.
pub(super) const NUMBERS: &[Row] = &[
    ("apps.v1.DeploymentSpec", "replicas minReadySeconds revisionHistoryLimit progressDeadlineSeconds", COUNT),
    ("apps.v1.StatefulSetSpec", "replicas minReadySeconds revisionHistoryLimit", COUNT),
    ("apps.v1.StatefulSetOrdinals", "start", COUNT),
    ("apps.v1.DaemonSetSpec", "minReadySeconds revisionHistoryLimit", COUNT),
    ("apps.v1.ReplicaSetSpec", "replicas minReadySeconds", COUNT),
    ("apps.v1.RollingUpdateDeployment", "maxUnavailable maxSurge", CountOrShare),
    ("apps.v1.RollingUpdateDaemonSet", "maxUnavailable maxSurge", CountOrShare),
    ("apps.v1.RollingUpdateStatefulSetStrategy", "maxUnavailable", CountOrShare),
    ("apps.v1.RollingUpdateStatefulSetStrategy", "partition", COUNT),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas maxReplicas", SOME),
    ("autoscaling.v2.HPAScalingPolicy", "value periodSeconds", SOME),
    ("autoscaling.v2.HPAScalingRules", "stabilizationWindowSeconds", Between(0, 3600)),
    ("autoscaling.v2.MetricTarget", "averageUtilization", SOME),
    (
        "batch.v1.JobSpec",
        "parallelism completions backoffLimit backoffLimitPerIndex maxFailedIndexes activeDeadlineSeconds \
         ttlSecondsAfterFinished",
        COUNT,
    ),
    ("batch.v1.CronJobSpec", "successfulJobsHistoryLimit failedJobsHistoryLimit startingDeadlineSeconds", COUNT),
    ("core.v1.ReplicationControllerSpec", "replicas minReadySeconds", COUNT),
    ("core.v1.PodSpec", "terminationGracePeriodSeconds", COUNT),
    ("core.v1.PodSpec", "activeDeadlineSeconds", SOME),
    ("core.v1.PodSecurityContext", "runAsUser runAsGroup fsGroup supplementalGroups", COUNT),
    ("core.v1.SecurityContext", "runAsUser runAsGroup", COUNT),
    ("core.v1.ContainerPort", "containerPort", PORT),
    ("core.v1.ContainerPort", "hostPort", Between(0, 65_535)),
    ("core.v1.ContainerPort", "name", PortName),
    ("core.v1.HTTPGetAction", "port", PortOrName),
    ("core.v1.TCPSocketAction", "port", PortOrName),
    ("core.v1.GRPCAction", "port", PORT),
    ("core.v1.SleepAction", "seconds", COUNT),
    ("core.v1.Probe", "initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold", COUNT),
    ("core.v1.Probe", "terminationGracePeriodSeconds", SOME),
    ("core.v1.ServicePort", "port", PORT),
    ("core.v1.ServicePort", "targetPort", PortOrName),
    ("core.v1.ServicePort", "nodePort", Between(0, 65_535)),
    ("core.v1.ServiceSpec", "healthCheckNodePort", Between(0, 65_535)),
    ("core.v1.ClientIPConfig", "timeoutSeconds", Between(1, 86_400)),
    ("core.v1.TopologySpreadConstraint", "maxSkew minDomains", SOME),
    ("core.v1.PreferredSchedulingTerm", "weight", Between(1, 100)),
    ("core.v1.WeightedPodAffinityTerm", "weight", Between(1, 100)),
    ("core.v1.ConfigMapVolumeSource", "defaultMode", FILE_MODE),
    ("core.v1.SecretVolumeSource", "defaultMode", FILE_MODE),
    ("core.v1.ProjectedVolumeSource", "defaultMode", FILE_MODE),
    ("core.v1.DownwardAPIVolumeSource", "defaultMode", FILE_MODE),
    ("core.v1.KeyToPath", "mode", FILE_MODE),
    ("core.v1.DownwardAPIVolumeFile", "mode", FILE_MODE),
    ("networking.v1.ServiceBackendPort", "number", PORT),
    ("networking.v1.NetworkPolicyPort", "port", PortOrName),
    ("networking.v1.NetworkPolicyPort", "endPort", PORT),
    ("policy.v1.PodDisruptionBudgetSpec", "minAvailable maxUnavailable", CountOrShare),
    // Above are the classes that Kubernetes makes itself.
    ("scheduling.v1.PriorityClass", "value", Between(i32::MIN as i64, 1_000_000_000)),
];

/// A port's name.
/// Source: RFC 6335, 5.1, as `IsValidPortName` of apimachinery has it: lower-case letters, digits and single hyphens, at most 15
/// characters, at least one of them a letter.
pub(super) fn is_port_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=15).contains(&text.len())
        && text.chars().all(inner)
        && text.contains(|c: char| c.is_ascii_lowercase())
        && !text.contains("--")
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `25%`.
pub(super) fn share(text: &str) -> Option<u32> {
    text.strip_suffix('%').filter(|n| n.chars().all(|c| c.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ports_and_shares_are_told_from_other_texts() {
        assert!(is_port_name("http") && is_port_name("h2-c") && is_port_name("0a"));
        for bad in ["", "80", "HTTP", "a--b", "-a", "a-", "a_b", "sixteen-letters-x"] {
            assert!(!is_port_name(bad), "{bad}");
        }
        assert_eq!(
            (share("25%"), share("0%"), share("25"), share("%"), share("-1%")),
            (Some(25), Some(0), None, None, None)
        );
    }
}

//! Fields of one type that exclude each other, and fields that must be there though the description does not say so.

/// How many of some fields may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// One or none.
    AtMostOne,
    /// One.
    One,
}

/// Type, how many, of which fields. No fields: all but `name`.
type Row = (&'static str, Count, &'static [&'static str]);

/// Source: Kubernetes API reference v1.34 ("mutually exclusive", "one and only one"); `pkg/apis/*/validation` of
/// k8s.io/kubernetes v1.34.
pub(super) const TOGETHER: &[Row] = &[
    ("policy.v1.PodDisruptionBudgetSpec", Count::AtMostOne, &["minAvailable", "maxUnavailable"]),
    ("core.v1.Probe", Count::One, &["exec", "httpGet", "tcpSocket", "grpc"]),
    ("core.v1.LifecycleHandler", Count::One, &["exec", "httpGet", "tcpSocket", "sleep"]),
    ("core.v1.EnvVar", Count::AtMostOne, &["value", "valueFrom"]),
    (
        "core.v1.EnvVarSource",
        Count::One,
        &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"],
    ),
    ("core.v1.EnvFromSource", Count::One, &["configMapRef", "secretRef"]),
    // One without a source is an empty directory.
    ("core.v1.Volume", Count::AtMostOne, &[]),
    (
        "core.v1.VolumeProjection",
        Count::One,
        &["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"],
    ),
    ("networking.v1.IngressBackend", Count::One, &["service", "resource"]),
    ("networking.v1.ServiceBackendPort", Count::One, &["name", "number"]),
    ("networking.v1.NetworkPolicyPeer", Count::AtMostOne, &["ipBlock", "podSelector"]),
    ("networking.v1.NetworkPolicyPeer", Count::AtMostOne, &["ipBlock", "namespaceSelector"]),
];

/// Type and what must be in it, as a path of keys, and what it is for. An empty list counts as missing.
/// Source: `ValidateDeployment` and its like, `ValidatePersistentVolumeClaimSpec`, `validateIngressBackend` of k8s.io/kubernetes v1.34.
pub(super) const WANTED: &[(&str, &str)] = &[
    ("apps.v1.Deployment", "spec"),
    ("apps.v1.StatefulSet", "spec"),
    ("apps.v1.DaemonSet", "spec"),
    ("apps.v1.ReplicaSet", "spec"),
    ("batch.v1.Job", "spec"),
    ("batch.v1.CronJob", "spec"),
    ("core.v1.Pod", "spec"),
    ("core.v1.PersistentVolumeClaim", "spec"),
    ("autoscaling.v2.HorizontalPodAutoscaler", "spec"),
    ("core.v1.PersistentVolumeClaimSpec", "accessModes"),
    ("core.v1.PersistentVolumeClaimSpec", "resources.requests.storage"),
    ("networking.v1.IngressServiceBackend", "port"),
];

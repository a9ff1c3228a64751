//! Fields that hold one of a closed list of words, by the type they are in: a container's are the same in every kind.

/// Ways of pulling an image.
const PULL: &[&str] = &["Always", "IfNotPresent", "Never"];
const PROTOCOL: &[&str] = &["TCP", "UDP", "SCTP"];
const ACCESS: &[&str] = &["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
const VOLUME_MODE: &[&str] = &["Filesystem", "Block"];
const PROFILE: &[&str] = &["RuntimeDefault", "Unconfined", "Localhost"];
const EFFECT: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const POLICY: &[&str] = &["Cluster", "Local"];
const HONOR: &[&str] = &["Honor", "Ignore"];
const PREEMPT: &[&str] = &["PreemptLowerPriority", "Never"];
const KEEP: &[&str] = &["Retain", "Delete"];

/// Type, field, and the words. A list's items are each one of them.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// Source: Kubernetes API reference v1.34, "possible enum values" of each field; where that is silent,
/// `pkg/apis/*/validation` of k8s.io/kubernetes v1.34.
pub(super) const WORDS: &[Row] = &[
    ("apps.v1.DeploymentStrategy", "type", &["RollingUpdate", "Recreate"]),
    ("apps.v1.DaemonSetUpdateStrategy", "type", &["RollingUpdate", "OnDelete"]),
    ("apps.v1.StatefulSetUpdateStrategy", "type", &["RollingUpdate", "OnDelete"]),
    ("apps.v1.StatefulSetSpec", "podManagementPolicy", &["OrderedReady", "Parallel"]),
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", KEEP),
    ("apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", KEEP),
    ("autoscaling.v2.HPAScalingRules", "selectPolicy", &["Max", "Min", "Disabled"]),
    ("autoscaling.v2.HPAScalingPolicy", "type", &["Pods", "Percent"]),
    ("autoscaling.v2.MetricSpec", "type", &["Resource", "ContainerResource", "Pods", "Object", "External"]),
    ("autoscaling.v2.MetricTarget", "type", &["Utilization", "Value", "AverageValue"]),
    ("batch.v1.CronJobSpec", "concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("batch.v1.JobSpec", "completionMode", &["NonIndexed", "Indexed"]),
    ("batch.v1.JobSpec", "podReplacementPolicy", &["TerminatingOrFailed", "Failed"]),
    ("batch.v1.PodFailurePolicyRule", "action", &["FailJob", "FailIndex", "Ignore", "Count"]),
    ("batch.v1.PodFailurePolicyOnExitCodesRequirement", "operator", &["In", "NotIn"]),
    ("core.v1.Container", "imagePullPolicy", PULL),
    ("core.v1.Container", "terminationMessagePolicy", &["File", "FallbackToLogsOnError"]),
    ("core.v1.Container", "restartPolicy", &["Always", "OnFailure", "Never"]),
    ("core.v1.ContainerPort", "protocol", PROTOCOL),
    ("core.v1.ContainerResizePolicy", "restartPolicy", &["NotRequired", "RestartContainer"]),
    ("core.v1.ImageVolumeSource", "pullPolicy", PULL),
    ("core.v1.VolumeMount", "mountPropagation", &["None", "HostToContainer", "Bidirectional"]),
    ("core.v1.VolumeMount", "recursiveReadOnly", &["Disabled", "IfPossible", "Enabled"]),
    ("core.v1.HTTPGetAction", "scheme", &["HTTP", "HTTPS"]),
    ("core.v1.SecurityContext", "procMount", &["Default", "Unmasked"]),
    ("core.v1.SeccompProfile", "type", PROFILE),
    ("core.v1.AppArmorProfile", "type", PROFILE),
    ("core.v1.PodSpec", "restartPolicy", &["Always", "OnFailure", "Never"]),
    ("core.v1.PodSpec", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("core.v1.PodSpec", "preemptionPolicy", PREEMPT),
    ("core.v1.PodOS", "name", &["linux", "windows"]),
    ("core.v1.PodSecurityContext", "fsGroupChangePolicy", &["Always", "OnRootMismatch"]),
    ("core.v1.PodSecurityContext", "supplementalGroupsPolicy", &["Merge", "Strict"]),
    ("core.v1.PodSecurityContext", "seLinuxChangePolicy", &["MountOption", "Recursive"]),
    ("core.v1.TopologySpreadConstraint", "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("core.v1.TopologySpreadConstraint", "nodeAffinityPolicy", HONOR),
    ("core.v1.TopologySpreadConstraint", "nodeTaintsPolicy", HONOR),
    ("core.v1.Toleration", "operator", &["Equal", "Exists"]),
    ("core.v1.Toleration", "effect", EFFECT),
    ("core.v1.Taint", "effect", EFFECT),
    ("core.v1.NodeSelectorRequirement", "operator", &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]),
    (
        "core.v1.HostPathVolumeSource",
        "type",
        &["DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"],
    ),
    ("core.v1.PersistentVolumeClaimSpec", "accessModes", ACCESS),
    ("core.v1.PersistentVolumeClaimSpec", "volumeMode", VOLUME_MODE),
    ("core.v1.PersistentVolumeSpec", "accessModes", ACCESS),
    ("core.v1.PersistentVolumeSpec", "volumeMode", VOLUME_MODE),
    ("core.v1.PersistentVolumeSpec", "persistentVolumeReclaimPolicy", &["Retain", "Delete", "Recycle"]),
    ("core.v1.ServiceSpec", "type", &["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
    ("core.v1.ServiceSpec", "sessionAffinity", &["None", "ClientIP"]),
    ("core.v1.ServiceSpec", "externalTrafficPolicy", POLICY),
    ("core.v1.ServiceSpec", "internalTrafficPolicy", POLICY),
    ("core.v1.ServiceSpec", "ipFamilyPolicy", &["SingleStack", "PreferDualStack", "RequireDualStack"]),
    ("core.v1.ServiceSpec", "ipFamilies", &["IPv4", "IPv6"]),
    ("core.v1.ServiceSpec", "trafficDistribution", &["PreferClose", "PreferSameZone", "PreferSameNode"]),
    ("core.v1.ServicePort", "protocol", PROTOCOL),
    ("networking.v1.HTTPIngressPath", "pathType", &["Exact", "Prefix", "ImplementationSpecific"]),
    ("networking.v1.NetworkPolicySpec", "policyTypes", &["Ingress", "Egress"]),
    ("networking.v1.NetworkPolicyPort", "protocol", PROTOCOL),
    ("policy.v1.PodDisruptionBudgetSpec", "unhealthyPodEvictionPolicy", &["IfHealthyBudget", "AlwaysAllow"]),
    ("rbac.v1.RoleRef", "apiGroup", &["rbac.authorization.k8s.io"]),
    ("rbac.v1.RoleRef", "kind", &["Role", "ClusterRole"]),
    ("rbac.v1.Subject", "kind", &["ServiceAccount", "User", "Group"]),
    ("scheduling.v1.PriorityClass", "preemptionPolicy", PREEMPT),
    ("storage.v1.StorageClass", "reclaimPolicy", KEEP),
    ("storage.v1.StorageClass", "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"]),
    ("apis.meta.v1.LabelSelectorRequirement", "operator", &["In", "NotIn", "Exists", "DoesNotExist"]),
    (
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec",
        "scope",
        &["Namespaced", "Cluster"],
    ),
];

/// Pod Security Standards, and the labels of a namespace that name one.
/// Source: Kubernetes, "Pod Security Admission", pod security admission labels for namespaces.
pub(super) const SECURITY: [&str; 3] = ["privileged", "baseline", "restricted"];
/// See [`SECURITY`].
pub(super) const SECURITY_LABELS: [&str; 3] =
    ["pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/audit", "pod-security.kubernetes.io/warn"];

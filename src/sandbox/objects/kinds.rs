//! The kinds that the API server serves: the built-in ones, K3s' own, and those of established CustomResourceDefinitions.

pub use crate::config::kubernetes::split_api_version;
use serde_json::Value;
use std::sync::Arc;

/// A kind and how it is reached by HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// API group, empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// `deploy`, as kubectl accepts it.
    pub short: Vec<String>,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// `status`, `scale`, `log`, `eviction`, `binding`.
    pub subresources: Vec<String>,
    /// Whether `kubectl get all` shows it.
    pub in_all: bool,
    /// The schema of a custom kind; `None`: the OpenAPI description's.
    pub schema: Option<Arc<Value>>,
}

impl Served {
    /// `apps/v1`, for the core group `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
    /// `deployments.apps`, for the core group `pods`: how messages name it and objects are filed.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
    /// Whether it has this subresource.
    pub fn has(&self, subresource: &str) -> bool {
        self.subresources.iter().any(|s| s == subresource)
    }
}

/// group/version, kind, plural, short names (space separated), namespaced, subresources (space separated), in `all`.
type Row = (&'static str, &'static str, &'static str, &'static str, bool, &'static str, bool);

const ROWS: &[Row] = &[
    ("v1", "Namespace", "namespaces", "ns", false, "status", false),
    ("v1", "Node", "nodes", "no", false, "status", false),
    ("v1", "Pod", "pods", "po", true, "status log eviction binding", true),
    ("v1", "Service", "services", "svc", true, "status", true),
    ("v1", "Endpoints", "endpoints", "ep", true, "", false),
    ("v1", "ConfigMap", "configmaps", "cm", true, "", false),
    ("v1", "Secret", "secrets", "", true, "", false),
    ("v1", "ServiceAccount", "serviceaccounts", "sa", true, "", false),
    ("v1", "PersistentVolume", "persistentvolumes", "pv", false, "status", false),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", true, "status", false),
    ("v1", "Event", "events", "ev", true, "", false),
    ("v1", "ResourceQuota", "resourcequotas", "quota", true, "status", false),
    ("v1", "LimitRange", "limitranges", "limits", true, "", false),
    ("v1", "ReplicationController", "replicationcontrollers", "rc", true, "status scale", true),
    ("apps/v1", "Deployment", "deployments", "deploy", true, "status scale", true),
    ("apps/v1", "ReplicaSet", "replicasets", "rs", true, "status scale", true),
    ("apps/v1", "DaemonSet", "daemonsets", "ds", true, "status", true),
    ("apps/v1", "StatefulSet", "statefulsets", "sts", true, "status scale", true),
    ("apps/v1", "ControllerRevision", "controllerrevisions", "", true, "", false),
    ("batch/v1", "Job", "jobs", "", true, "status", true),
    ("batch/v1", "CronJob", "cronjobs", "cj", true, "status", true),
    ("networking.k8s.io/v1", "Ingress", "ingresses", "ing", true, "status", false),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "netpol", true, "", false),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses", "", false, "", false),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", true, "status", false),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", "", true, "", false),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", "", true, "", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", "", false, "", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", "", false, "", false),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", "sc", false, "", false),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", "", true, "", false),
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", "pc", false, "", false),
    ("coordination.k8s.io/v1", "Lease", "leases", "", true, "", false),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", true, "status", true),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd crds",
        false,
        "status",
        false,
    ),
    ("helm.cattle.io/v1", "HelmChart", "helmcharts", "", true, "status", false),
    ("helm.cattle.io/v1", "HelmChartConfig", "helmchartconfigs", "", true, "", false),
    ("k3s.cattle.io/v1", "Addon", "addons", "", true, "", false),
    ("k3s.cattle.io/v1", "ETCDSnapshotFile", "etcdsnapshotfiles", "", false, "status", false),
    ("traefik.io/v1alpha1", "IngressRoute", "ingressroutes", "", true, "", false),
    ("traefik.io/v1alpha1", "IngressRouteTCP", "ingressroutetcps", "", true, "", false),
    ("traefik.io/v1alpha1", "IngressRouteUDP", "ingressrouteudps", "", true, "", false),
    ("traefik.io/v1alpha1", "Middleware", "middlewares", "", true, "", false),
    ("traefik.io/v1alpha1", "MiddlewareTCP", "middlewaretcps", "", true, "", false),
    ("traefik.io/v1alpha1", "ServersTransport", "serverstransports", "", true, "", false),
    ("traefik.io/v1alpha1", "ServersTransportTCP", "serverstransporttcps", "", true, "", false),
    ("traefik.io/v1alpha1", "TLSOption", "tlsoptions", "", true, "", false),
    ("traefik.io/v1alpha1", "TLSStore", "tlsstores", "", true, "", false),
    ("traefik.io/v1alpha1", "TraefikService", "traefikservices", "", true, "", false),
];

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// What is served before any CustomResourceDefinition is made. The resource names, short names and subresources are those that
/// `kubectl api-resources` prints for Kubernetes 1.34 and K3s.
pub fn built_in() -> Vec<Served> {
    ROWS.iter()
        .map(|(api_version, kind, plural, short, namespaced, subresources, in_all)| {
            let (group, version) = split_api_version(api_version);
            Served {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: (*kind).to_owned(),
                plural: (*plural).to_owned(),
                short: words(short),
                namespaced: *namespaced,
                subresources: words(subresources),
                in_all: *in_all,
                schema: super::schema::of_k3s(kind),
            }
        })
        .collect()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The kinds that a CustomResourceDefinition defines, one for each served version.
pub fn of_definition(definition: &Value) -> Vec<Served> {
    let Some(spec) = definition.get("spec") else { return Vec::new() };
    let text = |path: &str| spec.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let versions = spec.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    versions
        .iter()
        .filter(|v| v.get("served").and_then(Value::as_bool).unwrap_or(false))
        .map(|version| Served {
            group: text("/group"),
            version: version.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            kind: text("/names/kind"),
            plural: text("/names/plural"),
            short: texts(spec.pointer("/names/shortNames")),
            namespaced: text("/scope") == "Namespaced",
            subresources: version
                .get("subresources")
                .and_then(Value::as_object)
                .map_or(Vec::new(), |s| s.keys().cloned().collect()),
            in_all: false,
            schema: Some(Arc::new(version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default())),
        })
        .collect()
}

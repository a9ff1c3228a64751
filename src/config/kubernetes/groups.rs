//! The kinds that an API server serves by itself, and those that K3s brings definitions of.

use super::schema::split_api_version;
use crate::config::nearest;

/// The minor of Kubernetes that `BUILT_IN` is of.
pub const MINOR: u32 = 34;

/// What kube-apiserver serves where nothing is switched on: versions that are generally available.
/// Source: Kubernetes API reference v1.34; `kubectl api-resources` of 1.34.
const BUILT_IN: [(&str, &str); 24] = [
    (
        "v1",
        "Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim \
         Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding \
         ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("apiregistration.k8s.io/v1", "APIService"),
    ("apps/v1", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet"),
    ("authentication.k8s.io/v1", "SelfSubjectReview TokenReview"),
    (
        "authorization.k8s.io/v1",
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    ),
    ("autoscaling/v1", "HorizontalPodAutoscaler"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob Job"),
    ("certificates.k8s.io/v1", "CertificateSigningRequest"),
    ("coordination.k8s.io/v1", "Lease"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("events.k8s.io/v1", "Event"),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema PriorityLevelConfiguration"),
    ("networking.k8s.io/v1", "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR"),
    ("node.k8s.io/v1", "RuntimeClass"),
    ("policy/v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole ClusterRoleBinding Role RoleBinding"),
    ("resource.k8s.io/v1", "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    (
        "storage.k8s.io/v1",
        "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
    ),
    ("helm.cattle.io/v1", "HelmChart HelmChartConfig"),
    ("k3s.cattle.io/v1", "Addon ETCDSnapshotFile"),
];

/// Definitions that K3s brings with Traefik's chart. What is not in a group's list may still come with another chart.
/// Sources: Traefik's documentation, "Kubernetes CRD"; the chart `traefik-crd`, which has the Gateway API's too.
const BY_CHART: [(&str, &str); 4] = [
    (
        "traefik.io/v1alpha1",
        "IngressRoute IngressRouteTCP IngressRouteUDP Middleware MiddlewareTCP ServersTransport ServersTransportTCP TLSOption \
         TLSStore TraefikService",
    ),
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy GRPCRoute Gateway GatewayClass HTTPRoute"),
    ("gateway.networking.k8s.io/v1beta1", "Gateway GatewayClass HTTPRoute ReferenceGrant"),
    ("gateway.networking.k8s.io/v1alpha2", "GRPCRoute ReferenceGrant TCPRoute TLSRoute UDPRoute"),
];

/// How a kind stands with a cluster of which nothing is known but that it is K3s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is served from the start, or soon after it.
    Served,
    /// Its group is served, but not in this version; the `apiVersion` most likely meant.
    NoVersion(Option<String>),
    /// Its group and version are served, but have no such kind; what is most likely meant.
    NoKind(Option<Meant>),
    /// Of a group that only a CustomResourceDefinition serves; the built-in `apiVersion` that looks like it, if any does.
    Custom(Option<String>),
}

/// What was most likely meant by a kind that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// Another kind of the same `apiVersion`.
    Kind(String),
    /// The same, or another, kind of this `apiVersion`.
    Version(String, String),
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN.iter().chain(&BY_CHART).copied()
}

fn group_of(api_version: &str) -> &str {
    split_api_version(api_version).0
}

/// Whether an API server, or K3s with it, serves this group by itself: no CustomResourceDefinition of anybody else does.
pub fn is_built_in(api_version: &str) -> bool {
    BUILT_IN.iter().any(|(known, _)| group_of(known) == group_of(api_version))
}

/// Whether no definition can make the API server serve this kind, however long one waits: a definition's group has a dot (Kubernetes,
/// "Extend the Kubernetes API with CustomResourceDefinitions"), and those of the built-in groups are the server's own. A
/// kind of the table that a server does not serve yet is one that is still starting.
pub fn never_served(api_version: &str, kind: &str) -> bool {
    let of_server = is_built_in(api_version) || !group_of(api_version).contains('.');
    of_server && standing(api_version, kind) != Standing::Served
}

/// How a kind stands.
pub fn standing(api_version: &str, kind: &str) -> Standing {
    let has = |kinds: &str| kinds.split(' ').any(|known| known == kind);
    if let Some((_, kinds)) = rows().find(|(known, _)| *known == api_version) {
        return if has(kinds) { Standing::Served } else { Standing::NoKind(meant(kinds, kind)) };
    }
    let elsewhere = rows().find(|(_, kinds)| has(kinds)).map(|(known, _)| known);
    let near = || elsewhere.or_else(|| nearest(api_version, rows().map(|(known, _)| known))).map(str::to_owned);
    if rows().any(|(known, _)| group_of(known) == group_of(api_version)) || !group_of(api_version).contains('.') {
        return Standing::NoVersion(near());
    }
    Standing::Custom(nearest(api_version, rows().map(|(known, _)| known)).map(str::to_owned))
}

fn meant(kinds: &str, kind: &str) -> Option<Meant> {
    let exact = rows().find(|(_, kinds)| kinds.split(' ').any(|known| known == kind));
    if let Some((api_version, _)) = exact {
        return Some(Meant::Version(api_version.to_owned(), kind.to_owned()));
    }
    if let Some(near) = nearest(kind, kinds.split(' ')) {
        return Some(Meant::Kind(near.to_owned()));
    }
    let near = nearest(kind, rows().flat_map(|(_, kinds)| kinds.split(' ')))?;
    let (api_version, _) = rows().find(|(_, kinds)| kinds.split(' ').any(|known| known == near))?;
    Some(Meant::Version(api_version.to_owned(), near.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_served_misspelt_in_another_version_or_somebody_elses() {
        assert_eq!(standing("apps/v1", "Deployment"), Standing::Served);
        assert_eq!(standing("traefik.io/v1alpha1", "Middleware"), Standing::Served);
        assert_eq!(standing("apps/v1", "Deploymnt"), Standing::NoKind(Some(Meant::Kind("Deployment".into()))));
        let elsewhere = Meant::Version("apps/v1".into(), "Deployment".into());
        assert_eq!(standing("v1", "Deployment"), Standing::NoKind(Some(elsewhere)));
        assert_eq!(standing("apps/v2", "Deployment"), Standing::NoVersion(Some("apps/v1".into())));
        assert_eq!(standing("extensions/v1beta1", "Ingress"), Standing::NoVersion(Some("networking.k8s.io/v1".into())));
        assert_eq!(standing("example.org/v1", "Thing"), Standing::Custom(None));
    }

    #[test]
    fn only_what_no_definition_can_bring_is_never_served() {
        assert!(never_served("policy/v1", "PodDisruptionBudge") && never_served("apps/v2", "Deployment"));
        assert!(never_served("polcy/v1", "PodDisruptionBudget"), "a definition's group has a dot");
        assert!(!never_served("apps/v1", "Deployment"), "the server is still starting");
        assert!(!never_served("example.org/v1", "Thing") && !never_served("traefik.io/v1alpha1", "Midleware"));
    }
}

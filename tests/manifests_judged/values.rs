//! Words, numbers, quantities, and fields that do not go together.

use crate::each_is_said;

#[test]
fn a_word_that_a_field_does_not_know_is_found_and_the_likely_one_named() {
    each_is_said(&[
        ("redis", "type: Recreate", "type: Recrate", "Recrate", &["spec.strategy.type", "did you mean \"Recreate\"?"]),
        (
            "api",
            "imagePullPolicy: IfNotPresent",
            "imagePullPolicy: Sometimes",
            "Sometimes",
            &["spec.template.spec.containers[0].imagePullPolicy", "write one of Always, IfNotPresent, Never"],
        ),
        (
            "ingress",
            "pathType: Prefix\n            backend:\n              service: { name: admin",
            "pathType: Prefx\n            backend:\n              service: { name: admin",
            "Prefx",
            &["pathType", "did you mean \"Prefix\"?"],
        ),
        (
            "redis",
            "accessModes: [ReadWriteOnce]",
            "accessModes: [ReadWriteOne]",
            "ReadWriteOne",
            &["spec.accessModes[0]", "did you mean \"ReadWriteOnce\"?"],
        ),
        (
            "api",
            "whenUnsatisfiable: DoNotSchedule",
            "whenUnsatisfiable: DontSchedule",
            "DontSchedule",
            &["whenUnsatisfiable", "did you mean \"DoNotSchedule\"?"],
        ),
        (
            "namespace",
            "enforce: restricted",
            "enforce: restrictd",
            "restrictd",
            &["metadata.labels.pod-security.kubernetes.io/enforce", "did you mean \"restricted\"?"],
        ),
        ("network", "operator: In", "operator: in", "in", &["operator", "did you mean \"In\"?"]),
        ("network", "policyTypes: [Ingress]", "policyTypes: [Inward]", "Inward", &["policyTypes[0]"]),
        (
            "rbac",
            "subjects:\n  - kind: ServiceAccount",
            "subjects:\n  - kind: ServiceAcount",
            "ServiceAcount",
            &["subjects[0].kind"],
        ),
        ("disruption", "AlwaysAllow", "Always", "Always", &["spec.unhealthyPodEvictionPolicy"]),
    ]);
}

#[test]
fn a_number_or_a_quantity_that_kubernetes_refuses_is_found() {
    each_is_said(&[
        ("api", "cpu: 250m", "cpu: 100x", "100x", &["resources.requests.cpu", "is no quantity", "100m"]),
        ("redis", "storage: 2Gi", "storage: two", "two", &["spec.resources.requests.storage", "is no quantity"]),
        ("redis", "storage: 2Gi", "storage: -2Gi", "-2Gi", &["is below zero"]),
        ("worker", "sizeLimit: 256Mi", "sizeLimit: 256MB", "256MB", &["emptyDir.sizeLimit", "is no quantity"]),
        ("redis", "port: 6379", "port: 637900", "637900", &["spec.ports[0].port", "from 1 to 65535"]),
        ("api", "containerPort: 8000", "containerPort: 0", "0", &["containerPort", "from 1 to 65535"]),
        ("api", "targetPort: http", "targetPort: HTTP", "HTTP", &["spec.ports[0].targetPort", "is no port"]),
        (
            "redis",
            "revisionHistoryLimit: 3",
            "revisionHistoryLimit: -5",
            "-5",
            &["spec.revisionHistoryLimit", "from 0"],
        ),
        ("worker", "replicas: 1", "replicas: -1", "-1", &["spec.replicas", "from 0"]),
        ("api", "maxSkew: 1", "maxSkew: 0", "0", &["maxSkew", "from 1"]),
        ("api", "maxSurge: 1", "maxSurge: some", "some", &["maxSurge", "is no percentage"]),
        (
            "api",
            "limits: { memory: 768Mi }",
            "limits: { memory: 128Mi }",
            "128Mi",
            &["below the request of 256Mi", "raise the limit"],
        ),
    ]);
}

#[test]
fn fields_of_one_object_that_do_not_go_together_are_found() {
    each_is_said(&[
        (
            "disruption",
            "maxUnavailable: 1",
            "maxUnavailable: 1\n  minAvailable: 1",
            "maxUnavailable",
            &["minAvailable and maxUnavailable exclude each other"],
        ),
        (
            "redis",
            "type: Recreate",
            "type: Recreate\n    rollingUpdate: { maxSurge: 1 }",
            "rollingUpdate",
            &["may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            "admin",
            "maxUnavailable: 0, maxSurge: 1",
            "maxUnavailable: 0, maxSurge: 0",
            "0",
            &["may not be 0 when maxSurge is 0"],
        ),
        (
            "ingress",
            "name: admin, port: { name: http }",
            "name: admin, port: { name: http, number: 80 }",
            "number",
            &["name and number exclude each other"],
        ),
        (
            "worker",
            "{ name: tmp, mountPath",
            "{ name: temp, mountPath",
            "temp",
            &["mounts a volume \"temp\"", "did you mean \"tmp\"?"],
        ),
        (
            "redis",
            "{ name: config, mountPath",
            "{ name: confg, mountPath",
            "confg",
            &["mounts a volume \"confg\"", "did you mean \"config\"?"],
        ),
        (
            "worker",
            "httpGet: { path: /health, port: health }",
            "httpGet: { path: /health, port: helth }",
            "helth",
            &["startupProbe asks port \"helth\"", "did you mean \"health\"?"],
        ),
        (
            "redis",
            "storageClassName: local-path\n  accessModes: [ReadWriteOnce]",
            "storageClassName: local-path",
            "storageClassName",
            &["spec.accessModes: it is missing"],
        ),
    ]);
}

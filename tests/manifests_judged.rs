//! Manifests are judged before anything is touched: what Kubernetes would refuse, or what would wait for ever there, is named with
//! the place of the very value, by `relight validate` and by a run before its first effect.

#![expect(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "a test ends where it fails")]

#[path = "support/desk.rs"]
mod desk;

use desk::Desk;
use relight::config::{load, manifests};
use std::fs;
use std::process::Command;

/// One slip: in which manifest, what stands there, what is written instead, which part of that is wrong, and what is said of it.
type Slip<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str]);

/// The text with the slip, and the line and column that are wrong.
fn slipped(text: &str, (file, old, new, wrong, _): &Slip<'_>) -> (String, String) {
    let at = text.find(old).unwrap_or_else(|| panic!("{file} does not contain {old}"));
    let changed = text.replacen(old, new, 1);
    let at = at + new.find(wrong).unwrap_or_else(|| panic!("{new} does not contain {wrong}"));
    let before = &changed[..at];
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    (changed.clone(), format!("manifests/{file}.yaml:{}:{column}: ", before.matches('\n').count() + 1))
}

/// Each slip alone: exactly this one line is said.
fn each_is_said(slips: &[Slip<'_>]) {
    for slip in slips {
        let (file, .., wrong, parts) = slip;
        let desk = Desk::new();
        let path = desk.path(&format!("manifests/{file}.yaml"));
        let (text, place) = slipped(&fs::read_to_string(&path).unwrap(), slip);
        fs::write(&path, text).unwrap();
        let (code, said) = validate(&desk);
        assert_eq!((code, said.lines().count()), (Some(2), 1), "{file} with {wrong}:\n{said}");
        assert!(said.starts_with(&place), "{said} is not at {place}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said} does not say {parts:?}");
    }
}

fn binary(desk: &Desk, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relight"));
    command.args(arguments).current_dir(desk.path("")).env_clear().stdin(std::process::Stdio::null());
    let ended = command.env("PATH", "/usr/bin:/bin").env("HOME", desk.path("")).output().unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code(), text.strip_prefix("relight: ").unwrap_or(&text).to_owned())
}

fn validate(desk: &Desk) -> (Option<i32>, String) {
    binary(desk, &["validate"])
}

fn is_valid(desk: &Desk) {
    let (code, said) = validate(desk);
    assert_eq!(code, Some(0), "{said}");
}

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
            "accessModes: [ReadWriteOnce]",
            "volumeMode: Filesystem",
            "volumeMode",
            &["spec.accessModes: it is missing"],
        ),
    ]);
}

#[test]
fn what_an_object_names_and_nobody_makes_is_found() {
    each_is_said(&[
        (
            "redis",
            "storageClassName: local-path",
            "storageClassName: local-pth",
            "local-pth",
            &["wants StorageClass \"local-pth\"", "did you mean \"local-path\"?"],
        ),
        (
            "ingress",
            "ingressClassName: traefik",
            "ingressClassName: nginx",
            "nginx",
            &["wants IngressClass \"nginx\"", "\"IngressClass nginx\" to manifests.external"],
        ),
        (
            "rbac",
            "kind: Role\n  name: deployer\nsubjects",
            "kind: Role\n  name: deploy\nsubjects",
            "deploy\n",
            &["Role honeydue/deploy"],
        ),
        (
            "rbac",
            "kind: Role\n  name: deployer\nsubjects",
            "kind: ClusterRole\n  name: veiw\nsubjects",
            "veiw",
            &["wants ClusterRole \"veiw\"", "did you mean \"view\"?"],
        ),
        (
            "rbac",
            "kind: ServiceAccount\n    name: deployer",
            "kind: ServiceAccount\n    name: deploier",
            "deploier",
            &["wants ServiceAccount honeydue/deploier", "did you mean honeydue/deployer?"],
        ),
        (
            "worker",
            "enableServiceLinks: false",
            "enableServiceLinks: false\n      priorityClassName: urgent",
            "urgent",
            &["wants PriorityClass \"urgent\""],
        ),
        ("worker", "configMapRef: { name: app }", "configMapRef: { name: ap }", "ap ", &["ConfigMap honeydue/ap"]),
        ("worker", "secretRef: { name: app }", "secretRef: { name: apple }", "apple", &["Secret honeydue/apple"]),
        (
            "redis",
            "claimName: redis-data",
            "claimName: redis-date",
            "redis-date",
            &["PersistentVolumeClaim honeydue/redis-date"],
        ),
    ]);
}

#[test]
fn a_class_is_made_by_a_manifest_by_a_volume_by_hand_or_declared() {
    let desk = Desk::new();
    let redis = desk.path("manifests/redis.yaml");
    let text = fs::read_to_string(&redis).unwrap().replace("storageClassName: local-path", "storageClassName: fast");
    fs::write(&redis, text).unwrap();
    assert_eq!(validate(&desk).0, Some(2));
    let class =
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: { name: fast }\nprovisioner: example.org/fast\n";
    let volume = "apiVersion: v1\nkind: PersistentVolume\nmetadata: { name: v }\nspec:\n  storageClassName: fast\n  capacity: { storage: 2Gi }\n  accessModes: [ReadWriteOnce]\n  hostPath: { path: /srv/redis }\n";
    for made in [class, volume] {
        fs::write(desk.path("manifests/made.yaml"), made).unwrap();
        is_valid(&desk);
    }
    fs::remove_file(desk.path("manifests/made.yaml")).unwrap();
    let config = fs::read_to_string(desk.path("relight.yaml")).unwrap();
    let declared = config.replace("manifests:\n", "manifests:\n  external: [StorageClass fast]\n");
    fs::write(desk.path("relight.yaml"), declared).unwrap();
    is_valid(&desk);
}

#[test]
fn a_misspelt_kind_or_version_is_named_and_not_what_follows_from_it() {
    each_is_said(&[
        (
            "disruption",
            "kind: PodDisruptionBudget",
            "kind: PodDisruptionBudge",
            "PodDisruptionBudge",
            &["policy/v1 has no kind \"PodDisruptionBudge\"", "did you mean \"PodDisruptionBudget\"?"],
        ),
        ("network", "kind: NetworkPolicy", "kind: NetworkPolcy", "NetworkPolcy", &["did you mean \"NetworkPolicy\"?"]),
        (
            "worker",
            "apiVersion: apps/v1",
            "apiVersion: apps/v2",
            "apps/v2",
            &["does not serve", "did you mean \"apps/v1\"?"],
        ),
        (
            "worker",
            "apiVersion: apps/v1",
            "apiVersion: v1",
            "v1",
            &["v1 has no kind \"Deployment\"", "did you mean \"apps/v1\"?"],
        ),
        (
            "ingress",
            "networking.k8s.io/v1",
            "networking.k8s.oi/v1",
            "networking.k8s.oi/v1",
            &["did you mean \"networking.k8s.io/v1\"?"],
        ),
        ("disruption", "policy/v1", "polcy/v1", "polcy/v1", &["did you mean \"policy/v1\"?"]),
        // `order` in relight.yaml names it, and workloads want the others.
        (
            "worker",
            "kind: Deployment",
            "kind: Deploymnt",
            "Deploymnt",
            &["apps/v1 has no kind", "did you mean \"Deployment\"?"],
        ),
        ("config", "kind: ConfigMap", "kind: ConfigMp", "ConfigMp", &["v1 has no kind", "did you mean \"ConfigMap\"?"]),
        (
            "namespace",
            "kind: Namespace",
            "kind: Namespac",
            "Namespac",
            &["v1 has no kind", "did you mean \"Namespace\"?"],
        ),
        (
            "redis",
            "kind: PersistentVolumeClaim",
            "kind: PersistentVolumeClame",
            "PersistentVolumeClame",
            &["did you mean"],
        ),
    ]);
}

const THING: &str = "apiVersion: example.org/v1\nkind: Thing\nmetadata: { name: t, namespace: honeydue }\n";
const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: things.example.org }
spec:
  group: example.org
  scope: Namespaced
  names: { kind: Thing, plural: things }
  versions: [{ name: v1, served: true, storage: true }]
";

#[test]
fn a_custom_kind_needs_a_definition_of_the_manifests_or_of_k3s() {
    let desk = Desk::new();
    let write = |text: &str| fs::write(desk.path("manifests/thing.yaml"), text).unwrap();
    let says = |parts: &[&str]| {
        let (code, said) = validate(&desk);
        assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said} does not say {parts:?}");
    };
    write(THING);
    says(&[
        "thing.yaml:1:13: ",
        "nothing makes the kind \"Thing\" of example.org/v1",
        "CustomResourceDefinition <plural>.example.org",
    ]);
    write(&format!("{DEFINITION}---\n{THING}"));
    is_valid(&desk);
    write(&format!("{DEFINITION}---\n{}", THING.replace("org/v1", "org/v2")));
    says(&["does not serve \"v2\"", "versions it serves: v1"]);
    write(&format!("{DEFINITION}---\n{}", THING.replace("Thing", "Thign")));
    says(&["thing.yaml:11:7: ", "makes the kind \"Thign\"", "did you mean \"Thing\"?"]);
    for (group, kind) in
        [("traefik.io/v1alpha1", "Middleware"), ("helm.cattle.io/v1", "HelmChart"), ("k3s.cattle.io/v1", "Addon")]
    {
        write(&THING.replace("example.org/v1", group).replace("Thing", kind));
        is_valid(&desk);
    }
    write(&THING.replace("example.org/v1", "traefik.io/v1alpha1").replace("Thing", "Midleware"));
    says(&["thing.yaml:2:7: ", "did you mean \"Middleware\"?"]);
    write(THING);
    let config = fs::read_to_string(desk.path("relight.yaml")).unwrap();
    let declared =
        config.replace("manifests:\n", "manifests:\n  external: [CustomResourceDefinition things.example.org]\n");
    fs::write(desk.path("relight.yaml"), declared).unwrap();
    is_valid(&desk);
}

#[test]
fn another_minor_of_kubernetes_may_serve_what_the_tables_do_not_know() {
    let desk = Desk::new();
    let newer = THING.replace("example.org/v1", "networking.k8s.io/v2").replace("Thing", "Gate");
    fs::write(desk.path("manifests/gate.yaml"), newer).unwrap();
    assert_eq!(validate(&desk).0, Some(2));
    let config = fs::read_to_string(desk.path("relight.yaml")).unwrap();
    fs::write(desk.path("relight.yaml"), config.replace("v1.34.6+k3s1", "v1.37.1+k3s1")).unwrap();
    is_valid(&desk);
}

#[test]
fn what_validate_refuses_a_run_and_its_rehearsal_refuse_too() {
    for (file, old, new) in [
        ("redis", "type: Recreate", "type: Recrate"),
        ("api", "cpu: 250m", "cpu: 100x"),
        ("disruption", "kind: PodDisruptionBudget", "kind: PodDisruptionBudge"),
        ("redis", "storageClassName: local-path", "storageClassName: local-pth"),
        ("worker", "replicas: 1", "replicaz: 1"),
    ] {
        let desk = Desk::new();
        let path = desk.path(&format!("manifests/{file}.yaml"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} does not contain {old}");
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let settings = load(&desk.path("relight.yaml")).unwrap();
        for settings in [settings.rehearsed().unwrap(), settings] {
            let refused = manifests(&settings).unwrap_err().to_string();
            assert_eq!(refused.lines().count(), 1, "{refused}");
            assert!(refused.contains(&format!("{file}.yaml:")), "{refused}");
        }
    }
}

//! Kinds and versions that nothing serves.

use crate::desk::Desk;
use crate::{each_is_said, is_valid, validate};
use std::fs;

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

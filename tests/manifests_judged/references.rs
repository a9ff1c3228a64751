//! What an object names and nobody makes.

use crate::desk::Desk;
use crate::{each_is_said, is_valid, validate};
use std::fs;

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

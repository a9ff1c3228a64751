//! What the API server fills in. Source: kubernetes' `pkg/apis/*/v1/defaults.go`, for what kubectl, relight or the controllers
//! read.

use super::kinds::Served;
use super::read::{default, list, map, number, set, text};
use super::store::Objects;
use base64::Engine as _;
use serde_json::{json, Value};

/// Fills in defaults, and turns what is only written (`stringData`) into what is stored.
pub(super) fn complete(objects: &mut Objects, served: &Served, object: &mut Value) {
    match served.kind.as_str() {
        "Secret" => {
            fold_string_data(object);
            default(object, &["type"], "Opaque");
        }
        "Namespace" => {
            let name = super::read::name(object).to_owned();
            set(object, &["metadata", "labels", "kubernetes.io/metadata.name"], name);
            default(object, &["spec", "finalizers"], json!(["kubernetes"]));
            default(object, &["status", "phase"], "Active");
        }
        "Pod" => {
            pod_spec(object, "/spec");
            default(object, &["status", "phase"], "Pending");
            default(object, &["status", "qosClass"], "Burstable");
            default(
                object,
                &["spec", "tolerations"],
                json!([
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]),
            );
        }
        "Deployment" => deployment(object),
        "ReplicaSet" => {
            default(object, &["spec", "replicas"], 1);
            pod_spec(object, "/spec/template/spec");
        }
        "DaemonSet" => {
            default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
            default(object, &["spec", "updateStrategy", "rollingUpdate"], json!({"maxSurge": 0, "maxUnavailable": 1}));
            default(object, &["spec", "revisionHistoryLimit"], 10);
            pod_spec(object, "/spec/template/spec");
        }
        "StatefulSet" => {
            default(object, &["spec", "replicas"], 1);
            default(object, &["spec", "podManagementPolicy"], "OrderedReady");
            default(
                object,
                &["spec", "updateStrategy"],
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            );
            pod_spec(object, "/spec/template/spec");
        }
        "Job" => {
            for (field, value) in [("parallelism", 1), ("completions", 1), ("backoffLimit", 6)] {
                default(object, &["spec", field], value);
            }
            default(object, &["spec", "suspend"], false);
            default(object, &["spec", "completionMode"], "NonIndexed");
            pod_spec(object, "/spec/template/spec");
        }
        "Service" => service(objects, object),
        "PersistentVolumeClaim" => {
            default(object, &["spec", "volumeMode"], "Filesystem");
            if let Some(class) = objects.default_storage_class() {
                default(object, &["spec", "storageClassName"], class);
            }
            default(object, &["status", "phase"], "Pending");
        }
        "StorageClass" => {
            default(object, &["reclaimPolicy"], "Delete");
            default(object, &["volumeBindingMode"], "Immediate");
        }
        "CustomResourceDefinition" => definition(object),
        _ => {}
    }
}

/// `stringData` is written only; it ends as base64 in `data`.
pub(super) fn fold_string_data(object: &mut Value) {
    let Some(texts) = object.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    for (key, value) in texts.as_object().into_iter().flatten() {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        set(object, &["data", key], encoded);
    }
}

fn deployment(object: &mut Value) {
    default(object, &["spec", "replicas"], 1);
    default(object, &["spec", "revisionHistoryLimit"], 10);
    default(object, &["spec", "progressDeadlineSeconds"], 600);
    default(object, &["spec", "strategy", "type"], "RollingUpdate");
    if text(object, "/spec/strategy/type") == "RollingUpdate" {
        default(object, &["spec", "strategy", "rollingUpdate", "maxSurge"], "25%");
        default(object, &["spec", "strategy", "rollingUpdate", "maxUnavailable"], "25%");
    }
    pod_spec(object, "/spec/template/spec");
}

fn pod_spec(object: &mut Value, pointer: &str) {
    let Some(spec) = object.pointer_mut(pointer) else { return };
    default(spec, &["restartPolicy"], "Always");
    default(spec, &["dnsPolicy"], "ClusterFirst");
    default(spec, &["schedulerName"], "default-scheduler");
    default(spec, &["terminationGracePeriodSeconds"], 30);
    default(spec, &["securityContext"], json!({}));
    let account = text(spec, "/serviceAccountName").to_owned();
    if !account.is_empty() {
        default(spec, &["serviceAccount"], account);
    }
    for kind in ["containers", "initContainers"] {
        for container in spec.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            let image = text(container, "/image");
            let latest =
                image.ends_with(":latest") || !image.rsplit('/').next().unwrap_or_default().contains([':', '@']);
            default(container, &["imagePullPolicy"], if latest { "Always" } else { "IfNotPresent" });
            default(container, &["terminationMessagePath"], "/dev/termination-log");
            default(container, &["terminationMessagePolicy"], "File");
            default(container, &["resources"], json!({}));
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                default(port, &["protocol"], "TCP");
            }
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                if let Some(probe) = container.get_mut(probe) {
                    for (field, value) in
                        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
                    {
                        default(probe, &[field], value);
                    }
                    if probe.get("httpGet").is_some() {
                        default(probe, &["httpGet", "scheme"], "HTTP");
                        default(probe, &["httpGet", "path"], "/");
                    }
                }
            }
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        for kind in ["secret", "configMap", "projected"] {
            if volume.get(kind).is_some() {
                default(volume, &[kind, "defaultMode"], 420);
            }
        }
    }
}

fn service(objects: &mut Objects, object: &mut Value) {
    default(object, &["spec", "type"], "ClusterIP");
    default(object, &["spec", "sessionAffinity"], "None");
    default(object, &["spec", "internalTrafficPolicy"], "Cluster");
    for port in object.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, &["protocol"], "TCP");
        let same = number(port, "/port").unwrap_or(0);
        default(port, &["targetPort"], same);
    }
    if text(object, "/spec/type") == "ExternalName" {
        return;
    }
    if text(object, "/spec/clusterIP").is_empty() {
        let number = objects.next_number();
        set(object, &["spec", "clusterIP"], format!("10.43.{}.{}", number / 250 % 250, number % 250 + 2));
    }
    let address = text(object, "/spec/clusterIP").to_owned();
    default(object, &["spec", "clusterIPs"], json!([address]));
    default(object, &["spec", "ipFamilies"], json!(["IPv4"]));
    default(object, &["spec", "ipFamilyPolicy"], "SingleStack");
    if map(object, "/status").is_none() {
        set(object, &["status"], json!({"loadBalancer": {}}));
    }
}

fn definition(object: &mut Value) {
    let kind = text(object, "/spec/names/kind").to_owned();
    default(object, &["spec", "names", "singular"], kind.to_lowercase());
    default(object, &["spec", "names", "listKind"], format!("{kind}List"));
    default(object, &["spec", "conversion"], json!({"strategy": "None"}));
    let stored: Vec<_> = list(object, "/spec/versions")
        .iter()
        .filter(|v| v.get("storage") == Some(&Value::Bool(true)))
        .filter_map(|v| v.get("name").cloned())
        .collect();
    default(object, &["status", "storedVersions"], stored);
}

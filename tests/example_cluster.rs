//! The cluster of relight.yaml and manifests/: it is valid, and what Kubernetes and Traefik would only say later is said here.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where it fails")]

use jsonschema::Validator;
use relight::config::{differences, load, manifests, schema, Manifest, NetworkSettings, SecretContent, Settings};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn settings() -> Settings {
    load(&root().join("relight.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn objects() -> Vec<Manifest> {
    manifests(&settings()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn object(kind: &str, name: &str) -> Value {
    let found = objects().into_iter().find(|m| m.object["kind"] == kind && m.object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).object
}

/// The only container of a workload.
fn container(name: &str) -> Value {
    object("Deployment", name)["spec"]["template"]["spec"]["containers"][0].clone()
}

/// The Helm values inside Traefik's HelmChartConfig.
fn traefik_values() -> Value {
    let text = fs::read_to_string(root().join("manifests/traefik-helmchartconfig.yaml")).unwrap();
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(config["apiVersion"], "helm.cattle.io/v1");
    assert_eq!(config["kind"], "HelmChartConfig");
    assert_eq!(config["metadata"], json!({ "name": "traefik", "namespace": "kube-system" }));
    serde_saphyr::from_str(config["spec"]["valuesContent"].as_str().unwrap()).unwrap()
}

/// What the API description says of a kind, as a JSON Schema.
fn kubernetes(version: &str, kind: &str) -> Validator {
    let api: Value = serde_json::from_str(include_str!("support/kubernetes-v1.34.4.schema.json")).unwrap();
    let name = api["kinds"][format!("{version} {kind}")].as_str();
    let name =
        name.unwrap_or_else(|| panic!("{version} {kind} is not in the reduced description: add it to the script"));
    let schema = json!({ "$ref": format!("#/definitions/{name}"), "definitions": api["definitions"] });
    jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&schema).unwrap()
}

#[test]
fn the_configuration_is_valid_on_a_fresh_machine_and_says_who_cannot_log_in() {
    let settings = settings();
    assert_eq!(settings.nodes.len(), 3);
    assert_eq!(settings.nodes[0].labels["honeydue/redis"], "true");
    let network = NetworkSettings::Private { range: "10.0.0.0/16".into(), zone: "eu-central".into() };
    assert_eq!(settings.cloud.network, network);
    assert_eq!(settings.cloud.locations, ["nbg1", "fsn1", "hel1"]);
    assert_eq!(settings.k3s.version, "v1.34.6+k3s1");
    assert_eq!(settings.manifests.order, ["redis", "api", "admin", "worker"]);
    assert_eq!(settings.health[0].url, "https://api.myhoneydue.com/api/health/");
    assert_eq!(settings.remarks().len(), 1, "{:?}", settings.remarks());
    assert!(settings.remarks()[0].starts_with("cloud.ssh_authorized_keys is empty"));
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_this_binary_and_accepts_the_configuration() {
    let text = fs::read_to_string(root().join("steps/relight.schema.json")).unwrap();
    let stored: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, schema(), "the schema is old: run `relight schema > steps/relight.schema.json`");
    let yaml = fs::read_to_string(root().join("relight.yaml")).unwrap();
    let modeline = yaml.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert!(root().join(modeline).is_file(), "the editor's modeline names {modeline}");
    let written: Value = serde_saphyr::from_str(&yaml).unwrap();
    let validator = jsonschema::validator_for(&stored).unwrap();
    let errors: Vec<String> = validator.iter_errors(&written).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut wrong = written;
    wrong["cloud"]["locatoins"] = json!([]);
    assert!(!validator.is_valid(&wrong), "a misspelt key must be refused by the schema too");
}

#[test]
fn every_setting_is_explained_by_the_schema() {
    fn visit(path: &str, schema: &Value, silent: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if property["description"].as_str().is_none_or(str::is_empty) {
                silent.push(format!("{path}.{name}"));
            }
        }
    }
    let schema = schema();
    let mut silent = Vec::new();
    visit("", &schema, &mut silent);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        visit(name, definition, &mut silent);
        assert!(definition["description"].is_string(), "{name} is not explained");
    }
    assert!(silent.is_empty(), "without explanation: {silent:?}");
}

#[test]
fn every_manifest_is_what_the_api_of_kubernetes_1_34_takes() {
    let objects = objects();
    assert!(objects.len() > 15, "only {} objects were read", objects.len());
    for Manifest { file, line, object } in &objects {
        let text = |key: &str| object[key].as_str().unwrap().to_owned();
        let validator = kubernetes(&text("apiVersion"), &text("kind"));
        let errors: Vec<String> = validator.iter_errors(object).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert!(errors.is_empty(), "{}:{line}: {errors:#?}", file.display());
    }
    let mut wrong = object("Deployment", "api");
    wrong["spec"]["replcas"] = json!(3);
    assert!(!kubernetes("apps/v1", "Deployment").is_valid(&wrong), "a misspelt field must be found");
    wrong = object("Service", "api");
    wrong["spec"]["ports"][0]["port"] = json!("80");
    assert!(!kubernetes("v1", "Service").is_valid(&wrong), "a wrong type must be found");
}

#[test]
fn traefik_stands_on_every_nodes_ports_and_never_redirects() {
    let values = traefik_values();
    assert_eq!(values["deployment"]["kind"], "DaemonSet");
    assert_eq!(values["hostNetwork"], true);
    assert_eq!(values["service"]["enabled"], false);
    for (port, number) in [("web", 80), ("websecure", 443)] {
        assert_eq!(
            (&values["ports"][port]["port"], &values["ports"][port]["hostPort"]),
            (&json!(number), &json!(number))
        );
    }
    // Host ports allow no surge: the chart refuses to render otherwise.
    let update = &values["updateStrategy"]["rollingUpdate"];
    assert!(update["maxUnavailable"].as_u64().unwrap() > 0 && update["maxSurge"] == 0);
    assert!(
        !values.to_string().to_lowercase().contains("redirect"),
        "a redirect loops for ever behind Cloudflare Flexible"
    );
    for Manifest { object, .. } in objects().iter().filter(|m| m.object["kind"] == "Ingress") {
        assert!(!object.to_string().to_lowercase().contains("redirect"));
        assert!(object["spec"].get("tls").is_none());
    }
}

#[test]
fn forwarded_headers_are_trusted_from_ranges_that_are_narrow_and_public() {
    let values = traefik_values();
    let ranges = values["ports"]["web"]["forwardedHeaders"]["trustedIPs"].as_array().unwrap();
    assert_eq!(ranges.len(), 22, "Cloudflare publishes 15 ranges of IPv4 and 7 of IPv6");
    for range in ranges {
        let (address, bits) = range.as_str().unwrap().split_once('/').unwrap();
        let (address, bits): (std::net::IpAddr, u8) = (address.parse().unwrap(), bits.parse().unwrap());
        assert!(bits >= if address.is_ipv4() { 12 } else { 29 }, "{range} is too wide");
        assert!(!matches!(address, std::net::IpAddr::V4(ip) if ip.is_private() || ip.is_loopback()), "{range}");
    }
}

#[test]
fn traefiks_file_is_left_to_the_nodes_disks() {
    assert!(objects().iter().all(|m| m.object["kind"] != "HelmChartConfig"));
}

#[test]
fn every_host_has_an_ingress_rule_and_every_rule_a_host() {
    let hosts: BTreeSet<String> = settings().dns.hosts.into_iter().collect();
    let ingress = object("Ingress", "honeydue");
    let rules = ingress["spec"]["rules"].as_array().unwrap();
    let named: BTreeSet<String> = rules.iter().map(|r| r["host"].as_str().unwrap().to_owned()).collect();
    assert_eq!(hosts, named);
    for path in rules.iter().flat_map(|r| r["http"]["paths"].as_array().unwrap()) {
        let service = &path["backend"]["service"];
        let ports = object("Service", service["name"].as_str().unwrap())["spec"]["ports"].clone();
        assert!(ports.as_array().unwrap().iter().any(|p| p["name"] == service["port"]["name"]), "{service}");
    }
}

#[test]
fn services_and_budgets_select_the_pods_they_are_for() {
    for Manifest { object: of, .. } in objects() {
        let (kind, name) = (of["kind"].as_str().unwrap(), of["metadata"]["name"].as_str().unwrap());
        let selector = match kind {
            "Service" => &of["spec"]["selector"],
            "PodDisruptionBudget" | "Deployment" => &of["spec"]["selector"]["matchLabels"],
            _ => continue,
        };
        let pod = object("Deployment", name)["spec"]["template"].clone();
        for (key, value) in selector.as_object().unwrap() {
            assert_eq!(&pod["metadata"]["labels"][key], value, "{kind} {name}");
        }
        for port in of["spec"]["ports"].as_array().into_iter().flatten() {
            let target = &port["targetPort"];
            let ports = pod["spec"]["containers"][0]["ports"].as_array().unwrap().clone();
            assert!(ports.iter().any(|p| p["name"] == *target), "{kind} {name}: no container port {target}");
        }
    }
}

#[test]
fn the_api_may_take_four_minutes_to_start_and_a_drain_takes_one_at_a_time() {
    let probe = container("api")["startupProbe"].clone();
    let seconds = probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
    assert!(seconds >= 240, "{seconds}");
    let api = object("Deployment", "api");
    assert_eq!(api["spec"]["replicas"], 3);
    assert!(api["spec"]["progressDeadlineSeconds"].as_u64().unwrap() > 2 * seconds);
    let budgets: Vec<Manifest> = objects().into_iter().filter(|m| m.object["kind"] == "PodDisruptionBudget").collect();
    for Manifest { object: budget, .. } in budgets {
        assert_eq!(budget["spec"]["maxUnavailable"], 1);
        let replicas = object("Deployment", budget["metadata"]["name"].as_str().unwrap())["spec"]["replicas"].clone();
        assert!(replicas.as_u64().unwrap() > 1, "a budget over one replica promises what it cannot keep");
    }
}

#[test]
fn the_singletons_never_run_twice_and_redis_stays_with_its_volume() {
    for name in ["worker", "redis"] {
        let workload = object("Deployment", name);
        assert_eq!(workload["spec"]["replicas"], 1, "{name}");
        assert_eq!(workload["spec"]["strategy"], json!({ "type": "Recreate" }), "{name}");
    }
    let pod = object("Deployment", "redis")["spec"]["template"]["spec"].clone();
    let selector = pod["nodeSelector"].as_object().unwrap().clone();
    let on: Vec<String> = settings()
        .nodes
        .into_iter()
        .filter(|n| selector.iter().all(|(k, v)| n.labels.get(k).map(String::as_str) == v.as_str()))
        .map(|n| n.key)
        .collect();
    assert_eq!(on, ["node-1"], "exactly one node carries the label that redis wants");
    assert_eq!(object("PersistentVolumeClaim", "redis-data")["spec"]["storageClassName"], "local-path");
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "redis-data");
    assert_eq!(settings().manifests.order.last().map(String::as_str), Some("worker"));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container("admin")[probe]["httpGet"]["path"], "/", "{probe}");
    }
}

#[test]
fn every_container_is_limited_and_has_no_rights_it_does_not_need() {
    let workloads: Vec<Manifest> = objects().into_iter().filter(|m| m.object["kind"] == "Deployment").collect();
    assert_eq!(workloads.len(), 4);
    for Manifest { object: workload, .. } in workloads {
        let name = workload["metadata"]["name"].as_str().unwrap();
        let pod = &workload["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        let account = object("ServiceAccount", pod["serviceAccountName"].as_str().unwrap());
        assert_eq!(account["imagePullSecrets"][0]["name"], "registry", "{name}");
        for container in pod["containers"].as_array().unwrap() {
            assert!(container["image"].as_str().unwrap().starts_with("gitea.example.org/"), "{name}");
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }), "{name}");
            assert!(container["resources"]["requests"]["memory"].is_string(), "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
            assert!(container["livenessProbe"].is_object(), "{name}");
        }
    }
}

#[test]
fn the_record_of_the_settings_holds_no_value_and_tells_what_changed() {
    let settings = settings();
    let record = settings.record();
    assert!(!record.to_string().contains(r#""value":"rehearsal""#));
    assert!(differences(&record, &settings.record()).is_empty());
    let mut changed = settings.clone();
    changed.k3s.version = "v1.35.0+k3s1".into();
    changed.nodes[0].labels.clear();
    changed.base = Path::new("/elsewhere").into();
    changed.dns.hosts.truncate(2);
    if let SecretContent::Keys { keys, .. } = &mut changed.secrets[0].content {
        keys.retain(|key, _| key != "SMTP_PASSWORD");
    }
    let said = differences(&record, &changed.record());
    let expected = [
        "dns.hosts: [myhoneydue.com, api.myhoneydue.com, admin.myhoneydue.com] -> [myhoneydue.com, api.myhoneydue.com]",
        "k3s.version: v1.34.6+k3s1 -> v1.35.0+k3s1",
        "nodes.node-1.labels.honeydue/redis: true -> none",
        r#"secrets.honeydue/app.keys.SMTP_PASSWORD: {"age":"secrets/smtp.age"} -> none"#,
    ];
    assert_eq!(said, expected);
}

#[test]
fn settings_read_their_manifests_once_and_a_changed_clone_reads_anew() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml");
    let settings = relight::config::load(&file).unwrap();
    let once = settings.objects().unwrap();
    assert_eq!(once, relight::config::manifests(&settings).unwrap());
    assert!(std::ptr::eq(once, settings.objects().unwrap()));
    let mut changed = settings.clone();
    changed.manifests.paths = vec!["missing".into()];
    assert!(changed.objects().is_err());
}

//! The sandbox's Kubernetes does what a small K3s cluster does, as time passes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cluster;

use cluster::{deployment, publish, seconds, view, waiting, Cluster, ON_HOST};
use relight::sandbox::objects::{NodeView, Startup};
use serde_json::{json, Value};

#[test]
fn k3s_brings_its_components_and_traefik_as_its_config_says() {
    let mut cluster = Cluster::new(3, ON_HOST);
    for name in ["coredns", "local-path-provisioner", "metrics-server"] {
        let found = cluster.get(&format!("/apis/apps/v1/namespaces/kube-system/deployments/{name}"));
        assert_eq!(found["status"]["availableReplicas"], 1, "{name}");
    }
    let job = cluster.get("/apis/batch/v1/namespaces/kube-system/jobs/helm-install-traefik");
    assert!(job["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .any(|c| c["type"] == "Complete" && c["status"] == "True"));
    let traefik = cluster.get("/apis/apps/v1/namespaces/kube-system/daemonsets/traefik");
    assert_eq!(
        (&traefik["status"]["numberReady"], &traefik["status"]["desiredNumberScheduled"]),
        (&json!(3), &json!(3))
    );
    let config = cluster.get("/apis/helm.cattle.io/v1/namespaces/kube-system/helmchartconfigs/traefik");
    assert_eq!(config["metadata"]["managedFields"][0]["manager"], "deploy@node-1");
}

#[test]
fn values_that_the_chart_refuses_never_install_it() {
    let mut cluster = Cluster::new(1, "deployment: {kind: DaemonSet}\nhostNetwork: true\n");
    cluster.pass(300);
    let job = cluster.get("/apis/batch/v1/namespaces/kube-system/jobs/helm-install-traefik");
    assert_eq!(job["status"]["succeeded"], 0);
    assert_eq!(cluster.ask("GET", "/apis/apps/v1/namespaces/kube-system/daemonsets/traefik", "", &Value::Null).0, 404);
    let now = cluster.now;
    assert_eq!(cluster.objects.serving(now, "node-1", "api.example.org", "/"), None);
}

#[test]
fn a_node_answers_refuses_404s_and_503s_as_traefik_does() {
    let mut cluster = Cluster::new(3, ON_HOST);
    cluster.namespace();
    let ask = |cluster: &mut Cluster, node: &str, host: &str| {
        let now = cluster.now;
        cluster.objects.serving(now, node, host, "/health?x=1").map(|(status, _)| status)
    };
    assert_eq!(ask(&mut cluster, "node-1", "api.example.org"), Some(404));
    assert_eq!(ask(&mut cluster, "node-9", "api.example.org"), None);
    publish(&mut cluster);
    assert_eq!(ask(&mut cluster, "node-1", "api.example.org"), Some(503));
    cluster.deploy(&deployment("api", 2, "api:1"));
    cluster.pass(30);
    assert_eq!(ask(&mut cluster, "node-3", "API.example.org:80"), Some(200));
    assert_eq!(ask(&mut cluster, "node-3", "other.example.org"), Some(404));
    cluster.objects.pace_mut().bodies.insert("api.example.org/health".into(), (200, "healthy".into()));
    let now = cluster.now;
    assert_eq!(cluster.objects.serving(now, "node-2", "api.example.org", "/health/"), Some((200, "healthy".into())));
}

#[test]
fn a_rolling_update_never_falls_below_what_must_be_available() {
    let mut cluster = Cluster::new(3, ON_HOST);
    cluster.namespace();
    cluster.deploy(&deployment("api", 4, "api:1"));
    cluster.pass(60);
    assert_eq!(cluster.ready("api"), 4);
    let stored = cluster.deploy(&deployment("api", 4, "api:2"));
    assert_eq!(stored["metadata"]["generation"], 2);
    let mut least = 4;
    for _ in 0..120 {
        cluster.pass(1);
        least = least.min(cluster.ready("api"));
        let staying = |p: &&Value| !p["metadata"]["deletionTimestamp"].is_string();
        assert!(cluster.pods("app=api").iter().filter(staying).count() <= 5, "25% of surge is one pod");
    }
    assert_eq!((least, cluster.ready("api")), (3, 4));
    let pods = cluster.pods("app=api");
    assert!(pods.iter().all(|p| p["spec"]["containers"][0]["image"] == "api:2"), "{pods:?}");
}

#[test]
fn recreate_starts_the_new_pod_after_the_old_one_is_gone() {
    let mut cluster = Cluster::new(2, ON_HOST);
    cluster.namespace();
    let mut worker = deployment("worker", 1, "worker:1");
    worker["spec"]["strategy"] = json!({"type": "Recreate"});
    cluster.deploy(&worker);
    cluster.pass(30);
    worker["spec"]["template"]["spec"]["containers"][0]["image"] = json!("worker:2");
    cluster.deploy(&worker);
    let mut seen = Vec::new();
    for _ in 0..60 {
        cluster.pass(1);
        let images: Vec<_> =
            cluster.pods("app=worker").iter().map(|p| p["spec"]["containers"][0]["image"].clone()).collect();
        assert!(images.len() <= 1, "never two workers: {images:?}");
        seen.extend(images);
    }
    assert_eq!((&seen[0], seen.last().unwrap()), (&json!("worker:1"), &json!("worker:2")));
}

#[test]
fn a_pod_waits_for_its_secret_and_its_registry_and_says_so() {
    let mut cluster = Cluster::new(1, ON_HOST);
    cluster.objects.pace_mut().private_registries.insert("registry.example.org".into());
    cluster.namespace();
    let mut api = deployment("api", 1, "registry.example.org/api:1");
    api["spec"]["template"]["spec"]["imagePullSecrets"] = json!([{"name": "pull"}]);
    api["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "env"}}]);
    cluster.deploy(&api);
    cluster.pass(20);
    assert_eq!(waiting(&cluster.pods("app=api")[0]), "ImagePullBackOff");
    let login = json!({"auths": {"registry.example.org": {"auth": "x"}}}).to_string();
    let pull = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "app"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": login}});
    assert_eq!(cluster.apply("/api/v1/namespaces/app/secrets", &pull).0, 201);
    cluster.pass(20);
    assert_eq!(waiting(&cluster.pods("app=api")[0]), "CreateContainerConfigError");
    let env = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "env", "namespace": "app"}, "stringData": {"A": "1"}});
    assert_eq!(cluster.apply("/api/v1/namespaces/app/secrets", &env).0, 201);
    cluster.pass(20);
    assert_eq!(cluster.ready("api"), 1);
}

#[test]
fn migrations_run_one_after_another_and_a_hasty_probe_kills_the_last() {
    let mut cluster = Cluster::new(3, ON_HOST);
    cluster.objects.pace_mut().startup.push(Startup { image: "api".into(), takes: seconds(60), one_at_a_time: true });
    cluster.namespace();
    let mut api = deployment("api", 3, "api:1");
    let probe = |tries: u32| json!({"httpGet": {"port": 80}, "periodSeconds": 10, "failureThreshold": tries});
    api["spec"]["template"]["spec"]["containers"][0]["startupProbe"] = probe(24);
    cluster.deploy(&api);
    let mut counts = Vec::new();
    for _ in 0..4 {
        cluster.pass(60);
        counts.push(cluster.ready("api"));
    }
    assert_eq!(counts, [0, 1, 2, 3]);
    let mut hasty = deployment("api-hasty", 3, "api:1");
    hasty["spec"]["template"]["spec"]["containers"][0]["startupProbe"] = probe(9);
    cluster.deploy(&hasty);
    cluster.pass(110);
    let restarts = |p: &Value| p["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap();
    let pods = cluster.pods("app=api-hasty");
    assert!(pods.iter().any(|p| waiting(p) == "CrashLoopBackOff" || restarts(p) > 0), "{pods:?}");
}

#[test]
fn a_local_volume_ties_its_pod_to_the_node_even_after_that_is_lost() {
    let mut cluster = Cluster::new(3, ON_HOST);
    cluster.namespace();
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "redis", "namespace": "app"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(cluster.apply("/api/v1/namespaces/app/persistentvolumeclaims", &claim).0, 201);
    cluster.pass(10);
    let path = "/api/v1/namespaces/app/persistentvolumeclaims/redis";
    assert_eq!(cluster.get(path)["status"]["phase"], "Pending", "local-path waits for the first consumer");
    let mut redis = deployment("redis", 1, "redis:7");
    redis["spec"]["template"]["spec"]["nodeSelector"] = json!({"redis": "true"});
    redis["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "redis"}}]);
    cluster.deploy(&redis);
    cluster.pass(60);
    assert_eq!((cluster.ready("redis"), &cluster.get(path)["status"]["phase"]), (1, &json!("Bound")));
    // The node is gone for good; the label moves.
    let now = cluster.now;
    cluster.objects.nodes(now, &[view(1, true), view(3, true)]);
    cluster.pass(60);
    assert_eq!(cluster.ask("DELETE", "/api/v1/nodes/node-2", "", &Value::Null).0, 200);
    let label = json!({"metadata": {"labels": {"redis": "true"}}});
    assert_eq!(cluster.ask("PATCH", "/api/v1/nodes/node-1", "application/merge-patch+json", &label).0, 200);
    cluster.pass(60);
    let pods = cluster.pods("app=redis");
    let why = pods[0]["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(why.contains("volume node affinity conflict"), "{why}");
}

#[test]
fn a_silent_node_is_not_ready_after_40_seconds_and_its_pods_move_after_5_minutes() {
    let mut cluster = Cluster::new(3, ON_HOST);
    cluster.namespace();
    cluster.deploy(&deployment("api", 3, "api:1"));
    cluster.pass(60);
    let now = cluster.now;
    cluster.objects.nodes(now, &[view(1, true), view(2, true), view(3, false)]);
    let ready = |cluster: &mut Cluster| {
        let node = cluster.get("/api/v1/nodes/node-3");
        node["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Ready").unwrap()["status"]
            .clone()
    };
    cluster.pass(39);
    assert_eq!((ready(&mut cluster), cluster.ready("api")), (json!("True"), 3));
    cluster.pass(2);
    assert_eq!((ready(&mut cluster), cluster.ready("api")), (json!("Unknown"), 2));
    cluster.pass(330);
    assert_eq!(cluster.ready("api"), 3);
    let terminating = cluster.pods("app=api").iter().filter(|p| p["metadata"]["deletionTimestamp"].is_string()).count();
    assert_eq!(terminating, 1, "nobody can tell the lost kubelet to stop it");
    let now = cluster.now;
    cluster.objects.nodes(now, &[view(1, true), view(2, true), view(3, true)]);
    cluster.pass(30);
    assert_eq!((ready(&mut cluster), cluster.pods("app=api").len()), (json!("True"), 3));
}

#[test]
fn without_quorum_nothing_changes_and_what_runs_goes_on_serving() {
    let mut cluster = Cluster::new(3, ON_HOST);
    cluster.namespace();
    cluster.deploy(&deployment("api", 3, "api:1"));
    publish(&mut cluster);
    cluster.pass(60);
    let now = cluster.now;
    cluster.objects.nodes(now, &[view(1, true), view(2, false), view(3, false)]);
    cluster.objects.set_quorum(now, false);
    cluster.pass(600);
    assert_eq!(cluster.ready("api"), 3, "the last word of the datastore");
    let now = cluster.now;
    assert_eq!(cluster.objects.serving(now, "node-1", "api.example.org", "/").unwrap().0, 200);
}

#[test]
fn an_eviction_that_breaks_a_budget_is_refused() {
    let mut cluster = Cluster::new(2, ON_HOST);
    cluster.namespace();
    cluster.deploy(&deployment("api", 2, "api:1"));
    cluster.pass(60);
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "api", "namespace": "app"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "api"}}}});
    assert_eq!(cluster.apply("/apis/policy/v1/namespaces/app/poddisruptionbudgets", &budget).0, 201);
    let pods = cluster.pods("app=api");
    let evict = |cluster: &mut Cluster, pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let body =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "app"}});
        cluster.ask("POST", &format!("/api/v1/namespaces/app/pods/{name}/eviction"), "application/json", &body)
    };
    assert_eq!(evict(&mut cluster, &pods[0]).0, 201);
    let (status, why) = evict(&mut cluster, &pods[1]);
    assert_eq!((status, &why["details"]["causes"][0]["reason"]), (429, &json!("DisruptionBudget")));
    cluster.pass(60);
    assert_eq!(evict(&mut cluster, &pods[1]).0, 201);
}

#[test]
fn a_pod_that_is_given_a_token_ends_where_the_api_is_closed_to_it_and_one_without_runs() {
    let mut cluster = Cluster::new(1, ON_HOST);
    cluster.namespace();
    let now = cluster.now;
    cluster.objects.nodes(now, &[NodeView { api: false, ..view(1, true) }]);
    cluster.deploy(&deployment("speaks", 1, "speaks:1"));
    let mut mute = deployment("mute", 1, "mute:1");
    mute["spec"]["template"]["spec"]["automountServiceAccountToken"] = json!(false);
    cluster.deploy(&mute);
    cluster.pass(120);
    assert_eq!((cluster.ready("speaks"), cluster.ready("mute")), (0, 1));
    assert_eq!(waiting(&cluster.pods("app=speaks")[0]), "CrashLoopBackOff");
    let now = cluster.now;
    cluster.objects.nodes(now, &[view(1, true)]);
    cluster.pass(300);
    assert_eq!(cluster.ready("speaks"), 1, "it is tried again");
}

#[test]
fn deleting_a_namespace_takes_everything_with_it() {
    let mut cluster = Cluster::new(1, ON_HOST);
    cluster.namespace();
    cluster.deploy(&deployment("api", 2, "api:1"));
    cluster.pass(30);
    assert_eq!(cluster.get("/api/v1/namespaces/app/serviceaccounts/default")["metadata"]["name"], "default");
    assert_eq!(cluster.ask("DELETE", "/api/v1/namespaces/app", "", &Value::Null).1["status"]["phase"], "Terminating");
    let late = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": "app"}});
    assert_eq!(cluster.apply("/api/v1/namespaces/app/configmaps", &late).0, 403);
    cluster.pass(60);
    assert_eq!(cluster.ask("GET", "/api/v1/namespaces/app", "", &Value::Null).0, 404);
    assert!(cluster.get("/api/v1/pods?fieldSelector=metadata.namespace=app")["items"].as_array().unwrap().is_empty());
}

#[test]
fn the_same_calls_at_the_same_times_give_the_same_cluster() {
    let run = |steps: u64| {
        let mut cluster = Cluster::new(3, ON_HOST);
        cluster.namespace();
        cluster.deploy(&deployment("api", 3, "api:1"));
        (0..steps).for_each(|_| cluster.pass(120 / steps));
        cluster.get("/api/v1/pods")["items"].to_string()
    };
    assert_eq!(run(1), run(1));
    assert_eq!(run(1), run(60), "how often it is looked at changes nothing");
}

#[test]
fn two_managers_share_a_field_until_both_let_go() {
    let mut cluster = Cluster::new(1, ON_HOST);
    let apply = |cluster: &mut Cluster, manager: &str, data: Value| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": data});
        let path = format!("/api/v1/namespaces/default/configmaps/c?fieldManager={manager}");
        cluster.ask("PATCH", &path, "application/apply-patch+yaml", &body)
    };
    assert_eq!(apply(&mut cluster, "one", json!({"a": "1", "b": "1"})).0, 201);
    assert_eq!(apply(&mut cluster, "two", json!({"a": "1"})).0, 200);
    assert_eq!(apply(&mut cluster, "one", json!({"b": "1"})).1["data"], json!({"a": "1", "b": "1"}));
    let (status, why) = apply(&mut cluster, "one", json!({"a": "2", "b": "1"}));
    assert_eq!((status, &why["details"]["causes"][0]["field"]), (409, &json!(".data.a")));
    assert_eq!(apply(&mut cluster, "two", json!({})).1["data"], json!({"b": "1"}));
}

#[test]
fn list_items_are_owned_by_their_keys_and_defaults_count_as_keys() {
    let mut cluster = Cluster::new(1, ON_HOST);
    let apply = |cluster: &mut Cluster, manager: &str, ports: Value| {
        let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": ports}});
        let path = format!("/api/v1/namespaces/default/services/s?fieldManager={manager}");
        cluster.ask("PATCH", &path, "application/apply-patch+yaml", &body)
    };
    assert_eq!(apply(&mut cluster, "one", json!([{"port": 80, "name": "web"}])).0, 201);
    let (status, both) = apply(&mut cluster, "two", json!([{"port": 443, "protocol": "TCP", "name": "tls"}]));
    assert_eq!((status, both["spec"]["ports"].as_array().unwrap().len()), (200, 2));
    let owned = &both["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:ports"];
    assert!(owned.get("k:{\"port\":80,\"protocol\":\"TCP\"}").is_some(), "{owned}");
    let left = apply(&mut cluster, "one", json!([]));
    assert_eq!(left.1["spec"]["ports"], json!([{"name": "tls", "port": 443, "protocol": "TCP", "targetPort": 443}]));
}

//! A small cluster of the sandbox, and what tests ask of it.

use relight::sandbox::objects::{Answer, Asked, NodeView, Objects, Pace};
use serde_json::{json, Value};
use std::time::Duration;

pub const START: Duration = Duration::from_secs(1_800_000_000);

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn view(i: u8, ready: bool) -> NodeView {
    NodeView {
        name: format!("node-{i}"),
        address: format!("10.0.0.{i}"),
        ready,
        api: true,
        labels: [("redis".to_owned(), (i == 2).to_string())].into(),
        version: "v1.34.6+k3s1".into(),
        voter: true,
        boot: "1".into(),
    }
}

/// A cluster whose clock the test moves.
pub struct Cluster {
    pub objects: Objects,
    pub now: Duration,
}

impl Cluster {
    pub fn new(nodes: u8, traefik: &str) -> Self {
        let mut objects = Objects::new(START, Pace::real());
        let config = json!({"apiVersion": "helm.cattle.io/v1", "kind": "HelmChartConfig",
            "metadata": {"name": "traefik", "namespace": "kube-system"}, "spec": {"valuesContent": traefik}});
        objects.manifest_on_disk(START, "node-1", &config);
        objects.nodes(START, &(1..=nodes).map(|i| view(i, true)).collect::<Vec<_>>());
        let mut cluster = Self { objects, now: START };
        cluster.pass(60);
        cluster
    }
    pub fn pass(&mut self, time: u64) {
        self.now += seconds(time);
        self.objects.advance(self.now);
    }
    pub fn ask(&mut self, method: &str, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        self.objects.advance(self.now);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let asked = Asked {
            method: method.into(),
            path: path.into(),
            query: query.split('&').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect(),
            content_type: content_type.into(),
            user_agent: "test/1".into(),
            body: if body.is_null() { vec![] } else { body.to_string().into_bytes() },
            ..Asked::default()
        };
        let Answer::Whole { status, body, .. } = self.objects.answer(&asked) else { panic!("a watch") };
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
    pub fn get(&mut self, path: &str) -> Value {
        self.ask("GET", path, "", &Value::Null).1
    }
    pub fn apply(&mut self, path: &str, object: &Value) -> (u16, Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.ask("PATCH", &format!("{path}/{name}?fieldManager=me&force=true"), "application/apply-patch+yaml", object)
    }
    pub fn namespace(&mut self) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}});
        assert_eq!(self.apply("/api/v1/namespaces", &body).0, 201);
    }
    pub fn deploy(&mut self, object: &Value) -> Value {
        let (status, stored) = self.apply("/apis/apps/v1/namespaces/app/deployments", object);
        assert!(status < 300, "{stored}");
        stored
    }
    pub fn pods(&mut self, selector: &str) -> Vec<Value> {
        self.get(&format!("/api/v1/namespaces/app/pods?labelSelector={selector}"))["items"].as_array().unwrap().clone()
    }
    pub fn ready(&mut self, name: &str) -> i64 {
        let found = self.get(&format!("/apis/apps/v1/namespaces/app/deployments/{name}"));
        found["status"]["readyReplicas"].as_i64().unwrap_or(0)
    }
}

pub fn deployment(name: &str, replicas: u32, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "app"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name, "image": image}]}}}})
}

pub fn waiting(pod: &Value) -> &str {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str().unwrap_or_default()
}

pub const ON_HOST: &str = "deployment: {kind: DaemonSet}\nhostNetwork: true\n\
    updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}\n\
    ports:\n  web: {port: 80, hostPort: 80}\n  websecure: {port: 443, hostPort: 443}\nservice: {enabled: false}\n";

pub fn publish(cluster: &mut Cluster) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "app"},
        "spec": {"selector": {"app": "api"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    assert_eq!(cluster.apply("/api/v1/namespaces/app/services", &service).0, 201);
    let backend = json!({"service": {"name": "api", "port": {"number": 80}}});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "api", "namespace": "app"},
        "spec": {"rules": [{"host": "api.example.org", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}});
    assert_eq!(cluster.apply("/apis/networking.k8s.io/v1/namespaces/app/ingresses", &ingress).0, 201);
}

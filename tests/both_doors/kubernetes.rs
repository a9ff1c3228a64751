//! One suite for everything that implements `world::Cluster`: the sandbox's direct door, and the real provider through the
//! sandbox's network door with TLS on loopback. Part of the library's unit tests (see `lib.rs`), because only there are permits
//! to be had.

use crate::config::Timeouts;
use crate::providers::KubeApi;
use crate::sandbox::doors::{kubernetes, serve_kubernetes, Api, DirectCluster, KubernetesBackend, KubernetesTls};
use crate::sandbox::objects::{NodeView, Objects, Pace, PatchKind, Writer};
use crate::world::{ApiAt, Class, Cluster, Ended, Host, Kind, Permit, Result, Scope, Script, Secret, Shell, Target};
use async_trait::async_trait;
use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{json, Value};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A cluster of three nodes whose clock the test moves.
struct Model {
    objects: Mutex<Objects>,
    now: Mutex<Duration>,
    api: Mutex<Api>,
    kubeconfig: Mutex<Secret>,
}

impl Model {
    fn new() -> Arc<Self> {
        let now = Duration::from_secs(1_800_000_000);
        let mut objects = Objects::new(now, Pace::real());
        let view = |i: u8| NodeView {
            name: format!("node-{i}"),
            address: format!("10.0.0.{i}"),
            ready: true,
            api: true,
            labels: [("zone".to_owned(), format!("z{i}"))].into(),
            version: "v1.34.6+k3s1".into(),
            voter: true,
            boot: "1".into(),
        };
        objects.nodes(now, &[view(1), view(2), view(3)]);
        let (now, api) = (Mutex::new(now), Mutex::new(Api::Up));
        let model = Self { objects: Mutex::new(objects), now, api, kubeconfig: Mutex::new(Secret::new("")) };
        model.pass(60);
        Arc::new(model)
    }
    fn pass(&self, seconds: u64) {
        *self.now.lock().unwrap() += Duration::from_secs(seconds);
    }
    fn set(&self, api: Api) {
        *self.api.lock().unwrap() = api;
    }
}

impl KubernetesBackend for Model {
    fn at(&self, _: IpAddr, _: bool, work: &mut dyn FnMut(&mut Objects)) -> Api {
        let api = *self.api.lock().unwrap();
        let mut objects = self.objects.lock().unwrap();
        objects.advance(*self.now.lock().unwrap());
        if matches!(api, Api::Up | Api::Lost) {
            work(&mut objects);
        }
        api
    }
    fn accepts(&self, _: IpAddr, kubeconfig: &Secret) -> bool {
        kubeconfig.expose() == self.kubeconfig.lock().unwrap().expose()
    }
}

/// A shell that can do nothing but tunnel to one address.
struct Tunnel(SocketAddr);

#[async_trait]
impl Shell for Tunnel {
    async fn look(&self, _: &Host, _: &Script) -> Result<Ended> {
        Err(crate::world::Error::fatal("no scripts here"))
    }
    async fn run(&self, _: &Permit, _: &Host, _: &Script) -> Result<Ended> {
        Err(crate::world::Error::fatal("no scripts here"))
    }
    async fn reconnect(&self, _: &Host) -> Result<()> {
        Ok(())
    }
    async fn tunnel(&self, _: &Host, port: u16) -> Result<SocketAddr> {
        assert_eq!(port, 6443);
        Ok(self.0)
    }
    async fn listens(&self, _: IpAddr, _: u16) -> Result<bool> {
        Ok(false)
    }
    async fn seen_host_key(&self, _: IpAddr) -> Result<Option<String>> {
        Ok(None)
    }
}

struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }
    fn issue(&self, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".into(), "kubernetes".into()]).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
    /// An admin kubeconfig as K3s writes it.
    fn kubeconfig(&self) -> Secret {
        let (certificate, key) = self.issue(ExtendedKeyUsagePurpose::ClientAuth);
        let encoded = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "default",
            "clusters": [{"name": "default", "cluster": {"server": "https://127.0.0.1:6443",
                "certificate-authority-data": encoded(self.issuer.pem())}}],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
            "users": [{"name": "default", "user": {"client-certificate-data": encoded(certificate.pem()),
                "client-key-data": encoded(key.serialize_pem())}}]});
        Secret::new(serde_yaml::to_string(&config).unwrap())
    }
}

struct Bench {
    model: Arc<Model>,
    cluster: Arc<dyn Cluster>,
    at: ApiAt,
}

fn api_at(kubeconfig: Secret) -> ApiAt {
    let host = Host { address: NODE, user: "deploy".into(), host_keys: vec![], identity: crate::world::Identity::Own };
    ApiAt { host, kubeconfig }
}

fn direct() -> Bench {
    let model = Model::new();
    *model.kubeconfig.lock().unwrap() = Secret::new("mine");
    let cluster = Arc::new(DirectCluster::new(model.clone(), Duration::ZERO, Duration::from_millis(300)));
    Bench { model, cluster, at: api_at(Secret::new("mine")) }
}

fn network() -> Bench {
    let (model, ca) = (Model::new(), Ca::new());
    let listener = std::net::TcpListener::bind((NODE, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (certificate, key) = ca.issue(ExtendedKeyUsagePurpose::ServerAuth);
    let tls = KubernetesTls {
        chain: vec![certificate.der().clone()],
        key: rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        client_ca: ca.issuer.der().clone(),
    };
    let router = kubernetes(model.clone(), NODE, Some(Secret::new("a token that nobody has")));
    tokio::spawn(async move { serve_kubernetes(listener, tls, router).await.unwrap() });
    let timeouts = Timeouts { probe: Duration::from_millis(1500), ..Timeouts::default() };
    let cluster = Arc::new(KubeApi::new(Arc::new(Tunnel(address)), timeouts));
    Bench { model, cluster, at: api_at(ca.kubeconfig()) }
}

fn permit() -> Permit {
    Permit::issue(Target::Objects { address: NODE, what: "objects".into() }, "manifests", "run", 1)
}

#[allow(clippy::needless_pass_by_value)]
fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data})
}

impl Bench {
    async fn apply(&self, object: Value) -> Result<Value> {
        self.cluster.apply(&permit(), &self.at, &object, false).await
    }
    async fn get(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Option<Value> {
        self.cluster.get(&self.at, kind, namespace, name).await.unwrap()
    }
}

fn cm() -> Kind {
    Kind::new("v1", "ConfigMap")
}

async fn an_apply_can_be_repeated_without_a_new_revision(bench: Bench) {
    bench.cluster.ready(&bench.at).await.unwrap();
    let first = bench.apply(config_map("a", json!({"x": "1"}))).await.unwrap();
    bench.model.pass(5);
    let second = bench.apply(config_map("a", json!({"x": "1"}))).await.unwrap();
    assert_eq!(first, second);
    let third = bench.apply(config_map("a", json!({"y": "2"}))).await.unwrap();
    assert_eq!(third["data"], json!({"y": "2"}), "what is applied no longer goes away");
    assert_ne!(first["metadata"]["resourceVersion"], third["metadata"]["resourceVersion"]);
    assert_eq!(third["metadata"]["managedFields"][0]["manager"], "relight");
}

async fn a_conflict_names_the_other_manager_and_force_takes_over(bench: Bench) {
    bench.apply(config_map("a", json!({"x": "1"}))).await.unwrap();
    bench.model.at(NODE, true, &mut |objects| {
        let served = objects.kind("v1", "ConfigMap").unwrap();
        let what = crate::sandbox::objects::Named { served, namespace: "default".into(), name: "a".into() };
        let writer = Writer { manager: "kubectl".into(), ..Writer::default() };
        objects.patch(&what, PatchKind::Merge, json!({"data": {"x": "2"}}), &writer).unwrap();
    });
    let error = bench.apply(config_map("a", json!({"x": "1"}))).await.unwrap_err();
    assert_eq!(error.class, Class::Refused, "{error:?}");
    assert!(error.what.contains("\"kubectl\" using v1") && error.what.contains(".data.x"), "{}", error.what);
    let taken = bench.cluster.apply(&permit(), &bench.at, &config_map("a", json!({"x": "1"})), true).await.unwrap();
    assert_eq!(taken["data"]["x"], "1");
    bench.apply(config_map("a", json!({"x": "1"}))).await.unwrap();
}

async fn what_does_not_exist_is_none_and_nothing(bench: Bench) {
    assert_eq!(bench.get(&cm(), Some("default"), "none").await, None);
    let unknown = Kind::new("example.org/v1", "Thing");
    assert_eq!(bench.get(&unknown, None, "none").await, None);
    assert_eq!(bench.cluster.list(&bench.at, &unknown, &Scope::default()).await.unwrap(), Vec::<Value>::new());
    bench.cluster.delete(&permit(), &bench.at, &cm(), Some("default"), "none").await.unwrap();
    let mut homeless = config_map("a", json!({}));
    homeless["metadata"]["namespace"] = json!("nowhere");
    let error = bench.apply(homeless).await.unwrap_err();
    assert_eq!((error.class, error.is("NotFound")), (Class::Fatal, true), "{error:?}");
    assert!(error.what.contains("nowhere"), "{}", error.what);
}

async fn a_kind_is_found_as_soon_as_its_definition_is_applied(bench: Bench) {
    let thing = json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "default"},
        "spec": {"size": 3}});
    let early = bench.apply(thing.clone()).await.unwrap_err();
    assert_eq!((early.class, early.is("KindNotServed")), (Class::Transient, true), "{early:?}");
    let spec = json!({"type": "object", "properties": {"size": {"type": "integer"}}});
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"}, "spec": {"group": "example.org", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    bench.apply(definition).await.unwrap();
    assert_eq!(bench.apply(thing).await.unwrap()["spec"]["size"], 3);
    let found = bench.cluster.list(&bench.at, &Kind::new("example.org/v1", "Thing"), &Scope::default()).await.unwrap();
    assert_eq!((found.len(), &found[0]["kind"]), (1, &json!("Thing")));
}

async fn a_misspelt_field_is_refused_with_its_path(bench: Bench) {
    let mut object = config_map("a", json!({}));
    object["metadata"]["lables"] = json!({"a": "b"});
    let error = bench.apply(object).await.unwrap_err();
    assert_eq!(error.class, Class::Fatal, "{error:?}");
    assert!(error.what.contains("metadata.lables"), "{}", error.what);
}

async fn a_value_that_no_api_server_takes_is_refused_with_its_path(bench: Bench) {
    let claim = |mode: &str, storage: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"},
            "spec": {"accessModes": [mode], "resources": {"requests": {"storage": storage}}}})
    };
    for (object, path) in [
        (claim("ReadWriteOne", "1Gi"), "spec.accessModes[0]"),
        (claim("ReadWriteOnce", "two"), "spec.resources.requests.storage"),
    ] {
        let error = bench.apply(object).await.unwrap_err();
        assert_eq!((error.class, error.is("Invalid")), (Class::Fatal, true), "{error:?}");
        assert!(error.what.contains(path), "{}", error.what);
    }
    bench.apply(claim("ReadWriteOnce", "1Gi")).await.unwrap();
}

async fn a_kind_that_no_definition_can_bring_ends_at_once(bench: Bench) {
    for (version, kind) in [("policy/v1", "PodDisruptionBudge"), ("apps/v2", "Deployment")] {
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "default"}});
        let error = bench.apply(object).await.unwrap_err();
        assert_eq!((error.class, error.is("KindNotServed")), (Class::Fatal, true), "{error:?}");
        assert!(error.what.contains(kind) && !error.remedy.is_empty(), "{error:?}");
    }
}

async fn what_k3s_brings_definitions_of_is_served(bench: Bench) {
    let object = json!({"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware",
        "metadata": {"name": "m", "namespace": "default"}, "spec": {"compress": {}}});
    assert_eq!(bench.apply(object).await.unwrap()["spec"], json!({"compress": {}}));
}

async fn lists_are_chosen_by_namespace_label_and_field(bench: Bench) {
    let nodes = Kind::new("v1", "Node");
    let all = bench.cluster.list(&bench.at, &nodes, &Scope::default()).await.unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|n| n["kind"] == "Node" && n["apiVersion"] == "v1"));
    let scope = Scope { labels: "zone in (z1,z2),kubernetes.io/os=linux".into(), ..Scope::default() };
    assert_eq!(bench.cluster.list(&bench.at, &nodes, &scope).await.unwrap().len(), 2);
    let pods = Kind::new("v1", "Pod");
    let scope =
        Scope { fields: "spec.nodeName=node-1,status.phase!=Succeeded".into(), ..Scope::namespace("kube-system") };
    let found = bench.cluster.list(&bench.at, &pods, &scope).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(|p| p["spec"]["nodeName"] == "node-1"));
    assert!(bench.cluster.list(&bench.at, &pods, &Scope::namespace("default")).await.unwrap().is_empty());
}

async fn a_merge_patch_and_a_deletion_do_what_they_say(bench: Bench) {
    let node = Kind::new("v1", "Node");
    let patch = json!({"metadata": {"labels": {"redis": "true"}}, "spec": {"unschedulable": true}});
    let patched = bench.cluster.merge(&permit(), &bench.at, &node, None, "node-2", &patch).await.unwrap();
    assert_eq!(
        (&patched["metadata"]["labels"]["redis"], &patched["spec"]["unschedulable"]),
        (&json!("true"), &json!(true))
    );
    bench.apply(config_map("gone", json!({}))).await.unwrap();
    bench.cluster.delete(&permit(), &bench.at, &cm(), Some("default"), "gone").await.unwrap();
    assert_eq!(bench.get(&cm(), Some("default"), "gone").await, None);
}

async fn a_secrets_text_is_stored_as_base64(bench: Bench) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "stringData": {"k": "v"}});
    assert_eq!(bench.apply(secret.clone()).await.unwrap()["data"]["k"], "dg==");
    let again = bench.apply(secret).await.unwrap();
    assert_eq!((again["data"]["k"].as_str(), again.get("stringData")), (Some("dg=="), None));
}

async fn logs_are_read_and_a_waiting_container_says_why_not(bench: Bench) {
    let pods = bench.cluster.list(&bench.at, &Kind::new("v1", "Pod"), &Scope::namespace("kube-system")).await.unwrap();
    let mut names = pods.iter().map(|p| p["metadata"]["name"].as_str().unwrap());
    let name = names.find(|name| name.starts_with("coredns")).unwrap();
    let log = bench.cluster.log_tail(&bench.at, "kube-system", name, "coredns", false).await.unwrap();
    assert!(log.contains("started"), "{log}");
    let error = bench.cluster.log_tail(&bench.at, "kube-system", name, "coredns", true).await.unwrap_err();
    assert!(error.what.contains("previous terminated container"), "{}", error.what);
}
async fn a_hanging_server_ends_in_a_timeout(bench: Bench) {
    bench.model.set(Api::Hangs);
    let error = bench.cluster.ready(&bench.at).await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "{error:?}");
    assert!(error.what.contains("no answer"), "{}", error.what);
}

async fn a_starting_server_is_asked_again_and_a_write_to_it_is_open(bench: Bench) {
    bench.get(&cm(), Some("default"), "a").await;
    bench.model.set(Api::Starting);
    assert_eq!(bench.cluster.ready(&bench.at).await.unwrap_err().class, Class::Transient);
    assert_eq!(bench.apply(config_map("a", json!({}))).await.unwrap_err().class, Class::Unknown);
    bench.model.set(Api::Up);
    assert_eq!(bench.get(&cm(), Some("default"), "a").await, None);
}

async fn a_lost_reply_is_unknown_and_a_look_settles_it(bench: Bench) {
    bench.get(&cm(), Some("default"), "a").await;
    bench.model.set(Api::Lost);
    assert_eq!(bench.apply(config_map("a", json!({}))).await.unwrap_err().class, Class::Unknown);
    bench.model.set(Api::Up);
    assert!(bench.get(&cm(), Some("default"), "a").await.is_some());
}

async fn another_clusters_kubeconfig_is_fatal(bench: Bench) {
    let at = api_at(Ca::new().kubeconfig());
    let error = bench.cluster.ready(&at).await.unwrap_err();
    assert_eq!(error.class, Class::Fatal, "{error:?}");
    assert!(error.remedy.contains("kubeconfig"), "{error:?}");
}

async fn a_permit_for_another_node_sends_nothing(bench: Bench) {
    let elsewhere = Target::Objects { address: "192.0.2.1".parse().unwrap(), what: String::new() };
    let permit = Permit::issue(elsewhere, "s", "r", 1);
    let object = config_map("a", json!({}));
    assert_eq!(bench.cluster.apply(&permit, &bench.at, &object, false).await.unwrap_err().class, Class::Fatal);
    assert_eq!(
        bench.cluster.merge(&permit, &bench.at, &cm(), None, "a", &json!({})).await.unwrap_err().class,
        Class::Fatal
    );
    assert_eq!(bench.cluster.delete(&permit, &bench.at, &cm(), None, "a").await.unwrap_err().class, Class::Fatal);
    assert_eq!(bench.get(&cm(), Some("default"), "a").await, None);
}

macro_rules! both_doors {
    ($($promise:ident),* $(,)?) => {
        mod directly {
            $(#[tokio::test]
            async fn $promise() { super::$promise(super::direct()).await; })*
        }
        mod over_the_network {
            $(#[tokio::test]
            async fn $promise() { super::$promise(super::network()).await; })*
        }
    };
}

both_doors!(
    an_apply_can_be_repeated_without_a_new_revision,
    a_conflict_names_the_other_manager_and_force_takes_over,
    what_does_not_exist_is_none_and_nothing,
    a_kind_is_found_as_soon_as_its_definition_is_applied,
    a_misspelt_field_is_refused_with_its_path,
    a_value_that_no_api_server_takes_is_refused_with_its_path,
    a_kind_that_no_definition_can_bring_ends_at_once,
    what_k3s_brings_definitions_of_is_served,
    lists_are_chosen_by_namespace_label_and_field,
    a_merge_patch_and_a_deletion_do_what_they_say,
    a_secrets_text_is_stored_as_base64,
    logs_are_read_and_a_waiting_container_says_why_not,
    a_hanging_server_ends_in_a_timeout,
    a_starting_server_is_asked_again_and_a_write_to_it_is_open,
    a_lost_reply_is_unknown_and_a_look_settles_it,
    another_clusters_kubeconfig_is_fatal,
    a_permit_for_another_node_sends_nothing,
);

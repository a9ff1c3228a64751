//! What somebody changed in the cluster of an object that relight applied is found by the next look, named and never written over.

use crate::life::Life;
use async_trait::async_trait;
use relight::engine::Event;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::Loss;
use relight::sandbox::objects::{Answer, Asked};
use relight::world::{ApiAt, Cluster, Kind, Permit, Result, Scope, World};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The application serves and its names are about to be pointed at it.
const SERVING: &str = "before change DNS";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/honeydue/deployments";

fn killed_when_serving() -> Life {
    let (whole, wire) = (Life::lost(Loss::Gone), Tripwire::new());
    assert_eq!(whole.process(&wire).outcome(), "succeeded");
    let point = wire.points().iter().position(|p| p.starts_with(SERVING)).expect("names are pointed");
    let life = Life::lost(Loss::Gone);
    assert_eq!(life.process(&Tripwire::at(point)).outcome(), "killed");
    life
}

/// What kubectl does, in every cluster that has the object.
fn kubectl(life: &Life, method: &str, path: &str, content_type: &str, body: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for objects in life.sandbox.clusters.objects().values_mut() {
        let asked = Asked {
            method: method.to_owned(),
            path: format!("{DEPLOYMENTS}/{path}"),
            content_type: content_type.to_owned(),
            user_agent: "kubectl/v1.34.6".to_owned(),
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
            ..Asked::default()
        };
        let Answer::Whole { status, body, .. } = objects.answer(&asked) else { panic!("a watch") };
        if status < 300 {
            found.push(serde_json::from_slice(&body).unwrap());
        }
    }
    assert_eq!(found.len(), 1, "{method} {path}: one cluster has it");
    found
}

fn scale(life: &Life, name: &str, replicas: u32) {
    let body = json!({ "spec": { "replicas": replicas } });
    kubectl(life, "PATCH", &format!("{name}/scale"), "application/merge-patch+json", &body);
}

fn set_image(life: &Life, name: &str, image: &str) {
    let body = json!({ "spec": { "template": { "spec": { "containers": [{ "name": name, "image": image }] } } } });
    kubectl(life, "PATCH", name, "application/strategic-merge-patch+json", &body);
}

fn deployment(life: &Life, name: &str) -> Value {
    kubectl(life, "GET", name, "", &Value::Null).remove(0)
}

fn failures(life: &Life, after: usize) -> String {
    let failed = life.events().into_iter().skip(after).filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; next: {remedy}\n")),
        _ => None,
    });
    failed.collect()
}

#[test]
fn a_deployment_that_somebody_scaled_or_gave_another_image_stops_the_resume_until_a_person_decides() {
    for (change, back, field) in [
        (
            &(|l: &Life| scale(l, "api", 1)) as &dyn Fn(&Life),
            &(|l: &Life| scale(l, "api", 3)) as &dyn Fn(&Life),
            ".spec.replicas",
        ),
        (&|l| set_image(l, "redis", "other:1"), &|l| set_image(l, "redis", &declared(l, "redis")), ".image"),
    ] {
        let life = killed_when_serving();
        change(&life);
        let before = life.events().len();
        assert_eq!(life.process(&Tripwire::new()).outcome(), "refused", "{field}");
        let told = failures(&life, before);
        let remedy = "--server-side --force-conflicts --field-manager=relight";
        for word in ["conflict with \"kubectl\"", field, ".yaml:", remedy] {
            assert!(told.contains(word), "{word}: {told}");
        }
        back(&life);
        let before = life.events().len();
        assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", failures(&life, before));
        assert_eq!(life.broken_promises(), Vec::<String>::new());
    }
}

/// The image that the manifest says.
fn declared(life: &Life, name: &str) -> String {
    let all = life.settings.objects().unwrap();
    let of = |o: &Value| o["kind"] == "Deployment" && o["metadata"]["name"] == name;
    let found = all.iter().find(|m| of(&m.object)).unwrap();
    found.object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

#[test]
fn what_somebody_took_away_is_applied_again() {
    let life = killed_when_serving();
    let patch = json!([{ "op": "remove", "path": "/spec/template/spec/containers/0/resources/limits" }]);
    kubectl(&life, "PATCH", "api", "application/json-patch+json", &patch);
    let limits = |life: &Life| {
        deployment(life, "api")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].clone()
    };
    assert!(limits(&life).is_null());
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    assert!(limits(&life).is_object());
    let told = format!("{:?}", life.events());
    assert!(told.contains("resources.limits") && told.contains("was taken away"), "nobody is told");
}

#[test]
fn an_undisturbed_rebuild_applies_each_object_once_and_notes_nothing_on_it() {
    let (life, wire) = (Life::lost(Loss::Gone), Tripwire::new());
    assert_eq!(life.process(&wire).outcome(), "succeeded");
    let mut applied: Vec<_> = wire.points().into_iter().filter(|p| p.starts_with("before kube apply")).collect();
    let count = applied.len();
    applied.sort();
    applied.dedup();
    assert_eq!(applied.len(), count);
    let text = |o: &Value, key: &str| o[key].as_str().unwrap_or_default().to_owned();
    let objects = life.settings.objects().unwrap();
    let kinds: BTreeSet<_> = objects.iter().map(|m| (text(&m.object, "apiVersion"), text(&m.object, "kind"))).collect();
    assert!(kinds.len() > 8, "{kinds:?}");
    for (version, kind) in
        [("v1", "Secret"), ("v1", "Node")].into_iter().chain(kinds.iter().map(|(v, k)| (v.as_str(), k.as_str())))
    {
        let clusters = life.sandbox.clusters.objects();
        let all = clusters.values().flat_map(|o| o.all(&o.kind(version, kind).expect("it is served").resource()));
        let text: String = all.map(|object| object.to_string()).collect();
        assert_eq!(text.contains("relight/applied"), kind != "Node", "{kind}");
        assert!(!text.contains("relight/unlisted"), "{text}");
    }
}

/// An API server that does not list `spec.replicas` as relight's.
struct Forgetful(Arc<dyn Cluster>);

fn forgotten(mut object: Value) -> Value {
    let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter(|e| e["manager"] == "relight") {
        if let Some(spec) = entry.pointer_mut("/fieldsV1/f:spec").and_then(Value::as_object_mut) {
            spec.remove("f:replicas");
        }
    }
    object
}

#[async_trait]
impl Cluster for Forgetful {
    async fn ready(&self, at: &ApiAt) -> Result<()> {
        self.0.ready(at).await
    }
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        Ok(self.0.get(at, kind, namespace, name).await?.map(forgotten))
    }
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>> {
        Ok(self.0.list(at, kind, scope).await?.into_iter().map(forgotten).collect())
    }
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value> {
        self.0.apply(permit, at, object, force).await.map(forgotten)
    }
    async fn merge(&self, p: &Permit, at: &ApiAt, k: &Kind, ns: Option<&str>, name: &str, v: &Value) -> Result<Value> {
        self.0.merge(p, at, k, ns, name, v).await
    }
    async fn delete(&self, p: &Permit, at: &ApiAt, k: &Kind, ns: Option<&str>, name: &str) -> Result<()> {
        self.0.delete(p, at, k, ns, name).await
    }
    async fn log_tail(&self, at: &ApiAt, ns: &str, pod: &str, container: &str, previous: bool) -> Result<String> {
        self.0.log_tail(at, ns, pod, container, previous).await
    }
}

#[test]
fn an_api_server_that_does_not_list_what_was_applied_is_no_reason_to_apply_it_for_ever() {
    let mut life = Life::lost(Loss::Gone);
    life.between = Arc::new(|world: World| World { cluster: Arc::new(Forgetful(world.cluster.clone())), ..world });
    let wire = Tripwire::new();
    assert_eq!(life.process(&wire).outcome(), "succeeded", "{}", failures(&life, 0));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    let api =
        |wire: &Tripwire| wire.points().iter().filter(|p| *p == "before kube apply Deployment honeydue/api").count();
    assert_eq!(api(&wire), 2, "it is applied, and noted once");
    assert_eq!(
        deployment(&life, "api")["metadata"]["annotations"]["relight/unlisted"],
        ".spec.replicas was taken away"
    );
    let again = Tripwire::new();
    assert_eq!(life.process(&again).outcome(), "succeeded");
    assert_eq!(api(&again), 0);
}

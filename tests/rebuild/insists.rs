//! What a look insists on before it says that a step is done: all of it, at that moment.

use crate::life::{plan_of, settings, Life};
use crate::living::{alive, somebody, with_old_firewall};
use async_trait::async_trait;
use relight::engine::{Event, Listener, Told};
use relight::playbook::Source;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{
    lock, ClusterView, Fault, FaultId, FaultKind, Filter, Loss, Matcher, Model, RecordChange, Shared, ThingState,
};
use relight::world::{ApiAt, Cluster, FirewallRule, Kind, Labels, Permit, Result, Scope, World};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn why(life: &Life) -> String {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; {remedy}\n")),
        _ => None,
    });
    failed.collect()
}

fn succeeds(life: &Life) {
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

/// When a step was finished, in milliseconds.
fn finished(life: &Life, wanted: &str) -> u64 {
    let of = |(at, event)| matches!(event, Event::StepFinished { step, .. } if step == wanted).then_some(at);
    life.events().into_iter().find_map(of).unwrap_or_else(|| panic!("{wanted} did not finish: {}", why(life)))
}

/// A life whose playbook has another line.
fn with_line(old: &str, new: &str) -> Life {
    let mut life = Life::lost(Loss::Gone);
    let file = Source::embedded().playbook("rebuild").unwrap().unwrap();
    assert_eq!(file.text.matches(old).count(), 1, "{old}");
    life.plan = plan_of(&life.settings, &file.text.replace(old, new), &file.file);
    life
}

/// Looks at the clusters when a step has finished.
struct When(Shared, &'static str, Mutex<Vec<ClusterView>>);

impl Listener for When {
    fn told(&self, told: &Told) {
        let Told::Durable { event: Event::StepFinished { step, .. }, .. } = told else { return };
        if step == self.1 {
            *self.2.lock().unwrap() = lock(&self.0).cluster_views();
        }
    }
}

/// The cluster at the end of a step.
fn at_the_end_of(mut life: Life, step: &'static str) -> ClusterView {
    let when = Arc::new(When(life.sandbox.model.clone(), step, Mutex::default()));
    life.listener = when.clone();
    succeeds(&life);
    let seen = when.2.lock().unwrap().clone();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.into_iter().next().unwrap()
}

#[test]
fn voters_waits_until_every_member_votes() {
    // As early as it can ask.
    let early = with_line(r#"k3s.voters: {} }, needs: ["k3s-join[*]"]"#, "k3s.voters: {} }, needs: [k3s-first]");
    let seen = at_the_end_of(early, "voters");
    assert_eq!(seen.nodes.iter().filter(|n| n.voter).count(), 3, "{seen:?}");
}

#[test]
fn traefik_is_waited_for_on_every_node_and_not_only_on_those_that_have_joined() {
    let early =
        with_line(r#"traefik.ready: {} }, needs: ["node-join[*]"]"#, "traefik.ready: {} }, needs: [node-first]");
    let seen = at_the_end_of(early, "traefik");
    assert_eq!(seen.nodes.iter().filter(|n| n.ready).count(), 3, "{seen:?}");
}

/// Breaks the edge once, when it has answered for this long.
struct Hiccup(Shared, Mutex<Option<(FaultId, u64)>>);

impl Listener for Hiccup {
    fn told(&self, told: &Told) {
        let Told::Progress { step, text } = told else { return };
        let mut planned = self.1.lock().unwrap();
        if step == "verify" && text.starts_with("answers since 15s") && planned.is_none() {
            let mut model = lock(&self.0);
            let now = u64::try_from(model.now().as_millis()).unwrap();
            *planned = Some((model.faults.plan(Fault::once(Matcher::op("edge.get"), FaultKind::Down)), now));
        }
    }
}

#[test]
fn a_site_that_fails_once_has_to_be_stable_anew_for_the_whole_time() {
    let mut life = Life::lost(Loss::Gone);
    let stable = life.settings.health.iter().map(|h| h.stable_for).max().unwrap();
    assert!(stable >= Duration::from_secs(20));
    let hiccup = Arc::new(Hiccup(life.sandbox.model.clone(), Mutex::default()));
    life.listener = hiccup.clone();
    succeeds(&life);
    let (fault, at) = hiccup.1.lock().unwrap().expect("it was asked for 15 s");
    assert_eq!(lock(&life.sandbox.model).faults.fired(fault), 1);
    let after = Duration::from_millis(finished(&life, "verify") - at);
    assert!(after >= stable, "done {after:?} after a failure");
}

#[test]
fn an_edge_that_redirects_for_ever_is_refused_at_once_and_told() {
    let mut off = settings();
    off.dns.ssl = Some("off".to_owned());
    let life = Life::lost_with(Loss::Gone, off);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?} {}", why(&life));
    let told = why(&life);
    assert!(told.contains("edge-first:") && told.contains("redirects to http://api."), "{told}");
    assert!(told.contains("loops for ever"), "{told}");
}

#[test]
fn addresses_of_version_6_go_from_the_clusters_names_and_from_no_other() {
    let life = Life::lost(Loss::Gone);
    let dns = life.settings.dns.clone();
    let other = format!("blog.{}", dns.zone);
    {
        let mut model = lock(&life.sandbox.model);
        for name in [&dns.hosts[0], &dns.hosts[1], &other] {
            let stale = RecordChange {
                kind: Some("AAAA".to_owned()),
                ..RecordChange::address(name, "2001:db8::7", true, None)
            };
            model.place_record(&dns.zone, &stale);
        }
    }
    let sixes = || {
        let model = lock(&life.sandbox.model);
        let records = model.zone_truth(&dns.zone).unwrap().records.values().filter(|r| r.kind == "AAAA");
        records.map(|r| r.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sixes().len(), 3);
    succeeds(&life);
    assert_eq!(sixes(), [other]);
}

/// A cluster that shows its objects otherwise than they are: by kind, and how often it was asked for that kind by name.
struct Shown {
    cluster: Arc<dyn Cluster>,
    kind: &'static str,
    asked: AtomicU32,
    other: fn(&str, u32, Option<Value>) -> Option<Value>,
}

fn shown(world: World, kind: &'static str, other: fn(&str, u32, Option<Value>) -> Option<Value>) -> World {
    let asked = AtomicU32::new(0);
    World { cluster: Arc::new(Shown { cluster: world.cluster.clone(), kind, asked, other }), ..world }
}

#[async_trait]
impl Cluster for Shown {
    async fn ready(&self, at: &ApiAt) -> Result<()> {
        self.cluster.ready(at).await
    }
    async fn get(&self, at: &ApiAt, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>> {
        let found = self.cluster.get(at, kind, namespace, name).await?;
        if kind.kind != self.kind {
            return Ok(found);
        }
        Ok((self.other)(name, self.asked.fetch_add(1, Ordering::SeqCst) + 1, found))
    }
    async fn list(&self, at: &ApiAt, kind: &Kind, scope: &Scope) -> Result<Vec<Value>> {
        self.cluster.list(at, kind, scope).await
    }
    async fn apply(&self, permit: &Permit, at: &ApiAt, object: &Value, force: bool) -> Result<Value> {
        self.cluster.apply(permit, at, object, force).await
    }
    async fn merge(&self, p: &Permit, at: &ApiAt, k: &Kind, ns: Option<&str>, name: &str, v: &Value) -> Result<Value> {
        self.cluster.merge(p, at, k, ns, name, v).await
    }
    async fn delete(&self, p: &Permit, at: &ApiAt, k: &Kind, ns: Option<&str>, name: &str) -> Result<()> {
        self.cluster.delete(p, at, k, ns, name).await
    }
    async fn log_tail(&self, at: &ApiAt, ns: &str, pod: &str, container: &str, previous: bool) -> Result<String> {
        self.cluster.log_tail(at, ns, pod, container, previous).await
    }
}

#[test]
fn a_node_whose_kubelet_is_of_another_version_is_refused_and_named() {
    let mut life = Life::lost(Loss::Gone);
    // The binary was replaced, and K3s not restarted.
    life.between = Arc::new(|world: World| {
        shown(world, "Node", |name, _, mut node| {
            if let Some(node) = node.as_mut().filter(|_| name == "honeydue-node-2") {
                node["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.33.1+k3s1");
            }
            node
        })
    });
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "refused", "{end:?} {}", why(&life));
    let told = why(&life);
    let wanted = "node-join[node-2]: node honeydue-node-2 runs v1.33.1+k3s1 instead of v1.34.6+k3s1";
    assert!(told.contains(wanted), "{told}");
}

#[test]
fn a_traefik_that_is_no_daemonset_yet_is_waited_for() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let mut life = Life::lost(Loss::Gone);
    life.between = Arc::new(|world: World| {
        shown(world, "DaemonSet", |_, asked, set| {
            ASKED.store(asked, Ordering::SeqCst);
            set.filter(|_| asked > 3)
        })
    });
    succeeds(&life);
    assert!(ASKED.load(Ordering::SeqCst) > 3, "it was never absent");
}

#[test]
fn a_job_of_traefik_that_has_other_values_than_the_configured_ones_or_is_of_before_them_is_not_taken_for_ours() {
    let other: fn(World) -> World = |world| {
        shown(world, "HelmChartConfig", |_, _, mut config| {
            config.as_mut().unwrap()["spec"]["valuesContent"] = json!("deployment: {}");
            config
        })
    };
    let later: fn(World) -> World = |world| {
        shown(world, "HelmChartConfig", |_, _, mut config| {
            config.as_mut().unwrap()["metadata"]["creationTimestamp"] = json!("2099-01-01T00:00:00Z");
            config
        })
    };
    let both =
        [(other, "HelmChartConfig traefik is not the configured one"), (later, "job is of before its HelmChart")];
    for (outside, words) in both {
        let mut life = Life::lost(Loss::Gone);
        life.between = Arc::new(outside);
        let end = life.process(&Tripwire::new());
        assert_eq!(end.outcome(), "failed", "{end:?} {}", why(&life));
        let told = why(&life);
        assert!(told.contains("traefik: ") && told.contains(words), "{told}");
    }
}

/// Somebody puts the old firewall back onto a server while it is cut off, and what is on it when it counts as out of action.
struct Meddler(Shared, Mutex<(usize, Vec<Vec<String>>)>);

impl Listener for Meddler {
    fn told(&self, told: &Told) {
        let Told::Durable { event: Event::Intent { step, what, .. }, .. } = told else { return };
        let mut seen = self.1.lock().unwrap();
        let mut model = lock(&self.0);
        let now = model.now();
        let old = |model: &mut Model| {
            let all = model.servers(now, &somebody(), &Filter::labels("!relight-run")).result.unwrap();
            all.into_iter().find(|s| s.name.contains("node-2")).unwrap()
        };
        if step == "fence" && what == "cut it off by the firewall" && seen.0 == 0 {
            let server = old(&mut model).id;
            let rules = vec![FirewallRule {
                direction: "in".to_owned(),
                protocol: "tcp".to_owned(),
                port: Some("22".to_owned()),
                addresses: vec!["0.0.0.0/0".to_owned()],
                description: "somebody's".to_owned(),
            }];
            let other = ThingState::Firewall { rules };
            let other = model.create_thing(now, &somebody(), "let-in", &other, &Labels::new()).result.unwrap().id;
            assert!(model.apply_firewall(now, &somebody(), other, server, true).result.is_ok());
            seen.0 += 1;
        }
        if step == "fence" && what.starts_with("rename it honeydue-node-2") {
            let server = old(&mut model);
            seen.1.push(server.firewalls.iter().map(|id| model.glimpse(*id).unwrap().name).collect());
        }
    }
}

#[test]
fn a_server_counts_as_cut_off_only_when_nothing_but_the_wall_is_seen_on_it() {
    let mut life = alive();
    with_old_firewall(&life);
    let stubborn = Fault::always(Matcher::op("cloud.server.poweroff").at("node-2"), FaultKind::Locked);
    let stubborn = lock(&life.sandbox.model).faults.plan(stubborn);
    let meddler = Arc::new(Meddler(life.sandbox.model.clone(), Mutex::default()));
    life.listener = meddler.clone();
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&life));
    assert!(lock(&life.sandbox.model).faults.fired(stubborn) > 0);
    let seen = meddler.1.lock().unwrap();
    assert_eq!((seen.0, &seen.1), (1, &vec![vec!["honeydue-fence".to_owned()]]), "what was on it when it was marked");
}

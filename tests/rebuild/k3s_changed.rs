//! A configuration of K3s that is changed while the run was away: what K3s reads anew is changed on the running cluster, node after
//! node; anything else is refused, named, and can be taken back.

use crate::life::Life;
use relight::engine::Event;
use relight::sandbox::doors::direct::{GeneratedSecrets, Tripwire};
use relight::sandbox::model::{lock, Loss};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The first node has started, others may be joining; and all of them vote.
const STARTED: [&str; 2] = ["before kube apply", "before change DNS"];

fn killed(begins: &str) -> Life {
    let (whole, wire) = (Life::lost(Loss::Gone), Tripwire::new());
    assert_eq!(whole.process(&wire).outcome(), "succeeded");
    let point = wire.points().iter().position(|p| p.starts_with(begins)).expect("the run comes there");
    let life = Life::lost(Loss::Gone);
    assert_eq!(life.process(&Tripwire::at(point)).outcome(), "killed");
    life
}

fn told(life: &Life) -> String {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; next: {remedy}\n")),
        _ => None,
    });
    failed.collect()
}

/// A key of K3s' configuration on each node.
fn configured(life: &Life, key: &str) -> Vec<Value> {
    let mut nodes = lock(&life.sandbox.model).machines();
    nodes.retain(|m| !m.k3s_config.is_null());
    nodes.iter().map(|m| m.k3s_config[key].clone()).collect()
}

/// When K3s was changed, and where.
fn changes(life: &Life) -> Vec<(Duration, String)> {
    let model = lock(&life.sandbox.model);
    let own = model.ledger.applied().filter(|e| e.op == "node.k3s.sh.change");
    own.map(|e| (e.at, e.target.clone())).collect()
}

type Change = fn(&mut Life);

fn other_schedule(life: &mut Life) {
    "0 3 * * *".clone_into(&mut life.settings.k3s.snapshots.schedule);
}

fn rotated(life: &mut Life) {
    life.secrets = Arc::new(GeneratedSecrets { seed: 2 });
}

#[test]
fn another_schedule_of_snapshots_or_a_rotated_key_is_changed_on_the_running_cluster_node_after_node() {
    let both: [(Change, &str); 2] = [(other_schedule, "etcd-snapshot-schedule-cron"), (rotated, "etcd-s3-secret-key")];
    for (change, key) in both {
        for begins in STARTED {
            let mut life = killed(begins);
            life.pass(Duration::from_secs(600));
            let before = configured(&life, key);
            change(&mut life);
            assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{key} {begins}: {}", told(&life));
            assert_eq!(life.broken_promises(), Vec::<String>::new());
            let now = configured(&life, key);
            assert!(now.len() == 3 && now.iter().all(|v| !before.contains(v) && *v == now[0]), "{key}");
            let changes = changes(&life);
            assert_eq!(changes.first().map(|(_, node)| node.as_str()), Some("honeydue-node-1"), "{changes:?}");
            let nodes: Vec<&str> = changes.iter().map(|(_, node)| node.as_str()).collect();
            assert!(nodes.is_sorted() && nodes.len() == before.len(), "each once, in order: {changes:?}");
            // Restarting takes longer than this: the one before is ready again.
            let apart = changes.windows(2).all(|two| two[1].0 > two[0].0 + Duration::from_secs(5));
            assert!(apart, "{changes:?}");
            // Told by name alone.
            let journal = format!("{:?}", life.events());
            assert!(journal.contains(key), "{key} is not named");
            let secret = now[0].as_str().unwrap();
            assert!(key.contains("schedule") || !journal.contains(secret), "a secret is told");
        }
    }
}

#[test]
fn what_a_running_k3s_cannot_change_is_refused_with_its_key_and_can_be_taken_back() {
    let mut life = killed("before change DNS");
    let cidr = std::mem::replace(&mut life.settings.k3s.pod_cidr, "10.44.0.0/16".parse().unwrap());
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    let why = told(&life);
    for word in
        ["k3s-install[node-1]", "config.yaml has another content in cluster-cidr", "back, then `relight resume`"]
    {
        assert!(why.contains(word), "{word}: {why}");
    }
    assert_eq!(changes(&life), []);
    life.settings.k3s.pod_cidr = cidr;
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", told(&life));
}

#[test]
fn a_change_that_is_cut_off_is_finished_by_the_next_resume() {
    let begin = || {
        let mut life = killed("before change DNS");
        other_schedule(&mut life);
        life
    };
    let (whole, wire) = (begin(), Tripwire::new());
    assert_eq!(whole.process(&wire).outcome(), "succeeded", "{}", told(&whole));
    let points = wire.points();
    let of_changes: Vec<usize> = (0..points.len()).filter(|i| points[*i].contains("k3s.sh change")).collect();
    assert_eq!(of_changes.len(), 6, "before and after each: {points:?}");
    for point in of_changes {
        let life = begin();
        assert_eq!(life.process(&Tripwire::at(point)).outcome(), "killed");
        assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}: {}", points[point], told(&life));
        assert_eq!(life.broken_promises(), Vec::<String>::new());
        assert_eq!(changes(&life).len(), 3, "{}", points[point]);
        assert_eq!(life.world_in_words(), whole.world_in_words());
    }
}

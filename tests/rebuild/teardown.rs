//! What runs made is taken down by later runs: all of it, nothing else, wherever it is killed.

use crate::judged::{all, thinned, AFTERS};
use crate::life::{settings, End, Life};
use crate::worlds::taking_down as then;
use relight::config::{NetworkSettings, TakenDown};
use relight::engine::Event;
use relight::sandbox::doors::direct::{Keep, ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Caller, Entry, Fault, FaultKind, Loss, Matcher, Model, RecordChange, Start};
use relight::world::{Answer, Labels, CLUSTER, EXPIRES, MANAGED_BY, MODE, RUN};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for everything under way to end.
const REST: Duration = Duration::from_secs(900);

/// Labels of something that a run of this cluster made.
fn labels(cluster: &str, run: &str, mode: &str, until: Option<u64>) -> Labels {
    let until = until.map(|until| until.to_string());
    let pairs = [
        (MANAGED_BY, Some("relight")),
        (CLUSTER, Some(cluster)),
        (RUN, Some(run)),
        (MODE, Some(mode)),
        (EXPIRES, until.as_deref()),
    ];
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
}

/// What is nobody's of this cluster, or nobody's at all, with names and labels as like ours as can be, in both projects.
fn plant(model: &mut Model) {
    for project in ["live", "rehearsal"] {
        let mut foreign = |name: &str, labels: Labels| {
            model.place_foreign(project, &format!("{name}-{project}"), labels).unwrap();
        };
        foreign("honeydue-node-8", Labels::new());
        foreign("honeydue-r-abcdefghijkl-node-8", Labels::new());
        foreign("other-node-1", labels("honeydue2", "abcdefghijkl", "rehearsal", Some(1)));
        foreign("honeydue-node-7", [(CLUSTER.to_owned(), "honeydue".to_owned())].into());
    }
    let zone = settings().dns.zone;
    for (name, comment) in [("blog", "relight honeydue2 abc"), ("shop", "relight honeydue abc"), ("api", "mine")] {
        let change = RecordChange {
            comment: Some(Some(comment.to_owned())),
            ..RecordChange::address(&format!("{name}.{zone}"), "192.0.2.77", false, None)
        };
        model.place_record(&zone, &change);
    }
}

fn words(life: &Life) -> Vec<String> {
    let mut model = lock(&life.sandbox.model);
    let later = model.now() + REST;
    model.advance(later);
    // What a cluster had in its etcd went with its servers' disks, though the model remembers it.
    model.in_words().into_iter().filter(|line| !line.starts_with("etcd")).collect()
}

/// A kept rehearsal beside the living cluster and foreign things, and the world before it.
fn kept() -> (Life, Vec<String>) {
    let life = Life::rehearsal("rehearse-keep");
    plant(&mut lock(&life.sandbox.model));
    let before = words(&life);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    assert!(words(&life).len() > before.len() + 6, "it was kept");
    (life, before)
}

/// A rebuilt cluster beside foreign things.
fn rebuilt() -> Life {
    let life = Life::lost(Loss::Off);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    plant(&mut lock(&life.sandbox.model));
    life
}

/// Everything but what a teardown of the living cluster must have removed.
fn foreign_alone(life: &Life) -> Vec<String> {
    words(life).into_iter().filter(|line| line.contains("zone ") || planted(line)).collect()
}

fn planted(line: &str) -> bool {
    // The last are in every world of these tests.
    ["-live", "-rehearsal", "192.0.2.77", "theirs", "somebodys", " www.", " mail."]
        .iter()
        .any(|part| line.contains(part))
}

fn rehearsals(run: &str) -> TakenDown {
    TakenDown::Rehearsals(vec![run.to_owned()])
}

/// Kills the teardown at a sample of all points, goes on with it, and holds the world against what must be left.
fn killed_anywhere(title: &str, begin: impl Fn() -> (Life, Vec<String>) + Sync) {
    let (life, wanted) = begin();
    let wire = Tripwire::new();
    let end = life.process(&wire);
    assert_eq!(end.outcome(), "succeeded", "{end:?} {:#?}", life.events());
    assert_eq!(words(&life), wanted);
    let points: Vec<usize> = (0..wire.points().len()).collect();
    println!("{} points", points.len());
    let schedules: Vec<_> = thinned(points).into_iter().zip(AFTERS.into_iter().cycle()).collect();
    all(title, &schedules, |(point, after)| {
        let (life, _) = begin();
        assert!(matches!(life.process(&Tripwire::at(*point)), End::Killed), "not killed at {point}");
        life.crash(after.keep);
        life.pass(after.pause);
        let end = life.process(&Tripwire::new());
        let mut wrong = strayed(&life);
        if end.outcome() != "succeeded" {
            wrong.push(format!("{end:?}"));
        }
        if words(&life) != wanted {
            wrong.push(format!("another world: {:#?} instead of {wanted:#?}", words(&life)));
        }
        wrong.into_iter().map(|w| format!("killed at {point} ({after:?}): {w}")).collect()
    });
}

/// Effects on what is not this cluster's, addresses of strangers that this run left named, and effects without an intent.
fn strayed(life: &Life) -> Vec<String> {
    let model = lock(&life.sandbox.model);
    let foreign = model.ledger.foreign_touched(&life.settings.cluster, &settings().dns.hosts);
    let mut wrong: Vec<String> = foreign.iter().map(|e| format!("foreign: {} {}", e.op, e.target)).collect();
    let not_planted = |address: &std::net::IpAddr| address.to_string() != "192.0.2.77";
    let strangers = model.ledger.strangers.iter().filter(|s| not_planted(&s.address) && s.op.contains("delete"));
    wrong.extend(strangers.filter(|s| s.named_by.starts_with("record")).map(|s| format!("stranger: {s:?}")));
    let intents: Vec<String> = life
        .events()
        .into_iter()
        .filter_map(|(_, e)| match e {
            Event::Intent { step, .. } => Some(step),
            _ => None,
        })
        .collect();
    let of_run = model.ledger.applied().filter(|e| e.who.run == life.id.id);
    wrong
        .extend(of_run.filter(|e| !intents.contains(&e.who.step)).map(|e| format!("no intent: {} {}", e.op, e.target)));
    wrong
}

#[test]
fn a_kept_rehearsal_is_taken_down_wherever_the_teardown_is_killed() {
    killed_anywhere("a teardown of a rehearsal killed once", || {
        let (life, before) = kept();
        (then(&life, "teardownaaaa", rehearsals("abcdefghijkl")), before)
    });
}

#[test]
fn the_living_cluster_is_taken_down_wherever_the_teardown_is_killed() {
    killed_anywhere("a teardown of the living cluster killed once", || {
        let life = rebuilt();
        let wanted = foreign_alone(&life);
        (then(&life, "teardownaaaa", TakenDown::Living), wanted)
    });
}

#[test]
fn names_go_before_servers_and_protection_before_both() {
    let life = then(&rebuilt(), "teardownaaaa", TakenDown::Living);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let model = lock(&life.sandbox.model);
    let mut ops: Vec<&str> =
        model.ledger.applied().filter(|e| e.who.run == life.id.id).map(|e| e.op.as_str()).collect();
    ops.dedup();
    let first = [
        "cloud.placement_group.create",
        "cloud.server.protect",
        "dns.batch",
        "cloud.server.poweroff",
        "cloud.server.delete",
    ];
    assert_eq!(&ops[..5], first, "{ops:?}");
}

#[test]
fn a_teardown_that_stops_between_two_servers_leaves_none_that_lets_a_stranger_in_as_its_peer() {
    for network in [settings().cloud.network, NetworkSettings::Public] {
        let begin = || {
            let mut settings = settings();
            settings.cloud.network = network.clone();
            let life = Life::lost_with(Loss::Gone, settings);
            assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
            let mut down = then(&life, "teardownaaaa", TakenDown::Living);
            down.settings.cloud.network = network.clone();
            down
        };
        let wire = Tripwire::new();
        assert_eq!(begin().process(&wire).outcome(), "succeeded");
        let deletes: Vec<usize> =
            (0..wire.points().len()).filter(|i| wire.points()[*i].contains("delete server")).collect();
        assert!(deletes.len() >= 6, "{:?}", wire.points());
        for point in deletes {
            let life = begin();
            assert!(matches!(life.process(&Tripwire::at(point)), End::Killed), "not killed at {point}");
            life.pass(REST);
            assert_eq!(life.broken_promises(), Vec::<String>::new(), "killed at {point}");
            assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
            assert_eq!(life.broken_promises(), Vec::<String>::new(), "killed at {point}, and gone on with");
        }
    }
}

fn was_told(life: &Life) -> String {
    let told = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; {remedy}")),
        _ => None,
    });
    told.collect::<Vec<_>>().join("\n")
}

/// The run ended so, told these words, and touched nothing.
fn stopped(life: &Life, end: &End, outcome: &str, told: &[&str]) {
    assert_eq!(end.outcome(), outcome, "{end:?}");
    let all = was_told(life);
    assert!(told.iter().all(|word| all.contains(word)), "{all}");
    let model = lock(&life.sandbox.model);
    let touched: Vec<_> = model.ledger.applied().filter(|e| e.who.run == life.id.id).collect();
    assert!(touched.is_empty(), "{touched:?}");
}

#[test]
fn the_living_cluster_is_not_taken_down_without_its_name_typed() {
    let life = then(&rebuilt(), "teardownaaaa", TakenDown::Living);
    let before = words(&life);
    let nobody = Arc::new(ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned())));
    let end = life.process_with(&Tripwire::new(), nobody.clone());
    stopped(&life, &end, "needs_person", &["hold", "--confirm honeydue"]);
    let asked = nobody.asked();
    assert!(asked.len() == 1 && asked[0].type_this.as_deref() == Some("honeydue"), "{asked:?}");
    assert_eq!(words(&life), before);
}

#[test]
fn a_record_without_relights_mark_that_points_at_a_server_stops_a_live_teardown_before_its_first_effect() {
    let model = Model::healthy(&settings(), &Start::default());
    let life = then(&Life::around(model, settings()), "teardownaaaa", TakenDown::Living);
    let end = life.process(&Tripwire::new());
    stopped(&life, &end, "refused", &["honeydue-node-1)", "relight's comment", "remove these records"]);
}

#[test]
fn a_token_of_another_project_is_refused_for_a_live_teardown_though_the_names_could_go() {
    let life = then(&rebuilt(), "teardownaaaa", TakenDown::Living);
    let before = words(&life);
    let (start, sandbox) = (Start::default(), life.sandbox.clone());
    let other = sandbox.with_tokens(&format!("{}-rehearsal", start.cloud_token), &start.dns_token);
    let life = Life { sandbox: other, ..life };
    let end = life.process(&Tripwire::new());
    stopped(&life, &end, "refused", &["no server of honeydue is in this project", "give HCLOUD_TOKEN"]);
    assert_eq!(words(&life), before);
}

#[test]
fn a_teardown_of_another_cluster_finds_nothing_of_this_one() {
    let (rehearsal, live) = (kept().0, rebuilt());
    for (life, what) in [(&rehearsal, rehearsals("abcdefghijkl")), (&live, TakenDown::Living)] {
        let mut wrong = then(life, "teardownaaaa", what);
        wrong.settings.cluster = "honeydu".to_owned();
        let before = words(&wrong);
        let end = wrong.process(&Tripwire::new());
        assert_eq!(end.outcome(), "succeeded", "{end:?}");
        // A run that finds nothing holds its lease meanwhile, which is the other cluster's.
        let model = lock(&wrong.sandbox.model);
        let own = |e: &&Entry| e.who.run == wrong.id.id && e.labels.get(CLUSTER).is_none_or(|c| c != "honeydu");
        let touched: Vec<_> = model.ledger.applied().filter(own).collect();
        assert!(touched.is_empty(), "{touched:?}");
        drop(model);
        assert_eq!(words(&wrong), before);
    }
}

#[test]
fn what_a_live_run_made_is_left_though_a_teardown_of_rehearsals_names_its_run_and_has_its_token() {
    let life = rebuilt();
    let before = words(&life);
    // The operator's mistake: production's token, and the live run's id.
    let wrong = then(&life, "teardownaaaa", rehearsals(&life.id.id));
    let end = wrong.process(&Tripwire::new());
    stopped(&wrong, &end, "succeeded", &[]);
    assert_eq!(words(&wrong), before);
}

#[test]
fn another_rehearsal_is_left_where_one_is_named() {
    let (life, before) = kept();
    let other = labels("honeydue", "bbbbbbbbbbbb", "rehearsal", Some(1));
    lock(&life.sandbox.model).place_foreign("rehearsal", "honeydue-r-bbbbbbbbbbbb-node-1", other).unwrap();
    let down = then(&life, "teardownaaaa", rehearsals("abcdefghijkl"));
    assert_eq!(down.process(&Tripwire::new()).outcome(), "succeeded");
    let (left, others): (Vec<_>, Vec<_>) = words(&down).into_iter().partition(|line| line.contains("-r-bbbbbbbbbbbb-"));
    assert!(left.iter().any(|line| line.starts_with("rehearsal server honeydue-r-bbbbbbbbbbbb-node-1")), "{left:#?}");
    assert_eq!(others, before);
}

#[test]
fn a_playbook_that_makes_something_in_a_teardown_is_stopped_before_the_call_leaves() {
    let (life, _) = kept();
    let kept = words(&life);
    let mut down = then(&life, "teardownaaaa", rehearsals("abcdefghijkl"));
    let text =
        "playbook: bad\nfor: rehearsal\nsummary: A bad one.\nsteps:\n  - { id: key, do: { ssh_key.ensure: {} } }\n";
    down.plan = crate::life::plan_of(&down.settings, text, "bad.yaml");
    let end = down.process(&Tripwire::new());
    stopped(&down, &end, "refused", &["the guard stopped step key", "makes nothing"]);
    assert_eq!(words(&down), kept);
}

#[test]
fn a_sweep_deletes_what_has_expired_and_nothing_before() {
    let (life, before) = kept();
    let kept = words(&life);
    let until: Vec<u64> = {
        let start = Start::default();
        let token = format!("{}-rehearsal", start.cloud_token);
        let caller = Caller { token, run: String::new(), step: String::new(), intent: 0 };
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let all = model.servers(now, &caller, &relight::sandbox::model::Filter::labels("")).result.unwrap();
        all.iter().filter_map(|s| s.labels.get(EXPIRES)?.parse().ok()).filter(|until| *until > 1).collect()
    };
    assert_eq!(until.len(), 3, "{until:?}");
    let at = |seconds: u64| {
        let mut model = lock(&life.sandbox.model);
        let later = Duration::from_secs(seconds);
        assert!(later >= model.now());
        model.advance(later);
    };
    let expired = || TakenDown::Expired(vec!["abcdefghijkl".to_owned()]);
    // Well before the first of them: not one effect.
    at(until.iter().min().unwrap() - 1800);
    let early = then(&life, "sweepaaaaaaa", expired());
    let end = early.process(&Tripwire::new());
    stopped(&early, &end, "succeeded", &[]);
    assert_eq!(words(&early), kept);
    at(until.iter().max().unwrap() + 1);
    let late = then(&life, "sweepbbbbbbb", expired());
    assert_eq!(late.process(&Tripwire::new()).outcome(), "succeeded");
    assert_eq!(words(&late), before);
    assert_eq!(strayed(&late), Vec::<String>::new());
}

#[test]
fn a_teardown_goes_on_where_its_disk_lost_what_was_not_synced() {
    let (life, before) = kept();
    let down = then(&life, "teardownaaaa", rehearsals("abcdefghijkl"));
    for point in [12, 24, 36] {
        assert!(matches!(down.process(&Tripwire::at(point)), End::Killed), "not killed at {point}");
        down.crash(Keep::Half);
    }
    assert_eq!(down.process(&Tripwire::new()).outcome(), "succeeded");
    assert_eq!(words(&down), before);
}

#[test]
fn a_reply_that_is_lost_is_settled_by_a_look() {
    let ops =
        ["cloud.server.protect", "dns.batch", "cloud.server.delete", "cloud.firewall.delete", "cloud.ssh_key.delete"];
    all("a lost reply in a live teardown", &ops, |op| {
        let life = rebuilt();
        let wanted = foreign_alone(&life);
        let down = then(&life, "teardownaaaa", TakenDown::Living);
        let fault = Fault::once(Matcher::op(*op), FaultKind::LostReply);
        let id = lock(&down.sandbox.model).faults.plan(fault);
        let end = down.process(&Tripwire::new());
        assert_eq!(lock(&down.sandbox.model).faults.fired(id), 1, "{op} never lost its reply");
        let mut wrong = strayed(&down);
        if end.outcome() != "succeeded" || words(&down) != wanted {
            wrong.push(format!("{end:?} {}", was_told(&down)));
        }
        wrong.into_iter().map(|w| format!("{op}: {w}")).collect()
    });
}

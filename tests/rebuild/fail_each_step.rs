//! Every step of the rebuild fails once, for ever, and with an unknown outcome: it is retried, named, or settled by a look.

use crate::life::{End, Life};
use crate::saboteur::{Armed, Notices, Saboteur};
use relight::engine::{Event, Outcome};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::{lock, FaultKind, Loss, Matcher};

const GONE: FaultKind = FaultKind::ServerError { status: 503, applied: false };

/// What can go wrong with a step: the operation it stands on, and what happens when the reply of its effect is lost (`None`
/// where it has no effect of its own).
fn trouble(step: &str) -> (Matcher, FaultKind, Notices, Option<FaultKind>) {
    let (name, node) = match step.split_once('[') {
        Some((name, node)) => (name, format!("honeydue-{}", node.trim_end_matches(']'))),
        None => (step, String::new()),
    };
    let at = |op: &str| Matcher::op(op).at(node.clone());
    let anywhere = Matcher::op;
    let (lost, dropped) = (Some(FaultKind::LostReply), Some(FaultKind::SshDrop));
    let script = |op: &str| (at(op), FaultKind::Exit(1), Notices::Retry, dropped.clone());
    match name {
        "preflight" => (anywhere("cloud.probe"), GONE, Notices::Retry, None),
        "lease" => (anywhere("cloud.placement_groups.list"), GONE, Notices::Retry, None),
        "hold" => (anywhere("cloud.placement_group.create").at("-lease"), GONE, Notices::Retry, lost),
        "release" => (anywhere("cloud.placement_group.delete"), GONE, Notices::Retry, lost),
        "stock" => (anywhere("cloud.offer.list"), GONE, Notices::Retry, None),
        "dead" => (anywhere("cloud.servers.list"), GONE, Notices::Retry, None),
        "fence" => (anywhere("cloud.server.update"), GONE, Notices::Retry, lost),
        "ssh-key" => (anywhere("cloud.ssh_key.create"), GONE, Notices::Retry, lost),
        "network" => (anywhere("cloud.network.create"), FaultKind::ResetBefore, Notices::Retry, lost),
        "firewall" => (anywhere("cloud.firewall.create"), FaultKind::Locked, Notices::Retry, lost),
        "placement-group" => (anywhere("cloud.placement_group.create").at("-spread"), GONE, Notices::Retry, lost),
        "k3s-digest" => (anywhere("release.get"), GONE, Notices::Retry, None),
        "server" => (at("cloud.server.create"), FaultKind::ResetBefore, Notices::Retry, lost),
        "boot" => (at("node.probe.sh.check"), FaultKind::Down, Notices::Wait, None),
        "host-key-prepare" => script("node.hostkey.sh.prepare"),
        "host-key" => script("node.hostkey.sh.rotate"),
        "host-key-record" => (at("cloud.server.update"), GONE, Notices::Retry, lost),
        "harden" => script("node.harden.sh.apply"),
        "peers" => script("node.peers.sh.apply"),
        "firewall-peers" => (anywhere("cloud.firewalls.list"), GONE, Notices::Retry, None),
        "k3s-install" => script("node.k3s.sh.install"),
        "k3s-first" | "k3s-join" => script("node.k3s.sh.start"),
        "kubeconfig" => (anywhere("node.kubeconfig.sh.check"), FaultKind::Down, Notices::Wait, None),
        // The first node is the one that gets labels: the others' steps have no effect whose reply could be lost.
        "node-first" => (anywhere("kube.read"), FaultKind::Down, Notices::Wait, lost),
        "node-join" => (anywhere("kube.read"), FaultKind::ResetBefore, Notices::Wait, None),
        "foundation" | "secrets" | "manifests" | "serving" | "workloads" => {
            (anywhere("kube.write"), GONE, Notices::Retry, lost)
        }
        "answers-first" | "answers" | "verify-node" => (anywhere("node.http"), FaultKind::Down, Notices::Wait, None),
        "dns-first" | "dns" => (anywhere("dns.batch"), GONE, Notices::Retry, lost),
        "edge-first" | "verify" => (anywhere("edge.get"), GONE, Notices::Wait, None),
        "voters" => (anywhere("node.etcd.sh.check"), FaultKind::ResetBefore, Notices::Retry, None),
        "traefik" => (anywhere("kube.read"), FaultKind::Down, Notices::Retry, None),
        "late" => script("node.late.sh.apply"),
        "protect" => (at("cloud.server.protect"), GONE, Notices::Retry, lost),
        other => panic!("say how step {other} fails"),
    }
}

/// Steps that ask nobody anything but after the run's state was lost, and but where addresses are kept: `reconstruct.rs` and
/// `kept_addresses.rs` let them fail.
const IDLE: [&str; 4] = ["access", "give-up", "address-free", "address-keep"];

fn steps(life: &Life) -> Vec<String> {
    let all = life.plan.steps.iter().map(|s| s.id.clone());
    all.filter(|id| !IDLE.contains(&id.split('[').next().unwrap_or_default())).collect()
}

fn tale(life: &Life) -> String {
    life.events().into_iter().map(|(at, e)| format!("{at} {e:?}\n")).collect()
}

fn how_it_ended(life: &Life, id: &str) -> Option<Outcome> {
    life.events().into_iter().rev().find_map(|(_, event)| match event {
        Event::StepFinished { step, outcome, .. } if step == id => Some(outcome),
        _ => None,
    })
}

fn all_is_well(life: &Life, end: &End) {
    assert_eq!(end.outcome(), "succeeded", "{end:?}\n{}", tale(life));
    let End::Finished(end) = end else { panic!("it ended") };
    assert_eq!((end.warnings, end.done), (0, end.steps), "{}", tale(life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    assert_eq!(lock(&life.sandbox.model).orphaned(&life.settings.cluster), Vec::<String>::new());
}

#[test]
fn every_step_that_fails_once_is_retried_and_succeeds() {
    let mut life = Life::lost(Loss::Off);
    let armed = steps(&life).into_iter().map(|step| {
        let (on, kind, notices, _) = trouble(&step);
        (step, Armed::new(on, kind, Some(notices)))
    });
    let saboteur = Saboteur::in_life(&mut life, armed);
    let end = life.process(&Tripwire::new());
    all_is_well(&life, &end);
    for (step, fired, noticed) in saboteur.disarm() {
        assert!(fired > 0, "the fault of {step} never fired");
        assert!(noticed, "{step} did not tell that it failed\n{}", tale(&life));
        assert!(how_it_ended(&life, &step).is_some(), "{step} did not finish");
    }
}

#[test]
fn every_effect_whose_reply_is_lost_is_settled_by_a_look_and_made_once() {
    let mut life = Life::lost(Loss::Off);
    let armed: Vec<(String, Armed)> = steps(&life)
        .into_iter()
        .filter_map(|step| {
            let (mut on, _, _, lost) = trouble(&step);
            if on.op == "kube.read" {
                on = Matcher::op("kube.write");
            }
            Some((step, Armed::new(on, lost?, Some(Notices::Retry))))
        })
        .collect();
    let saboteur = Saboteur::in_life(&mut life, armed);
    let end = life.process(&Tripwire::new());
    all_is_well(&life, &end);
    let unknown = |id: &str| {
        life.events()
            .iter()
            .any(|(_, e)| matches!(e, Event::StepRetry { step, class, .. } if step == id && class == "unknown"))
    };
    for (step, fired, noticed) in saboteur.disarm() {
        assert!(fired > 0 && noticed, "{step}: fired {fired} times, noticed: {noticed}");
        assert!(unknown(&step), "{step} did not say that its outcome is unknown\n{}", tale(&life));
        let ended = how_it_ended(&life, &step);
        assert!(matches!(ended, Some(Outcome::Adopted | Outcome::Done)), "{step}: {ended:?}");
    }
    let model = lock(&life.sandbox.model);
    for (op, wanted) in [("cloud.server.create", 3), ("cloud.network.create", 1), ("cloud.firewall.create", 1)] {
        let made = model.ledger.applied().filter(|e| e.op == op && e.who.run == life.id.id).count();
        assert_eq!(made, wanted, "{op}");
    }
}

/// Lets each of these steps fail for ever in turn, each in a process of its own that finds the one before mended, and at last
/// lets the run succeed. Each must come after the one before it in the plan, or only look: else it would be done already.
fn in_turn(loss: Loss, steps: &[&str]) -> Life {
    let mut life = Life::lost(loss);
    let saboteur = Saboteur::in_life(&mut life, []);
    for step in steps {
        let (on, kind, ..) = trouble(step);
        let op = on.op.clone();
        saboteur.arm(step, Armed::new(on, kind, None));
        let before = life.events().len();
        let end = life.process(&Tripwire::new());
        assert_eq!(end.outcome(), "failed", "{step}: {end:?}\n{}", tale(&life));
        let fired = saboteur.disarm().iter().map(|(_, fired, _)| *fired).sum::<u32>();
        assert!(fired > 0, "{step}: {op} never failed\n{}", tale(&life));
        let failed = life.events().into_iter().skip(before).find_map(|(_, event)| match event {
            Event::StepFailed { step: id, why, error, remedy } if id == *step => Some((why, error, remedy)),
            _ => None,
        });
        let (why, error, remedy) = failed.unwrap_or_else(|| panic!("{step} is not named\n{}", tale(&life)));
        println!("{step}: {error}\n  next: {remedy}");
        assert_eq!(why, "failed");
        assert!(
            error.split_once("last: ").is_none_or(|(_, cause)| !cause.is_empty()),
            "{step} tells no cause: {error}"
        );
        assert!(error.len() > 20 && !remedy.is_empty(), "{step}: {error}; {remedy}");
    }
    let end = life.process(&Tripwire::new());
    all_is_well(&life, &end);
    life
}

#[test]
fn what_fails_for_ever_before_any_server_exists_is_named_and_resumed() {
    in_turn(Loss::Off, &["preflight", "dead", "fence", "network", "server[node-2]", "boot[node-1]"]);
}

#[test]
fn what_fails_for_ever_on_a_node_is_named_and_resumed() {
    let node = ["host-key-prepare[node-1]", "host-key[node-1]", "harden[node-1]", "k3s-install[node-1]"];
    let all = ["ssh-key"].into_iter().chain(node).chain(["k3s-first[node-1]", "kubeconfig"]).collect::<Vec<_>>();
    in_turn(Loss::Gone, &all);
}

#[test]
fn what_fails_for_ever_in_kubernetes_is_named_and_resumed() {
    in_turn(Loss::Gone, &["placement-group", "node-first[node-1]", "foundation", "secrets", "manifests", "serving"]);
}

#[test]
fn what_fails_for_ever_on_the_way_to_the_first_answer_is_named_and_resumed() {
    let steps = ["k3s-digest", "answers-first[node-1]", "dns-first[node-1]", "edge-first"];
    in_turn(Loss::Gone, &steps);
}

#[test]
fn what_fails_for_ever_while_the_cluster_grows_is_named_and_resumed() {
    let steps = ["firewall", "peers[node-2]", "firewall-peers", "k3s-join[node-2]", "node-join[node-2]", "traefik"];
    in_turn(Loss::Gone, &steps);
}

#[test]
fn what_fails_for_ever_at_the_end_is_named_and_resumed() {
    let steps = ["host-key[node-3]", "answers[node-2]", "dns[node-2]", "voters", "verify-node[node-2]", "verify"];
    in_turn(Loss::Gone, &steps);
}

#[test]
fn what_nothing_waits_for_fails_for_ever_without_stopping_the_rest() {
    let life = in_turn(Loss::Gone, &["host-key-record[node-2]"]);
    let failed = life.events().iter().filter(|(_, e)| matches!(e, Event::StepFailed { .. })).count();
    assert_eq!(failed, 1, "{}", tale(&life));
}

#[test]
fn a_workload_that_cannot_be_applied_does_not_keep_the_rest_from_serving() {
    let life = in_turn(Loss::Gone, &["workloads"]);
    let answered =
        life.events().iter().position(|(_, e)| matches!(e, Event::StepFinished { step, .. } if step == "edge-first"));
    let failed =
        life.events().iter().position(|(_, e)| matches!(e, Event::StepFailed { step, .. } if step == "workloads"));
    assert!(answered < failed && answered.is_some(), "{}", tale(&life));
}

#[test]
fn what_may_fail_for_ever_after_the_end_is_a_warning_with_its_remedy() {
    let mut life = Life::lost(Loss::Gone);
    let steps = ["late[node-1]", "protect[node-3]"];
    let armed = steps.map(|step| {
        let (on, kind, ..) = trouble(step);
        (step.to_owned(), Armed::new(on, kind, None))
    });
    let saboteur = Saboteur::in_life(&mut life, armed);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?}");
    let End::Finished(finished) = &end else { panic!("it ended") };
    assert_eq!(finished.warnings, 2, "{}", tale(&life));
    assert!(saboteur.disarm().iter().all(|(_, fired, _)| *fired > 0));
    for step in steps {
        let text = life.events().into_iter().find_map(|(_, e)| match e {
            Event::StepFinished { step: id, outcome: Outcome::Warning, text, .. } if id == step => Some(text),
            _ => None,
        });
        let text = text.unwrap_or_else(|| panic!("{step} warns\n{}", tale(&life)));
        assert!(text.contains("deadline") && text.contains("relight resume"), "{text}");
    }
}

#[test]
fn while_cloudflare_is_down_everything_else_finishes_and_the_records_wanted_are_named() {
    for ops in ["dns.*", "dns.batch"] {
        let mut life = Life::lost(Loss::Gone);
        let down = Armed::new(Matcher::op(ops), FaultKind::Down, None);
        let saboteur = Saboteur::in_life(&mut life, [("fence".to_owned(), down)]);
        let end = life.process(&Tripwire::new());
        assert_eq!(end.outcome(), "failed", "{end:?}");
        assert!(saboteur.disarm().iter().all(|(_, fired, _)| *fired > 0), "{ops} never failed");
        let events = life.events();
        let failed: Vec<_> = events
            .iter()
            .filter_map(|(_, e)| match e {
                Event::StepFailed { step, error, remedy, .. } => Some((step.as_str(), error, remedy)),
                _ => None,
            })
            .collect();
        let [("dns-first[node-1]", error, remedy)] = failed.as_slice() else { panic!("{failed:?}") };
        assert!(!remedy.is_empty());
        let addresses: Vec<String> = events
            .iter()
            .filter_map(|(_, e)| match e {
                Event::StepFinished { facts, .. } => Some(facts),
                _ => None,
            })
            .flat_map(|facts| facts.iter().filter(|(name, _)| name.starts_with("node.address[")))
            .map(|(_, value)| value.clone())
            .collect();
        assert_eq!(addresses.len(), 3);
        for host in &life.settings.dns.hosts {
            for address in &addresses {
                assert!(error.contains(&format!("{host} A {address} proxied")), "{host} {address}: {error}");
            }
        }
        for step in steps(&life) {
            let behind = ["dns", "edge-first", "verify", "release"];
            let name = step.split('[').next().unwrap_or_default();
            let waits = behind.contains(&name) || name == "dns-first";
            assert_eq!(how_it_ended(&life, &step).is_some(), !waits, "{step}");
        }
        let end = life.process(&Tripwire::new());
        all_is_well(&life, &end);
    }
}

//! A cluster that was made by hand is taken over by id, and nothing else changes, wherever it is killed.

use crate::judged::{all, difference, from, resumed, survived, thinned, AFTERS};
use crate::life::{plan_of, settings, End, Life};
use crate::living::somebody;
use crate::worlds::{after, taking_down};
use relight::actions::{Found, Mode};
use relight::config::TakenDown;
use relight::engine::Event;
use relight::playbook::Source;
use relight::sandbox::doors::direct::{Keep, Outside, ScriptedPerson, Tripwire};
use relight::sandbox::model::{
    lock, Caller, DnsBatch, Fault, FaultKind, Filter, Matcher, Power, RecordChange, Start, ThingState,
};
use relight::world::{Answer, FirewallRule, KnownHostKeys, Labels, RunKeys, ServerStatus, ThingKind, World};
use std::sync::Arc;

fn nobody() -> Arc<ScriptedPerson> {
    Arc::new(ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned())))
}

fn why(life: &Life) -> String {
    let failed = life.events().into_iter().filter_map(|(_, e)| match e {
        Event::StepFailed { step, error, remedy, .. } => Some(format!("{step}: {error}; {remedy}\n")),
        _ => None,
    });
    failed.collect()
}

fn touched(life: &Life) -> usize {
    lock(&life.sandbox.model).ledger.applied().filter(|e| !e.who.run.is_empty()).count()
}

/// Everything outside, in full.
fn in_full(life: &Life) -> Vec<String> {
    lock(&life.sandbox.model).foreign("nobody's", &[]).into_iter().collect()
}

fn adopted() -> Life {
    let life = Life::hand_made();
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&life));
    life
}

/// Looks at the world of a process, as the command does before a run.
fn look<T>(life: &Life, with: impl AsyncFnOnce(&World) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let wire = Tripwire::new();
        let clock = life.sandbox.clock(&wire);
        let (cluster, secrets) = (life.sandbox.cluster(&wire, &clock), Arc::clone(&life.secrets));
        with(&life.sandbox.world(&wire, &clock, Outside { cluster, secrets, person: nobody() })).await
    })
}

fn found(life: &Life) -> Result<Found, Vec<String>> {
    look(life, async |world| Found::look(world, &life.settings, "<run>").await.unwrap())
}

/// Somebody takes every record of this address away.
fn unnamed(life: &Life, address: &str) {
    let mut model = lock(&life.sandbox.model);
    let (now, dns) = (model.now(), Caller::token(Start::default().dns_token));
    let zone = model.zone_truth(&life.settings.dns.zone).unwrap();
    let (id, of) = (zone.id.clone(), zone.records.values().filter(|r| r.content == address));
    let batch = DnsBatch { deletes: of.map(|r| r.id.clone()).collect(), ..DnsBatch::default() };
    assert_eq!(batch.deletes.len(), life.settings.dns.hosts.len());
    assert!(model.dns_change(now, &dns, &id, &batch).is_ok());
}

#[test]
fn an_adopted_cluster_has_labels_and_comments_and_is_otherwise_the_same() {
    let life = Life::hand_made();
    let before = life.world_in_words();
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&life));
    assert_eq!(life.broken_promises(), Vec::<String>::new());
    let ours = "managed-by=relight,relight-cluster=honeydue";
    let label = format!("{ours},relight-host-key=...,relight-mode=live,relight-node=node-");
    let as_before = |line: &String| -> String {
        let unlabelled = ["1", "2", "3"].iter().fold(line.clone(), |l, n| l.replace(&format!("{label}{n}"), ""));
        let unlabelled = unlabelled.replace(&format!("{ours},relight-mode=live"), "");
        unlabelled.replace("comment Some(\"relight honeydue abcdefghijkl\")", "comment None")
    };
    let after = life.world_in_words();
    assert_eq!(after.iter().filter(|line| line.contains(&label)).count(), 3);
    assert_eq!(after.iter().filter(|line| line.contains("comment Some(\"relight honeydue ")).count(), 9);
    let mut stripped: Vec<String> = after.iter().map(as_before).collect();
    stripped.retain(|line| !line.contains("its label is of its host key: true"));
    stripped.sort();
    assert_eq!(difference(&stripped, &before), None);
    let labelled = |line: &&String| line.contains("its label is of its host key: true");
    assert_eq!(after.iter().filter(labelled).count(), 3);
    // The addresses are not in those words, for the cloud makes and takes them with their servers.
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    let ips = model.primary_ips(now, &somebody(), &Filter::labels("managed-by=relight,relight-cluster=honeydue"));
    assert_eq!(ips.result.unwrap().len(), 3);
}

#[test]
fn an_adopting_run_keeps_token_and_kubeconfig_and_the_addresses_and_keys_of_the_nodes() {
    let life = adopted();
    let text = |name: &str| String::from_utf8(life.sandbox.disk.read(name).unwrap()).unwrap();
    let token = text("secrets/k3s-token");
    assert!(token.starts_with("K10") && token.contains("::server:") && !token.ends_with('\n'), "{token}");
    let kubeconfig = text("secrets/kubeconfig");
    {
        let model = lock(&life.sandbox.model);
        let uid = model.cluster_views().into_iter().next().unwrap().uid;
        assert_eq!(Some(kubeconfig.as_str()), model.kubeconfig(&uid));
    }
    let journal = text("journal.jsonl");
    assert!(!journal.contains(token.rsplit(':').next().unwrap()), "the token is in the journal");
    assert!(life.sandbox.disk.read("secrets/ssh_ed25519").is_none(), "the run needs no key of its own");
    let records = relight::engine::read_journal(journal.as_bytes(), "disk").unwrap().records;
    let facts = relight::engine::RunState::of(&records).facts;
    assert!(facts.logs_in_as_the_operator());
    for machine in lock(&life.sandbox.model).machines().iter().filter(|m| m.hostname.starts_with("ubuntu-8gb-nbg1-")) {
        let node = machine.hostname.replace("ubuntu-8gb-nbg1", "node");
        let known =
            |kind: &str| facts.iter().find(|f| f.kind.name() == kind && f.node.as_ref() == Some(&node)).unwrap();
        assert_eq!(known("host.key").value, machine.host_key.public);
        assert_eq!(known("node.address").value, machine.public.unwrap().to_string());
    }
}

#[test]
fn a_look_tells_it_all_by_id_and_changes_nothing() {
    let life = Life::hand_made();
    let (before, words) = (in_full(&life), life.sandbox.in_words(std::time::Duration::ZERO));
    let text = found(&life).unwrap_or_else(|wrong| panic!("{wrong:?}")).text();
    assert_eq!((in_full(&life), life.sandbox.in_words(std::time::Duration::ZERO)), (before, words));
    assert_eq!(touched(&life), 0);
    assert!(life.sandbox.disk.read("journal.jsonl").is_none());
    let mut model = lock(&life.sandbox.model);
    let now = model.now();
    for server in model.servers(now, &somebody(), &Filter::labels("")).result.unwrap() {
        let line = format!("server {} (id {})", server.name, server.id);
        assert_eq!(text.contains(&line), server.name.starts_with("ubuntu-"), "{line}: {text}");
    }
    for part in
        ["firewall firewall-1 (id ", "comment \"relight honeydue <run>\"", "left as it is: network network-1 (id "]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("NOT in your known hosts").count(), 3, "{text}");
    for machine in model.machines().iter().filter(|m| m.hostname.starts_with("ubuntu-8gb-nbg1-")) {
        assert!(text.contains(&relight::world::fingerprint(&machine.host_key.public).unwrap()), "{text}");
    }
}

#[test]
fn nothing_is_written_where_nobody_types_the_name() {
    let life = Life::hand_made();
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    assert!(why(&life).contains("server ubuntu-8gb-nbg1-1"), "{}", why(&life));
    assert_eq!(touched(&life), 0);
    assert!(life.sandbox.disk.read("secrets/kubeconfig").is_none(), "no node was entered");
}

#[test]
fn an_adoption_may_be_killed_anywhere() {
    let wanted = from(Life::hand_made);
    println!("{} points", wanted.points.len());
    let points: Vec<usize> = (0..wanted.points.len()).collect();
    let schedules: Vec<_> = thinned(points).into_iter().zip(AFTERS.into_iter().cycle()).collect();
    all("an adoption killed once", &schedules, |(point, after)| {
        let life = Life::hand_made();
        assert!(matches!(life.process(&Tripwire::at(*point)), End::Killed), "not killed at {point}");
        let wrong = resumed(&life, *after, &wanted);
        wrong.into_iter().map(|w| format!("killed at {point} ({}, {after:?}): {w}", wanted.points[*point])).collect()
    });
}

#[test]
fn a_resume_asks_nobody_about_what_was_accepted_and_about_what_is_new() {
    let points = from(Life::hand_made).points;
    let first = points.iter().position(|point| point.starts_with("before update server")).unwrap();
    let begun = |life: &Life| {
        assert!(matches!(life.process(&Tripwire::at(first)), End::Killed));
        life.crash(Keep::All);
    };
    let life = Life::hand_made();
    begun(&life);
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "succeeded", "{}", why(&life));
    let life = Life::hand_made();
    begun(&life);
    let new = {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        let rule = FirewallRule {
            direction: "in".to_owned(),
            protocol: "icmp".to_owned(),
            port: None,
            addresses: vec!["0.0.0.0/0".to_owned()],
            description: String::new(),
        };
        let state = ThingState::Firewall { rules: vec![rule] };
        let new = model.create_thing(now, &somebody(), "put-on-since", &state, &Labels::new()).result.unwrap().id;
        let servers = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
        let server = servers.iter().find(|s| s.name == "ubuntu-8gb-nbg1-1").unwrap().id;
        assert!(model.apply_firewall(now, &somebody(), new, server, true).result.is_ok());
        new
    };
    life.pass(std::time::Duration::from_secs(60));
    let labels = |life: &Life| {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        model.thing(now, &somebody(), ThingKind::Firewall, new).result.unwrap().labels
    };
    assert_eq!(life.process_with(&Tripwire::new(), nobody()).outcome(), "needs_person");
    assert!(why(&life).contains("put-on-since") && labels(&life).is_empty(), "{}", why(&life));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", why(&life));
    assert!(!labels(&life).is_empty());
}

#[test]
fn a_host_key_that_the_operators_known_hosts_do_not_have_so_is_refused() {
    let (other, life) = (RunKeys::ed25519([9; 32], "").unwrap().public, Life::hand_made());
    let machines = lock(&life.sandbox.model).machines();
    let machine = machines.iter().find(|m| m.hostname == "ubuntu-8gb-nbg1-2").unwrap();
    let knows = |here: &str| {
        let known = KnownHostKeys { here: vec![here.to_owned()], ..KnownHostKeys::default() };
        lock(&life.sandbox.model).known_hosts.insert(machine.public.unwrap(), known);
    };
    knows(&machine.host_key.public);
    assert!(found(&life).is_ok_and(|f| f.text().matches("the same as in your known hosts").count() == 1));
    knows(&other);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    let told = why(&life);
    for part in ["ubuntu-8gb-nbg1-2", "ssh-keygen -R", &relight::world::fingerprint(&other).unwrap()] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(touched(&life), 0);
}

#[test]
fn an_operator_whom_the_nodes_do_not_let_in_is_told_so_before_the_first_effect() {
    let life = Life::hand_made();
    lock(&life.sandbox.model).operators_keys = vec![RunKeys::ed25519([9; 32], "").unwrap().public];
    assert_eq!(life.process(&Tripwire::new()).outcome(), "failed");
    assert!(why(&life).contains("any of your own SSH keys"), "{}", why(&life));
    assert_eq!(touched(&life), 0);
}

#[test]
fn a_cluster_with_more_nodes_than_the_configuration_names_is_refused() {
    let mut life = Life::hand_made();
    let third = lock(&life.sandbox.model).machines().into_iter().find(|m| m.hostname == "ubuntu-8gb-nbg1-3").unwrap();
    let address = third.public.unwrap().to_string();
    unnamed(&life, &address);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    assert!(why(&life).contains("has 3 nodes, and the records point at 2 servers"), "{}", why(&life));
    life.settings.nodes.truncate(2);
    life.plan = crate::life::plan(&life.settings, "adopt");
    assert_eq!(life.process(&Tripwire::new()).outcome(), "refused");
    assert!(why(&life).contains("a node ubuntu-8gb-nbg1-3 that is none of these servers"), "{}", why(&life));
    assert_eq!(touched(&life), 0);
}

#[test]
fn what_a_person_wrote_into_a_comment_stays_behind_the_mark() {
    let life = Life::hand_made();
    let (host, zone) = (life.settings.dns.hosts[0].clone(), life.settings.dns.zone.clone());
    let at =
        lock(&life.sandbox.model).machines().into_iter().find(|m| m.hostname == "ubuntu-8gb-nbg1-1").unwrap().public;
    unnamed(&life, &at.unwrap().to_string());
    let theirs = format!("the first one, {}", "set up by Anna ".repeat(6));
    for host in &life.settings.dns.hosts {
        let record = RecordChange::address(host, &at.unwrap().to_string(), false, Some(&theirs));
        lock(&life.sandbox.model).place_record(&zone, &record);
    }
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", why(&life));
    let model = lock(&life.sandbox.model);
    let records = &model.zone_truth(&zone).unwrap().records;
    let record = records.values().find(|r| r.name == host && r.content == at.unwrap().to_string()).unwrap();
    let comment = record.comment.clone().unwrap();
    assert!(comment.starts_with("relight honeydue abcdefghijkl; the first one, ") && comment.len() == 100, "{comment}");
    assert!(!record.proxied, "everything else of it is as it was");
}

#[test]
fn an_adopted_cluster_is_taken_down_as_one_that_relight_made() {
    let down = taking_down(&adopted(), "teardownaaaa", TakenDown::Living);
    let end = down.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&down));
    assert_eq!(down.broken_promises(), Vec::<String>::new());
    down.pass(std::time::Duration::from_secs(60));
    let left = lock(&down.sandbox.model).in_words();
    let of_it = |line: &&String| ["ubuntu-8gb", "firewall-1", "record api."].iter().any(|part| line.contains(part));
    let of_it: Vec<_> = left.iter().filter(of_it).filter(|line| !line.starts_with("etcd")).collect();
    assert!(of_it.is_empty(), "{of_it:?}");
    assert!(left.iter().any(|line| line.contains("network network-1")), "what nobody labelled is nobody's of relight");
}

#[test]
fn a_rebuild_after_its_loss_fences_an_adopted_clusters_servers_without_a_question() {
    let life = adopted();
    {
        let mut model = lock(&life.sandbox.model);
        let now = model.now();
        for server in model.servers(now, &somebody(), &Filter::labels("")).result.unwrap() {
            if server.name.starts_with("ubuntu-") {
                assert!(model.power(now, &somebody(), server.id, Power::Off).result.is_ok());
            }
        }
    }
    life.pass(std::time::Duration::from_secs(60));
    let rebuild = after(&life, "rebuildaaaaa", "rebuild", Mode::Live, settings());
    let end = rebuild.process_with(&Tripwire::new(), nobody());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {}", why(&rebuild));
    assert_eq!(rebuild.broken_promises(), Vec::<String>::new());
    let mut model = lock(&rebuild.sandbox.model);
    let now = model.now();
    let old = model.servers(now, &somebody(), &Filter::labels("relight-state=fenced")).result.unwrap();
    assert_eq!(old.iter().filter(|s| s.name.starts_with("ubuntu-8gb-nbg1-")).count(), 3, "{old:?}");
    assert!(old.iter().all(|s| s.status == ServerStatus::Off && s.name.ends_with("-old-rebuildaaaaa")));
}

#[test]
fn a_second_adoption_elsewhere_writes_nothing_outside_and_knows_the_host_keys_by_their_labels() {
    let life = adopted();
    let before = in_full(&life);
    let again = after(&life, "againagainag", "adopt", Mode::Live, settings());
    let text = found(&again).unwrap_or_else(|wrong| panic!("{wrong:?}")).text();
    assert_eq!(text.matches("as its label says").count(), 3, "{text}");
    assert_eq!(again.process(&Tripwire::new()).outcome(), "succeeded", "{}", why(&again));
    assert_eq!(in_full(&again), before);
    assert!(again.sandbox.disk.read("secrets/kubeconfig").is_some());
}

#[test]
fn the_configurations_people_may_log_in_to_what_they_made() {
    let theirs = RunKeys::ed25519([9; 32], "").unwrap().public;
    let mut settings = settings();
    settings.cloud.authorized_keys = vec![format!("{theirs} anna@home")];
    let life = Life::hand_made_with(settings);
    lock(&life.sandbox.model).operators_keys = vec![RunKeys::ed25519([8; 32], "").unwrap().public, theirs];
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "{}", why(&life));
}

#[test]
fn a_label_or_comment_whose_reply_is_lost_is_settled_by_a_look() {
    let wanted = from(Life::hand_made);
    for op in ["cloud.server.update", "cloud.primary_ip.update", "cloud.firewall.update", "dns.batch"] {
        let life = Life::hand_made();
        let fault = lock(&life.sandbox.model).faults.plan(Fault::once(Matcher::op(op), FaultKind::LostReply));
        let end = life.process(&Tripwire::new());
        assert_eq!(lock(&life.sandbox.model).faults.fired(fault), 1, "{op}");
        assert_eq!(survived(&life, &end, &wanted), Vec::<String>::new(), "{op}");
        let times = |life: &Life| lock(&life.sandbox.model).ledger.count(op);
        let usual = if op.starts_with("dns") || op.contains("firewall") { 1 } else { 3 };
        assert_eq!(times(&life), usual, "{op}: nothing is written twice");
    }
}

#[test]
fn a_run_that_takes_over_does_nothing_else_whatever_its_playbook_says() {
    let written = Source::embedded().playbook("adopt").unwrap().unwrap();
    for (step, of) in [
        ("{ id: more, each: node, do: { server.protect: {} }, needs: [label] }", "server"),
        ("{ id: more, each: node, do: { node.script: { script: late.sh } }, needs: [label] }", "node"),
        ("{ id: more, do: { teardown.servers: {} }, needs: [label] }", "server"),
        ("{ id: more, do: { placement_group.ensure: {} }, needs: [label] }", "new placement group"),
    ] {
        let mut life = Life::hand_made();
        life.plan = plan_of(&life.settings, &format!("{}  - {step}\n", &*written.text), "adopt.yaml");
        // For the last but one: what it finds to take down is what this run has made, and that is nothing.
        let end = life.process(&Tripwire::new());
        let told = why(&life);
        let wanted = if step.contains("teardown") { "succeeded" } else { "refused" };
        assert_eq!(end.outcome(), wanted, "{step}: {told}");
        assert!(wanted == "succeeded" || (told.contains("labels and marks it alone") && told.contains(of)), "{told}");
        assert_eq!(life.broken_promises(), Vec::<String>::new(), "{step}");
        let mut ops: Vec<String> = lock(&life.sandbox.model).ledger.applied().map(|e| e.op.clone()).collect();
        ops.retain(|op| {
            !op.ends_with(".update")
                && op != "dns.batch"
                && !op.ends_with(".create")
                && !op.contains(".placement_group.")
        });
        assert!(ops.is_empty(), "{ops:?}");
    }
}

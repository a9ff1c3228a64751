//! An operator's mistake is stopped before the first effect, and told with what to do about it.

mod adopting;

use crate::lease::{held_by_ann, ANN};
use crate::life::{plan_of, settings, Life};
use async_trait::async_trait;
use relight::actions::{Mode, RunId};
use relight::engine::Event;
use relight::playbook::Source;
use relight::sandbox::doors::direct::{Disk, GeneratedSecrets, ScriptedPerson, Tripwire};
use relight::sandbox::model::{lock, Caller, DnsToken, Loss, Model, RecordChange, Start, Subnet, ThingState, TokenMay};
use relight::world::{Answer, Error, Labels, Result, Secret, SecretFrom, SecretSource};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Runs a process and insists that it ended so, told these words, said what to do, and touched nothing.
fn stopped(life: &Life, person: ScriptedPerson, outcome: &str, words: &[&str]) -> String {
    let end = life.process_with(&Tripwire::new(), Arc::new(person));
    assert_eq!(end.outcome(), outcome, "{end:?}");
    let mut told = String::new();
    for (_, event) in life.events() {
        if let Event::StepFailed { step, error, remedy, .. } = event {
            assert!(!remedy.is_empty(), "{step} says nothing of what to do about: {error}");
            let _ = writeln!(told, "{step}: {error}\n  {remedy}");
        }
        // Nothing may even have been about to be done.
        else if let Event::Intent { step, what, .. } = event {
            panic!("{step} was about to {what}");
        }
    }
    for word in words {
        assert!(told.contains(word), "\"{word}\" is not in:\n{told}");
    }
    let model = lock(&life.sandbox.model);
    let touched: Vec<_> = model.ledger.applied().filter(|e| !e.who.run.is_empty()).collect();
    assert!(touched.is_empty(), "{touched:?}");
    told
}

fn refused(life: &Life, words: &[&str]) -> String {
    stopped(life, ScriptedPerson::willing(), "refused", words)
}

fn nobody() -> ScriptedPerson {
    ScriptedPerson::new([], Answer::Nobody("with `--confirm honeydue`".to_owned()))
}

fn lost() -> Life {
    Life::lost(Loss::Gone)
}

fn with(mend: impl FnOnce(&mut Model)) -> Life {
    let life = lost();
    mend(&mut lock(&life.sandbox.model));
    life
}

#[test]
fn a_cloud_token_that_nobody_knows_is_refused() {
    let mut life = lost();
    life.sandbox = life.sandbox.with_tokens("mistyped", &Start::default().dns_token);
    refused(&life, &["unauthorized", "new API token"]);
}

#[test]
fn a_read_only_cloud_token_is_refused_and_named_as_such() {
    let token = Start::default().cloud_token;
    refused(&with(|m| m.set_token("live", &token, TokenMay::Read)), &["token_readonly", "read and write"]);
}

#[test]
fn a_revoked_cloud_token_is_refused() {
    let token = Start::default().cloud_token;
    refused(&with(|m| m.set_token("live", &token, TokenMay::Nothing)), &["unauthorized", "new API token"]);
}

#[test]
fn a_dns_token_that_nobody_knows_is_refused() {
    let mut life = lost();
    life.sandbox = life.sandbox.with_tokens(&Start::default().cloud_token, "mistyped");
    refused(&life, &["Invalid API Token", "Zone:DNS:Edit"]);
}

#[test]
fn an_expired_dns_token_is_refused_before_it_is_needed() {
    let zone = settings().dns.zone;
    let expired = DnsToken { status: "expired".to_owned(), ..DnsToken::full(&[&zone]) };
    let life = with(|m| m.set_dns_token(&Start::default().dns_token, expired));
    refused(&life, &["the DNS token is expired", "make a new API token"]);
}

#[test]
fn a_dns_token_that_may_only_read_is_refused_before_it_is_needed() {
    let zone = settings().dns.zone;
    let reader = DnsToken { edit: false, ..DnsToken::full(&[&zone]) };
    let life = with(|m| m.set_dns_token(&Start::default().dns_token, reader));
    refused(&life, &["prove that the DNS token may write", "Zone:DNS:Edit"]);
}

#[test]
fn a_zone_that_the_token_does_not_see_is_refused() {
    let mut life = lost();
    life.settings.dns.zone = "somebody-elses.example".to_owned();
    refused(&life, &["zone somebody-elses.example is not visible", "check `dns.zone`"]);
}

#[test]
fn a_cname_in_the_way_is_refused() {
    let zone = settings().dns.zone;
    let name = format!("api.{zone}");
    let cname = RecordChange {
        kind: Some("CNAME".to_owned()),
        name: Some(name.clone()),
        content: Some("old-host.example.net".to_owned()),
        ..RecordChange::default()
    };
    let life = with(|m| m.place_record(&zone, &cname));
    refused(&life, &[&format!("{name} is a CNAME to old-host.example.net"), "delete that record"]);
}

#[test]
fn another_ssl_mode_than_the_configured_one_is_refused() {
    let zone = settings().dns.zone;
    refused(&with(|m| m.set_ssl(&zone, "full")), &["SSL mode is full, the configuration says flexible", "change one"]);
}

/// Every secret but one.
struct Without(&'static str);

#[async_trait]
impl SecretSource for Without {
    async fn resolve(&self, from: &SecretFrom) -> Result<Secret> {
        if from.to_string().contains(self.0) {
            return Err(Error::fatal(format!("{from} is not set")).remedy(format!("export {}", self.0)));
        }
        GeneratedSecrets { seed: 1 }.resolve(from).await
    }
}

#[test]
fn a_missing_secret_is_refused_and_named() {
    let mut life = lost();
    life.secrets = Arc::new(Without("REGISTRY_PASSWORD"));
    refused(&life, &["secret honeydue/registry password", "export REGISTRY_PASSWORD"]);
}

#[test]
fn a_cluster_whose_every_type_is_sold_out_everywhere_is_refused_unless_a_person_goes_on() {
    let stock = |m: &mut Model, there: bool| {
        let cloud = settings().cloud;
        for kind in &cloud.server_types {
            cloud.locations.iter().for_each(|place| m.offer.set_stock(kind, place, there));
        }
    };
    let life = with(|m| stock(m, false));
    let words = ["none of cx33, cpx32 can be ordered in nbg1, fsn1, hel1 now", "cloud.locations", "--confirm honeydue"];
    stopped(&life, nobody(), "needs_person", &words);
    // What the cloud says of its stock may be old: with a yes each server is tried, and here in vain.
    let life = with(|m| stock(m, false));
    let tried = life.process(&Tripwire::new());
    assert_eq!(tried.outcome(), "failed", "{tried:?}");
    stock(&mut lock(&life.sandbox.model), true);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?}");
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

#[test]
fn a_server_type_that_does_not_exist_is_refused() {
    let mut life = lost();
    life.settings.cloud.server_types = vec!["cx999".to_owned()];
    refused(&life, &["server type cx999 does not exist", "check `cloud.server_types`"]);
}

#[test]
fn a_server_type_that_is_no_longer_sold_is_refused() {
    let life = with(|m| {
        for kind in m.offer.types.values_mut() {
            for sale in &mut kind.sales {
                sale.unavailable_after = Some("2020-01-01T00:00:00Z".to_owned());
            }
        }
    });
    stopped(&life, nobody(), "needs_person", &["can be ordered", "add another of `cloud.server_types`"]);
}

#[test]
fn an_image_that_does_not_exist_is_refused() {
    let mut life = lost();
    life.settings.cloud.image = "ubuntu-42.04".to_owned();
    refused(&life, &["image ubuntu-42.04 does not exist", "check `cloud.image`"]);
}

#[test]
fn a_foreign_server_with_our_name_is_refused_and_not_touched() {
    let life = with(|m| {
        m.place_foreign("live", "honeydue-node-2", Labels::new()).expect("there is an address left");
    });
    refused(&life, &["server honeydue-node-2", "does not carry this cluster's labels", "rename or delete it"]);
}

#[test]
fn a_foreign_network_firewall_or_placement_group_with_our_name_is_refused_and_not_touched() {
    let zone = "eu-central".to_owned();
    let subnets = vec![Subnet { range: "10.9.0.0/24".to_owned(), zone, gateway: String::new() }];
    let things = [
        ("honeydue-net", ThingState::Network { range: "10.9.0.0/16".to_owned(), subnets }),
        ("honeydue-nodes", ThingState::Firewall { rules: Vec::new() }),
        ("honeydue-spread", ThingState::PlacementGroup),
        ("honeydue-lease", ThingState::PlacementGroup),
    ];
    for (name, state) in things {
        let life = with(|m| {
            let now = m.now();
            let caller = Caller::token(Start::default().cloud_token);
            let made = m.create_thing(now, &caller, name, &state, &Labels::new());
            assert!(made.result.is_ok(), "{:?}", made.result);
        });
        refused(&life, &[name, "does not carry this cluster's labels", "rename or delete it"]);
    }
}

/// A copy of the example's manifests in which this text is replaced.
fn manifests_with(file: &str, old: &str, new: &str) -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    std::fs::create_dir(base.path().join("manifests")).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap();
        let text = if name == file {
            assert!(text.contains(old), "{file} does not contain {old}");
            text.replace(old, new)
        } else {
            text
        };
        std::fs::write(base.path().join("manifests").join(name), text).unwrap();
    }
    base
}

fn image_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().find_map(|line| line.trim().strip_prefix("image:")).unwrap().trim().to_owned()
}

#[test]
fn an_image_named_latest_is_refused_with_its_file_and_line() {
    let image = image_of("worker.yaml");
    let base = manifests_with("worker.yaml", &image, "registry.example.net/worker:latest");
    let mut life = lost();
    life.settings.base = base.path().to_owned();
    let told = refused(&life, &["is tagged latest", "image@sha256:"]);
    assert!(told.contains("worker.yaml:"), "{told}");
}

#[test]
fn a_manifest_that_kubernetes_would_refuse_is_refused_before_it() {
    for (file, old, new, words) in [
        ("redis.yaml", "type: Recreate", "type: Recrate", ["did you mean \"Recreate\"?", "redis.yaml:"]),
        ("api.yaml", "cpu: 250m", "cpu: 100x", ["\"100x\" is no quantity", "api.yaml:"]),
        (
            "network.yaml",
            "kind: NetworkPolicy",
            "kind: NetworkPolcy",
            ["did you mean \"NetworkPolicy\"?", "network.yaml:"],
        ),
        (
            "redis.yaml",
            "storageClassName: local-path",
            "storageClassName: local",
            ["wants StorageClass", "redis.yaml:"],
        ),
        ("admin.yaml", "replicas: 1", "replicaz: 1", ["did you mean \"replicas\"?", "admin.yaml:"]),
    ] {
        let base = manifests_with(file, old, new);
        let mut life = lost();
        life.settings.base = base.path().to_owned();
        refused(&life, &["preflight", words[0], words[1]]);
    }
}

#[test]
fn a_manifest_that_has_been_broken_since_the_run_was_planned_is_refused() {
    let base = manifests_with("worker.yaml", "kind: Deployment", "kind: Deployment\n  : [");
    let mut life = lost();
    life.settings.base = base.path().to_owned();
    let told = refused(&life, &["mend"]);
    assert!(told.contains("worker.yaml:"), "{told}");
}

fn alive() -> Life {
    let settings = settings();
    let model = Model::healthy(&settings, &Start::default());
    Life::around(model, settings)
}

#[test]
fn a_cluster_that_is_alive_is_not_rebuilt_without_a_person() {
    let life = alive();
    let told = stopped(&life, nobody(), "needs_person", &["the old cluster", "--confirm honeydue"]);
    assert!(told.contains("honeydue-node-1"), "the evidence names the nodes: {told}");
}

#[test]
fn a_cluster_that_is_alive_is_not_rebuilt_when_its_name_is_typed_wrong() {
    let no = ScriptedPerson::new([], Answer::No);
    stopped(&alive(), no, "needs_person", &["the old cluster may still have its quorum", "relight resume"]);
}

#[test]
fn a_terminal_that_cannot_be_read_is_no_consent() {
    struct Deaf;
    #[async_trait]
    impl relight::world::Person for Deaf {
        async fn ask(&self, _question: &relight::world::Question) -> Result<Answer> {
            Err(Error::fatal("the terminal cannot be read"))
        }
    }
    let life = alive();
    let end = life.process_with(&Tripwire::new(), Arc::new(Deaf));
    assert_eq!(end.outcome(), "needs_person", "{end:?}");
    let told = life.events().into_iter().find_map(|(_, e)| match e {
        Event::StepFailed { error, remedy, .. } => Some((error, remedy)),
        _ => None,
    });
    let (error, remedy) = told.expect("the step failed");
    assert!(error.contains("quorum") && !remedy.is_empty(), "{error}; {remedy}");
    let model = lock(&life.sandbox.model);
    assert_eq!(model.ledger.applied().filter(|e| !e.who.run.is_empty()).count(), 0);
}

#[test]
fn the_question_about_a_living_cluster_wants_its_name_typed() {
    let person = Arc::new(ScriptedPerson::new([], Answer::No));
    let life = alive();
    life.process_with(&Tripwire::new(), person.clone());
    let asked = person.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].evidence && asked[0].type_this.as_deref() == Some("honeydue"), "{asked:?}");
}

#[test]
fn a_lease_that_another_holds_is_not_broken_without_its_name() {
    for person in [nobody(), ScriptedPerson::new([], Answer::No)] {
        let life = with(held_by_ann);
        let words = ["lease: another run", ANN, "of ann.laptop since", "(60 minutes)", "relight resume"];
        stopped(&life, person, "needs_person", &words);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mut life = lost();
    life.secrets = Arc::new(Without("DATABASE_URL"));
    life.settings.cloud.image = "ubuntu-42.04".to_owned();
    let zone = settings().dns.zone;
    lock(&life.sandbox.model).set_ssl(&zone, "strict");
    lock(&life.sandbox.model).place_foreign("live", "honeydue-node-3", Labels::new()).unwrap();
    refused(&life, &["DATABASE_URL", "ubuntu-42.04", "SSL mode is strict", "honeydue-node-3"]);
}

#[test]
fn a_rehearsal_never_touches_the_zone_or_the_living_cluster() {
    let mut life = alive();
    life.id = RunId { id: "rehearsalaaa".to_owned(), mode: Mode::Rehearsal };
    // This plan is a live run's, fence and all: what a rehearsal must not touch is refused whatever the plan says.
    let before = lock(&life.sandbox.model).zone_truth(&life.settings.dns.zone).cloned();
    refused(&life, &["the guard stopped step hold: placement_group honeydue-lease is no name of this run"]);
    // Nor the same without its first effect.
    let file = Source::embedded().playbook("rebuild").unwrap().unwrap();
    let text = file.text.replace("lease.hold", "lease.free").replace("lease.release", "lease.free");
    life.plan = plan_of(&life.settings, &text, &file.file);
    life.sandbox.disk = Disk::default();
    refused(&life, &["the guard stopped step fence: server honeydue-node-1"]);
    assert_eq!(lock(&life.sandbox.model).zone_truth(&life.settings.dns.zone).cloned(), before);
}

#[test]
fn a_mended_mistake_lets_the_same_run_go_on() {
    let token = Start::default().cloud_token;
    let life = with(|m| m.set_token("live", &token, TokenMay::Read));
    refused(&life, &["token_readonly"]);
    lock(&life.sandbox.model).set_token("live", &token, TokenMay::Write);
    lock(&life.sandbox.model).latency.silence = Duration::from_secs(5);
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?}");
    assert_eq!(life.broken_promises(), Vec::<String>::new());
}

//! What a finished run keeps is encrypted to `recipients`, and no kill loses a secret or leaves one behind for good.

use crate::life::{settings, Life};
use relight::config::Settings;
use relight::engine::Event;
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::Loss;
use std::collections::BTreeMap;
use std::io::Read;

struct Owner(age::x25519::Identity);

impl Owner {
    fn new() -> Self {
        Self(age::x25519::Identity::generate())
    }
    fn settings(&self) -> Settings {
        Settings { recipients: vec![self.0.to_public().to_string()], ..settings() }
    }
    fn open(&self, sealed: &[u8]) -> Vec<u8> {
        let reader = age::armor::ArmoredReader::new(sealed);
        let mut plain = Vec::new();
        let keys = [&self.0 as &dyn age::Identity];
        age::Decryptor::new(reader).unwrap().decrypt(keys.into_iter()).unwrap().read_to_end(&mut plain).unwrap();
        plain
    }
}

/// The plain secrets on the disk, and the sealed ones as the owner reads them.
fn kept(life: &Life, owner: &Owner) -> (BTreeMap<String, Vec<u8>>, BTreeMap<String, Vec<u8>>) {
    let disk = &life.sandbox.disk;
    let of = |path: &String| disk.read(path).unwrap();
    let all: Vec<String> = disk.paths().into_iter().filter(|path| path.starts_with("secrets/")).collect();
    let (sealed, plain): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|path| std::path::Path::new(path).extension().is_some_and(|e| e == "age"));
    let plain = plain.into_iter().map(|path| (path.clone(), of(&path))).collect();
    let open = |path: String| (path.trim_end_matches(".age").to_owned(), owner.open(&of(&path)));
    (plain, sealed.into_iter().map(open).collect())
}

fn has_succeeded(life: &Life) -> bool {
    matches!(life.events().last(), Some((_, Event::RunFinished(end))) if end.outcome == "succeeded")
}

#[test]
fn without_recipients_the_secrets_stay_as_they_are() {
    let life = Life::lost(Loss::Gone);
    assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded");
    let (plain, sealed) = kept(&life, &Owner::new());
    assert!(sealed.is_empty() && plain.contains_key("secrets/k3s-token"), "{:?}", plain.keys());
}

#[test]
fn a_kill_at_any_point_of_the_encryption_loses_no_secret_and_leaves_none_plain_for_good() {
    let owner = Owner::new();
    let whole = Life::lost_with(Loss::Gone, owner.settings());
    let wire = Tripwire::new();
    assert_eq!(whole.process(&wire).outcome(), "succeeded");
    let (plain, sealed) = kept(&whole, &owner);
    assert!(plain.is_empty(), "{:?}", plain.keys());
    for name in ["k3s-token", "kubeconfig", "ssh_ed25519", "host-node-1", "host-node-2", "host-node-3"] {
        assert!(sealed.contains_key(&format!("secrets/{name}")), "{name} is not kept: {:?}", sealed.keys());
    }
    let points = wire.points();
    // From the last record on, and a sample of the run before it, where the secrets must still be plain for `resume`.
    let last = points.iter().rposition(|p| p == "before append to journal.jsonl").unwrap();
    assert!(points[last..].iter().filter(|p| p.starts_with("after remove of secrets/")).count() >= 6, "{points:?}");
    let mut tried = 0;
    for point in (0..last).step_by(last / 4).skip(1).chain(last..points.len()) {
        let life = Life::lost_with(Loss::Gone, owner.settings());
        let wire = Tripwire::at(point);
        assert_eq!(life.process(&wire).outcome(), "killed", "the kill at {point} never came");
        life.crash(if point % 2 == 0 { Keep::Nothing } else { Keep::All });
        let (plain, sealed) = kept(&life, &owner);
        if has_succeeded(&life) {
            let mut all = sealed;
            all.extend(plain);
            assert_eq!(all.len(), 6, "a secret is lost at {}", points[point]);
            // What the next command does.
            life.seal();
        } else {
            assert!(sealed.is_empty(), "resume would need an identity at {}", points[point]);
            assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "at {}", points[point]);
        }
        let (plain, sealed) = kept(&life, &owner);
        assert!(plain.is_empty() && sealed.len() == 6, "at {}: {:?}", points[point], plain.keys());
        tried += 1;
    }
    println!("{tried} kills");
}

#[test]
fn a_failed_run_keeps_its_secrets_plain_so_that_resume_needs_no_identity() {
    use relight::sandbox::model::{lock, Fault, FaultKind, Matcher};
    let owner = Owner::new();
    let life = Life::lost_with(Loss::Gone, owner.settings());
    let down = lock(&life.sandbox.model).faults.plan(Fault::always(Matcher::op("edge.get"), FaultKind::Down));
    assert_eq!(life.process(&Tripwire::new()).outcome(), "failed");
    assert!(lock(&life.sandbox.model).faults.fired(down) > 0);
    let (plain, sealed) = kept(&life, &owner);
    assert!(sealed.is_empty() && plain.len() == 6, "{:?}", plain.keys());
}

//! What a person gets wrong in relight.yaml is found before anything else happens, and said with its place and its remedy.

use proptest::prelude::*;
use relight::config::load;
use std::fs;
use std::path::Path;

const GOOD: &str = r#"cluster: demo
cloud:
  server_types: [cx33]
  locations: [nbg1, fsn1]
  image: ubuntu-24.04
  network: private
nodes:
  node-1: {}
  node-2: {}
  node-3: { labels: { example/disk: "true" } }
k3s:
  version: v1.34.6+k3s1
  snapshots:
    schedule: "0 */6 * * *"
    s3: { endpoint: s3.example.net, bucket: etcd, access_key: { env: S3_KEY }, secret_key: { env: S3_SECRET } }
  traefik: manifests/traefik.yaml
secrets:
  demo/app:
    keys:
      DATABASE_URL: { env: DATABASE_URL }
  demo/registry:
    registry: { server: registry.example.org, username: deploy, password: { env: REGISTRY_PASSWORD } }
manifests:
  paths: [manifests/]
  order: [web, worker]
dns:
  zone: example.org
  proxied: true
  hosts: [example.org, www.example.org]
health:
  - { url: "https://www.example.org/health", status: 200, stable_for: 20s }
rehearsal:
  budget: 2.00
  hold_at_zero: [worker]
  secrets:
    demo/app: { DATABASE_URL: { value: stand-in } }
    demo/registry: shared-readonly
timeouts:
  connect: 3s
"#;

/// What stands in the file for [`GOOD`]'s text, and what must be said then.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    rule: String,
    good: String,
    bad: String,
    said: Vec<String>,
}

/// The directory of a configuration, with the files that [`GOOD`] names.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let workload =
        |name| format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: demo }}\n---\n");
    fs::create_dir(dir.path().join("manifests")).unwrap();
    fs::write(dir.path().join("manifests/traefik.yaml"), "valuesContent: not read as a manifest\n").unwrap();
    fs::write(dir.path().join("manifests/work.yaml"), workload("web") + &workload("worker")).unwrap();
    fs::write(dir.path().join("id_private"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    dir
}

/// What is said of a configuration, without the directory's name.
fn said(dir: &Path, text: &str) -> Vec<String> {
    let file = dir.join("relight.yaml");
    fs::write(&file, text).unwrap();
    let Err(problems) = load(&file) else { return Vec::new() };
    problems.0.iter().map(|p| p.to_string().replace(&format!("{}/", dir.display()), "")).collect()
}

#[test]
fn the_good_one_is_good() {
    assert_eq!(said(directory().path(), GOOD), Vec::<String>::new());
}

#[test]
fn every_mistake_is_said_with_its_place_and_remedy() {
    let dir = directory();
    let mistakes: Vec<Mistake> = serde_saphyr::from_str(include_str!("support/bad_config.yaml")).unwrap();
    assert!(mistakes.len() > 60, "only {} mistakes were read", mistakes.len());
    for Mistake { rule, good, bad, said: expected } in mistakes {
        assert_eq!(GOOD.matches(&good).count(), 1, "{rule}: the text to replace must stand there once");
        assert_eq!(said(dir.path(), &GOOD.replacen(&good, &bad, 1)), expected, "{rule}");
    }
}

#[test]
fn mistakes_are_said_together() {
    let bad =
        GOOD.replace("locations", "locatoins").replace("node-1: {}", "node-1: { lables: {} }").replace("200", "ok");
    let lines = [
        r#"relight.yaml:4:3: unknown key "locatoins" in cloud; did you mean "locations"?"#,
        r#"relight.yaml:8:13: unknown key "lables" in nodes.node-1; did you mean "labels"?"#,
        "relight.yaml:31:54: health[0].status must be a whole number, not a text; write a whole number",
    ];
    assert_eq!(said(directory().path(), &bad), lines);
    let bad = GOOD.replace("demo\n", "Demo\n").replace("+k3s1", "").replace("2.00", "-1").replace("3s\n", "3 s\n");
    let starts = ["relight.yaml:1:10:", "relight.yaml:12:12:", "relight.yaml:33:11:", "relight.yaml:39:12:"];
    let all = said(directory().path(), &bad);
    assert_eq!(all.len(), starts.len(), "{all:?}");
    assert!(all.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{all:?}");
}

#[test]
fn a_file_that_is_not_there_is_said_with_what_to_do() {
    let dir = directory();
    let problems = load(&dir.path().join("none.yaml")).unwrap_err().to_string();
    assert!(problems.contains("none.yaml:1:1: the configuration cannot be read"), "{problems}");
    assert!(problems.ends_with("go to its directory, or name the file with --config FILE"), "{problems}");
}

#[test]
fn no_message_repeats_a_secret_value() {
    let dir = directory();
    for bad in [
        "{ value: canary, env: X }",
        "{ value: [canary] }",
        "{ value: { canary2: canary } }",
        "{ valeu: canary }",
        "canary",
        "{ value: canary",
        "{ value: \"canary }",
    ] {
        let problems = said(dir.path(), &GOOD.replacen("{ env: DATABASE_URL }", bad, 1));
        assert!(!problems.is_empty(), "{bad} was accepted");
        assert!(!problems.iter().any(|p| p.contains("canary")), "{bad}: {problems:?}");
    }
}

#[test]
fn a_public_key_may_stand_in_a_file_or_in_the_configuration() {
    let dir = directory();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGuess someone@example.org";
    fs::write(dir.path().join("id.pub"), format!("# mine\n{key}\n")).unwrap();
    let keys = format!("network: private\n  ssh_authorized_keys: [id.pub, {key}]");
    let file = dir.path().join("relight.yaml");
    fs::write(&file, GOOD.replace("network: private", &keys)).unwrap();
    let settings = load(&file).unwrap();
    assert_eq!(settings.cloud.authorized_keys, [key, key]);
    assert!(settings.remarks().is_empty(), "{:?}", settings.remarks());
    fs::write(&file, GOOD).unwrap();
    assert!(load(&file).unwrap().remarks().iter().any(|r| r.starts_with("cloud.ssh_authorized_keys is empty")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    /// A slip of the hand anywhere never breaks the reader, and what it says points into the file.
    #[test]
    fn a_slip_anywhere_is_read_to_the_end(at in 0..GOOD.len(), cut in 0..12usize, slip in "[ -~\\n]{0,4}") {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{slip}{}", &GOOD[..at], &GOOD[end..]);
        let dir = directory();
        fs::write(dir.path().join("relight.yaml"), &text).unwrap();
        if let Err(problems) = load(&dir.path().join("relight.yaml")) {
            prop_assert!(!problems.0.is_empty());
            for problem in problems.0 {
                prop_assert!(problem.line as usize <= text.lines().count() + 1 && problem.column >= 1, "{problem}");
                prop_assert!(!problem.what.is_empty() && !problem.remedy.is_empty(), "{problem}");
            }
        }
    }
}

//! What a person gets wrong in relight.yaml is found before anything else happens, and said with its place and its remedy.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use proptest::prelude::*;
use relight::config::{load, manifests};
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

const TRAEFIK: &str = "apiVersion: helm.cattle.io/v1
kind: HelmChartConfig
metadata: { name: traefik, namespace: kube-system }
spec:
  valuesContent: |-
    # Values of the chart.
    ports:
      web: { port: 80 }
";

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
/// The least that Kubernetes takes as a Deployment's.
const SPEC: &str = "{ selector: { matchLabels: { a: b } }, template: { metadata: { labels: { a: b } }, spec: { containers: [{ name: c, image: 'a:1' }] } } }";

fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let workload = |name| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: demo }}\nspec: {SPEC}\n---\n"
        )
    };
    fs::create_dir(dir.path().join("manifests")).unwrap();
    fs::write(dir.path().join("manifests/traefik.yaml"), TRAEFIK).unwrap();
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: demo }\n";
    fs::write(dir.path().join("manifests/namespace.yaml"), namespace).unwrap();
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

/// What is said of manifests in place of the good ones, without the directory's name.
fn said_of_manifests(files: &[(&str, &str)], external: &str) -> Vec<String> {
    let dir = directory();
    fs::remove_file(dir.path().join("manifests/work.yaml")).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join("manifests").join(name), text).unwrap();
    }
    let order = format!("order: []\n  external: [{external}]");
    let text = GOOD.replace("order: [web, worker]", &order).replace("hold_at_zero: [worker]", "hold_at_zero: []");
    fs::write(dir.path().join("relight.yaml"), text).unwrap();
    let settings = load(&dir.path().join("relight.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    let Err(problems) = manifests(&settings) else { return Vec::new() };
    problems.0.iter().map(|p| p.to_string().replace(&format!("{}/manifests/", dir.path().display()), "")).collect()
}

/// A Deployment whose pod stands from line 7 on, indented by six.
fn deployment(pod: &str) -> String {
    let head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: demo }\nspec:\n  template:\n    spec:\n";
    let tail = "    metadata: { labels: { app: web } }\n  selector: { matchLabels: { app: web } }\n";
    format!("{head}{pod}\n{tail}")
}

#[test]
fn a_malformed_document_ends_its_file_and_no_other() {
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n---\nkind: [\n---\nnever: read\n";
    let files = [
        ("a.yaml", broken),
        ("b.yml", "kind: ConfigMap\nmetadata: {}\n"),
        ("c.json", "{\"kind\": 1,}"),
        ("d.txt", "["),
    ];
    let lines = [
        "a.yaml:5:7: unclosed bracket '['; mend the YAML here or just before; what follows in this file was not read",
        "b.yml:1:1: an object without apiVersion and metadata.name; write it as a text: every applied object has these three",
        "c.json:1:1: an object without apiVersion and kind and metadata.name; write it as a text: every applied object has these three",
    ];
    assert_eq!(said_of_manifests(&files, ""), lines);
}

#[test]
fn an_object_stands_once_whatever_list_or_version_it_is_in() {
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {{ name: web, namespace: demo }}\n  spec: {SPEC}\n");
    let files = [("a.yaml", list.as_str()), ("b.yaml", &deployment("      containers: [{ name: c, image: 'a:1' }]"))];
    assert_eq!(said_of_manifests(&files[..1], ""), Vec::<String>::new());
    let lines = said_of_manifests(&files, "");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("b.yaml:1:1: Deployment demo/web stands twice; keep one; the other is in "),
        "{lines:?}"
    );
    assert!(lines[0].ends_with("a.yaml:4"), "{lines:?}");
}

#[test]
fn a_namespace_is_made_by_a_manifest() {
    let text = deployment("      containers: [{ name: c, image: 'a:1' }]").replace("demo", "dmeo");
    let line = "a.yaml:3:35: Deployment dmeo/web: nothing makes the namespace \"dmeo\"; did you mean \"demo\"?";
    assert_eq!(said_of_manifests(&[("a.yaml", &text)], ""), [line]);
}

#[test]
fn an_image_is_pinned() {
    let images = |image: &str| {
        said_of_manifests(
            &[("a.yaml", &deployment(&format!("      containers: [{{ name: c, image: '{image}' }}]")))],
            "",
        )
    };
    let remedy = "name the release it should run: image:1.2.3 or image@sha256:...";
    assert_eq!(
        images("r.example:5000/app"),
        [format!(
            "a.yaml:7:38: Deployment demo/web: image \"r.example:5000/app\" has neither tag nor digest; {remedy}"
        )]
    );
    assert_eq!(
        images("app:latest"),
        [format!("a.yaml:7:38: Deployment demo/web: image \"app:latest\" is tagged latest; {remedy}")]
    );
    assert_eq!(images("r.example:5000/app:1.2"), Vec::<String>::new());
}

#[test]
fn a_redirect_behind_a_flexible_edge_is_found_before_it_loops() {
    let of_traefik = |text: &str, ssl: &str| {
        let dir = directory();
        fs::write(dir.path().join("manifests/traefik.yaml"), text).unwrap();
        fs::write(
            dir.path().join("relight.yaml"),
            GOOD.replace("proxied: true", &format!("proxied: true\n  ssl: {ssl}")),
        )
        .unwrap();
        let problems =
            manifests(&load(&dir.path().join("relight.yaml")).unwrap()).err().unwrap_or_default().to_string();
        problems.replace(&format!("{}/manifests/", dir.path().display()), "")
    };
    let redirect = TRAEFIK.replace("{ port: 80 }", "{ http: { redirections: { entryPoint: { to: websecure } } } }");
    assert_eq!(of_traefik(TRAEFIK, "flexible"), "");
    assert_eq!(of_traefik(&redirect, "strict"), "");
    assert_eq!(
        of_traefik(&redirect, "flexible"),
        "traefik.yaml:8:22: redirections redirects to HTTPS, and with dns.ssl: flexible the edge asks by plain HTTP again; \
         remove it: it would redirect for ever"
    );
    assert_eq!(
        of_traefik(&TRAEFIK.replace("{ port: 80 }", "{ port: 80"), "strict"),
        "traefik.yaml:8:12: valuesContent: unclosed bracket '{'; mend the YAML here or in the line before"
    );
    let other = of_traefik(&TRAEFIK.replace("name: traefik", "name: treafik"), "strict");
    assert!(other.starts_with("traefik.yaml:1:1: HelmChartConfig kube-system/treafik in the file of"), "{other}");
}

#[test]
fn every_secret_and_config_map_that_is_wanted_is_there() {
    let pod = "      imagePullSecrets: [{ name: registry }, { name: nobody }]
      volumes: [{ name: v, secret: { secretName: tls } }, { name: w, configMap: { name: maybe, optional: true } }]
      initContainers: [{ name: i, image: 'a:1', envFrom: [{ configMapRef: { name: conf } }] }]
      containers:
        - name: c
          image: a:1
          env:
            - { name: A, valueFrom: { secretKeyRef: { name: app, key: DATABASE_URL } } }
            - { name: B, valueFrom: { secretKeyRef: { name: app, key: DATABASE_URI } } }
            - { name: C, valueFrom: { configMapKeyRef: { name: conf, key: x } } }";
    let text = deployment(pod);
    let lines = [
        "a.yaml:7:54: Deployment demo/web wants Secret demo/nobody, which nothing provides; add demo/nobody to secrets, or \"Secret demo/nobody\" to manifests.external",
        "a.yaml:8:50: Deployment demo/web wants Secret demo/tls, which nothing provides; add demo/tls to secrets, or \"Secret demo/tls\" to manifests.external",
        "a.yaml:9:83: Deployment demo/web wants ConfigMap demo/conf, which nothing provides; add a manifest for it, or \"ConfigMap demo/conf\" to manifests.external",
        "a.yaml:15:71: Deployment demo/web wants key \"DATABASE_URI\" of Secret demo/app, which has none such; did you mean \"DATABASE_URL\"?",
        "a.yaml:16:64: Deployment demo/web wants ConfigMap demo/conf, which nothing provides; add a manifest for it, or \"ConfigMap demo/conf\" to manifests.external",
    ];
    assert_eq!(said_of_manifests(&[("a.yaml", &text)], ""), lines);
    let conf = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: conf, namespace: demo }\ndata: { x: text }\n";
    let rest = said_of_manifests(&[("a.yaml", &text), ("b.yaml", conf)], "Secret demo/tls, Secret demo/nobody");
    assert_eq!(rest, lines[3..4]);
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

//! `relight validate` finds, by the real binary and with its place, whatever would fail minutes into an outage.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of the example cluster, with its steps beside it.
struct Desk(tempfile::TempDir);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let example = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(example.join("relight.yaml"), desk.path("relight.yaml")).unwrap();
        copy(&example.join("manifests"), &desk.path("manifests"));
        copy(&example.join("steps"), &desk.path("steps"));
        desk
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// Writes `new` for the first `old`.
    fn change(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(old), "{file} does not contain {old}");
        fs::write(self.path(file), text.replacen(old, new, 1)).unwrap();
    }
    fn add(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }
    /// Exit code, stdout, stderr.
    fn validate(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relight"));
        command.arg("validate").args(arguments).current_dir(self.0.path()).env_clear();
        let output = command.env("PATH", "/usr/bin:/bin").env("HOME", self.0.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
    fn is_valid(&self) {
        let (code, stdout, stderr) = self.validate(&["--steps", "steps"]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(": valid"), "{stdout}");
    }
    /// What is said where nothing else is wrong: exactly these, each by its file and by parts of it.
    fn says(&self, wanted: &[(&str, &[&str])]) {
        let (code, stdout, stderr) = self.validate(&["--steps", "steps"]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        let lines: Vec<&str> = stderr.trim_start_matches("relight: ").lines().collect();
        assert_eq!(lines.len(), wanted.len(), "{stderr}");
        for (line, (place, parts)) in lines.iter().zip(wanted) {
            assert!(line.starts_with(place), "{line} is not at {place}");
            assert!(parts.iter().all(|part| line.contains(part)), "{line} does not say {parts:?}");
        }
    }
}

const API: &str = "manifests/api.yaml";
const WORKER: &str = "manifests/worker.yaml";
const INGRESS: &str = "manifests/ingress.yaml";
const REDIS: &str = "manifests/redis.yaml";

#[test]
fn the_example_cluster_is_valid() {
    Desk::new().is_valid();
}

#[test]
fn a_field_of_the_wrong_type_is_found_and_its_value_not_shown() {
    let desk = Desk::new();
    desk.change(WORKER, "replicas: 1", "replicas: \"three\"");
    desk.change(API, "value: \"8000\"", "value: 8000");
    desk.says(&[
        ("manifests/api.yaml:62:22:", &["env[0].value is a number where Kubernetes wants a text", "quotes"]),
        ("manifests/worker.yaml:10:13:", &["spec.replicas is a text where Kubernetes wants a whole number"]),
    ]);
    assert!(!desk.validate(&[]).2.contains("three"));
}

#[test]
fn an_unknown_field_is_found_and_the_likely_one_named() {
    let desk = Desk::new();
    desk.change(WORKER, "replicas: 1", "replicaz: 3");
    desk.says(&[("manifests/worker.yaml:10:3:", &["there is no field spec.replicaz", "did you mean \"replicas\"?"])]);
}

#[test]
fn a_missing_field_is_found() {
    let desk = Desk::new();
    let name = "manifests/claim.yaml";
    desk.add(
        name,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x, namespace: honeydue }\nspec:\n  replicas: 1\n",
    );
    desk.says(&[(name, &["spec.selector is missing"]), (name, &["spec.template is missing"])]);
}

#[test]
fn a_selector_that_does_not_select_its_own_pods_is_found() {
    let desk = Desk::new();
    desk.change(
        WORKER,
        "matchLabels: { app.kubernetes.io/name: worker }",
        "matchLabels: { app.kubernetes.io/name: work }",
    );
    desk.says(&[("manifests/worker.yaml:14:3:", &["spec.selector does not match the labels of spec.template"])]);
}

#[test]
fn an_ingress_to_a_service_that_nobody_makes_is_found_unless_it_is_declared() {
    let desk = Desk::new();
    desk.change(INGRESS, "name: admin, port", "name: blog, port");
    desk.says(&[("manifests/ingress.yaml:29:", &["wants Service honeydue/blog, which nothing provides", "external"])]);
    desk.change("relight.yaml", "manifests:\n", "manifests:\n  external: [Service honeydue/blog]\n");
    desk.is_valid();
}

#[test]
fn an_ingress_to_a_port_that_the_service_has_not_is_found() {
    let desk = Desk::new();
    desk.change(INGRESS, "{ name: admin, port: { name: http } }", "{ name: admin, port: { number: 81 } }");
    desk.says(&[("manifests/ingress.yaml:29:", &["wants port 81 of Service honeydue/admin"])]);
}

#[test]
fn an_ingress_for_a_host_without_a_record_is_found() {
    let desk = Desk::new();
    desk.change(INGRESS, "host: admin.myhoneydue.com", "host: shop.example.net");
    desk.says(&[("manifests/ingress.yaml:23:13:", &["host shop.example.net is not in dns.hosts"])]);
}

#[test]
fn a_node_selector_that_no_node_satisfies_is_found_and_well_known_labels_are_left_to_kubernetes() {
    let desk = Desk::new();
    desk.change(REDIS, "honeydue/redis: \"true\"", "kubernetes.io/os: linux\n        honeydue/redis: \"true\"");
    desk.is_valid();
    desk.change(REDIS, "honeydue/redis: \"true\"", "honeydue/redis: \"yes\"");
    desk.says(&[("manifests/redis.yaml:53:9:", &["no node has what nodeSelector wants (\"honeydue/redis: yes\")"])]);
}

#[test]
fn an_account_or_a_claim_that_nobody_makes_is_found() {
    let desk = Desk::new();
    desk.change(WORKER, "serviceAccountName: worker", "serviceAccountName: workr");
    desk.change(REDIS, "claimName: redis-data", "claimName: postgres");
    desk.says(&[
        ("manifests/redis.yaml:90:", &["PersistentVolumeClaim honeydue/postgres, which nothing provides"]),
        ("manifests/worker.yaml:20:", &["ServiceAccount honeydue/workr", "did you mean honeydue/worker?"]),
    ]);
    let both = "  external: [ServiceAccount honeydue/workr, PersistentVolumeClaim honeydue/postgres]\n";
    desk.change("relight.yaml", "manifests:\n", &format!("manifests:\n{both}"));
    desk.is_valid();
}

#[test]
fn a_secret_that_relight_makes_too_is_found() {
    let desk = Desk::new();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: { name: app, namespace: honeydue }\nstringData: { A: hidden }\n";
    desk.add("manifests/secret.yaml", secret);
    desk.says(&[("manifests/secret.yaml:3:19:", &["`secrets` in relight.yaml makes honeydue/app too"])]);
    assert!(!desk.validate(&[]).2.contains("hidden"));
}

#[test]
fn custom_resources_are_not_judged() {
    let desk = Desk::new();
    let custom = "apiVersion: traefik.io/v1alpha1\nkind: Middleware\nmetadata: { name: x, namespace: honeydue }\nspec: { replicaz: [] }\n";
    desk.add("manifests/middleware.yaml", custom);
    desk.is_valid();
}

#[test]
fn a_script_that_bash_cannot_read_is_found_at_its_line() {
    if Command::new("bash").arg("--version").output().is_err() {
        println!("skipped: no bash");
        return;
    }
    let desk = Desk::new();
    desk.add("steps/scripts/extra.sh", "#!/bin/bash\necho one\nif true; done\n");
    desk.add("steps/scripts/harden/part.sh", "echo \"open\n");
    desk.says(&[
        ("steps/scripts/extra.sh:3:1:", &["syntax error", "done"]),
        ("steps/scripts/harden/part.sh:", &["unexpected"]),
    ]);
    let (code, ..) = desk.validate(&[]);
    assert_eq!(code, Some(0), "without --steps the binary's own scripts count");
}

#[test]
fn all_problems_are_one_document_for_programs() {
    let desk = Desk::new();
    desk.change(WORKER, "replicas: 1", "replicas: \"three\"");
    desk.change("steps/rebuild.yaml", "playbook: rebuild", "playbok: rebuild");
    let (code, stdout, stderr) = desk.validate(&["--steps", "steps", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(2), ""));
    let said: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&said["v"], &said["valid"]), (&1.into(), &false.into()));
    let problems = said["problems"].as_array().unwrap();
    let worker = problems.iter().find(|p| p["file"] == WORKER).unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&worker["line"], &worker["column"]), (&10.into(), &13.into()));
    assert!(worker["what"].as_str().unwrap().contains("spec.replicas is a text"), "{worker}");
    assert_eq!(worker["remedy"], "write a whole number");
    assert!(problems.iter().any(|p| p["file"] == "steps/rebuild.yaml"), "{said}");

    fs::write(desk.path("relight.yaml"), "clsuter: x\n").unwrap();
    let (code, stdout, _) = desk.validate(&["--json"]);
    let said: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &said["valid"]), (Some(2), &false.into()));
    assert_eq!(said["problems"][0]["file"], "relight.yaml");
}

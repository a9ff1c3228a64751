//! A rehearsal's settings: production's values only by mark, nothing that acts on the outside.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/desk.rs"]
mod desk;

use desk::Desk;
use relight::config::Settings;
use std::path::Path;

fn example(change: impl Fn(String) -> String) -> Settings {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root.join("relight.yaml")).unwrap();
    std::fs::write(
        dir.path().join("relight.yaml"),
        change(text.replace("manifests/", &format!("{}/manifests/", root.display()))),
    )
    .unwrap();
    relight::config::load(&dir.path().join("relight.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_example_differs_where_it_would_act_on_the_outside() {
    let live = example(|text| text);
    let settings = live.rehearsed().unwrap();
    let table: Vec<String> = settings.spare.as_ref().unwrap().differs.iter().map(ToString::to_string).collect();
    assert!(table.contains(&"workload worker: held at zero".to_owned()), "{table:#?}");
    assert!(table.contains(&"secret honeydue/registry: production's value (shared-readonly)".to_owned()), "{table:#?}");
    assert!(table.iter().any(|line| line.starts_with("secret honeydue/app DATABASE_URL: another value")), "{table:#?}");
    assert_eq!((settings.dns.hosts.len(), settings.k3s.snapshots.s3.is_none()), (0, true));
    let replicas = |settings: &Settings, name: &str| {
        let all = settings.objects().unwrap().to_vec();
        let of = all.iter().find(|m| m.object["kind"] == "Deployment" && m.object["metadata"]["name"] == name);
        of.unwrap().object["spec"]["replicas"].clone()
    };
    assert_eq!((replicas(&live, "worker"), replicas(&settings, "worker")), (1.into(), 0.into()));
    assert_eq!(replicas(&live, "api"), replicas(&settings, "api"));
}

#[test]
fn a_value_of_productions_without_a_mark_is_refused() {
    let told = |change: &dyn Fn(String) -> String| example(change).rehearsed().err().unwrap_or_default();
    let without = told(&|text| text.replace("    honeydue/registry: shared-readonly\n", ""));
    assert!(
        matches!(without.as_slice(), [one] if one.starts_with("secret honeydue/registry would hold production's values: add"))
    );
    let one_key = told(&|text| text.replace("      SMTP_PASSWORD: { value: rehearsal }\n", ""));
    assert!(
        matches!(one_key.as_slice(), [one] if one.starts_with("secret honeydue/app SMTP_PASSWORD would be production's"))
    );
    let same = told(&|text| text.replace("{ env: REHEARSAL_DATABASE_URL }", "{ env: DATABASE_URL }"));
    assert!(matches!(same.as_slice(), [one] if one.contains("has the same source in the rehearsal as in production")));
}

#[test]
fn the_plan_of_a_rehearsal_is_shown_with_its_own_names_and_without_what_production_alone_has() {
    let desk = Desk::new();
    let plan = |playbook: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_relight"));
        let output = command.args(["plan", playbook]).current_dir(desk.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = plan("rehearse");
    assert!(told.contains("create server honeydue-r-<run>-node-1") && told.contains("clear-servers"), "{told}");
    assert!(!told.contains("fence old servers"), "{told}");
    let live = plan("rebuild");
    assert!(live.contains("create server honeydue-node-1") && live.contains("fence old servers"), "{live}");
}

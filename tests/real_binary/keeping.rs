//! What a finished run keeps is its owner's alone, and its kubeconfig goes where the owner says.

use super::place::Place;
use super::{is_there, succeeded, REBUILD};
use age::secrecy::ExposeSecret;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A foreign file with everything that a merge must leave alone.
const FOREIGN: &str = r#"# mine
apiVersion: v1
kind: Config
current-context: other
unknown-key: {deep: [1, "1", "yes", "0x1f", "~", 1e3]}
clusters:
- name: other
  cluster: {server: "https://192.0.2.1:6443", odd: "on"}
contexts:
- name: other
  context: {cluster: other, user: other, namespace: "012"}
users: null
"#;

fn merged(place: &Place, name: &str) -> super::place::Ended {
    place.run(name, &["kubeconfig", "--merge"])
}

fn backups(file: &Path) -> Vec<PathBuf> {
    let name = format!("{}.before-", file.file_name().unwrap().to_string_lossy());
    let all = fs::read_dir(file.parent().unwrap()).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(&name)).collect()
}

#[test]
fn a_finished_run_keeps_only_what_its_owner_can_read_and_the_kubeconfig_is_merged_beside_what_is_there() {
    let owner = age::x25519::Identity::generate();
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key");
    let mine = home.path().join("config");
    let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
    let place = Place::new(&[variable("RELIGHT_AGE_IDENTITY", &key), variable("KUBECONFIG", &mine)]);
    let config = place.path().join("relight.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\nrecipients: [{}]\n", owner.to_public())).unwrap();
    let ended = place.run("rebuild", &REBUILD);
    let last = succeeded(&ended);
    assert!(ended.stderr.contains("encrypted to 1 recipient"), "{}", ended.stderr);
    assert!(ended.stderr.contains("generated for the sandbox"), "{}", ended.stderr);
    let cost = &last["cost"];
    assert_eq!((&cost["servers"], &cost["fenced"], &cost["currency"]), (&3.into(), &3.into(), &"EUR".into()), "{last}");
    assert!(cost["monthly_gross"].as_f64() > cost["monthly_net"].as_f64(), "{last}");
    assert!(ended.stderr.contains("a month") && ended.stderr.contains("Slowest path"), "{}", ended.stderr);
    let secrets = place.path().join(last["journal"].as_str().unwrap()).with_file_name("secrets");
    for entry in fs::read_dir(&secrets).unwrap() {
        let path = entry.unwrap().path();
        assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE-----"), "{path:?}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let without = merged(&place, "without");
    assert_eq!(without.status.code(), Some(2), "the identity is not there: {}", without.stderr);
    assert!(without.stderr.contains("key") && !mine.exists(), "{}", without.stderr);
    fs::write(&key, owner.to_string().expose_secret()).unwrap();

    fs::write(&mine, FOREIGN).unwrap();
    let first = merged(&place, "first");
    assert_eq!(first.status.code(), Some(0), "{}", first.stderr);
    assert!(first.stderr.contains("127.0.0.1:6443") && first.stderr.contains("relight kubectl"), "{}", first.stderr);
    let whole = fs::read_to_string(&mine).unwrap();
    let (before, after): (serde_yaml::Value, serde_yaml::Value) =
        (serde_yaml::from_str(FOREIGN).unwrap(), serde_yaml::from_str(&whole).unwrap());
    for key in ["apiVersion", "kind", "current-context", "unknown-key"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    for list in ["clusters", "contexts"] {
        assert_eq!(before[list][0], after[list][0], "{list}");
        assert_eq!(after[list][1]["name"], "honeydue-sandbox");
    }
    assert_eq!(after["users"][0]["name"], "honeydue-sandbox");
    assert_eq!(fs::metadata(&mine).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&backups(&mine)[0]).unwrap(), FOREIGN);
    if is_there("kubectl") {
        let view = |jsonpath: &str| {
            let words = ["config", "view", "--raw", "-o", jsonpath];
            let seen = std::process::Command::new("kubectl").args(words).env("KUBECONFIG", &mine).output().unwrap();
            String::from_utf8(seen.stdout).unwrap()
        };
        assert_eq!(view("jsonpath={.contexts[*].name}"), "honeydue-sandbox other");
        assert_eq!(view("jsonpath={.contexts[?(@.name=='other')].context.namespace}"), "012");
        let nodes = place.run("nodes", &["kubectl", "--", "get", "nodes", "--no-headers"]);
        assert_eq!(nodes.stdout.lines().count(), 3, "{}", nodes.stderr);
    }

    assert!(merged(&place, "again").stdout.contains("already"));
    assert_eq!((fs::read_to_string(&mine).unwrap(), backups(&mine).len()), (whole, 1), "nothing was to change");

    // A link stays a link; an entry of ours is replaced; one that is not is refused, and the file stays as it is.
    let stale = fs::read_to_string(&mine).unwrap().replace("127.0.0.1:6443", "192.0.2.9:6443");
    let real = home.path().join("real");
    fs::write(&real, &stale).unwrap();
    fs::remove_file(&mine).unwrap();
    std::os::unix::fs::symlink(&real, &mine).unwrap();
    assert_eq!(merged(&place, "stale").status.code(), Some(0));
    assert!(mine.is_symlink() && !fs::read_to_string(&real).unwrap().contains("192.0.2.9"));
    let theirs = FOREIGN.replace("name: other", "name: honeydue-sandbox");
    fs::write(&real, &theirs).unwrap();
    let refused = merged(&place, "refused");
    assert_eq!(refused.status.code(), Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("somebody else made it") && refused.stderr.contains("delete-cluster honeydue"));
    assert_eq!(fs::read_to_string(&real).unwrap(), theirs);
    fs::write(&real, "clusters: [\n").unwrap();
    assert_eq!(merged(&place, "broken").status.code(), Some(2));
    assert_eq!(fs::read_to_string(&real).unwrap(), "clusters: [\n");
    assert!(!home.path().join("real.lock").exists());
}

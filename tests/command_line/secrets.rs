//! Where secrets come from, as a person meets it.

use super::{Desk, Ended};
use relight::cli::Exit;
use std::fs;

/// A configuration whose only application secret is this source.
fn with_secret(desk: &Desk, source: &str) {
    let text = fs::read_to_string(desk.path("relight.yaml")).unwrap();
    let old = text.lines().find(|l| l.trim_start().starts_with("DATABASE_URL: { env: DATABASE_URL }")).unwrap();
    desk.change("relight.yaml", old, &format!("      DATABASE_URL: {source}"));
}

fn secret(source: &str, variables: &[(&str, &str)]) -> Ended {
    let desk = Desk::new();
    with_secret(&desk, source);
    fs::write(desk.path("value"), "canary-value\n").unwrap();
    fs::write(desk.path("broken.age"), "canary-value\n").unwrap();
    fs::write(desk.path("key"), "AGE-SECRET-KEY-1CANARY-VALUE\n").unwrap();
    let told = desk.with(variables, &["validate", "--secrets"]);
    for text in [&told.out, &told.err] {
        assert!(!text.to_lowercase().contains("canary-value"), "a secret is shown: {text}");
    }
    told
}

#[test]
fn every_source_of_a_secret_is_resolved_on_demand_and_no_value_is_shown() {
    let has = "DATABASE_URL: ";
    let given = [("DATABASE_URL", "canary-value")];
    for (source, variables, named) in [
        ("{ env: DATABASE_URL }", &given[..], "environment variable DATABASE_URL has a value"),
        ("{ file: value }", &[], "value has a value"),
        ("{ command: [cat, value] }", &[], "command cat has a value"),
    ] {
        // The other secrets of the example have no value here.
        secret(source, variables).ends(Exit::Refused, &[has, named]);
    }
    for (source, variables, words) in [
        ("{ env: DATABASE_URL }", &[][..], &["DATABASE_URL is not set", "export DATABASE_URL"][..]),
        ("{ file: absent }", &[], &["absent", "check that the file exists"]),
        (
            "{ command: [sh, -c, 'cat value; cat value >&2; echo sign in first >&2; exit 3'] }",
            &[],
            &["command sh: failed (exit status: 3)", "sign in first", "run sh by hand"],
        ),
        ("{ command: [no-such-program] }", &[], &["no-such-program: cannot be started"]),
        ("{ age: broken.age }", &[], &["no age identity is named", "RELIGHT_AGE_IDENTITY"]),
        ("{ age: broken.age }", &[("RELIGHT_AGE_IDENTITY", "absent")], &["absent", "check that the file exists"]),
        ("{ age: broken.age }", &[("RELIGHT_AGE_IDENTITY", "key")], &["holds no age identity"]),
        (
            "{ prompt: Database }",
            &[],
            &["\"Database\" cannot be asked without a terminal", "run relight in a terminal"],
        ),
    ] {
        secret(source, variables)
            .ends(Exit::Refused, &["secret honeydue/app DATABASE_URL: "])
            .ends(Exit::Refused, words);
    }
}

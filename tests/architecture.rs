//! The house stays as it is drawn: which room may use which, and how files look.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/rust_text.rs"]
mod rust_text;

use rust_text::{code, crate_paths, statements, without_tests};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a room may use of another.
#[derive(Clone, Copy)]
enum May {
    All,
    /// These names alone.
    Names(&'static [&'static str]),
    /// What `engine/event.rs` defines.
    Events,
}

/// Every room of `src/`, and what it may use beside itself. `cli` may use everything.
const ARROWS: [(&str, &[(&str, May)]); 10] = [
    ("world", &[]),
    // Where a secret comes from is written in the configuration: a plain type.
    ("config", &[("world", May::Names(&["SecretFrom"]))]),
    ("actions", &[("world", May::All), ("config", May::All)]),
    ("catalogue", &[("world", May::All), ("config", May::All)]),
    ("providers", &[("world", May::All), ("config", May::All)]),
    ("sandbox", &[("world", May::All), ("config", May::All)]),
    ("playbook", &[("actions", May::All), ("config", May::All)]),
    (
        "engine",
        &[
            ("playbook", May::All),
            ("actions", May::All),
            ("world", May::All),
            // It hands the settings on to actions and looks at none of them.
            ("config", May::Names(&["Settings", "NodeSettings"])),
        ],
    ),
    ("report", &[("engine", May::Events)]),
    ("cli", &[]),
];

/// Names that say nothing about what a file is.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "imp", "manager", "misc"];

struct File {
    /// Below the repository: `src/engine/run.rs`.
    path: String,
    text: String,
    /// Without comments and strings.
    code: String,
}

impl File {
    /// `engine` for `src/engine/run.rs` and `src/engine.rs`; empty for `main.rs` and `lib.rs`.
    fn room(&self) -> &str {
        let inner = self.path.trim_start_matches("src/");
        match inner.split_once('/') {
            Some((room, _)) => room,
            None if ["main.rs", "lib.rs"].contains(&inner) => "",
            None => inner.trim_end_matches(".rs"),
        }
    }
    fn is_mod(&self) -> bool {
        self.path.ends_with("/mod.rs")
    }
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned(), code: code(text) }
}

fn files_below(dir: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dirs = vec![root.join(dir)];
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    let named =
        |p: &PathBuf| file(p.strip_prefix(root).unwrap().to_str().unwrap(), &std::fs::read_to_string(p).unwrap());
    found.iter().map(named).collect()
}

fn source() -> Vec<File> {
    let files = files_below("src");
    assert!(files.len() > 20, "the source was found");
    files
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Names of public items.
fn public_items(code: &str) -> BTreeSet<String> {
    let kinds = ["struct", "enum", "trait", "const", "type", "fn"];
    let words: Vec<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    words.windows(3).filter(|w| w[0] == "pub" && kinds.contains(&w[1])).map(|w| w[2].to_owned()).collect()
}

fn arrows(file: &File, events: &BTreeSet<String>) -> Vec<String> {
    let room = file.room();
    if room == "cli" || file.path == "src/lib.rs" {
        return Vec::new();
    }
    let Some((_, may)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        return match room {
            "" => Vec::new(),
            _ => vec![format!("{}: the room `{room}` has no arrows; draw them in tests/architecture.rs", file.path)],
        };
    };
    let allowed = |path: &[String]| {
        let name = path.get(1).map_or("", String::as_str);
        match may.iter().find(|(to, _)| *to == path[0]) {
            _ if path[0] == room => true,
            None => false,
            Some((_, May::All)) => true,
            Some((_, May::Names(names))) => names.contains(&name),
            Some((_, May::Events)) => events.contains(name),
        }
    };
    let told = |path: &Vec<String>| format!("{}: `{room}` must not use crate::{}", file.path, path.join("::"));
    crate_paths(&file.code).iter().filter(|p| !allowed(p)).map(told).collect()
}

#[test]
fn arrows_between_rooms_are_as_drawn() {
    let files = source();
    let event = files.iter().find(|f| f.path == "src/engine/event.rs").unwrap();
    let events = public_items(&event.code);
    assert!(events.contains("Told") && events.contains("Listener"), "{events:?}");
    let broken: Vec<String> = files.iter().flat_map(|f| arrows(f, &events)).collect();
    none(&broken);
}

fn not_only_doors(file: &File) -> Vec<String> {
    if !file.is_mod() {
        return Vec::new();
    }
    let door = |s: &str| {
        let s = s.strip_prefix("pub").map_or(s, |s| s.trim_start());
        let s = s.strip_prefix('(').and_then(|s| s.split_once(')')).map_or(s, |(_, s)| s.trim_start());
        s.starts_with("mod ") && !s.contains('{') || s.starts_with("use ")
    };
    let told = |s: String| format!("{}: more than docs, mod and use: {s}", file.path);
    statements(&file.code).into_iter().filter(|s| !door(s)).map(told).collect()
}

#[test]
fn a_mod_file_holds_docs_mod_and_use_alone() {
    none(&source().iter().flat_map(not_only_doors).collect::<Vec<_>>());
}

#[test]
fn no_file_is_over_400_lines() {
    let long = |f: &&File| f.text.lines().count() > 400;
    let told = |f: &File| format!("{}: {} lines; take it apart", f.path, f.text.lines().count());
    let all: Vec<File> = source().into_iter().chain(files_below("tests")).collect();
    none(&all.iter().filter(long).map(told).collect::<Vec<_>>());
}

fn empty_names(file: &File) -> Vec<String> {
    let parts = file.path.trim_end_matches(".rs").split('/').map(str::to_owned);
    let words: Vec<&str> = file.code.split_whitespace().collect();
    let modules = words.windows(2).filter(|w| w[0] == "mod").map(|w| w[1].trim_end_matches([';', '{']).to_owned());
    let empty = |name: &String| name.split('_').any(|word| EMPTY_NAMES.contains(&word));
    let told = |name: String| format!("{}: the name `{name}` does not say what it is", file.path);
    parts.chain(modules).filter(empty).map(told).collect()
}

#[test]
fn every_name_of_a_file_says_what_it_is() {
    none(&source().iter().flat_map(empty_names).collect::<Vec<_>>());
}

/// What must not stand outside tests: with the path of a file that is exempt.
const FORBIDDEN: [(&str, &str); 2] = [("Permit::issue", "src/engine/guard.rs"), ("use super::*", "")];

fn forbidden(files: &[File]) -> Vec<String> {
    let stripped: Vec<(&File, (String, Vec<String>))> = files.iter().map(|f| (f, without_tests(&f.code))).collect();
    let mut tests: Vec<String> = Vec::new();
    for (file, (_, modules)) in &stripped {
        let dir = if file.is_mod() || file.room().is_empty() {
            Path::new(&file.path).parent().unwrap().to_owned()
        } else {
            PathBuf::from(file.path.trim_end_matches(".rs"))
        };
        tests.extend(modules.iter().map(|m| dir.join(m).to_str().unwrap().to_owned()));
    }
    let is_test = |path: &str| tests.iter().any(|t| path == format!("{t}.rs") || path.starts_with(&format!("{t}/")));
    let mut broken = Vec::new();
    for (file, (code, _)) in stripped.iter().filter(|(f, _)| !is_test(&f.path)) {
        for (words, exempt) in FORBIDDEN.iter().filter(|(_, exempt)| *exempt != file.path) {
            if code.contains(words) {
                broken.push(format!(
                    "{}: `{words}` outside tests{}",
                    file.path,
                    if exempt.is_empty() { "" } else { " and the guard" }
                ));
            }
        }
    }
    broken
}

#[test]
fn only_the_guard_issues_permits_and_nothing_is_taken_wholesale_from_above() {
    none(&forbidden(&source()));
}

#[test]
fn each_rule_can_be_broken() {
    let events = BTreeSet::from(["Told".to_owned()]);
    let broken = |path: &str, text: &str| arrows(&file(path, text), &events).len();
    assert_eq!(broken("src/world/a.rs", "use crate::config::Settings;"), 1);
    assert_eq!(broken("src/world/a.rs", "fn f() { crate::engine::run() }"), 1);
    assert_eq!(broken("src/world/a.rs", "use crate::{world::A, actions::{B, C}, cli as d};"), 3);
    assert_eq!(
        broken(
            "src/world/a.rs",
            "// use crate::cli;\n/* crate::cli */ const A: &str = \"crate::cli\"; use crate::world::B;"
        ),
        0
    );
    assert_eq!(
        broken(
            "src/world/a.rs",
            "const R: &str = r#\"a\" crate::cli \"#; fn f<'a>(_: &'a str) { crate::cli::x('\"'); }"
        ),
        1
    );
    assert_eq!(broken("src/config/a.rs", "use crate::world::{SecretFrom};"), 0);
    assert_eq!(broken("src/config/a.rs", "use crate::world::{SecretFrom, Secret};"), 1);
    assert_eq!(broken("src/report/a.rs", "use crate::engine::{Told, Engine};"), 1);
    assert_eq!(broken("src/report/a.rs", "fn f() { crate::engine::Told::x::<u8>(); }"), 0);
    assert_eq!(broken("src/attic/a.rs", ""), 1, "a new room needs arrows");
    assert_eq!(broken("src/cli/a.rs", "use crate::engine::Engine;"), 0);

    let doors = |text: &str| not_only_doors(&file("src/world/mod.rs", text)).len();
    assert_eq!(doors("//! Docs.\n#[cfg(test)]\nmod a;\npub(crate) mod b;\npub use a::{B, C};\nuse d::E as F;\n"), 0);
    assert_eq!(doors("mod a;\nfn f() {}\n"), 1);
    assert_eq!(doors("mod a { }\nuse a::B;"), 1);

    assert_eq!(empty_names(&file("src/engine/run_helpers.rs", "")).len(), 1);
    assert_eq!(empty_names(&file("src/engine/run.rs", "mod util;\nmod misc {\n}")).len(), 2);
    assert_eq!(empty_names(&file("src/engine/important.rs", "mod commonplace;")).len(), 0);

    let outside = "fn f() { Permit::issue(); }";
    let inside = "#[cfg(test)]\nmod tests {\n    use super::*;\n    fn f() { let a = \"}\"; Permit::issue(); }\n}\n";
    assert_eq!(forbidden(&[file("src/engine/run.rs", outside)]).len(), 1);
    assert_eq!(forbidden(&[file("src/engine/guard.rs", outside)]).len(), 0);
    assert_eq!(forbidden(&[file("src/engine/run.rs", inside)]).len(), 0);
    assert_eq!(forbidden(&[file("src/engine/run.rs", &format!("{inside}use super::*;"))]).len(), 1);
    let door = file("src/engine/mod.rs", "#[cfg(test)]\nmod samples;\nmod run;");
    assert_eq!(forbidden(&[door, file("src/engine/samples.rs", outside)]).len(), 0);
}

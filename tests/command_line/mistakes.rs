//! Small mistakes around a command, each told with what to do.

use crate::desk::Desk;
use crate::TOKENS;
use relight::cli::Exit;
use std::fs;

#[test]
fn a_temporary_directory_that_does_not_exist_is_told_with_what_to_do() {
    let desk = Desk::new();
    let mut variables = TOKENS.to_vec();
    variables.push(("TMPDIR", "/nonexistent"));
    let told = desk.with(&variables, &["plan", "--check"]);
    told.ends(Exit::Usage, &["no temporary directory", "next: ", "TMPDIR"]);
}

#[test]
fn a_file_in_the_directory_of_steps_that_nothing_reads_is_named() {
    let desk = Desk::new();
    let own = desk.path("own");
    fs::create_dir_all(own.join("scripts")).unwrap();
    fs::write(own.join("README.md"), "what is here, and why").unwrap();
    fs::write(
        own.join("scripts/harden.sh"),
        relight::playbook::Source::embedded().script("harden.sh").unwrap().unwrap().as_ref(),
    )
    .unwrap();
    let steps = ["validate", "--steps", "own"];
    desk.run(&steps).ends(Exit::Done, &[]);
    // It lies beside the directory that it belongs in: the binary's own would run instead of it.
    fs::write(own.join("harden.sh"), "true").unwrap();
    desk.run(&steps).ends(Exit::Usage, &["own/harden.sh", "own/scripts/harden.sh"]);
    fs::remove_file(own.join("harden.sh")).unwrap();
    fs::write(own.join("rebuild.yml"), "playbook: rebuild").unwrap();
    desk.run(&steps).ends(Exit::Usage, &["own/rebuild.yml", "rebuild.yaml"]);
    fs::remove_file(own.join("rebuild.yml")).unwrap();
    fs::write(own.join("scripts/rebuild.yaml"), "playbook: rebuild").unwrap();
    desk.run(&steps).ends(Exit::Usage, &["own/scripts/rebuild.yaml", "own/rebuild.yaml"]);
}

#[test]
fn the_table_of_exit_codes_promises_a_resume_only_where_a_run_has_begun() {
    let readme = include_str!("../../README.md");
    let row = readme.lines().find(|line| line.starts_with("| 1 |")).unwrap();
    assert!(row.contains("before a run has begun"), "{row}");
}

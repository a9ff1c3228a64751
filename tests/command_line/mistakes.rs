//! Small mistakes around a command, each told with what to do.

use crate::desk::Desk;
use crate::TOKENS;
use relight::cli::Exit;

#[test]
fn a_temporary_directory_that_does_not_exist_is_told_with_what_to_do() {
    let desk = Desk::new();
    let mut variables = TOKENS.to_vec();
    variables.push(("TMPDIR", "/nonexistent"));
    let told = desk.with(&variables, &["plan", "--check"]);
    told.ends(Exit::Usage, &["no temporary directory", "next: ", "TMPDIR"]);
}

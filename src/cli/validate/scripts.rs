//! The scripts of `--steps`, as bash reads them. Those in the binary were read when it was built.

use crate::config::{Place, Problems};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Adds what bash cannot read. Returns whether there is a bash, or no need of one.
pub(super) fn check(own: Option<&Path>, problems: &mut Problems) -> bool {
    let mut files = Vec::new();
    if let Some(own) = own {
        let scripts = own.join("scripts");
        files.extend(shell_files(&scripts));
        // Parts lie one directory deeper.
        let parts = std::fs::read_dir(&scripts).into_iter().flatten().flatten().map(|entry| entry.path());
        parts.filter(|path| path.is_dir()).for_each(|path| files.extend(shell_files(&path)));
    }
    files.iter().all(|file| read(file, problems))
}

fn shell_files(directory: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|path| path.is_file() && path.extension().is_some_and(|e| e == "sh")).collect()
}

/// Lets bash read a script without running it. False where there is no bash.
fn read(file: &Path, problems: &mut Problems) -> bool {
    let mut bash = Command::new("bash");
    // Nothing of this environment, which may name a file to read first (BASH_ENV), and messages that can be taken apart.
    bash.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
    // A path that begins with a dash is no option.
    let file = if file.is_absolute() { file.to_owned() } else { Path::new(".").join(file) };
    bash.arg("-n").arg(&file).stdin(Stdio::null());
    let Ok(output) = bash.output() else { return false };
    if output.status.success() {
        return true;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("bash cannot read it");
    let shown = file.display().to_string();
    let rest = first.strip_prefix(&shown).unwrap_or(first).trim_start_matches(": ");
    let line = rest.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    let (line, what) = line.and_then(|(n, what)| Some((n.parse().ok()?, what))).unwrap_or((1, rest));
    let plain = file.strip_prefix(".").unwrap_or(&file);
    problems.add(
        plain,
        Place { line, column: 1 },
        format!("bash: {what}"),
        "mend it: `bash -n` reads it without running it",
    );
    true
}

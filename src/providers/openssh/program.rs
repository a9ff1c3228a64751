//! The text that a node's bash gets on standard input, and the reading of what comes back.
//!
//! ```text
//! # relight v1 do=look script=probe.sh verb=check digest=<sha256 of the script>
//! relight_body='<base64>'
//! relight_input='<base64>'
//! <runner.sh>
//! { relight_look probe.sh check <digest>; exit 0; }
//! ```
//! `do=start` adds `unit=` and `call=`; `do=wait` has only those two. The first line is what the sandbox's door reads.

use crate::world::{Ended, Error, Result, Script, Secret};
use base64::{engine::general_purpose::STANDARD, Engine};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const RUNNER: &str = include_str!("../../../steps/scripts/runner.sh");

/// How long one `do=wait` waits on the node, in seconds: short enough that a lost connection is noticed by the next one.
const WAIT_SECONDS: u32 = 20;

/// Standard error is for people; this many bytes of its end are kept.
const STDERR_KEPT: usize = 64 * 1024;

/// A program that looks.
pub(super) fn look(script: &Script) -> Result<Secret> {
    let digest = checked(script)?;
    let (name, verb) = (&script.name, &script.verb);
    let mut text = format!("# relight v1 do=look script={name} verb={verb} digest={digest}\n");
    push_script(&mut text, script)?;
    text.push_str(RUNNER);
    let _ = writeln!(text, "{{ relight_look {name} {verb} {digest}; exit 0; }}");
    Ok(Secret::new(text))
}

/// A program that starts a unit, or joins it where it is at work, and waits a while. `call` tells this start from every other
/// one of the same work.
pub(super) fn start(script: &Script, unit: &str, call: &str) -> Result<Secret> {
    let digest = checked(script)?;
    let (name, verb) = (&script.name, &script.verb);
    let mut text = format!("# relight v1 do=start script={name} verb={verb} digest={digest} unit={unit} call={call}\n");
    push_script(&mut text, script)?;
    text.push_str(RUNNER);
    let _ = writeln!(text, "{{ relight_start {name} {verb} {digest} {unit} {call} {WAIT_SECONDS}; exit 0; }}");
    Ok(Secret::new(text))
}

/// A program that waits a while for the unit that `call` started or joined. The end of any other is not taken for its end.
pub(super) fn wait(unit: &str, call: &str) -> Secret {
    Secret::new(format!(
        "# relight v1 do=wait unit={unit} call={call}\n{RUNNER}{{ relight_wait {unit} {call} {WAIT_SECONDS}; exit 0; }}\n"
    ))
}

/// How a program said that it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The script ended.
    Exit(Ended),
    /// The unit is still at work.
    Running,
    /// The node restarted, or the unit was killed, before the script ended.
    Lost,
    /// There is no such unit.
    Absent,
    /// Nothing was done, for this reason.
    Trouble(String),
    /// The runner never got to its end: what was said on standard error instead.
    Silent(String),
}

/// Reads a program's output.
pub(super) fn read_end(stdout: &[u8], stderr: &[u8]) -> End {
    const MARK: &[u8] = b"\nrelight: end=";
    let Some(at) = stderr.windows(MARK.len()).rposition(|window| window == MARK) else {
        return End::Silent(tail(stderr, 400).trim().to_owned());
    };
    let (before, rest) = stderr.split_at(at);
    let word = String::from_utf8_lossy(rest.get(MARK.len()..).unwrap_or_default());
    match word.trim_end() {
        "running" => End::Running,
        "lost" => End::Lost,
        "absent" => End::Absent,
        "trouble" => End::Trouble(tail(before, 400).trim().to_owned()),
        other => match other.strip_prefix("exit ").and_then(|code| code.parse().ok()) {
            Some(exit @ 0..=100) => End::Exit(Ended {
                exit,
                stdout: String::from_utf8_lossy(stdout).into_owned(),
                stderr: tail(before, STDERR_KEPT),
            }),
            _ => End::Silent(format!("an end that this version does not know: {other}")),
        },
    }
}

fn tail(bytes: &[u8], most: usize) -> String {
    let from = bytes.len().saturating_sub(most);
    String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
}

/// The digest of the script, after its words are found to be plain ones: they stand in the program unquoted.
fn checked(script: &Script) -> Result<String> {
    for word in [&script.name, &script.verb] {
        if !is_plain(word) {
            return Err(Error::fatal(format!("\"{word}\" is no script's name or verb"))
                .remedy("use letters, digits, dots, hyphens and underscores"));
        }
    }
    Ok(hex::encode(Sha256::digest(script.body.as_bytes())))
}

/// Whether a word needs no quoting in a shell and cannot leave its directory.
pub(super) fn is_plain(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn push_script(text: &mut String, script: &Script) -> Result<()> {
    text.push_str("relight_body='");
    STANDARD.encode_string(script.body.as_bytes(), text);
    text.push_str("'\nrelight_input='");
    STANDARD.encode_string(assignments(script)?, text);
    text.push_str("'\n");
    Ok(())
}

/// The input as shell assignments, each value in single quotes.
fn assignments(script: &Script) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for (key, value) in &script.input {
        let named = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !named {
            return Err(Error::fatal(format!("\"{key}\" is no name that a shell can hold")).remedy("rename the input"));
        }
        if value.expose().contains(&0) {
            return Err(Error::fatal(format!("the value of {key} holds a zero byte, which no shell can hold"))
                .remedy(format!("give {key} another value")));
        }
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(b"='");
        for byte in value.expose() {
            match byte {
                b'\'' => text.extend_from_slice(b"'\\''"),
                other => text.push(*other),
            }
        }
        text.extend_from_slice(b"'\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_script_s_own_last_newline_is_told_from_the_runner_s() {
        let ended = |text: &str| match read_end(b"a=b\n", text.as_bytes()) {
            End::Exit(ended) => (ended.exit, ended.stdout, ended.stderr),
            other => panic!("{other:?}"),
        };
        assert_eq!(ended("x\nrelight: end=exit 3\n"), (3, "a=b\n".into(), "x".into()));
        assert_eq!(ended("x\n\nrelight: end=exit 0\n"), (0, "a=b\n".into(), "x\n".into()));
        assert_eq!(ended("\nrelight: end=exit 1\n\nrelight: end=exit 2\n").0, 2);
    }

    #[test]
    fn an_output_without_an_end_is_no_end() {
        assert_eq!(
            read_end(b"", b"sudo: a password is required\n"),
            End::Silent("sudo: a password is required".into())
        );
        assert!(matches!(read_end(b"", b"\nrelight: end=exit 200\n"), End::Silent(_)));
        assert_eq!(
            read_end(b"", b"relight: no room\n\nrelight: end=trouble\n"),
            End::Trouble("relight: no room".into())
        );
    }

    #[test]
    fn a_word_that_the_shell_would_read_is_refused_and_no_value_is_told() {
        let mut script =
            Script { name: "a.sh".into(), body: "".into(), verb: "x; rm -rf /".into(), input: BTreeMap::default() };
        assert!(look(&script).is_err());
        script.verb = "check".into();
        script.input.insert("A".into(), Secret::new(b"canary\0".to_vec()));
        let error = look(&script).unwrap_err();
        assert!(!format!("{error:?} {}", error.remedy).contains("canary"));
        script.input = [("a b".to_owned(), Secret::new("x"))].into();
        assert!(look(&script).is_err());
    }
}

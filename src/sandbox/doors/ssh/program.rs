//! Reads the programs that relight sends to a node's bash, instead of running them.
//!
//! Such a program begins with a line that says what it is, then two assignments in base64 (the script and its input). What
//! follows, the runner, is for a real bash and not looked at. A script is known by name and digest: a text that is not the
//! embedded one would do on a real node what the model does not know.

use super::ScriptLookup;
use crate::world::{Ended, Secret};
use base64::{engine::general_purpose::STANDARD, Engine};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a script of relight is asked to do.
#[derive(Debug, Clone)]
pub struct Work {
    /// `probe.sh`.
    pub script: String,
    /// `check`.
    pub verb: String,
    /// What it is told.
    pub input: BTreeMap<String, Secret>,
}

/// A program.
#[derive(Debug)]
pub(super) enum Program {
    /// Run it now.
    Look(Work),
    /// Start or join a unit, and wait a while.
    Start { unit: String, call: String, work: Work },
    /// Wait a while for the unit that the call started or joined.
    Wait { unit: String, call: String },
}

/// Reads a program. Errors: what a person is told who sent something else.
pub(super) fn parse(text: &[u8], scripts: &ScriptLookup) -> Result<Program, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the program is no text".to_owned())?;
    let first = text.lines().next().unwrap_or_default();
    let words: BTreeMap<&str, &str> = first
        .strip_prefix("# relight v1 ")
        .ok_or("the sandbox's nodes run relight's own programs only")?
        .split(' ')
        .filter_map(|word| word.split_once('='))
        .collect();
    let word = |key: &str| words.get(key).map(|word| (*word).to_owned()).ok_or(format!("the program has no {key}"));
    // The last line is the call. Without it the connection was cut while the program was sent, and nothing may happen.
    if !text.trim_end().ends_with("exit 0; }") {
        return Err("the program did not arrive whole".into());
    }
    match word("do")?.as_str() {
        "look" => Ok(Program::Look(work(text, scripts, &word)?)),
        "start" => Ok(Program::Start { unit: word("unit")?, call: word("call")?, work: work(text, scripts, &word)? }),
        "wait" => Ok(Program::Wait { unit: word("unit")?, call: word("call")? }),
        other => Err(format!("the sandbox does not know what \"{other}\" means")),
    }
}

fn work(text: &str, scripts: &ScriptLookup, word: &dyn Fn(&str) -> Result<String, String>) -> Result<Work, String> {
    let (script, verb, digest) = (word("script")?, word("verb")?, word("digest")?);
    let body = assignment(text, "relight_body")?;
    let known = scripts(&script).ok_or_else(|| format!("the sandbox knows no script {script}"))?;
    if hex::encode(Sha256::digest(&body)) != digest || body != known.as_bytes() {
        return Err(format!(
            "this {script} is not the one that the sandbox knows; run sandbox and relight of one version"
        ));
    }
    let input = input(&assignment(text, "relight_input")?).ok_or_else(|| format!("the input of {script} is broken"))?;
    Ok(Work { script, verb, input })
}

fn assignment(text: &str, name: &str) -> Result<Vec<u8>, String> {
    text.lines()
        .take(3)
        .find_map(|line| line.strip_prefix(name)?.strip_prefix("='")?.strip_suffix('\''))
        .and_then(|base64| STANDARD.decode(base64).ok())
        .ok_or_else(|| format!("the program has no {name}"))
}

/// Reads `KEY='value'` lines as a shell would: in a value, `'\''` is a quote.
fn input(text: &[u8]) -> Option<BTreeMap<String, Secret>> {
    let mut rest = text;
    let mut all = BTreeMap::new();
    while !rest.is_empty() {
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let key = std::str::from_utf8(rest.get(..equals)?).ok()?.to_owned();
        rest = rest.get(equals + 1..)?.strip_prefix(b"'")?;
        let mut value = Vec::new();
        loop {
            let quote = rest.iter().position(|byte| *byte == b'\'')?;
            value.extend_from_slice(rest.get(..quote)?);
            rest = rest.get(quote + 1..)?;
            match rest.strip_prefix(b"\\''") {
                Some(after) => {
                    value.push(b'\'');
                    rest = after;
                }
                None => break,
            }
        }
        rest = rest.strip_prefix(b"\n")?;
        all.insert(key, Secret::new(value));
    }
    Some(all)
}

/// How the runner tells an end, on standard error.
pub(super) fn exit_line(ended: &Ended) -> String {
    // The contract allows 0 to 100; what is more becomes 100, as the runner does it.
    match ended.exit {
        exit @ 0..=100 => format!("\nrelight: end=exit {exit}\n"),
        exit => {
            format!("relight: a script ended with {exit}, and only 0 to 100 are allowed\n\nrelight: end=exit 100\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        let read = input(b"A='it'\\''s'\nB=''\nC='two\nlines'\n").unwrap();
        let texts: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.expose_str().unwrap())).collect();
        assert_eq!(texts, [("A", "it's"), ("B", ""), ("C", "two\nlines")]);
        assert!(input(b"A='open").is_none() && input(b"A=x\n").is_none());
    }

    #[test]
    fn half_a_program_does_nothing() {
        let none: ScriptLookup = std::sync::Arc::new(|_| None);
        let whole = "# relight v1 do=wait unit=relight-a call=b\n{ relight_wait relight-a b 20; exit 0; }\n";
        assert!(parse(whole.as_bytes(), &none).is_ok());
        for cut in 0..whole.len() - 1 {
            assert!(parse(&whole.as_bytes()[..cut], &none).is_err(), "{cut}");
        }
    }
}

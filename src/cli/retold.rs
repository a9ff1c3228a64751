//! Commands that relight tells people to type, with the options that this process was given: without them they would look at
//! another state directory, and find nothing to go on with.

use super::args::Global;
use std::fmt::Write;
use std::path::Path;
use std::sync::OnceLock;

/// The commands that these options matter for.
const COMMANDS: [&str; 12] = [
    "resume",
    "dns undo",
    "rebuild",
    "rehearse",
    "teardown",
    "sweep",
    "status",
    "plan",
    "validate",
    "kubectl",
    "sandbox",
    "reconstruct",
];

const SANDBOX: &str = " --sandbox";

static FLAGS: OnceLock<String> = OnceLock::new();

/// Remembers the options of this process that every later command needs too.
pub fn remember(global: &Global) {
    let mut flags = String::new();
    let mut add = |name: &str, path: &Path| {
        // Writing to a string cannot fail.
        let _ = write!(flags, " {name} {}", quoted(&path.display().to_string()));
    };
    if global.config != Path::new("relight.yaml") {
        add("--config", &global.config);
    }
    if global.state != Path::new("state") {
        add("--state", &global.state);
    }
    if let Some(steps) = &global.steps {
        add("--steps", steps);
    }
    if global.sandbox {
        flags.push_str(SANDBOX);
    }
    // A process has one command line.
    let _ = FLAGS.set(flags);
}

/// Those options, as a command line has them.
pub fn flags() -> &'static str {
    FLAGS.get().map_or("", String::as_str)
}

/// The text with those options in the commands that it tells.
pub fn retold(text: &str) -> String {
    with(text, flags())
}

fn with(text: &str, flags: &str) -> String {
    if flags.is_empty() {
        return text.to_owned();
    }
    COMMANDS.iter().fold(text.to_owned(), |text, command| {
        let plain = format!("relight {command}");
        // Given twice, it is an error.
        let once = if flags.ends_with(SANDBOX) { text.replace(&format!("{plain}{SANDBOX}"), &plain) } else { text };
        once.replace(&plain, &format!("{plain}{flags}"))
    })
}

/// As a POSIX shell reads it as one word.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_told_carry_the_options_of_this_one() {
        let told = with("next: `relight resume abc` goes on; `relight kubectl -- get nodes`", " --state /tmp/s");
        assert_eq!(
            told,
            "next: `relight resume --state /tmp/s abc` goes on; `relight kubectl --state /tmp/s -- get nodes`"
        );
        assert_eq!(with("relight resume", ""), "relight resume");
        assert_eq!(
            with("`relight rehearse --sandbox` or `relight plan`", SANDBOX),
            "`relight rehearse --sandbox` or `relight plan --sandbox`"
        );
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted("/tmp/a b'c"), "'/tmp/a b'\\''c'");
        assert_eq!(quoted("state/x-1"), "state/x-1");
    }
}

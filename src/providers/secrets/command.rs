//! Secrets from programs: `op read ...`, `sops -d ...`.

use super::source::{without_newline, LONGEST};
use crate::world::{Error, Result, Secret};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// The variables that every program may need: who and where the person is, how to show text, which agents run.
const KEPT: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TERM",
    "TMPDIR",
    "TZ",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "GPG_TTY",
    "GNUPGHOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// How the variables begin that secret managers are told by: 1Password, sops, age, HashiCorp Vault and OpenBao, Bitwarden,
/// pass, the clouds that sops asks, Doppler, Infisical.
const KEPT_PREFIXES: [&str; 14] = [
    "LC_",
    "XDG_",
    "OP_",
    "SOPS_",
    "AGE_",
    "VAULT_",
    "BAO_",
    "BW_",
    "PASSWORD_STORE_",
    "AWS_",
    "GOOGLE_",
    "AZURE_",
    "DOPPLER_",
    "INFISICAL_",
];

/// How much of a program's standard error is kept (bytes), how many of its last lines and characters of them are shown.
const LONGEST_WORDS: u64 = 1 << 16;
const LINES: usize = 3;
const LONGEST_SAID: usize = 400;
/// How long is waited for words that are still in the pipe when the program has ended, in wall time.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// A setting shorter than this is a word like `true`, and no secret (bytes).
const SHORTEST: usize = 8;

/// The environment of a program is a list of what it may need, not relight's own without what we thought of: the cloud's
/// tokens, and every variable that the configuration takes a secret from, stay here.
fn may_have(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Ends the program's process group when it is not awaited to its end: by the time-out, or because the run stops.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may be gone already.
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

/// What a program prints, without the last newline. It runs without a shell, in `base`, in a process group of its own (so
/// that the terminal's Ctrl-C does not reach it), without standard input, for at most `limit` of wall time. Errors are
/// `Fatal`, name the program, and show the last words of its standard error without what may be secret in them.
pub(super) async fn output(
    words: &[String],
    base: &Path,
    environment: &BTreeMap<String, Secret>,
    limit: Duration,
) -> Result<Secret> {
    let [program, arguments @ ..] = words else {
        return Err(Error::fatal("a command has no words").remedy("give the program and its arguments"));
    };
    let failed = |what: String| {
        Error::fatal(format!("command {program}: {what}")).remedy(format!("run {program} by hand to see why"))
    };
    let kept = environment.iter().filter(|(name, _)| may_have(name));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(base)
        .env_clear()
        .envs(kept.map(|(name, value)| (name, OsStr::from_bytes(value.expose()))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(format!("cannot be started: {}", e.kind())))?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    let ended = tokio::time::timeout(limit, read(&mut child)).await;
    let Output { bytes, told, status } = match ended {
        Err(_) => return Err(failed(format!("did not end within {limit:?}"))),
        Ok(Err(e)) => return Err(failed(format!("its output cannot be read: {}", e.kind()))),
        Ok(Ok(end)) => end,
    };
    group.0 = None;
    if !status.success() {
        let said = said(&told, &bytes, environment);
        let why = if said.is_empty() { String::new() } else { format!(", and said: {said}") };
        return Err(failed(format!("failed ({status}){why}")));
    }
    if bytes.len() > LONGEST {
        return Err(failed("printed more than a secret can be".to_owned()));
    }
    Ok(Secret::new(without_newline(bytes)))
}

/// What a program printed, and how it ended.
struct Output {
    bytes: Vec<u8>,
    told: Vec<u8>,
    status: std::process::ExitStatus,
}

async fn read(child: &mut Child) -> std::io::Result<Output> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut bytes, mut told) = (Vec::new(), Vec::new());
    let status = {
        let ending = async {
            if let Some(out) = out {
                out.take(LONGEST as u64 + 1).read_to_end(&mut bytes).await?;
            }
            child.wait().await
        };
        let listening = async {
            if let Some(mut err) = err {
                // What goes beyond is read as well: a full pipe would stop the program.
                let _ = (&mut err).take(LONGEST_WORDS).read_to_end(&mut told).await;
                let _ = tokio::io::copy(&mut err, &mut tokio::io::sink()).await;
            }
        };
        tokio::pin!(ending, listening);
        let mut heard = false;
        loop {
            tokio::select! {
                end = &mut ending => {
                    // An agent that the program left behind may keep its standard error open for ever.
                    if !heard {
                        let _ = tokio::time::timeout(LAST_WORDS, &mut listening).await;
                    }
                    break end?;
                }
                () = &mut listening, if !heard => heard = true,
            }
        }
    };
    Ok(Output { bytes, told, status })
}

/// The last lines of what a failed program told, without control characters, and without anything that is also in what it
/// printed as the value or in a setting that it was given.
fn said(told: &[u8], printed: &[u8], environment: &BTreeMap<String, Secret>) -> String {
    let (told, printed) = (String::from_utf8_lossy(told), String::from_utf8_lossy(printed));
    let given = environment.iter().filter(|(name, _)| KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
    let given = given.filter(|(name, _)| !name.starts_with("LC_") && !name.starts_with("XDG_"));
    let given = given.filter_map(|(_, value)| value.expose_str()).filter(|value| value.len() >= SHORTEST);
    let mut hidden: Vec<&str> = printed.split_whitespace().chain(given).filter(|word| word.len() > 2).collect();
    // The longest first, so that no rest of a longer one stays.
    hidden.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut text = told.into_owned();
    for word in hidden {
        text = text.replace(word, "[hidden]");
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join(" / ");
    last.chars().filter(|c| !c.is_control()).take(LONGEST_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> BTreeMap<String, Secret> {
        let path = std::env::var("PATH").unwrap_or_default();
        [
            ("PATH", path.as_str()),
            ("HCLOUD_TOKEN", "canary"),
            ("MY_SECRET", "canary"),
            ("OP_ACCOUNT", "me"),
            ("LC_ALL", "C"),
        ]
        .map(|(name, value)| (name.to_owned(), Secret::new(value)))
        .into()
    }

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_program_sees_its_own_settings_and_no_token() {
        let place = tempfile::tempdir().unwrap();
        let all = output(&words(&["env"]), place.path(), &environment(), Duration::from_secs(60)).await.unwrap();
        let all = all.expose_str().unwrap();
        assert!(all.contains("OP_ACCOUNT=me") && all.contains("LC_ALL=C") && all.contains("PATH="));
        assert!(!all.contains("canary") && !all.contains("CARGO"), "{all}");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_shown_with_its_last_words_but_without_value_and_settings() {
        let place = tempfile::tempdir().unwrap();
        let mut environment = environment();
        environment.insert("OP_SESSION".to_owned(), Secret::new("canary-session"));
        let script =
            "echo canary-value; echo one >&2; echo two >&2; echo \"no item canary-value for $OP_SESSION\" >&2; \
            printf 'sign in\\033[31m first\\n' >&2; exit 7";
        let error = output(&words(&["sh", "-c", script]), place.path(), &environment, Duration::from_secs(60))
            .await
            .unwrap_err();
        let told = "two / no item [hidden] for [hidden] / sign in[31m first";
        assert!(error.what.contains("exit status: 7") && error.what.ends_with(told), "{}", error.what);
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }

    #[tokio::test]
    async fn a_child_that_keeps_standard_error_open_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let script = "sleep 1000 >/dev/null & echo $!";
        let value = output(&words(&["sh", "-c", script]), place.path(), &environment(), Duration::from_secs(60)).await;
        let child: i32 = value.unwrap().expose_str().unwrap().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_with_all_its_children() {
        let place = tempfile::tempdir().unwrap();
        let script = "sleep 1000 & echo $! > child; wait";
        let error = output(&words(&["sh", "-c", script]), place.path(), &environment(), Duration::from_millis(300))
            .await
            .unwrap_err();
        assert!(error.what.contains("did not end within"), "{error}");
        let child = std::fs::read_to_string(place.path().join("child")).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        // Killed and not yet reaped by init counts as ended: its state is Z.
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
        for _ in 0..1000 {
            if !alive() {
                return;
            }
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        assert!(!alive(), "the grandchild still runs");
    }
}

//! Every kind of source, and the memory of what it said.

use super::command;
use crate::providers::age_file;
use crate::world::{Error, Result, Secret, SecretFrom, SecretSource};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long a program may take, in wall time: long enough for a person to touch a key or unlock a vault.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// A secret longer than this is a mistake (bytes).
pub(super) const LONGEST: usize = 1 << 20;

/// Resolves secrets from the environment, files, programs and age files. It asks nobody: prompts are put before, by the command
/// line, and their answers come in front of it ([`super::Answered`]).
///
/// The environment is the map that `main` hands in: it takes the variables out of the process before anything else runs, so
/// that no child inherits them.
pub struct Secrets {
    environment: BTreeMap<String, Secret>,
    base: PathBuf,
    command_timeout: Duration,
    known: Mutex<BTreeMap<String, Arc<OnceCell<Secret>>>>,
}

impl Secrets {
    /// Sources with this environment; relative paths are below `base`, the directory of `relight.yaml`.
    pub fn new(environment: BTreeMap<String, Secret>, base: impl Into<PathBuf>) -> Self {
        Self { environment, base: base.into(), command_timeout: COMMAND_TIMEOUT, known: Mutex::default() }
    }

    /// The same with another limit for programs, in wall time.
    #[must_use]
    pub fn command_timeout(mut self, limit: Duration) -> Self {
        self.command_timeout = limit;
        self
    }

    fn variable(&self, name: &str) -> Result<Secret> {
        self.environment.get(name).filter(|value| !value.expose().is_empty()).cloned().ok_or_else(|| {
            Error::fatal(format!("environment variable {name} is not set")).remedy(format!("export {name}"))
        })
    }

    fn identity(&self) -> Result<PathBuf> {
        let names = ["RELIGHT_AGE_IDENTITY", "SOPS_AGE_KEY_FILE"];
        let found = names.iter().find_map(|name| self.variable(name).ok()?.expose_str().map(PathBuf::from));
        found.map(|path| self.base.join(path)).ok_or_else(|| {
            Error::fatal("no age identity is named")
                .remedy("export RELIGHT_AGE_IDENTITY with the path of your age key file")
        })
    }

    async fn fetch(&self, from: &SecretFrom) -> Result<Secret> {
        match from {
            SecretFrom::Env(name) => self.variable(name),
            SecretFrom::Value(text) => Ok(Secret::new(text.clone())),
            SecretFrom::File(path) => {
                let path = self.base.join(path);
                blocking(move || read(&path)).await
            }
            SecretFrom::Age(path) => {
                let (path, identity) = (self.base.join(path), self.identity()?);
                blocking(move || age_file::decrypt(&path, &identity)).await
            }
            SecretFrom::Command(words) => {
                command::output(words, &self.base, &self.environment, self.command_timeout).await
            }
            SecretFrom::Prompt(text) => Err(Error::fatal(format!("\"{text}\" cannot be asked without a terminal"))
                .remedy("run relight in a terminal, or give this secret by `env`, `file` or `command`")),
        }
    }
}

async fn blocking(work: impl FnOnce() -> Result<Secret> + Send + 'static) -> Result<Secret> {
    let lost = |_| Error::fatal("a thread that read a secret was lost").remedy("run it again");
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

fn read(path: &Path) -> Result<Secret> {
    let bytes = std::fs::read(path).map_err(|e| {
        Error::fatal(format!("{}: {e}", path.display())).remedy("check that the file exists and that you may read it")
    })?;
    if bytes.len() > LONGEST {
        return Err(Error::fatal(format!("{} is too long for a secret", path.display())).remedy("name another file"));
    }
    Ok(Secret::new(without_newline(bytes)))
}

/// Without the one newline that editors and programs put at the end.
pub(super) fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

/// What tells one source from another: unlike the displayed text, it has every word of a command.
fn key(from: &SecretFrom) -> String {
    match from {
        SecretFrom::Command(words) => format!("command {words:?}"),
        SecretFrom::Value(text) => format!("value {text}"),
        other => other.to_string(),
    }
}

#[async_trait]
impl SecretSource for Secrets {
    async fn resolve(&self, from: &SecretFrom) -> Result<Secret> {
        let cell = self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(key(from)).or_default().clone();
        let secret = cell.get_or_try_init(|| self.fetch(from)).await?;
        if secret.expose().is_empty() && !matches!(from, SecretFrom::Value(_)) {
            return Err(Error::fatal(format!("{from} is empty")).remedy(format!("put the secret's value into {from}")));
        }
        Ok(secret.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-5f3e";

    fn secrets(place: &Path) -> Secrets {
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = [("PATH", path.as_str()), ("TOKEN", CANARY), ("EMPTY", "")];
        let environment = environment.map(|(name, value)| (name.to_owned(), Secret::new(value)));
        Secrets::new(environment.into(), place)
    }

    fn command(words: &[&str]) -> SecretFrom {
        SecretFrom::Command(words.iter().map(ToString::to_string).collect())
    }

    async fn text(secrets: &Secrets, from: &SecretFrom) -> String {
        secrets.resolve(from).await.unwrap().expose_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn each_kind_of_source_gives_its_value_without_the_last_newline() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("token"), format!("{CANARY}\n")).unwrap();
        let secrets = secrets(place.path());
        assert_eq!(text(&secrets, &SecretFrom::Env("TOKEN".into())).await, CANARY);
        assert_eq!(text(&secrets, &SecretFrom::File("token".into())).await, CANARY);
        assert_eq!(text(&secrets, &SecretFrom::Value("plain".into())).await, "plain");
        assert_eq!(text(&secrets, &command(&["cat", "token"])).await, CANARY);
        assert_eq!(text(&secrets, &command(&["printf", "a\\n\\n"])).await, "a\n", "one newline goes, not all");
    }

    #[tokio::test]
    async fn an_age_file_is_opened_with_the_identity_that_the_environment_names() {
        use age::secrecy::ExposeSecret;
        let place = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        std::fs::write(place.path().join("key"), identity.to_string().expose_secret()).unwrap();
        let sealed = age_file::encrypt(&[identity.to_public().to_string()], &Secret::new(CANARY)).unwrap();
        std::fs::write(place.path().join("t.age"), sealed).unwrap();
        let from = SecretFrom::Age("t.age".into());
        assert!(secrets(place.path()).resolve(&from).await.unwrap_err().remedy.contains("RELIGHT_AGE_IDENTITY"));
        let environment = [("SOPS_AGE_KEY_FILE".to_owned(), Secret::new("key"))];
        assert_eq!(text(&Secrets::new(environment.into(), place.path()), &from).await, CANARY);
    }

    #[tokio::test]
    async fn a_source_is_asked_once() {
        let place = tempfile::tempdir().unwrap();
        let counted = command(&["sh", "-c", "echo x >> asked; wc -l < asked"]);
        let secrets = secrets(place.path());
        let (a, b) = tokio::join!(secrets.resolve(&counted), secrets.resolve(&counted));
        assert_eq!(a.unwrap().expose(), b.unwrap().expose());
        assert_eq!(text(&secrets, &counted).await.trim(), "1");
    }

    #[tokio::test]
    async fn two_commands_of_one_program_are_two_sources() {
        let place = tempfile::tempdir().unwrap();
        let secrets = secrets(place.path());
        assert_eq!(text(&secrets, &command(&["echo", "a"])).await, "a");
        assert_eq!(text(&secrets, &command(&["echo", "b"])).await, "b");
    }

    #[tokio::test]
    async fn no_error_holds_a_secret_and_each_names_source_and_remedy() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("empty"), "\n").unwrap();
        std::fs::write(place.path().join("leak.age"), CANARY).unwrap();
        let script = format!("echo {CANARY}; echo {CANARY} >&2; exit 3");
        let failing = [
            (SecretFrom::Env("ABSENT".into()), "ABSENT"),
            (SecretFrom::Env("EMPTY".into()), "EMPTY"),
            (SecretFrom::File("absent".into()), "absent"),
            (SecretFrom::File("empty".into()), "empty"),
            (SecretFrom::Age("leak.age".into()), "age"),
            (command(&["sh", "-c", &script]), "sh"),
            (command(&["relight-no-such-program", CANARY]), "relight-no-such-program"),
            (command(&[]), "command"),
        ];
        let secrets = secrets(place.path());
        for (from, named) in failing {
            let error = secrets.resolve(&from).await.unwrap_err();
            let whole = format!("{error:?}");
            assert!(!whole.contains(CANARY), "{whole}");
            assert!(error.what.contains(named) && !error.remedy.is_empty(), "{whole}");
        }
    }
}

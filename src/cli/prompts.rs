//! Hidden prompts: put before a run is driven, when nothing else draws and no deadline runs.

use super::exit::{Exit, Stop};
use super::person::Quiet;
use crate::actions::secret_sources;
use crate::config::Settings;
use crate::engine::{ahead, RunState};
use crate::playbook::Plan;
use crate::providers::Answered;
use crate::world::{Secret, SecretFrom, SecretSource, WorldKind};
use nix::sys::termios::{tcgetattr, tcsetattr, LocalFlags, SetArg, Termios};
use std::collections::BTreeMap;
use std::future::Future;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{signal, SignalKind};

/// How often, and with which pause, it is looked whether the thread at the prompt has switched the echo off.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// The texts of the prompts that the settings name, each once, in their order.
fn texts(settings: &Settings) -> Vec<String> {
    let mut texts = Vec::new();
    for (_, from) in secret_sources(settings) {
        match from {
            SecretFrom::Prompt(text) if !texts.contains(&text) => texts.push(text),
            _ => {}
        }
    }
    texts
}

/// The run's source of secrets, with the answers of a person to whatever the steps still to come need. In a sandbox nobody is
/// asked: it generates them.
pub async fn answered(
    kind: WorldKind,
    source: Arc<dyn SecretSource>,
    settings: &Settings,
    (plan, memory): (&Plan, &RunState),
    quiet: Quiet,
) -> Result<Arc<dyn SecretSource>, Stop> {
    let needed = ahead(plan, memory).iter().any(|step| step.action.needs_secrets());
    if kind != WorldKind::Real || !needed {
        return Ok(source);
    }
    asked(source, settings, quiet).await
}

/// The same for whatever needs all secrets. Without a terminal nobody is asked, and the source says so where it is needed.
pub async fn asked(
    source: Arc<dyn SecretSource>,
    settings: &Settings,
    quiet: Quiet,
) -> Result<Arc<dyn SecretSource>, Stop> {
    let texts = texts(settings);
    if texts.is_empty() || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(source);
    }
    let answers = interruptible(ask(texts, quiet)).await??;
    Ok(Arc::new(Answered::new(source, answers)))
}

/// Does something that Ctrl-C and SIGTERM end at once, with the terminal as it was before. For the time before a run is driven,
/// when nothing has to be finished.
pub async fn interruptible<T>(what: impl Future<Output = T>) -> Result<T, Stop> {
    let failed = |e: std::io::Error| Stop::new(Exit::Failed, format!("signals cannot be heard: {e}"), "");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let before = tcgetattr(std::io::stdin()).ok();
    let (exit, word) = tokio::select! {
        biased;
        _ = interrupt.recv() => (Exit::Interrupted, "interrupted"),
        _ = terminate.recv() => (Exit::Terminated, "terminated"),
        end = what => return Ok(end),
    };
    if let Some(before) = before {
        restore(&before).await;
    }
    // The cursor stands behind the prompt.
    eprintln!();
    Err(Stop::new(exit, format!("{word}; nothing was touched"), "run it again"))
}

/// Gives the terminal its echo back. The thread at the prompt cannot be stopped, and a signal may come before it has switched
/// the echo off: then that is waited for, briefly, or else it would be switched off after it was restored.
async fn restore(before: &Termios) {
    for _ in 0..LOOKS {
        match tcgetattr(std::io::stdin()) {
            Ok(now) if now.local_flags.contains(LocalFlags::ECHO) => tokio::time::sleep(PAUSE).await,
            _ => break,
        }
    }
    // Where the terminal is gone there is nothing to restore.
    let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
}

/// Puts the prompts one after the other.
async fn ask(texts: Vec<String>, quiet: Quiet) -> Result<BTreeMap<String, Secret>, Stop> {
    let asking = move || {
        let mut answers = Ok(BTreeMap::new());
        quiet(&mut || {
            // What was drawn last may have left the cursor on its own line.
            eprintln!();
            answers = texts.iter().map(|text| Ok((text.clone(), hidden(text)?))).collect();
        });
        answers
    };
    let lost = |_| Stop::new(Exit::Failed, "the thread at the prompt was lost", "run it again");
    tokio::task::spawn_blocking(asking).await.map_err(lost)?
}

/// One prompt. Nothing but Enter, or the end of the input, is no answer: asking on would never end where the terminal is gone.
fn hidden(text: &str) -> Result<Secret, Stop> {
    let asked = dialoguer::Password::new().with_prompt(text).allow_empty_password(true).interact();
    let nothing = |why: String| {
        Stop::new(Exit::NeedsPerson, format!("\"{text}\" was not answered{why}"), "run it again and answer the prompt")
    };
    match asked {
        Ok(answer) if answer.is_empty() => Err(nothing(String::new())),
        Ok(answer) => Ok(Secret::new(answer)),
        Err(dialoguer::Error::IO(e)) => Err(nothing(format!(": {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::{Mode, RunId};
    use crate::cli::prepare;
    use clap::Parser;
    use nix::sys::signal::{raise, Signal};

    fn prepared(playbook: &str, mode: Mode) -> prepare::Prepared {
        let cli = super::super::Cli::parse_from(["relight", "--config", "relight.yaml", "validate"]);
        prepare::prepare(&cli.global, playbook, &RunId { id: "abcdefghijkl".to_owned(), mode }).unwrap()
    }

    #[test]
    fn each_prompt_is_put_once_and_no_other_source_is() {
        let mut settings = prepared("rebuild", Mode::Live).settings;
        assert_eq!(texts(&settings), ["JWT signing key"], "the example has one");
        if let Some(s3) = &mut settings.k3s.snapshots.s3 {
            s3.access_key = SecretFrom::Prompt("Key".to_owned());
            s3.secret_key = SecretFrom::Prompt("Key".to_owned());
        }
        assert_eq!(texts(&settings), ["JWT signing key", "Key"]);
    }

    #[test]
    fn secrets_are_needed_until_a_rehearsal_has_begun_to_clear_up() {
        let plan = prepared("rehearse", Mode::Rehearsal).plan;
        let needs = |memory: &RunState| ahead(&plan, memory).iter().any(|step| step.action.needs_secrets());
        let mut memory = RunState::default();
        assert!(needs(&memory));
        let last = plan.steps.iter().find(|step| step.start == crate::playbook::Start::Ended).unwrap();
        memory.begun.insert(last.id.clone());
        assert!(!needs(&memory), "what is over asks for nothing");
    }

    #[tokio::test]
    async fn a_signal_ends_what_nobody_finishes_with_its_own_code() {
        assert_eq!(interruptible(async { 1 }).await.unwrap(), 1);
        for (sent, exit) in [(Signal::SIGINT, Exit::Interrupted), (Signal::SIGTERM, Exit::Terminated)] {
            let hanging = async {
                raise(sent).unwrap();
                std::future::pending::<()>().await;
            };
            assert_eq!(interruptible(hanging).await.unwrap_err().exit, exit);
        }
    }
}

//! What finished runs keep: encrypted to `recipients`, and read again with the operator's identity.

use super::args::Global;
use super::exit::{Exit, Stop};
use super::runs::{self, KeptRun};
use super::worlds::Environment;
use crate::config::Settings;
use crate::providers::{seal, RunFiles, Secrets, SEALED};
use crate::world::{Secret, SecretFrom, SecretSource};
use std::fmt::Write;

/// The cluster's admin kubeconfig, as K3s wrote it.
pub const KUBECONFIG: &str = "secrets/kubeconfig";
/// The run's private key.
pub const IDENTITY: &str = "secrets/ssh_ed25519";

/// Whether a run keeps this secret, plain or encrypted.
pub fn has(run: &KeptRun, name: &str) -> bool {
    run.directory.join(name).exists() || run.directory.join(format!("{name}{SEALED}")).exists()
}

/// A secret of a run: plain while the run is unfinished, or without `recipients`; else decrypted in memory.
pub async fn secret(run: &KeptRun, name: &str, settings: &Settings, environment: &Environment) -> Result<Secret, Stop> {
    let unreadable = |path: &std::path::Path, e: &std::io::Error| {
        Stop::usage(format!("{}: {e}", path.display()), "make the state directory readable")
    };
    let plain = run.directory.join(name);
    match std::fs::read(&plain) {
        Ok(bytes) => return Ok(Secret::new(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(unreadable(&plain, &e)),
    }
    let sealed = run.directory.join(format!("{name}{SEALED}"));
    if !sealed.exists() {
        let what = format!("run {} keeps no {name}", run.id);
        return Err(Stop::usage(what, format!("`relight resume {}` finishes it", run.id)));
    }
    // Sources take relative paths from the configuration's directory, state is below the working directory.
    let sealed = std::path::absolute(&sealed).map_err(|e| unreadable(&sealed, &e))?;
    let source = Secrets::new(environment.clone(), settings.base.clone());
    let opened = source.resolve(&SecretFrom::Age(sealed)).await;
    opened.map_err(|error| Stop::usage(error.what, error.remedy))
}

/// Encrypts what a run that has just succeeded keeps, and says so. It has succeeded all the same where that fails.
pub async fn at_the_end(files: &dyn crate::world::Files, settings: &Settings, text: &mut String) -> Result<(), Stop> {
    let recipients = &settings.recipients;
    match seal(files, recipients).await {
        Ok(0) => Ok(()),
        Ok(count) => {
            let to = recipients.len();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "secrets: {count} in {}/secrets are now encrypted to {to} recipient{}; `relight kubectl` wants RELIGHT_AGE_IDENTITY",
                files.place(),
                if to == 1 { "" } else { "s" }
            );
            Ok(())
        }
        Err(error) => {
            let what = format!("the run succeeded, but its secrets are not encrypted yet: {}", error.what);
            Err(Stop::new(Exit::Failed, what, error.remedy))
        }
    }
}

/// Does what a kill at a run's very end left undone: makes proofs, and encrypts what lies plain of runs that had succeeded.
pub async fn leftovers(global: &Global, settings: &Settings) -> Result<(), Stop> {
    let kinds = super::commands::kinds(global);
    super::proofs::leftovers(&runs::glimpses(&global.state, &kinds, &settings.cluster)?).await?;
    if settings.recipients.is_empty() {
        return Ok(());
    }
    for run in runs::all(&global.state, &kinds, &settings.cluster)? {
        // A broken journal remembers no success.
        if !run.state.succeeded() || !run.directory.join("secrets").is_dir() {
            continue;
        }
        let place = run.directory.display().to_string();
        let files = RunFiles::open(&run.directory)
            .map_err(|e| Stop::usage(format!("{place}: {e}"), "make the state directory writable"))?;
        match seal(&files, &settings.recipients).await? {
            0 => {}
            count => {
                eprintln!("{count} secrets of run {} lay plain in {place}/secrets; they are encrypted now", run.id);
            }
        }
    }
    Ok(())
}

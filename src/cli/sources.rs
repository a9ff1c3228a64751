//! `relight validate --secrets`: every secret that a run will need, resolved now as preflight does, and forgotten.

use super::args::Global;
use super::exit::{Exit, Stop};
use super::worlds::Environment;
use super::{prepare, prompts, validate};
use crate::actions::resolve_all;
use crate::providers::Secrets;
use std::sync::Arc;

/// Validates the files, then resolves every source. No value is shown.
pub async fn validate(global: &Global, environment: &Environment) -> Result<Exit, Stop> {
    match validate::validate(global)? {
        Exit::Done => {}
        refused => return Ok(refused),
    }
    let settings = prepare::settings(global)?;
    let source = Arc::new(Secrets::new(environment.clone(), settings.base.clone()));
    let source = prompts::asked(source, &settings, Arc::new(|then| then())).await?;
    let mut missing = Vec::new();
    for (title, from, end) in resolve_all(&*source, &settings).await {
        match end {
            Ok(()) => eprintln!("  secret     {title}: {from} has a value"),
            Err(error) => missing.push(format!("secret {title}: {}; {}", error.what, error.remedy)),
        }
    }
    match missing.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Stop::new(Exit::Refused, missing.join("\n"), "give each of them a value")),
    }
}

//! `relight validate --secrets`: every secret that a run will need, resolved now as preflight does, and forgotten.

use super::args::Global;
use super::exit::{Exit, Stop};
use super::worlds::Environment;
use super::{prepare, validate};
use crate::actions::secret_sources;
use crate::providers::Secrets;
use crate::world::SecretSource;

/// Validates the files, then resolves every source. No value is shown.
pub async fn validate(global: &Global, environment: &Environment) -> Result<Exit, Stop> {
    match validate::validate(global)? {
        Exit::Done => {}
        refused => return Ok(refused),
    }
    let settings = prepare::settings(global)?;
    let source = Secrets::new(environment.clone(), settings.base.clone());
    let mut missing = Vec::new();
    for (title, from) in secret_sources(&settings) {
        match source.resolve(&from).await {
            Ok(_) => eprintln!("  secret     {title}: {from} has a value"),
            Err(error) => missing.push(format!("secret {title}: {}; {}", error.what, error.remedy)),
        }
    }
    match missing.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Stop::new(Exit::Refused, missing.join("\n"), "give each of them a value")),
    }
}

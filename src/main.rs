//! Parse, run, print the reason, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread or child exists: secrets leave the environment, so that no child can inherit them.
    let environment = relight::cli::take_environment();
    let end = relight::cli::run(&environment);
    if let Err(stop) = &end {
        eprintln!("relight: {stop}");
    }
    ExitCode::from(end.unwrap_or_else(|stop| stop.exit.code()))
}

//! From the process's start to a command.

use super::args::{Cli, Command, DnsCommand};
use super::begin::{self, Purpose};
use super::exit::{Exit, Stop};
use super::worlds::Environment;
use super::{commands, kubectl, prompts, reconstruct, resume, retold, sandbox, taking_down, undo, usage};
use crate::world::Secret;
use clap::FromArgMatches;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Variables whose names say that they hold secrets leave the process's environment, together with the whole environment's
/// copy for secret sources; what is left is what children need (PATH, HOME, SSH_AUTH_SOCK, locale, terminal, proxies).
const LEFT: [&str; 33] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "CLICOLOR",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "COLUMNS",
    "EDITOR",
    "VISUAL",
    "KUBE_EDITOR",
    "PAGER",
    "LESS",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Takes the environment out of the process: every variable but the few that children need. Called before any other thread exists.
pub fn take_environment() -> Environment {
    let mut taken = Environment::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().map(str::to_owned) else { continue };
        taken.insert(name.clone(), Secret::new(value.to_string_lossy().into_owned()));
        if !LEFT.contains(&name.as_str()) {
            std::env::remove_var(&name);
        }
    }
    taken
}

/// Runs the command of the command line. Ends with a code of the table in [`Exit`], or with kubectl's own.
pub fn run(environment: &Environment) -> Result<u8, Stop> {
    let read = usage::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match read {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            return Ok(exit.code());
        }
    };
    log();
    retold::remember(&cli.global);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Stop::new(Exit::Failed, format!("the runtime cannot start: {e}"), ""))?;
    let end = runtime.block_on(command(cli, environment));
    // A blocking read of the terminal must not keep the process.
    runtime.shutdown_background();
    end.map_err(|stop| Stop { what: retold::retold(&stop.what), remedy: retold::retold(&stop.remedy), ..stop })
}

async fn command(cli: Cli, environment: &Environment) -> Result<u8, Stop> {
    match &cli.command {
        Command::Kubectl { run, args } => kubectl::kubectl(&cli.global, environment, run.as_deref(), args).await,
        _ => relights(cli, environment).await.map(Exit::code),
    }
}

/// The commands that end with relight's own exit codes.
async fn relights(cli: Cli, environment: &Environment) -> Result<Exit, Stop> {
    let global = &cli.global;
    match cli.command {
        Command::Rebuild => return begin::begin(global, environment, &Purpose::rebuild()).await,
        Command::Rehearse { keep, budget } => {
            return begin::begin(global, environment, &Purpose::rehearse(keep, budget)).await
        }
        Command::Teardown { which } => return taking_down::teardown(global, environment, &which).await,
        Command::Dns { command: DnsCommand::Undo { run } } => return undo::undo(global, environment, &run).await,
        Command::Sweep => return taking_down::sweep(global, environment).await,
        Command::Resume { run } => return resume::resume(global, environment, run.as_deref()).await,
        Command::Reconstruct { run } => return reconstruct::reconstruct(global, environment, run.as_deref()).await,
        Command::Status { run } => commands::status(global, environment, run.as_deref()).await?,
        Command::Plan { playbook, check: false } => commands::plan(global, &playbook)?,
        Command::Plan { playbook, check: true } => {
            return prompts::interruptible(super::look::plan_check(global, environment, &playbook)).await?
        }
        Command::Validate { secrets: false } => return super::validate::validate(global),
        Command::Validate { secrets: true } => {
            return prompts::interruptible(super::sources::validate(global, environment)).await?
        }
        Command::Kubeconfig { merge } => super::kubeconfig::kubeconfig(global, environment, merge).await?,
        Command::Sandbox { command } => return sandbox::command(global, &command).await,
        Command::Kubectl { .. } => {}
        Command::Schema => commands::schema(),
        Command::Completions { shell } => commands::completions(shell),
    }
    Ok(Exit::Done)
}

/// Logs go to stderr: relight's own from `warn`, more by `RUST_LOG`. Below `info` only relight's targets: h2, hyper and rustls
/// print frames, and frames hold secrets.
fn log() {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let level = ["trace", "debug", "info", "error"].into_iter().find(|level| asked.contains(level)).unwrap_or("warn");
    let filter = EnvFilter::new(format!("warn,relight={level}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

//! The command line.

use crate::sandbox::StartingWorld;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Brings a K3s cluster on Hetzner Cloud behind Cloudflare back: one command, resumable at any instant.
#[derive(Debug, Parser)]
#[command(name = "relight", version, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The cluster's configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = "relight.yaml")]
    pub config: PathBuf,
    /// Where runs are kept.
    #[arg(long, global = true, value_name = "DIR", default_value = "state")]
    pub state: PathBuf,
    /// Playbooks and scripts that replace the ones in the binary, file by file.
    #[arg(long, global = true, value_name = "DIR")]
    pub steps: Option<PathBuf>,
    /// Act in the emulated world instead of the real one.
    #[arg(long, global = true)]
    pub sandbox: bool,
    /// Latencies of the sandbox.
    #[arg(long, global = true, value_enum, default_value_t = Profile::Fast)]
    pub profile: Profile,
    /// One JSON event a line on stdout; everything else on stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// Answer confirm gates with yes. Typed gates, and whatever evidence raised, need --confirm.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Answer typed gates, and whatever evidence raised, with the cluster's name; or a lease that another run holds with that
    /// run's. May be given for both.
    #[arg(long, global = true, value_name = "NAME")]
    pub confirm: Vec<String>,
}

/// Latencies of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Next to none; the clock is the wall's, so that only what relight itself waits for takes time.
    Instant,
    /// As in reality, thirty times as fast.
    Fast,
    /// As in reality.
    Real,
}

impl Profile {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Fast => "fast",
            Self::Real => "real",
        }
    }
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every node is gone: build new ones and serve again.
    Rebuild,
    /// Rebuild on spare nodes in a project of their own (HCLOUD_TOKEN_REHEARSAL), then take everything down again.
    Rehearse {
        /// Leave the nodes until they expire (`rehearsal.expires_after`); they cost until somebody deletes them.
        #[arg(long)]
        keep: bool,
        /// Refuse beforehand if it would cost more than this, in euro, net. Default: `rehearsal.budget`.
        #[arg(long, value_name = "EUR")]
        budget: Option<f64>,
    },
    /// Delete what rehearsals left, or the living cluster: by labels, shown by id first.
    Teardown {
        /// What to delete.
        #[command(flatten)]
        which: Which,
    },
    /// Delete what has expired of rehearsals, and nothing else. Made for cron.
    Sweep,
    /// The cluster's records.
    Dns {
        /// What to do with them.
        #[command(subcommand)]
        command: DnsCommand,
    },
    /// Go on with a run that was interrupted or failed.
    Resume {
        /// The run's id; needed where several are unfinished.
        run: Option<String>,
    },
    /// The state directory is lost: make a run's journal anew from the labels of what it made, then `relight resume` it.
    Reconstruct {
        /// The run's id; needed where what is there is of several runs.
        #[arg(long, value_name = "ID")]
        run: Option<String>,
    },
    /// Show the last run.
    Status {
        /// The run's id.
        run: Option<String>,
    },
    /// Show what a playbook would do, offline.
    Plan {
        /// Its name.
        #[arg(default_value = "rebuild")]
        playbook: String,
        /// Also look at the world: what is done already, and what is not.
        #[arg(long)]
        check: bool,
    },
    /// Check configuration, playbooks, manifests and scripts.
    Validate {
        /// Also resolve every secret now, as preflight does: programs run, prompts are put. No value is shown.
        #[arg(long)]
        secrets: bool,
    },
    /// The emulated world.
    Sandbox {
        /// What to do with it.
        #[command(subcommand)]
        command: SandboxCommand,
    },
    /// Run kubectl against the cluster, through SSH.
    Kubectl {
        /// The run whose cluster it is: a kept rehearsal's (HCLOUD_TOKEN_REHEARSAL), say. Default: the last live run.
        #[arg(long, value_name = "ID")]
        run: Option<String>,
        /// kubectl's arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Print the cluster's kubeconfig, or merge it into your own.
    Kubeconfig {
        /// Merge cluster, user and context into the first file of KUBECONFIG, or ~/.kube/config; everything else in it stays.
        #[arg(long)]
        merge: bool,
    },
    /// Print the JSON Schema of relight.yaml.
    Schema,
    /// Print shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What a teardown deletes.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Everything of rehearsals that nobody is running now.
    #[arg(long)]
    pub rehearsals: bool,
    /// Everything that this rehearsal made.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// The living cluster, for good: servers, disks, records. Wants its name typed (or --confirm NAME); --yes does not do.
    #[arg(long)]
    pub live: bool,
}

/// Commands of the records.
#[derive(Debug, Subcommand)]
pub enum DnsCommand {
    /// Put back the records of before a run, after showing the difference. Refused where an address is no longer held.
    Undo {
        /// The run's id.
        run: String,
    },
}

/// Commands of the sandbox.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Start it, in a process of its own.
    Start {
        /// The world it starts in; without it there is nothing in it but projects and zone.
        #[arg(long, value_parser = PossibleValuesParser::new(StartingWorld::WORDS))]
        world: Option<String>,
    },
    /// Stop it; its world is gone.
    Stop,
    /// Say what is in it.
    Status,
    /// Print `export NAME=value` lines for other clients.
    Env,
    /// Put it into another world: a disaster, or a cluster that serves. What was in it is gone.
    Break {
        /// `total-loss`; `healthy`: the cluster serves; `hand-made`: it serves, and nothing carries a label.
        disaster: String,
    },
    /// Serve it in this process.
    #[command(hide = true)]
    Serve,
}

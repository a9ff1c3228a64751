//! `relight kubectl`: kubectl against the last run's cluster, through an SSH tunnel to the first of its nodes that answers.

use super::args::Global;
use super::drive::title;
use super::exit::{no_temporary_directory, Exit, Stop};
use super::worlds::{self, Environment};
use super::{card, commands, kept, kubeconfig, prepare, runs};
use crate::actions::{FactKind, Facts, Mode};
use crate::config::{Settings, TakenDown};
use crate::world::{Host, Identity, NobodyThere, World, WorldKind};
use std::fs::Permissions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Stdio;
use std::sync::Arc;
use tokio::signal::unix::{signal, SignalKind};

/// The kubeconfig in the directory that one kubectl gets.
const CONFIG: &str = "config";

/// A directory that nobody else can read, gone with the value: for the kubeconfig, and for what kubectl keeps.
fn for_kubectl(kubeconfig: &str) -> std::io::Result<tempfile::TempDir> {
    let place =
        tempfile::Builder::new().prefix("relight-kubectl").permissions(Permissions::from_mode(0o700)).tempdir()?;
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(place.path().join(CONFIG))?
        .write_all(kubeconfig.as_bytes())?;
    Ok(place)
}

/// A tunnel to the API of the first node that lets one in, in the configuration's order, and which node that is: two of three serve,
/// and it may be the first that is off.
async fn tunnelled(
    world: &World,
    settings: &Settings,
    facts: &Facts,
    identity: &Identity,
) -> Result<(SocketAddr, String), Stop> {
    let mut failed: Vec<(&str, Stop)> = Vec::new();
    for node in &settings.nodes {
        match tunnel(world, settings, facts, identity, &node.key).await {
            Ok(tunnel) => {
                for (node, stop) in &failed {
                    eprintln!("{node}: {}", stop.what);
                }
                return Ok((tunnel, node.key.clone()));
            }
            Err(error) => failed.push((&node.key, Stop::from(error))),
        }
    }
    let what = failed.iter().map(|(node, stop)| format!("{node}: {}", stop.what)).collect::<Vec<_>>().join("\n  ");
    let (exit, remedy) = failed.into_iter().next().map_or((Exit::Failed, String::new()), |(_, s)| (s.exit, s.remedy));
    Err(Stop::new(exit, what, remedy))
}

async fn tunnel(
    world: &World,
    settings: &Settings,
    facts: &Facts,
    identity: &Identity,
    node: &str,
) -> crate::world::Result<SocketAddr> {
    let host = Host {
        address: facts.address(FactKind::NodeAddress, node)?,
        user: settings.cloud.user.clone(),
        host_keys: vec![facts.text(FactKind::HostKey, Some(node))?.to_owned()],
        identity: identity.clone(),
    };
    world.shell.tunnel(&host, 6443).await
}

/// Runs kubectl with these arguments; ends with its exit code.
pub async fn kubectl(
    global: &Global,
    environment: &Environment,
    named: Option<&str>,
    args: &[String],
) -> Result<u8, Stop> {
    let settings = prepare::settings(global)?;
    kept::leftovers(global, &settings).await?;
    let all = runs::whole(runs::all(&global.state, &commands::kinds(global), &settings.cluster)?);
    let run = match named {
        None => kubeconfig::last_run(all)?,
        Some(id) => {
            let none = || Stop::usage(format!("there is no run {id}"), "`relight status` shows the last one");
            all.into_iter().find(|run| run.id == id).ok_or_else(none)?
        }
    };
    let mode = run.state.started.as_ref().and_then(|first| Mode::from_word(&first.mode)).unwrap_or(Mode::Live);
    // A rehearsal's nodes are in its own project.
    let settings = match mode {
        Mode::Live => settings,
        Mode::Rehearsal => settings.taking_down(TakenDown::Rehearsals(Vec::new())),
    };
    let uid = run.state.started.as_ref().map(|s| s.world_uid.clone()).unwrap_or_default();
    let card = match run.world {
        WorldKind::Sandbox => Some(card::required(&global.state, &settings.cluster, &uid)?),
        _ => None,
    };
    let world = worlds::world(&settings, environment, card.as_ref(), &run.directory, Arc::new(NobodyThere))?;
    let facts = &run.state.facts;
    let identity = match facts.logs_in_as_the_operator() && !kept::has(&run, kept::IDENTITY) {
        true => Identity::Own,
        false => Identity::Key(kept::secret(&run, kept::IDENTITY, &settings, environment).await?),
    };
    let (tunnel, node) = tunnelled(&world, &settings, facts, &identity).await?;
    let kubeconfig = kept::secret(&run, kept::KUBECONFIG, &settings, environment).await?;
    let kubeconfig = kubeconfig::pointed(kubeconfig.expose(), &tunnel.to_string(), &settings.cluster)?;
    let place = for_kubectl(&kubeconfig).map_err(|e| no_temporary_directory(&e))?;
    let mut child = tokio::process::Command::new("kubectl");
    child.args(args).stdin(Stdio::inherit());
    // kubectl keeps what it discovered by the server's port, which is another one each time: nobody would find it again.
    child.env("KUBECONFIG", place.path().join(CONFIG)).env("KUBECACHEDIR", place.path().join("cache"));
    eprintln!("{} · cluster {} · through {node}", title(run.world, mode), settings.cluster);
    // A Ctrl-C is kubectl's: it ends, and then what it was given is removed.
    let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
    let caught = (signal(interrupt), signal(terminate));
    let status = child.status().await.map_err(|e| Stop::usage(format!("kubectl: {e}"), "install kubectl"))?;
    drop(caught);
    // Its own codes mean something to scripts: `kubectl diff` ends with 1 where something differs.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(Exit::Interrupted.code()))
}

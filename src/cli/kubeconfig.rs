//! `relight kubeconfig`: the cluster's kubeconfig for the operator, printed, or merged into the operator's own when asked.

use super::args::Global;
use super::exit::Stop;
use super::merge::{self, Mark};
use super::retold::{quoted, retold};
use super::runs::KeptRun;
use super::say::say;
use super::worlds::Environment;
use super::{commands, kept, prepare, runs};
use crate::actions::{FactKind, Mode};
use crate::config::Settings;
use crate::world::{Addresses, WorldKind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

/// What the API server's certificate is checked for: K3s puts it into every certificate that it issues.
const SERVER_NAME: &str = "127.0.0.1";
/// The port of the Kubernetes API.
const API: u16 = 6443;
/// The port of SSH.
const SSH: u16 = 22;

/// `relight kubeconfig [--merge]`.
pub async fn kubeconfig(global: &Global, environment: &Environment, merge: bool) -> Result<(), Stop> {
    let settings = prepare::settings(global)?;
    kept::leftovers(global, &settings).await?;
    let all = runs::whole(runs::all(&global.state, &commands::kinds(global), &settings.cluster)?);
    let uid = |run: &KeptRun| run.state.started.as_ref().map(|s| s.world_uid.clone()).unwrap_or_default();
    let kept_runs: Vec<_> = all.iter().map(|run| (run.world, uid(run))).collect();
    let run = last_run(all)?;
    let text = kept::secret(&run, kept::KUBECONFIG, &settings, environment).await?;
    let (server, reach) = reached(&settings, &run)?;
    // Its own names: a sandbox's context must not stand where production's is looked for.
    let name = match run.world {
        WorldKind::Real => settings.cluster.clone(),
        other => format!("{}-{}", settings.cluster, other.word()),
    };
    let text = pointed(text.expose(), &server, &name)?;
    if merge {
        let known: BTreeSet<String> =
            kept_runs.into_iter().filter(|(world, _)| *world == run.world).map(|(_, uid)| uid).collect();
        let mark = Mark { cluster: name.clone(), world: run.world.word().to_owned(), uid: uid(&run) };
        let merged = merge::merge(&files(environment)?, &text, &mark, &known)?;
        merged.told().iter().for_each(|line| say!("{line}"));
        eprintln!("{reach}");
        say!("use it: kubectl --context {name} get nodes");
    } else {
        let yaml = merge::yaml(&text)?;
        // Whoever reads may be gone.
        let _ = std::io::stdout().write_all(yaml.as_bytes());
        eprintln!("{reach}");
    }
    Ok(())
}

/// The newest live run that has a kubeconfig: a real one where there is any.
pub fn last_run(mut all: Vec<KeptRun>) -> Result<KeptRun, Stop> {
    let live = |run: &KeptRun| run.state.started.as_ref().is_some_and(|s| s.mode == Mode::Live.word());
    all.retain(|run| kept::has(run, kept::KUBECONFIG) && live(run));
    // What is real comes first: a sandbox that was tried last week must not stand before production.
    let real: Vec<bool> = all.iter().map(|run| run.world == WorldKind::Real).collect();
    if real.contains(&true) {
        all.retain(|run| run.world == WorldKind::Real);
    }
    let none = || Stop::usage("no run has fetched a kubeconfig yet", "`relight rebuild` makes a cluster");
    all.pop().ok_or_else(none)
}

/// The address that the kubeconfig names, and from where it answers.
fn reached(settings: &Settings, run: &KeptRun) -> Result<(String, String), Stop> {
    let first = settings.first().map(|n| n.key.clone()).unwrap_or_default();
    let node = run.state.facts.address(FactKind::NodeAddress, &first)?;
    let open = &settings.cloud.api_access;
    if !open.is_empty() {
        let server = std::net::SocketAddr::new(node, API).to_string();
        let reach = format!("it names https://{server}, which answers {} alone (`api_access`)", open.join(", "));
        return Ok((server, reach));
    }
    let server = format!("{SERVER_NAME}:{API}");
    let reach = format!(
        "it names https://{server}: the API is open to nobody outside (`api_access` is empty), so it needs a tunnel first. \
         `relight kubectl -- ...` makes its own; {}",
        tunnel(settings, run, node, &server)
    );
    Ok((server, retold(&reach)))
}

/// How other programs than relight get a tunnel: with a key that the nodes know.
fn tunnel(settings: &Settings, run: &KeptRun, node: IpAddr, server: &str) -> String {
    let addresses = match run.world {
        WorldKind::Sandbox => Addresses::sandbox(),
        _ => Addresses::identity(),
    };
    let port = match addresses.port(SSH) {
        SSH => String::new(),
        moved => format!(" -p {moved}"),
    };
    let own = run.directory.join(kept::IDENTITY);
    let (with, key) = if run.state.facts.logs_in_as_the_operator() {
        ("with your own keys", String::new())
    } else if !settings.cloud.authorized_keys.is_empty() {
        ("with a key of `ssh_authorized_keys`", String::new())
    } else if own.exists() {
        ("with the run's own key", format!(" -i {}", quoted(&own.display().to_string())))
    } else {
        return "other programs need a key that the nodes know: `ssh_authorized_keys` names none, and the run's own is encrypted"
            .to_owned();
    };
    format!("for other programs, {with}: ssh -N -L {API}:{server}{port}{key} {}@{node}", settings.cloud.user)
}

/// The files that kubectl reads, in its order. Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files".
fn files(environment: &Environment) -> Result<Vec<PathBuf>, Stop> {
    let text = |name: &str| environment.get(name).and_then(|value| value.expose_str()).unwrap_or_default();
    let listed: Vec<PathBuf> =
        std::env::split_paths(text("KUBECONFIG")).filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return Ok(listed);
    }
    match text("HOME") {
        "" => Err(Stop::usage("neither KUBECONFIG nor HOME is set", "export KUBECONFIG with the file to merge into")),
        home => Ok(vec![PathBuf::from(home).join(".kube").join("config")]),
    }
}

/// The kubeconfig with its server replaced structurally, and its names those of the cluster.
pub fn pointed(kubeconfig: &[u8], server: &str, cluster: &str) -> Result<String, Stop> {
    let broken = |why: String| {
        Stop::usage(format!("the kept kubeconfig cannot be read: {why}"), "`relight resume` fetches it again")
    };
    let mut config: Value = serde_yaml::from_slice(kubeconfig).map_err(|e| broken(e.to_string()))?;
    for (list, inner) in [("clusters", "cluster"), ("users", "user"), ("contexts", "context")] {
        let entries = config.get_mut(list).and_then(Value::as_array_mut);
        let entry = entries.and_then(|e| e.first_mut()).ok_or_else(|| broken(format!("it has no {list}")))?;
        let entry = entry.as_object_mut().ok_or_else(|| broken(format!("its {list} are no objects")))?;
        entry.insert("name".to_owned(), cluster.into());
        let content = entry.get_mut(inner).and_then(Value::as_object_mut);
        let content = content.ok_or_else(|| broken(format!("its {list} have no {inner}")))?;
        if list == "clusters" {
            content.insert("server".to_owned(), format!("https://{server}").into());
            content.insert("tls-server-name".to_owned(), SERVER_NAME.into());
        }
        if list == "contexts" {
            content.insert("cluster".to_owned(), cluster.into());
            content.insert("user".to_owned(), cluster.into());
        }
    }
    if let Some(config) = config.as_object_mut() {
        config.insert("current-context".to_owned(), cluster.into());
    }
    Ok(config.to_string())
}

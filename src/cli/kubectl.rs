//! `relight kubectl`: kubectl against the last run's cluster, through an SSH tunnel to its first node.

use super::args::Global;
use super::exit::{Exit, Stop};
use super::worlds::{self, Environment};
use super::{card, commands, kept, prepare, runs};
use crate::actions::FactKind;
use crate::world::{Host, NobodyThere, WorldKind};
use std::process::Stdio;
use std::sync::Arc;

/// Where kubectl is told the API server is: in every certificate that K3s issues.
const SERVER_NAME: &str = "127.0.0.1";

/// Runs kubectl with these arguments; ends with its exit code where it has one that relight has too, else 1.
pub async fn kubectl(global: &Global, environment: &Environment, args: &[String]) -> Result<Exit, Stop> {
    let settings = prepare::settings(global)?;
    kept::leftovers(global, &settings).await?;
    let mut all = runs::all(&global.state, &commands::kinds(global), &settings.cluster)?;
    all.retain(|run| kept::has(run, kept::KUBECONFIG));
    let none = || Stop::usage("no run has fetched a kubeconfig yet", "`relight rebuild` makes a cluster");
    let run = all.pop().ok_or_else(none)?;
    let uid = run.state.started.as_ref().map(|s| s.world_uid.clone()).unwrap_or_default();
    let card = match run.world {
        WorldKind::Sandbox => Some(card::required(&global.state, &settings.cluster, &uid)?),
        _ => None,
    };
    let world = worlds::world(&settings, environment, card.as_ref(), &run.directory, Arc::new(NobodyThere))?;
    let first = settings.first().map(|n| n.key.clone()).unwrap_or_default();
    let facts = &run.state.facts;
    let host = Host {
        address: facts.address(FactKind::NodeAddress, &first)?,
        user: settings.cloud.user.clone(),
        host_keys: vec![facts.text(FactKind::HostKey, Some(&first))?.to_owned()],
        identity: kept::secret(&run, kept::IDENTITY, &settings, environment).await?,
    };
    let tunnel = world.shell.tunnel(&host, 6443).await?;
    let kubeconfig = kept::secret(&run, kept::KUBECONFIG, &settings, environment).await?;
    let kubeconfig = pointed(kubeconfig.expose(), &tunnel.to_string(), &settings.cluster)?;
    let file = tempfile::Builder::new().prefix("relight-kubeconfig").tempfile();
    let file = file.and_then(|file| std::fs::write(file.path(), kubeconfig).map(|()| file));
    let file = file.map_err(|e| Stop::usage(format!("no temporary file: {e}"), ""))?;
    let mut child = tokio::process::Command::new("kubectl");
    child.args(args).env("KUBECONFIG", file.path()).stdin(Stdio::inherit());
    let status = child.status().await.map_err(|e| Stop::usage(format!("kubectl: {e}"), "install kubectl"))?;
    Ok(match status.code() {
        Some(0) => Exit::Done,
        _ => Exit::Failed,
    })
}

/// The kubeconfig with its server replaced structurally, and its names those of the cluster.
pub fn pointed(kubeconfig: &[u8], server: &str, cluster: &str) -> Result<String, Stop> {
    let broken = |why: String| {
        Stop::usage(format!("the kept kubeconfig cannot be read: {why}"), "`relight resume` fetches it again")
    };
    let mut config: serde_json::Value = serde_yaml::from_slice(kubeconfig).map_err(|e| broken(e.to_string()))?;
    for (list, inner) in [("clusters", "cluster"), ("users", "user"), ("contexts", "context")] {
        let entries = config.get_mut(list).and_then(serde_json::Value::as_array_mut);
        let entry = entries.and_then(|e| e.first_mut()).ok_or_else(|| broken(format!("it has no {list}")))?;
        let entry = entry.as_object_mut().ok_or_else(|| broken(format!("its {list} are no objects")))?;
        entry.insert("name".to_owned(), cluster.into());
        let content = entry.get_mut(inner).and_then(serde_json::Value::as_object_mut);
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

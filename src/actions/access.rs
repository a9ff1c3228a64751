//! How a step reaches a node or the API server: addresses and pinned keys from facts, secrets from the run's files.

use super::{FactKind, StepContext};
use crate::world::{self, ApiAt, Error, Host, Identity, Result, Script, Secret, Server};
use std::collections::BTreeMap;
use std::io;

/// The run's private key.
pub(super) const IDENTITY: &str = "secrets/ssh_ed25519";
/// The cluster's admin kubeconfig.
pub(super) const KUBECONFIG: &str = "secrets/kubeconfig";
/// The K3s token of the servers.
pub(super) const K3S_TOKEN: &str = "secrets/k3s-token";

/// The code of the error by which the engine learns that the run's files cannot be written. The journal is one of them, and most
/// often they fail for the same reason: nothing more is done.
pub const UNWRITTEN: &str = "run_files_unwritten";

/// A file of the run could not be written.
pub(super) fn unwritten(cx: &StepContext<'_>, name: &str, error: &io::Error) -> Error {
    Error::fatal(format!("{}/{name} cannot be written: {error}", cx.world.files.place()))
        .code(UNWRITTEN)
        .remedy("make room or mend the disk, then `relight resume`")
}

/// A file of the run could not be read.
pub(super) fn file_error(cx: &StepContext<'_>, name: &str, error: &io::Error) -> Error {
    Error::fatal(format!("{}/{name}: {error}", cx.world.files.place())).remedy("make the state directory readable")
}

/// A secret that the run keeps, `None` where it has none of that name yet.
pub(super) async fn kept(cx: &StepContext<'_>, name: &str) -> Result<Option<Secret>> {
    let bytes = cx.world.files.read(name).await.map_err(|e| file_error(cx, name, &e))?;
    Ok(bytes.map(Secret::new))
}

/// Keeps a secret, durably, before anything is done with it.
pub(super) async fn keep(cx: &StepContext<'_>, name: &str, value: &Secret) -> Result<()> {
    cx.world.files.write(name, value.expose()).await.map_err(|e| unwritten(cx, name, &e))
}

/// A kept secret, made where there is none.
pub(super) async fn kept_or(cx: &StepContext<'_>, name: &str, make: impl FnOnce() -> Result<Secret>) -> Result<Secret> {
    if let Some(value) = kept(cx, name).await? {
        return Ok(value);
    }
    let value = make()?;
    keep(cx, name, &value).await?;
    Ok(value)
}

/// A new private key in OpenSSH's format.
pub(super) fn new_key(cx: &StepContext<'_>, comment: &str) -> Result<Secret> {
    Ok(world::RunKeys::ed25519(random_seed(cx), comment)?.private_openssh)
}

/// 32 fresh random bytes.
pub(super) fn random_seed(cx: &StepContext<'_>) -> [u8; 32] {
    let mut seed = [0u8; 32];
    cx.world.random.fill(&mut seed);
    seed
}

/// How to reach a node by SSH. Accepted keys: the final one once it is known, before that the first and the announced one.
pub(super) async fn host(cx: &StepContext<'_>, node: &str) -> Result<Host> {
    let known = |kind| cx.facts.find(kind, Some(node)).map(str::to_owned);
    let host_keys = match known(FactKind::HostKey) {
        Some(key) => vec![key],
        None => [known(FactKind::FirstHostKey), known(FactKind::NextHostKey)].into_iter().flatten().collect(),
    };
    Ok(Host {
        address: cx.facts.address(FactKind::NodeAddress, node)?,
        user: cx.settings().cloud.user.clone(),
        host_keys,
        identity: identity(cx).await?,
    })
}

/// Where the node's first host key lies in the run's secrets.
pub(super) fn host_key_file(node: &str) -> String {
    format!("secrets/host-{node}")
}

/// The host key that a server's label vouches for.
pub(super) enum Vouched {
    /// The server shows it.
    Key(String),
    /// Nobody shows one there now.
    Silent,
    /// There is none; why not.
    No(String),
}

/// The host key of a server whose label is all that is left of what was known of it. The label holds half of a SHA-256, so that
/// nobody can show another key that has it.
pub(super) async fn vouched(cx: &StepContext<'_>, server: &Server) -> Result<Vouched> {
    let Some(label) = server.labels.get(world::HOST_KEY) else {
        return Ok(Vouched::No("its host key was not recorded yet, and is lost".to_owned()));
    };
    let shown = match server.public_ip {
        Some(ip) => cx.world.shell.seen_host_key(ip.into()).await?,
        None => None,
    };
    let Some(shown) = shown else { return Ok(Vouched::Silent) };
    Ok(match world::fingerprint_label(&shown)? == *label {
        true => Vouched::Key(shown),
        false => Vouched::No("it shows another host key than the one that its label is of".to_owned()),
    })
}

/// As whom this run logs in: with its own key, or as the operator where it has none and its facts say so.
async fn identity(cx: &StepContext<'_>) -> Result<Identity> {
    match kept(cx, IDENTITY).await? {
        Some(key) => Ok(Identity::Key(key)),
        None if cx.facts.logs_in_as_the_operator() => Ok(Identity::Own),
        None => Err(Error::fatal("the run's SSH key is missing from its secrets").remedy("start a new run")),
    }
}

/// The API server behind a node.
pub(super) async fn api(cx: &StepContext<'_>, node: &str) -> Result<ApiAt> {
    let missing =
        || Error::fatal("the kubeconfig is missing from the run's secrets").remedy("`relight resume` fetches it");
    let kubeconfig = kept(cx, KUBECONFIG).await?.ok_or_else(missing)?;
    Ok(ApiAt { host: host(cx, node).await?, kubeconfig })
}

/// The key of the node that starts the cluster.
pub(super) fn first<'a>(cx: &StepContext<'a>) -> Result<&'a str> {
    let first = cx.settings().first().map(|n| n.key.as_str());
    first.ok_or_else(|| Error::fatal("the configuration has no nodes"))
}

/// A script with its input.
pub(super) fn script(cx: &StepContext<'_>, name: &str, verb: &str, input: BTreeMap<String, Secret>) -> Result<Script> {
    let body = cx.place.scripts.get(name).cloned();
    let body = body.ok_or_else(|| Error::fatal(format!("there is no script {name}")).remedy("see steps/scripts"))?;
    Ok(Script { name: name.to_owned(), body, verb: verb.to_owned(), input })
}

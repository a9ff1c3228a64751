//! `access.regain`, `servers.give_up`: after a run's state was lost, whether this one can still log in to the servers that the
//! run made. Where it cannot, and none of them has served yet, they are made again.
//!
//! All of them or none: what nobody can look into may be a member of the others' cluster. Only a run that was reconstructed
//! asks any of this; every other one holds what it has made its servers with.

use super::access::{self, Vouched};
use super::dns::zone;
use super::old::serves;
use super::server_end;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{self, Ended, Error, Host, Identity, Result, Secret, Server, ServerStatus, Target};
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// The script that reads on a node what its run has lost, and lets the run's new key in.
const SCRIPT: &str = "regain.sh";

/// Why nobody can log in where the operator's own keys were never let in.
const NO_KEY: &str = "the run's SSH key is lost, and relight.yaml names no other (`cloud.ssh_authorized_keys`)";

/// Makes sure of a way in, and finds the K3s token again.
pub(super) struct Access;

/// How a server is that was made before the state was lost.
enum Standing {
    /// The operator's own keys open it; the K3s token that it has.
    Open(Option<Secret>),
    /// It is on its way, or silent: what is waited for.
    Soon(String),
    /// Nobody can log in; why not.
    Shut(String),
}

/// The servers of this run that are from before its state was lost.
async fn from_before(cx: &StepContext<'_>) -> Result<Vec<Server>> {
    if !cx.settings().nodes.iter().any(|node| cx.facts.is_from_before(&node.key)) {
        return Ok(Vec::new());
    }
    let (mut before, given_up) = (Vec::new(), cx.facts.given_up());
    for server in of_run(cx).await?.into_iter().filter(|server| !given_up.contains(&server.id)) {
        // One that this very state made has its first host key there.
        let node = server.labels.get(world::NODE).cloned().unwrap_or_default();
        if access::kept(cx, &access::host_key_file(&node)).await?.is_none() {
            before.push(server);
        }
    }
    Ok(before)
}

async fn of_run(cx: &StepContext<'_>) -> Result<Vec<Server>> {
    let all = cx.world.cloud.servers(&world::selector(&cx.settings().cluster, Some(&cx.place.run.id))).await?;
    Ok(all.into_iter().filter(|server| !server.labels.contains_key(world::STATE)).collect())
}

/// The script's input and end, as the operator logs in.
pub(super) async fn as_operator(cx: &StepContext<'_>, host: Host, key: Option<&str>) -> Result<Ended> {
    let host = Host { identity: Identity::Own, ..host };
    let script = access::script(cx, SCRIPT, "check", input(cx, key))?;
    super::node::well(SCRIPT, "check", cx.world.shell.look(&host, &script).await?)
}

/// Puts the run's key onto a node, as the operator.
pub(super) async fn let_in(cx: &StepContext<'_>, host: Host, key: &str) -> Result<()> {
    let host = Host { identity: Identity::Own, ..host };
    let script = access::script(cx, SCRIPT, "apply", input(cx, Some(key)))?;
    let permit = cx.effects.permit(Target::Node { address: host.address }, "let the run's new key in").await?;
    super::node::well(SCRIPT, "apply", cx.world.shell.run(&permit, &host, &script).await?).map(|_| ())
}

fn input(cx: &StepContext<'_>, key: Option<&str>) -> BTreeMap<String, Secret> {
    let pairs = [("DEPLOY_USER", cx.settings().cloud.user.as_str()), ("KEY", key.unwrap_or_default())];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), Secret::new(value))).collect()
}

impl Access {
    async fn standing(cx: &StepContext<'_>, server: &Server) -> Result<Standing> {
        let Server { name, id, .. } = server;
        let key = match access::vouched(cx, server).await? {
            Vouched::No(why) => return Ok(Standing::Shut(why)),
            // Powered on it would let nobody in either; it may be off because it was given up, and the state then lost again.
            Vouched::Silent if server.status == ServerStatus::Off && cx.settings().cloud.authorized_keys.is_empty() => {
                return Ok(Standing::Shut(NO_KEY.to_owned()))
            }
            Vouched::Silent if server.status == ServerStatus::Off => {
                return Ok(Standing::Soon(format!(
                    "server {name} (id {id}) is off: power it on in the cloud's console"
                )))
            }
            Vouched::Silent => {
                return Ok(Standing::Soon(format!(
                    "server {name} (id {id}) does not answer by SSH: see that it runs; where it is lost, delete it in the cloud's \
                     console, then `relight resume`, which makes it again"
                )))
            }
            Vouched::Key(key) => key,
        };
        let Some(address) = server.public_ip else { return Ok(Standing::Shut("it has no address".to_owned())) };
        if cx.settings().cloud.authorized_keys.is_empty() {
            return Ok(Standing::Shut(NO_KEY.to_owned()));
        }
        let user = cx.settings().cloud.user.clone();
        let host = Host { address: address.into(), user, host_keys: vec![key], identity: Identity::Own };
        match as_operator(cx, host, None).await {
            Ok(ended) => {
                let token = ended.value("k3s_token").filter(|token| !token.is_empty());
                Ok(Standing::Open(token.map(|token| Secret::new(token.to_owned()))))
            }
            Err(error) if error.is("permission_denied") => {
                Ok(Standing::Shut(format!("the run's SSH key is lost, and your own do not open it ({})", error.what)))
            }
            Err(error) => Err(error),
        }
    }

    /// What is known of each server; the token of the first that has one.
    async fn found(cx: &StepContext<'_>) -> Result<Found> {
        let servers = from_before(cx).await?;
        let standings = join_all(servers.iter().map(|server| Self::standing(cx, server))).await;
        let mut found = Found::default();
        for (server, standing) in servers.iter().zip(standings) {
            match standing? {
                Standing::Open(token) => found.token = found.token.or(token),
                Standing::Soon(text) => found.soon.push(text),
                Standing::Shut(why) => found.shut.push((server.clone(), why)),
            }
        }
        Ok(found)
    }

    /// Which of the run's servers already serve, or may: a name points at it, or it answers the health check. The worker comes
    /// after that.
    async fn serving(cx: &StepContext<'_>, servers: &[Server]) -> Result<Vec<String>> {
        let dns = &cx.settings().dns;
        let records = match dns.hosts.is_empty() {
            true => Vec::new(),
            false => cx.world.dns.records(&zone(cx).await?, &dns.hosts).await?,
        };
        let mut serving = Vec::new();
        for server in servers {
            let Some(address) = server.public_ip else { continue };
            let named = records.iter().any(|record| record.content == address.to_string());
            let up = server.status != ServerStatus::Off;
            if named || (up && serves(cx, Some(address.into())).await?) {
                serving.push(server.name.clone());
            }
        }
        Ok(serving)
    }

    async fn shut(cx: &StepContext<'_>, shut: &[(Server, String)]) -> Result<Check> {
        let servers = of_run(cx).await?;
        let serving = Self::serving(cx, &servers).await?;
        let why: Vec<String> = shut.iter().map(|(s, why)| format!("server {} (id {}): {why}", s.name, s.id)).collect();
        let why = why.join("\n");
        if !serving.is_empty() {
            return Err(serves_already(shut, &serving, &why));
        }
        let names: Vec<String> = servers.iter().map(|s| format!("{} (id {})", s.name, s.id)).collect();
        let ids: Vec<String> = servers.iter().map(|s| s.id.to_string()).collect();
        let text = format!(
            "nobody can log in to what this run made before its state was lost:\n{why}\nNone of its servers has served yet: \
             accepted, all of them are powered off, deleted with their disks and made again: {}",
            names.join(", ")
        );
        Ok(Check::Against(text, Facts::none().with(FactKind::GivenUp, ids.join(" "))))
    }
}

/// What serves is not made again: what is on its disk may be all that there is of it.
fn serves_already(shut: &[(Server, String)], serving: &[String], why: &str) -> Error {
    let what = format!("nobody can log in to what this run made, and {} serves already:\n{why}", serving.join(", "));
    let closed: Vec<&str> = shut.iter().map(|(server, _)| server.name.as_str()).collect();
    let remedy = match closed.iter().any(|name| serving.iter().any(|other| other == name)) {
        true => "let one of your keys in (the cloud's console, rescue system: /home/<cloud.user>/.ssh/authorized_keys), name it \
                 in `cloud.ssh_authorized_keys`, then `relight resume`; or give this run up: delete its state directory, and \
                 `relight rebuild` makes new servers and fences these"
            .to_owned(),
        // The others open: deleted by hand, they are servers that were lost while the run went on.
        false => {
            format!("delete {} in the cloud's console, then `relight resume`, which makes it again", closed.join(", "))
        }
    };
    Error::refused(what).remedy(remedy)
}

#[derive(Default)]
struct Found {
    token: Option<Secret>,
    soon: Vec<String>,
    shut: Vec<(Server, String)>,
}

#[async_trait]
impl Action for Access {
    fn describe(&self, _place: &Place<'_>) -> String {
        "make sure that the run can log in to the servers that it has made".to_owned()
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "user": place.settings.cloud.user, "keys": place.settings.cloud.authorized_keys })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::GivenUp]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let found = Self::found(cx).await?;
        if !found.shut.is_empty() {
            return Self::shut(cx, &found.shut).await;
        }
        if !found.soon.is_empty() {
            return Ok(Check::Pending(found.soon.join("; ")));
        }
        // Made by a later step where no node has one: two tokens would be two clusters.
        if found.token.is_some() && access::kept(cx, access::K3S_TOKEN).await?.is_none() {
            return Ok(Check::Needed("the cluster's token, as a node has it".to_owned()));
        }
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        match Self::found(cx).await?.token {
            Some(token) => access::keep(cx, access::K3S_TOKEN, &token).await,
            None => Ok(()),
        }
    }
}

/// Deletes the servers that a person gave up.
pub(super) struct GiveUp;

impl GiveUp {
    async fn doomed(cx: &StepContext<'_>) -> Result<Vec<Server>> {
        let given_up = cx.facts.given_up();
        if given_up.is_empty() {
            return Ok(Vec::new());
        }
        Ok(of_run(cx).await?.into_iter().filter(|server| given_up.contains(&server.id)).collect())
    }
}

#[async_trait]
impl Action for GiveUp {
    fn describe(&self, _place: &Place<'_>) -> String {
        "delete servers of this run that were given up, to make them again".to_owned()
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::GivenUp]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let doomed = Self::doomed(cx).await?;
        let names: Vec<&str> = doomed.iter().map(|s| s.name.as_str()).collect();
        Ok(match names.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("to be deleted: {}", names.join(", "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let target = |id| Target::GivenUp { id };
        server_end::end(cx, &Self::doomed(cx).await?, target, "nobody can log in to it").await
    }
}

//! `node.ready` and `node.script`: waiting for a node, and running a script of `steps/scripts` on it.

use super::{access, living, regain};
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::Settings;
use crate::world::{Class, Ended, Error, Host, Result, Secret, Target};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Waits until the node answers by SSH with its pinned key and cloud-init is done.
pub(super) struct Ready;

#[async_trait]
impl Action for Ready {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("wait until {} has booted and cloud-init is done", node_name(place))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "user": place.settings.cloud.user })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::FirstHostKey]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let host = access::host(cx, &cx.node()?.key).await?;
        let script = access::script(cx, "probe.sh", "check", BTreeMap::new())?;
        match cx.world.shell.look(&host, &script).await {
            Err(error) if error.is("permission_denied") && Self::lost_its_key(cx)? => {
                Self::as_operator(cx, host, &error).await
            }
            Err(error) if error.class == Class::Transient => Ok(Check::Pending(error.what)),
            // Where systemd holds port 22, sshd may answer before cloud-init has put the node's key in place. Nothing is sent to
            // it; one that stays is another machine, or a node that never got its key.
            Err(error) if error.is("host_key") => Ok(Check::Pending(format!("{}; {}", error.what, error.remedy))),
            Err(error) => Err(error),
            Ok(ended) => match ended.value("cloud_init") {
                Some("done" | "disabled") => Ok(Check::Done(Facts::none())),
                Some("error") => {
                    Ok(Check::Refused("cloud-init ended with an error; see /var/log/cloud-init.log".to_owned()))
                }
                _ => Ok(Check::Pending("cloud-init is at work".to_owned())),
            },
        }
    }
    /// Reached only where the run's key is not on the node.
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let host = access::host(cx, &cx.node()?.key).await?;
        match Self::run_key(cx).await? {
            Some(key) => regain::let_in(cx, host, &key).await,
            None => Ok(()),
        }
    }
}

impl Ready {
    /// Whether the node may have been made with another key than the run has now, and opens to the operator's own.
    fn lost_its_key(cx: &StepContext<'_>) -> Result<bool> {
        Ok(cx.facts.is_from_before(&cx.node()?.key) && !cx.settings().cloud.authorized_keys.is_empty())
    }

    async fn run_key(cx: &StepContext<'_>) -> Result<Option<String>> {
        access::kept(cx, access::IDENTITY).await?.as_ref().map(crate::world::public_key).transpose()
    }

    /// The run's key is refused: whether it is missing on the node, as the operator sees it there.
    async fn as_operator(cx: &StepContext<'_>, host: Host, refused: &Error) -> Result<Check> {
        let key = Self::run_key(cx).await?.unwrap_or_default();
        match regain::as_operator(cx, host, Some(&key)).await {
            Ok(ended) if ended.value("authorized") == Some("no") => {
                Ok(Check::Needed("the run's new key on the node".to_owned()))
            }
            // A node that is just being set up lets nobody in for a moment.
            Ok(_) => Ok(Check::Pending(refused.what.clone())),
            Err(error) if error.class == Class::Transient || error.is("permission_denied") => {
                Ok(Check::Pending(refused.what.clone()))
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs a script whose `check` tells `state=as-specified`.
pub(super) struct RunScript {
    /// File name.
    pub(super) script: String,
}

/// The scripts that `node.script` may run.
pub(super) const SCRIPTS: [&str; 3] = ["harden.sh", "peers.sh", "late.sh"];

impl RunScript {
    fn settings_input(&self, settings: &Settings) -> BTreeMap<String, String> {
        let cloud = &settings.cloud;
        let pairs = match self.script.as_str() {
            "harden.sh" => vec![
                ("DEPLOY_USER", cloud.user.clone()),
                ("POD_CIDR", settings.k3s.pod_cidr.clone()),
                ("SERVICE_CIDR", settings.k3s.service_cidr.clone()),
                ("API_ACCESS", cloud.api_access.join(" ")),
            ],
            "late.sh" => vec![("AUTO_REBOOT", "false".to_owned())],
            _ => Vec::new(),
        };
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    async fn input(&self, cx: &StepContext<'_>) -> Result<BTreeMap<String, Secret>> {
        let mut input = self.settings_input(cx.settings());
        if self.script == "harden.sh" {
            let identity = access::kept(cx, access::IDENTITY).await?;
            let run_key = identity.as_ref().map(crate::world::public_key).transpose()?;
            let keys: Vec<_> = run_key.into_iter().chain(cx.settings().cloud.authorized_keys.iter().cloned()).collect();
            input.insert("AUTHORIZED_KEYS".to_owned(), keys.join("\n"));
        }
        if self.script == "peers.sh" {
            let words: Vec<_> = living::peers(cx).await?.iter().map(ToString::to_string).collect();
            input.insert("PEERS".to_owned(), words.join(" "));
            input.insert("SELF".to_owned(), cx.facts.address(FactKind::PeerAddress, &cx.node()?.key)?.to_string());
        }
        Ok(input.into_iter().map(|(key, value)| (key, Secret::new(value))).collect())
    }

    async fn run(&self, cx: &StepContext<'_>, verb: &str) -> Result<Ended> {
        let host = access::host(cx, &cx.node()?.key).await?;
        let script = access::script(cx, &self.script, verb, self.input(cx).await?)?;
        let what = format!("{} {verb}", self.script);
        let permit = cx.effects.permit(Target::Node { address: host.address }, &what).await?;
        let ended = cx.world.shell.run(&permit, &host, &script).await?;
        well(&self.script, verb, ended)
    }
}

/// The end of a script, or the error that it stands for.
pub(super) fn well(script: &str, verb: &str, ended: Ended) -> Result<Ended> {
    let words: String = ended.stderr.trim().chars().rev().take(600).collect::<Vec<_>>().into_iter().rev().collect();
    match ended.exit {
        0 => Ok(ended),
        10 => Err(Error::refused(format!("{script} {verb} refused: {words}"))),
        11 => Err(Error::transient(format!("{script} {verb} could not yet: {words}"))),
        code => Err(Error::transient(format!("{script} {verb} ended with {code}: {words}"))
            .remedy("its whole output is on the node under /run/relight")),
    }
}

/// The node's server name, for texts.
pub(super) fn node_name(place: &Place<'_>) -> String {
    place.node.map_or_else(String::new, |n| place.server_name(&n.key))
}

#[async_trait]
impl Action for RunScript {
    fn describe(&self, place: &Place<'_>) -> String {
        let node = node_name(place);
        match self.script.as_str() {
            "harden.sh" => format!("harden {node}: users, sshd, firewall, kernel settings"),
            "peers.sh" => format!("let every node's K3s ports into {node}"),
            "late.sh" => format!("install fail2ban and unattended upgrades on {node}"),
            other => format!("run {other} on {node}"),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        let body = place.scripts.get(&self.script).map(|b| crate::world::sha256_hex(b.as_bytes()));
        json!({ "script": body, "keys": place.settings.cloud.authorized_keys, "input": self.settings_input(place.settings) })
    }
    fn uses(&self) -> &'static [FactKind] {
        match self.script.as_str() {
            "peers.sh" => &[FactKind::NodeAddress, FactKind::PeerAddress],
            _ => &[FactKind::NodeAddress],
        }
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let host = access::host(cx, &cx.node()?.key).await?;
        let script = access::script(cx, &self.script, "check", self.input(cx).await?)?;
        let ended = well(&self.script, "check", cx.world.shell.look(&host, &script).await?)?;
        Ok(match ended.value("state") {
            Some("as-specified") => Check::Done(Facts::none()),
            Some(state) => Check::Needed(format!("{}: {state}", self.script)),
            None => Check::Refused(format!("{} check told no state", self.script)),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let ended = self.run(cx, "apply").await?;
        if ended.value("state") != Some("armed") {
            return Ok(());
        }
        // The node reverts by itself unless a new connection proves that nobody is locked out.
        let host = access::host(cx, &cx.node()?.key).await?;
        cx.world.shell.reconnect(&host).await?;
        self.run(cx, "confirm").await.map(|_| ())
    }
}

//! `host_key.prepare`, `host_key.rotate`, `host_key.record`: the host key that came with the user data is replaced by one that
//! never left the node.
//!
//! The new public key is in the journal (as the result of `prepare`) before sshd serves it; until `rotate` has a result both
//! keys are accepted, so a crash in between locks nobody out.

use super::access;
use super::node::{node_name, well};
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{self, Error, Result, Secret, Target};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Which part of the rotation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotation {
    /// The node makes the next key.
    Prepare,
    /// sshd serves it.
    Rotate,
    /// Its fingerprint becomes a label of the server, so that a lost journal does not lose it.
    Record,
}

async fn run(cx: &StepContext<'_>, verb: &str, next: Option<&str>) -> Result<()> {
    let host = access::host(cx, &cx.node()?.key).await?;
    let input = next.map(|key| ("NEXT".to_owned(), Secret::new(key))).into_iter().collect();
    let script = access::script(cx, "hostkey.sh", verb, input)?;
    let permit = cx.effects.permit(Target::Node { address: host.address }, &format!("hostkey.sh {verb}")).await?;
    well("hostkey.sh", verb, cx.world.shell.run(&permit, &host, &script).await?).map(|_| ())
}

impl Rotation {
    async fn look(self, cx: &StepContext<'_>) -> Result<Check> {
        let node = &cx.node()?.key;
        let host = access::host(cx, node).await?;
        let script = access::script(cx, "hostkey.sh", "check", BTreeMap::new())?;
        let ended = well("hostkey.sh", "check", cx.world.shell.look(&host, &script).await?)?;
        let served = ended.value("host_key").filter(|k| !k.is_empty());
        let next = ended.value("next_host_key").filter(|k| !k.is_empty());
        // Not known where the run was reconstructed: what the node serves then is what its label vouches for.
        let first = cx.facts.find(FactKind::FirstHostKey, Some(node));
        // The node asks its own sshd, which may just be restarting.
        let Some(served) = served else { return Ok(Check::Pending("sshd shows no ed25519 host key".to_owned())) };
        Ok(match self {
            Self::Prepare if Some(served) != first => {
                Check::Done(Facts::none().of(FactKind::NextHostKey, node, served))
            }
            Self::Prepare => match next {
                Some(next) => Check::Done(Facts::none().of(FactKind::NextHostKey, node, next)),
                None => Check::Needed("no next host key yet".to_owned()),
            },
            _ if served == cx.facts.text(FactKind::NextHostKey, Some(node))? => {
                Check::Done(Facts::none().of(FactKind::HostKey, node, served))
            }
            _ => Check::Needed("the first host key is still served".to_owned()),
        })
    }

    async fn label(cx: &StepContext<'_>) -> Result<(world::Server, String)> {
        let node = &cx.node()?.key;
        let id = cx.facts.id(FactKind::ServerId, Some(node))?;
        let gone = || Error::transient(format!("server {id} is not listed"));
        let server = cx.world.cloud.server(id).await?.ok_or_else(gone)?;
        Ok((server, world::fingerprint_label(cx.facts.text(FactKind::HostKey, Some(node))?)?))
    }
}

#[async_trait]
impl Action for Rotation {
    fn describe(&self, place: &Place<'_>) -> String {
        let node = node_name(place);
        match self {
            Self::Prepare => format!("let {node} make a host key of its own"),
            Self::Rotate => format!("let {node} serve its own host key"),
            Self::Record => format!("label server {node} with its host key's fingerprint"),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "script": place.scripts.get("hostkey.sh").map(|b| world::sha256_hex(b.as_bytes())) })
    }
    fn provides(&self) -> &'static [FactKind] {
        match self {
            Self::Prepare => &[FactKind::NextHostKey],
            Self::Rotate => &[FactKind::HostKey],
            Self::Record => &[],
        }
    }
    fn uses(&self) -> &'static [FactKind] {
        match self {
            Self::Prepare => &[FactKind::NodeAddress, FactKind::FirstHostKey],
            Self::Rotate => &[FactKind::NodeAddress, FactKind::FirstHostKey, FactKind::NextHostKey],
            Self::Record => &[FactKind::ServerId, FactKind::HostKey],
        }
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        if *self != Self::Record {
            return self.look(cx).await;
        }
        let (server, fingerprint) = Self::label(cx).await?;
        Ok(match server.labels.get(world::HOST_KEY) == Some(&fingerprint) {
            true => Check::Done(Facts::none()),
            false => Check::Needed("the fingerprint's label".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let node = &cx.node()?.key;
        match self {
            Self::Prepare => run(cx, "prepare", None).await,
            Self::Rotate => {
                run(cx, "rotate", Some(cx.facts.text(FactKind::NextHostKey, Some(node))?)).await?;
                cx.world.shell.reconnect(&access::host(cx, node).await?).await
            }
            Self::Record => {
                let (server, fingerprint) = Self::label(cx).await?;
                let mut labels = server.labels.clone();
                labels.insert(world::HOST_KEY.to_owned(), fingerprint);
                let target = Target::Cloud { kind: "server", id: server.id };
                let permit = cx.effects.permit(target, "label it with its host key's fingerprint").await?;
                cx.world.cloud.update_server(&permit, server.id, &server.name, &labels).await
            }
        }
    }
}

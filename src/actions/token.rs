//! `k3s.token`: the token of a cluster that lives, kept with the run's secrets.

use super::access::{self, K3S_TOKEN};
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{Class, Result, Secret};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Reads the token from the first node. No fact tells its digest: one that a person chose could be guessed from that.
pub(super) struct Token;

impl Token {
    /// The token, or why it is not to be had yet.
    async fn fetch(cx: &StepContext<'_>) -> Result<std::result::Result<Secret, String>> {
        let host = access::host(cx, access::first(cx)?).await?;
        let script = access::script(cx, "token.sh", "check", BTreeMap::new())?;
        match cx.world.shell.look(&host, &script).await {
            Ok(ended) if ended.exit == 0 && !ended.stdout.trim().is_empty() => {
                Ok(Ok(Secret::new(ended.stdout.trim().to_owned())))
            }
            Ok(ended) => Ok(Err(ended.stderr.trim().to_owned())),
            Err(error) if error.class == Class::Transient => Ok(Err(error.what)),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Action for Token {
    fn describe(&self, _place: &Place<'_>) -> String {
        "read the K3s token into the run's secrets".to_owned()
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "script": place.scripts.get("token.sh").map(|b| crate::world::sha256_hex(b.as_bytes())) })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::HostKey, FactKind::Login]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let wanted = match Self::fetch(cx).await? {
            Ok(wanted) => wanted,
            Err(why) => return Ok(Check::Pending(why)),
        };
        let kept = access::kept(cx, K3S_TOKEN).await?;
        Ok(match kept.is_some_and(|kept| kept.expose() == wanted.expose()) {
            true => Check::Done(Facts::none()),
            false => Check::Needed("the cluster's token".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        match Self::fetch(cx).await? {
            Ok(token) => access::keep(cx, K3S_TOKEN, &token).await,
            Err(why) => Err(crate::world::Error::transient(why)),
        }
    }
}

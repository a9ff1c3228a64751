//! `node.answers` and `edge.answers`: health checks, of one node directly and through the edge.

use super::node::node_name;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::HealthSettings;
use crate::world::{Class, Get, Reply, Result};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::net::IpAddr;
use std::time::Duration;

/// Pause between two requests of a stability window.
const PERIOD: Duration = Duration::from_secs(1);

/// Which health checks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The first: the one that says the site is back.
    First,
    /// All.
    All,
}

impl Which {
    fn of<'a>(self, place: &Place<'a>) -> &'a [HealthSettings] {
        let all = &place.settings.health;
        match self {
            Self::First => all.get(..1).unwrap_or(all),
            Self::All => all,
        }
    }

    /// Those that are asked through the edge: their names point at the cluster.
    fn at_the_edge(self, place: &Place<'_>) -> Vec<HealthSettings> {
        let named = |h: &&HealthSettings| place.settings.dns.hosts.iter().any(|name| name == h.host().0);
        self.of(place).iter().filter(named).cloned().collect()
    }
}

/// What one request came to.
enum Verdict {
    Well,
    NotYet(String),
    Never(String),
}

fn judge(health: &HealthSettings, reply: &Reply) -> Verdict {
    if (300..400).contains(&reply.status) && reply.status != health.status {
        let to = reply.location.as_deref().unwrap_or("nowhere");
        return Verdict::Never(format!(
            "{} redirects to {to} ({}); with the edge speaking plain HTTP to the origin that loops for ever",
            health.url, reply.status
        ));
    }
    if reply.status != health.status {
        return Verdict::NotYet(format!("{} answers {} instead of {}", health.url, reply.status, health.status));
    }
    match &health.contains {
        Some(text) if !String::from_utf8_lossy(&reply.body).contains(text) => {
            Verdict::NotYet(format!("the answer of {} does not contain \"{text}\"", health.url))
        }
        _ => Verdict::Well,
    }
}

async fn ask(cx: &StepContext<'_>, health: &HealthSettings, node: Option<IpAddr>) -> Result<Verdict> {
    let get = Get { url: health.url.clone(), node, timeout: cx.settings().timeouts.probe };
    match cx.world.http.get(&get).await {
        Ok(reply) => Ok(judge(health, &reply)),
        Err(error) if error.class == Class::Transient => Ok(Verdict::NotYet(error.what)),
        Err(error) => Err(error),
    }
}

/// Asks once each; the first that is not well decides.
async fn ask_all(cx: &StepContext<'_>, healths: &[HealthSettings], node: Option<IpAddr>) -> Result<Option<Check>> {
    for health in healths {
        match ask(cx, health, node).await? {
            Verdict::Well => {}
            Verdict::NotYet(text) => return Ok(Some(Check::Pending(text))),
            Verdict::Never(text) => return Ok(Some(Check::Refused(text))),
        }
    }
    Ok(None)
}

fn inputs(which: Which, place: &Place<'_>) -> Value {
    json!({ "health": format!("{:?}", which.of(place)) })
}

/// Waits until the step's node answers on port 80 with the Host header.
pub(super) struct NodeAnswers(pub(super) Which);

#[async_trait]
impl Action for NodeAnswers {
    fn describe(&self, place: &Place<'_>) -> String {
        let urls: Vec<_> = self.0.of(place).iter().map(|h| h.url.as_str()).collect();
        format!("ask {} directly: {}", node_name(place), urls.join(", "))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        inputs(self.0, place)
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let address = cx.facts.address(FactKind::NodeAddress, &cx.node()?.key)?;
        let trouble = ask_all(cx, self.0.of(&cx.place), Some(address)).await?;
        Ok(trouble.unwrap_or(Check::Done(Facts::none())))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Waits until the health checks answer through the edge.
pub(super) struct EdgeAnswers {
    /// Which.
    pub(super) which: Which,
    /// Whether they must go on answering for their `stable_for`.
    pub(super) stable: bool,
}

#[async_trait]
impl Action for EdgeAnswers {
    fn describe(&self, place: &Place<'_>) -> String {
        let healths = self.which.at_the_edge(place);
        if healths.is_empty() {
            return "ask nothing through the edge: no name points at the cluster".to_owned();
        }
        let urls: Vec<_> = healths.iter().map(|h| h.url.as_str()).collect();
        let longest = healths.iter().map(|h| h.stable_for).max().unwrap_or_default();
        match self.stable && longest > Duration::ZERO {
            true => format!("ask through the edge, stable for {}s: {}", longest.as_secs(), urls.join(", ")),
            false => format!("ask through the edge: {}", urls.join(", ")),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        inputs(self.which, place)
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let healths = self.which.at_the_edge(&cx.place);
        let begun = cx.world.clock.now();
        loop {
            let since = cx.world.clock.now().saturating_sub(begun);
            if let Some(trouble) = ask_all(cx, &healths, None).await? {
                return Ok(trouble);
            }
            let longest = healths.iter().map(|h| h.stable_for).max().unwrap_or_default();
            if !self.stable || since >= longest {
                return Ok(Check::Done(Facts::none()));
            }
            cx.effects.progress(&format!("answers since {}s of {}s", since.as_secs(), longest.as_secs()));
            cx.world.clock.sleep(PERIOD).await;
        }
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

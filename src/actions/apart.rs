//! `rehearsal.apart`, `rehearsal.budget`: before a rehearsal makes anything: it is in a project of its own, everything that it
//! has of production's is told, and it costs no more than it may.

use super::{Action, Check, FactKind, Facts, Mode, Place, StepContext};
use crate::world::{self, Error, Labels, Result, ThingKind};
use async_trait::async_trait;
use serde_json::{json, Value};

/// The project holds nothing of the living cluster. No person can accept that it does.
pub(super) struct Apart;

/// Whether the labels say that a live run made the thing, or that somebody took it over for the living cluster.
fn of_the_living(labels: &Labels, cluster: &str) -> bool {
    world::of_cluster(labels, cluster) && labels.get(world::MODE).is_none_or(|mode| mode != Mode::Rehearsal.word())
}

impl Apart {
    /// What of the living cluster is in the project: by labels, and servers also by name, for one made by hand has none.
    async fn living(cx: &StepContext<'_>) -> Result<Vec<String>> {
        let settings = cx.settings();
        let names: Vec<String> = settings.nodes.iter().map(|n| format!("{}-{}", settings.cluster, n.key)).collect();
        let mut found = Vec::new();
        for server in cx.world.cloud.servers("").await? {
            if of_the_living(&server.labels, &settings.cluster) || names.contains(&server.name) {
                found.push(format!("server {} (id {})", server.name, server.id));
            }
        }
        for kind in [ThingKind::Network, ThingKind::Firewall, ThingKind::PlacementGroup, ThingKind::SshKey] {
            for thing in cx.world.cloud.things(kind, "").await? {
                if of_the_living(&thing.labels, &settings.cluster) {
                    found.push(format!("{} {} (id {})", kind.word().replace('_', " "), thing.name, thing.id));
                }
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Action for Apart {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("make sure that the project is not the one that {} lives in", place.settings.cluster)
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        let differs = place.settings.spare.iter().flat_map(|spare| &spare.differs);
        json!({ "cluster": place.settings.cluster, "differs": differs.map(ToString::to_string).collect::<Vec<_>>() })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let Some(spare) = &cx.settings().spare else {
            return Ok(Check::Refused("these are the living cluster's own settings, not a rehearsal's".to_owned()));
        };
        let living = Self::living(cx).await?;
        if !living.is_empty() {
            return Ok(Check::Refused(format!(
                "this token's project holds what belongs to the living cluster: {}; give HCLOUD_TOKEN_REHEARSAL of another \
                 project",
                living.join(", ")
            )));
        }
        for row in &spare.differs {
            cx.effects.note(&row.to_string());
        }
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// How long a rehearsal's servers are paid for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until its end: it takes down what it made.
    End,
    /// Until they expire: it leaves them.
    Expiry,
}

/// What a rehearsal will cost is not above its budget.
pub(super) struct Budget(pub(super) Until);

/// Seconds of an hour: every started one is billed. Source: docs.hetzner.com, Cloud billing.
const HOUR: u64 = 3600;

impl Budget {
    /// Euro, net, by the prices of the dearest place that the configuration allows.
    async fn forecast(&self, cx: &StepContext<'_>, expires_after: std::time::Duration) -> Result<f64> {
        let cloud = &cx.settings().cloud;
        let prices = cx.world.cloud.prices().await?;
        let hourly = cloud.server_types.iter().flat_map(|name| {
            cloud.locations.iter().filter_map(|place| prices.hourly(name, place, true).map(|amount| amount.net))
        });
        let dearest = hourly.fold(None, |most: Option<f64>, price| Some(most.map_or(price, |m| m.max(price))));
        let dearest = dearest.ok_or_else(|| {
            Error::fatal("the price list has none of the configured server types")
                .remedy("check `cloud.server_types` and `cloud.locations`")
        })?;
        let hours = match self.0 {
            Until::End => 1,
            Until::Expiry => expires_after.as_secs().div_ceil(HOUR).max(1),
        };
        let servers = u32::try_from(cx.settings().nodes.len()).unwrap_or(u32::MAX);
        Ok(dearest * f64::from(servers) * f64::from(u32::try_from(hours).unwrap_or(u32::MAX)))
    }
}

#[async_trait]
impl Action for Budget {
    fn describe(&self, place: &Place<'_>) -> String {
        let budget = place.settings.spare.as_ref().and_then(|spare| spare.budget);
        match budget {
            Some(budget) => format!("compare what it will cost with the budget of EUR {budget:.2}"),
            None => "work out what it will cost".to_owned(),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "budget": place.settings.spare.as_ref().and_then(|spare| spare.budget) })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::CostForecast]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let Some(spare) = &cx.settings().spare else { return Ok(Check::Done(Facts::none())) };
        // What was agreed to stays as it was: prices that change on the way are no reason to stop.
        if let Some(told) = cx.facts.find(FactKind::CostForecast, None) {
            return Ok(Check::Done(Facts::none().with(FactKind::CostForecast, told)));
        }
        let forecast = self.forecast(cx, spare.expires_after).await?;
        if let Some(budget) = spare.budget.filter(|budget| forecast > *budget) {
            return Ok(Check::Refused(format!(
                "it would cost EUR {forecast:.2}, above the budget of EUR {budget:.2}; allow more with --budget, or let its \
                 servers expire sooner (`rehearsal.expires_after`)"
            )));
        }
        cx.effects.note(&format!("it will cost at most EUR {forecast:.2}, net: every started hour is billed"));
        Ok(Check::Done(Facts::none().with(FactKind::CostForecast, format!("{forecast:.4}"))))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

//! `rehearsal.budget`, `rehearsal.cost`: a rehearsal costs no more than it may, and says what it did cost.

use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{self, Error, Result};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::time::Duration;

fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// An amount as facts and proofs have it.
fn euro(amount: f64) -> String {
    format!("EUR {amount:.2}")
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
    async fn forecast(&self, cx: &StepContext<'_>, expires_after: Duration) -> Result<f64> {
        let cloud = &cx.settings().cloud;
        let dearest = cx.world.cloud.prices().await?.dearest_hour(&cloud.server_types, &cloud.locations);
        let dearest = dearest.ok_or_else(|| {
            Error::fatal("the price list has none of the configured server types")
                .remedy("check `cloud.server_types` and `cloud.locations`")
        })?;
        let hours = match self.0 {
            Until::End => 1,
            Until::Expiry => expires_after.as_secs().div_ceil(HOUR).max(1),
        };
        Ok(dearest * count(cx.settings().nodes.len() as u64) * count(hours))
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
        Ok(Check::Done(Facts::none().with(FactKind::CostForecast, euro(forecast))))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// What the run's servers have cost until now, addresses included. Its place is right before they are deleted; a server that was
/// lost on the way is not among them.
pub(super) struct Spent;

impl Spent {
    async fn so_far(cx: &StepContext<'_>) -> Result<f64> {
        let servers = cx.world.cloud.servers(&world::selector(&cx.settings().cluster, Some(&cx.place.run.id))).await?;
        let (prices, now) = (cx.world.cloud.prices().await?, cx.world.clock.now());
        let mut sum = 0.0;
        for server in servers {
            let hourly = prices.hourly(&server.server_type, &server.location, server.public_ip.is_some());
            let hourly = hourly.ok_or_else(|| {
                Error::refused(format!("the price list does not have {} in {}", server.server_type, server.location))
            })?;
            let lived = now.saturating_sub(server.created.unwrap_or(now));
            sum += hourly.net * count(lived.as_secs().div_ceil(HOUR).max(1));
        }
        Ok(sum)
    }
}

#[async_trait]
impl Action for Spent {
    fn describe(&self, _place: &Place<'_>) -> String {
        "add up what the servers have cost".to_owned()
    }
    fn inputs(&self, _place: &Place<'_>) -> Value {
        json!({})
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::CostActual]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        // Once the servers are going, they can no longer be counted.
        let told = match cx.facts.find(FactKind::CostActual, None) {
            Some(told) => told.to_owned(),
            None => euro(Self::so_far(cx).await?),
        };
        cx.effects.note(&format!("it has cost {told}, net"));
        Ok(Check::Done(Facts::none().with(FactKind::CostActual, told)))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

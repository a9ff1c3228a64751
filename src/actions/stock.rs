//! `stock.check`: the servers that are still to be made can be ordered. What the cloud says of its stock is a hint, so a person may
//! go on in spite of it.

use super::{Action, Check, Facts, Place, StepContext};
use crate::world::{self, Result, ServerType};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::time::Duration;

/// Compares the configured types and places with what the cloud sells now.
pub(super) struct Stock;

/// How many nodes this run still has to make: what it made is there, whatever has sold out since.
pub(super) async fn missing_nodes(cx: &StepContext<'_>) -> Result<usize> {
    let servers = cx.world.cloud.servers(&world::selector(&cx.settings().cluster, Some(&cx.place.run.id))).await?;
    let missing = |node: &&crate::config::NodeSettings| {
        let name = cx.place.server_name(&node.key);
        !servers.iter().any(|s| s.name == name)
    };
    Ok(cx.settings().nodes.iter().filter(missing).count())
}

/// Whether any configured type can be ordered in any configured place. `available` is a cache of the cloud's, and a type that will
/// be withdrawn is sold until then. Source: Hetzner Cloud API, GET /server_types, `locations[].deprecation`.
fn sold(types: &[ServerType], names: &[String], locations: &[String], now: Duration) -> bool {
    let wanted = types.iter().filter(|t| names.contains(&t.name));
    let mut places = wanted.flat_map(|t| t.locations.iter().filter(|l| locations.contains(&l.location)));
    places.any(|place| {
        // A date that cannot be read is no reason to stop.
        let ends = place.unavailable_after.as_deref().and_then(world::from_rfc3339);
        place.available && ends.is_none_or(|ends| ends > now)
    })
}

#[async_trait]
impl Action for Stock {
    fn describe(&self, place: &Place<'_>) -> String {
        let cloud = &place.settings.cloud;
        format!("see that {} can be ordered in {}", cloud.server_types.join(" or "), cloud.locations.join(", "))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "types": place.settings.cloud.server_types, "places": place.settings.cloud.locations })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        // What the run made is there, whatever has sold out since.
        if missing_nodes(cx).await? == 0 {
            return Ok(Check::Done(Facts::none()));
        }
        let settings = &cx.settings().cloud;
        let types = cx.world.cloud.server_types(&settings.server_types).await?;
        if sold(&types, &settings.server_types, &settings.locations, cx.world.clock.now()) {
            return Ok(Check::Done(Facts::none()));
        }
        Ok(Check::Refused(format!(
            "the cloud says that none of {} can be ordered in {} now; add another of `cloud.server_types` or \
             `cloud.locations`, or go on: what it says may be old, and each server is tried everywhere until its deadline",
            settings.server_types.join(", "),
            settings.locations.join(", ")
        )))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::TypeInLocation;

    #[test]
    fn a_type_that_will_be_withdrawn_is_sold_until_then() {
        let at = |text: &str| world::from_rfc3339(text).unwrap();
        let place = TypeInLocation {
            location: "nbg1".into(),
            available: true,
            unavailable_after: Some("2027-01-01T00:00:00Z".into()),
            hourly: 0.0,
            monthly: 0.0,
        };
        let types = [ServerType { name: "cx33".into(), architecture: "x86".into(), locations: vec![place] }];
        let sold = |now: &str| sold(&types, &["cx33".into()], &["nbg1".into()], at(now));
        assert!(sold("2026-12-31T23:59:59Z"));
        assert!(!sold("2027-01-01T00:00:01Z"));
    }
}

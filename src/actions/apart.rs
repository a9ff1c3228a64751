//! `rehearsal.apart`: before a rehearsal makes anything: it is in a project of its own, its token for names does not even see
//! production's zone, and everything that it has of
//! production's is told.

use super::{Action, Check, Facts, Place, StepContext};
use crate::world::{self, Result, ThingKind};
use async_trait::async_trait;
use serde_json::{json, Value};

/// The project holds nothing of the living cluster. No person can accept that it does.
pub(super) struct Apart;

impl Apart {
    /// Production's zone, where the token for the rehearsal's names sees it.
    async fn seen(cx: &StepContext<'_>) -> Result<Option<String>> {
        let production = cx.settings().spare.as_ref().and_then(|spare| spare.apart_from.as_deref());
        let Some(name) = production else { return Ok(None) };
        Ok(cx.world.dns.zone(name).await?.map(|zone| zone.name))
    }

    /// What of the living cluster is in the project: by labels, and servers also by name, for one made by hand has none.
    async fn living(cx: &StepContext<'_>) -> Result<Vec<String>> {
        let settings = cx.settings();
        let names: Vec<String> = settings.nodes.iter().map(|n| format!("{}-{}", settings.cluster, n.key)).collect();
        let mut found = Vec::new();
        for server in cx.world.cloud.servers("").await? {
            if world::of_living(&server.labels, &settings.cluster) || names.contains(&server.name) {
                found.push(format!("server {} (id {})", server.name, server.id));
            }
        }
        for kind in [ThingKind::Network, ThingKind::Firewall, ThingKind::PlacementGroup, ThingKind::SshKey] {
            for thing in cx.world.cloud.things(kind, "").await? {
                if world::of_living(&thing.labels, &settings.cluster) {
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
        if let Some(zone) = Self::seen(cx).await? {
            return Ok(Check::Refused(format!(
                "this token sees production's zone {zone}; give CLOUDFLARE_API_TOKEN_REHEARSAL with permissions on zone {} alone",
                cx.settings().dns.zone
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

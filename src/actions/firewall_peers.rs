//! `firewall.peers`: where nodes talk over public addresses, the cloud firewall lets each of them in, and nobody else.

use super::living;
use super::thing::{base_rules, PEER};
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::NetworkSettings;
use crate::world::{Error, FirewallRule, Result, Target, ThingKind, ThingSpec};
use async_trait::async_trait;
use serde_json::{json, Value};

/// What K3s needs between nodes: API and supervisor, etcd, kubelet, VXLAN.
/// Source: K3s documentation, "Requirements", inbound rules.
const PORTS: [(&str, &str); 4] = [("tcp", "6443"), ("tcp", "2379-2380"), ("tcp", "10250"), ("udp", "8472")];

/// Sets the firewall's rules to the base and the peers.
pub(super) struct Peers;

async fn wanted(cx: &StepContext<'_>) -> Result<Vec<FirewallRule>> {
    let mut rules = base_rules(&cx.place);
    if matches!(cx.settings().cloud.network, NetworkSettings::Private { .. }) {
        return Ok(rules);
    }
    let mut addresses: Vec<String> = living::peers(cx).await?.iter().map(|address| format!("{address}/32")).collect();
    addresses.sort();
    rules.extend(PORTS.iter().map(|(protocol, port)| FirewallRule {
        direction: "in".to_owned(),
        protocol: (*protocol).to_owned(),
        port: Some((*port).to_owned()),
        addresses: addresses.clone(),
        description: PEER.to_owned(),
    }));
    Ok(rules)
}

#[async_trait]
impl Action for Peers {
    fn describe(&self, place: &Place<'_>) -> String {
        match place.settings.cloud.network {
            NetworkSettings::Private { .. } => {
                "no peers in the cloud firewall: it does not filter the private network".to_owned()
            }
            NetworkSettings::Public => "let every node's K3s ports through the cloud firewall".to_owned(),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "network": format!("{:?}", place.settings.cloud.network) })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::PeerAddress, FactKind::FirewallId]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let id = cx.facts.id(FactKind::FirewallId, None)?;
        let firewalls = cx.world.cloud.things(ThingKind::Firewall, "").await?;
        let firewall = firewalls.into_iter().find(|f| f.id == id);
        let Some(ThingSpec::Firewall(mut existing)) = firewall.map(|f| f.spec) else {
            return Err(Error::transient(format!("firewall {id} is not listed")));
        };
        let mut wanted = wanted(cx).await?;
        existing.sort();
        wanted.sort();
        Ok(match existing == wanted {
            true => Check::Done(Facts::none()),
            false => Check::Needed("the peers' rules".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let id = cx.facts.id(FactKind::FirewallId, None)?;
        let wanted = wanted(cx).await?;
        let permit = cx.effects.permit(Target::Cloud { kind: "firewall", id }, "set base and peers' rules").await?;
        cx.world.cloud.set_firewall_rules(&permit, id, &wanted).await
    }
}

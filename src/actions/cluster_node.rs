//! `node.registered`: the node is Ready in Kubernetes, of the right version, and carries its labels.

use super::node::node_name;
use super::{access, Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{Class, Kind, Result, Target};
use async_trait::async_trait;
use serde_json::{json, Value};

/// Waits for the node object and labels it.
pub(super) struct Registered;

#[async_trait]
impl Action for Registered {
    fn describe(&self, place: &Place<'_>) -> String {
        let labels: Vec<_> = place.node.iter().flat_map(|n| &n.labels).map(|(k, v)| format!("{k}={v}")).collect();
        match labels.is_empty() {
            true => format!("wait until {} is Ready", node_name(place)),
            false => format!("wait until {} is Ready, label it {}", node_name(place), labels.join(", ")),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "labels": place.node.map(|n| &n.labels), "version": place.settings.k3s.version })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::Kubeconfig]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let at = access::api(cx, access::first(cx)?).await?;
        let name = node_name(&cx.place);
        let node = match cx.world.cluster.get(&at, &Kind::new("v1", "Node"), None, &name).await {
            Ok(node) => node,
            Err(error) if error.class == Class::Transient => return Ok(Check::Pending(error.what)),
            Err(error) => return Err(error),
        };
        let Some(node) = node else { return Ok(Check::Pending(format!("node {name} is not registered yet"))) };
        let labels = |key: &str| node.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str);
        if cx.node()?.labels.iter().any(|(key, value)| labels(key) != Some(value)) {
            return Ok(Check::Needed(format!("labels of node {name}")));
        }
        let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
        let ready = conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
        if !ready {
            return Ok(Check::Pending(format!("node {name} is not Ready")));
        }
        let version = node.pointer("/status/nodeInfo/kubeletVersion").and_then(Value::as_str).unwrap_or_default();
        if version != cx.settings().k3s.version {
            let wanted = &cx.settings().k3s.version;
            return Ok(Check::Refused(format!("node {name} runs {version} instead of {wanted}")));
        }
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let at = access::api(cx, access::first(cx)?).await?;
        let name = node_name(&cx.place);
        let patch = json!({ "metadata": { "labels": cx.node()?.labels } });
        let target = Target::Objects { address: at.host.address, what: format!("Node {name}") };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        cx.world.cluster.merge(&permit, &at, &Kind::new("v1", "Node"), None, &name, &patch).await.map(|_| ())
    }
}

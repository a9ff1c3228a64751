//! Actions that do nothing, with the facts that their parameters name: enough to load playbooks with.

use async_trait::async_trait;
use relight::actions::{Action, Check, FactKind, Facts, Mode, Place, StepContext};
use relight::config::{NodeSettings, Problem};
use relight::playbook::{load, Binding, Plan, Source};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

struct Named {
    uses: &'static [FactKind],
    provides: &'static [FactKind],
}

#[async_trait]
impl Action for Named {
    fn describe(&self, place: &Place<'_>) -> String {
        place.step.to_owned()
    }
    fn inputs(&self, _: &Place<'_>) -> Value {
        Value::Null
    }
    fn uses(&self) -> &'static [FactKind] {
        self.uses
    }
    fn provides(&self) -> &'static [FactKind] {
        self.provides
    }
    async fn check(&self, _: &StepContext<'_>) -> relight::world::Result<Check> {
        Ok(Check::Done(Facts::none()))
    }
    async fn apply(&self, _: &StepContext<'_>) -> relight::world::Result<()> {
        Ok(())
    }
}

/// `act` takes no parameters but `uses` and `provides`, each one fact's name.
pub fn make(name: &str, params: &Value) -> Result<Arc<dyn Action>, String> {
    if name != "act" {
        return Err(format!("unknown action `{name}`"));
    }
    let fact = |key: &str| -> Result<&'static [FactKind], String> {
        match params.get(key).and_then(Value::as_str) {
            None => Ok(&[]),
            Some(name) => {
                let kind = FactKind::from_name(name).ok_or_else(|| format!("no fact {name} in `{key}`"))?;
                Ok(Box::leak(Box::new([kind])))
            }
        }
    };
    for key in params.as_object().into_iter().flatten().map(|(k, _)| k) {
        if !["uses", "provides"].contains(&key.as_str()) {
            return Err(format!("unknown parameter `{key}`"));
        }
    }
    Ok(Arc::new(Named { uses: fact("uses")?, provides: fact("provides")? }))
}

/// `node-1` and so on.
pub fn nodes(count: usize) -> Vec<NodeSettings> {
    (1..=count).map(|i| NodeSettings { key: format!("node-{i}"), labels: BTreeMap::new() }).collect()
}

/// Loads for a mode with a default deadline of ten minutes, and with the playbooks of a source to stand on.
pub fn load_in(count: usize, text: &str, mode: Mode, source: &Source) -> Result<Plan, Vec<Problem>> {
    let nodes = nodes(count);
    let binding = Binding { nodes: &nodes, default_deadline: Duration::from_secs(600), mode, actions: &make, source };
    load(text, "steps/test.yaml", &binding)
}

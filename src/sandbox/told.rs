//! What the ledger of an open sandbox tells: every effect, and which promises were broken. The network doors do not learn which
//! run calls, so everything is judged by what it was done to.

use super::model::{lock, Entry, LedgerOutcome, Model};
use super::Served;
use crate::world::millis;
use serde_json::{json, Value};

fn effect(model: &Model, entry: &Entry) -> Value {
    let machine = entry.id.and_then(|id| model.machines().into_iter().find(|m| m.server == id));
    let refused = match &entry.outcome {
        LedgerOutcome::Applied => None,
        LedgerOutcome::Refused(why) => Some(why),
    };
    json!({
        "at": millis(entry.at),
        "op": entry.op,
        "target": entry.target,
        "id": entry.id,
        "address": machine.and_then(|m| m.public).map(|address| address.to_string()),
        "names": entry.names,
        "refused": refused,
    })
}

impl Served {
    /// All effects in their order, and in words: what was made twice, what was done to foreign things, moments at which something
    /// named an address that the project did not hold, and other broken promises.
    pub fn judged(&self) -> Value {
        let model = lock(&self.model);
        let settings = self.settings();
        let foreign = model.ledger.strayed(&settings.cluster, &settings.dns.hosts);
        let foreign: Vec<String> = foreign.iter().map(|e| format!("{} {}", e.op, e.target)).collect();
        let named = |s: &super::model::Stranger| format!("{}: {} names {}", s.op, s.named_by, s.address);
        json!({
            "effects": model.ledger.entries.iter().map(|entry| effect(&model, entry)).collect::<Vec<_>>(),
            "made_twice": model.ledger.made_twice(),
            "foreign": foreign,
            "strangers": model.ledger.strangers.iter().map(named).collect::<Vec<_>>(),
            "broken": model.ledger.broken,
        })
    }
}

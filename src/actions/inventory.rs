//! `inventory.note`, `inventory.compare`: what the project holds before a run makes anything, and after it took all of that
//! down again.

use super::access::{file_error, unwritten};
use super::teardown::KINDS;
use super::{going, Action, Check, Facts, Place, StepContext};
use crate::world::{self, Error, Labels, Result};
use async_trait::async_trait;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Where the inventory of before lies in the run's files.
const BEFORE: &str = "inventory-before.json";

/// One thing of the project, in words, and whether this run made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    words: String,
    ours: bool,
}

/// Everything in the project, by kind and id.
async fn inventory(cx: &StepContext<'_>) -> Result<BTreeMap<String, Item>> {
    let (cloud, cluster, run) = (&cx.world.cloud, &cx.settings().cluster, &cx.place.run.id);
    let mut all = BTreeMap::new();
    let mut add = |kind: &str, id: i64, name: &str, labels: &Labels| {
        let kind = kind.replace('_', " ");
        let ours = world::of_run(labels, cluster, run);
        all.insert(format!("{kind} {id}"), Item { words: format!("{kind} {name} (id {id})"), ours });
    };
    let servers = cloud.servers("").await?;
    for server in &servers {
        add("server", server.id, &server.name, &server.labels);
    }
    for kind in KINDS {
        for thing in cloud.things(kind, "").await? {
            add(kind.word(), thing.id, &thing.name, &thing.labels);
        }
    }
    for address in cloud.primary_ips().await? {
        add("primary_ip", address.id, &address.name, &address.labels);
    }
    Ok(all)
}

/// Notes what the project holds.
pub(super) struct Note;

#[async_trait]
impl Action for Note {
    fn describe(&self, _place: &Place<'_>) -> String {
        "note everything that the project holds".to_owned()
    }
    fn inputs(&self, _place: &Place<'_>) -> Value {
        json!({})
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let kept = cx.world.files.read(BEFORE).await.map_err(|e| file_error(cx, BEFORE, &e))?;
        Ok(match kept {
            Some(_) => Check::Done(Facts::none()),
            None => Check::Needed("the inventory".to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let before: BTreeMap<String, String> =
            inventory(cx).await?.into_iter().map(|(key, item)| (key, item.words)).collect();
        let text = json!(before).to_string();
        cx.world.files.write(BEFORE, text.as_bytes()).await.map_err(|e| unwritten(cx, BEFORE, &e))
    }
}

/// Nothing of this run is left. What others made or removed meanwhile is told, and left.
pub(super) struct Compare;

impl Compare {
    /// What was noted before; none where the run was refused before it came to that, and made nothing.
    async fn before(cx: &StepContext<'_>) -> Result<Option<BTreeMap<String, String>>> {
        let kept = cx.world.files.read(BEFORE).await.map_err(|e| file_error(cx, BEFORE, &e))?;
        let broken = || {
            Error::fatal(format!("{}/{BEFORE} is no inventory", cx.world.files.place()))
                .remedy("compare the project in the console with what it should hold")
        };
        kept.map(|text| serde_json::from_slice(&text).map_err(|_| broken())).transpose()
    }
}

#[async_trait]
impl Action for Compare {
    fn describe(&self, _place: &Place<'_>) -> String {
        "compare everything that the project holds with what it held before".to_owned()
    }
    fn inputs(&self, _place: &Place<'_>) -> Value {
        json!({})
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let (before, now) = (Self::before(cx).await?, inventory(cx).await?);
        let others = now.iter().filter(|(_, item)| !item.ours);
        let before = before.unwrap_or_else(|| others.map(|(key, item)| (key.clone(), item.words.clone())).collect());
        let (mut ours, mut others) = (Vec::new(), BTreeSet::new());
        for (key, item) in now.iter().filter(|(key, _)| !before.contains_key(*key)) {
            match item.ours {
                true => ours.push(item.words.clone()),
                false => {
                    others.insert(format!("{} was made meanwhile, not by this run: left as it is", item.words));
                }
            }
            tracing::debug!(key, "not there before");
        }
        for record in going::own_records(cx).await? {
            ours.push(format!("record {} {} {} (id {})", record.name, record.kind, record.content, record.id));
        }
        let gone = before.iter().filter(|(key, _)| !now.contains_key(*key));
        others.extend(gone.map(|(_, words)| format!("{words} went meanwhile, not by this run")));
        for line in &others {
            cx.effects.note(line);
        }
        Ok(match ours.is_empty() {
            true => Check::Done(Facts::none()),
            // A list may lag behind what was deleted: looked at again until it is empty, or the deadline is over.
            false => Check::Pending(format!("residue of this run: {}", ours.join(", "))),
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

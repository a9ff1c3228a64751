//! Watches: what a client is told as it happens.

use super::answer::Asked;
use super::failure::Failure;
use super::kinds::Served;
use super::lists::Selection;
use super::read::set;
use super::store::Objects;
use super::table;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;

/// A watch under way.
#[derive(Debug, Clone)]
pub struct Watch {
    served: Arc<Served>,
    selection: Selection,
    after: u64,
    first: Vec<Value>,
    as_table: bool,
    /// Whether bookmarks are wanted.
    bookmarks: bool,
    /// How long it may last, in wall time.
    pub timeout: Duration,
}

impl Watch {
    /// The lines to send now; an error ends the watch.
    pub fn lines(&mut self, objects: &Objects) -> Result<Vec<u8>, Vec<u8>> {
        let mut out = Vec::new();
        for line in self.first.drain(..) {
            out.extend_from_slice(format!("{line}\n").as_bytes());
        }
        let (told, reached) = objects
            .watched(&self.served, &self.selection, self.after)
            .map_err(|f| format!("{}\n", json!({"type": "ERROR", "object": f.status()})).into_bytes())?;
        for (kind, object) in told {
            let object = if self.as_table {
                table::of(&self.served, &[object], objects.revision(), objects.now)
            } else {
                (*object).clone()
            };
            out.extend_from_slice(format!("{}\n", json!({"type": kind, "object": object})).as_bytes());
        }
        self.after = reached;
        Ok(out)
    }
    /// A bookmark, where they are wanted.
    pub fn bookmark(&self) -> Option<Vec<u8>> {
        self.bookmarks.then(|| format!("{}\n", bookmark(&self.served, self.after, false)).into_bytes())
    }
}

fn bookmark(served: &Served, revision: u64, initial: bool) -> Value {
    let mut object = json!({"kind": served.kind, "apiVersion": served.api_version(), "metadata": {"resourceVersion": revision.to_string()}});
    if initial {
        set(&mut object, &["metadata", "annotations", "k8s.io/initial-events-end"], "true");
    }
    json!({"type": "BOOKMARK", "object": object})
}

impl Objects {
    pub(super) fn watch(
        &self,
        asked: &Asked,
        served: &Arc<Served>,
        namespace: &str,
        name: &str,
    ) -> Result<Watch, Failure> {
        let selection = asked.selection(namespace, name)?;
        let since = asked.parameter("resourceVersion");
        let initial = asked.parameter("sendInitialEvents") == "true";
        let as_table = asked.accept.contains("as=Table");
        let mut first = Vec::new();
        let from_now = initial || matches!(since, "" | "0");
        if from_now {
            for object in self.select(served, &selection) {
                let object =
                    if as_table { table::of(served, &[object], self.revision(), self.now) } else { (*object).clone() };
                first.push(json!({"type": "ADDED", "object": object}));
            }
        }
        if initial {
            first.push(bookmark(served, self.revision(), true));
        }
        let after = if from_now { self.revision() } else { since.parse().unwrap_or(0) };
        let seconds = asked.parameter("timeoutSeconds").parse().unwrap_or(300_u64);
        Ok(Watch {
            served: served.clone(),
            selection,
            after,
            first,
            as_table,
            bookmarks: asked.parameter("allowWatchBookmarks") == "true",
            timeout: Duration::from_secs(seconds),
        })
    }
}

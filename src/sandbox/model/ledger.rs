//! The ledger: every attempted effect on the modelled outside, so that a test can ask whether anything was made twice,
//! orphaned, or foreign.

use super::Caller;
use crate::world::{of_cluster, Labels, RUN, STEP};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How an attempted effect ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerOutcome {
    /// It happened.
    Applied,
    /// It did not; the code or words of the refusal.
    Refused(String),
}

/// One attempted effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Clock time.
    pub at: Duration,
    /// Who did it.
    pub who: Caller,
    /// `cloud.server.create`, `dns.batch`, `node.harden.sh.apply`.
    pub op: String,
    /// What it was aimed at, in words.
    pub target: String,
    /// The cloud's id, where it has one.
    pub id: Option<i64>,
    /// Labels of the target before the effect (for a create: of what was made).
    pub labels: Labels,
    /// Which project, for effects on the cloud.
    pub project: Option<String>,
    /// DNS names, for effects on DNS.
    pub names: Vec<String>,
    /// How it ended.
    pub outcome: LedgerOutcome,
    /// Whether it happened and the caller never learned so.
    pub reply_lost: bool,
}

/// Something named an address that the project did not hold at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Clock time.
    pub at: Duration,
    /// The operation that brought it about.
    pub op: String,
    /// `record api.example.org`, `peer rule on node 203.0.113.7`.
    pub named_by: String,
    /// The address.
    pub address: IpAddr,
}

/// All attempted effects, in order.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// In the order in which they happened.
    pub entries: Vec<Entry>,
    /// Every moment at which an effect left a DNS record or peer rule naming an address that the project did not hold.
    pub strangers: Vec<Stranger>,
    /// Other promises seen broken: `two pods of app/worker run at once`. Whoever models it reports it here.
    pub broken: Vec<String>,
}

impl Ledger {
    /// Effects that happened.
    pub fn applied(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| e.outcome == LedgerOutcome::Applied)
    }
    /// How many effects of this operation happened.
    pub fn count(&self, op: &str) -> usize {
        self.applied().filter(|e| e.op == op).count()
    }
    /// What one step of one run made more than once while the earlier one was still there. Ids of both, in words.
    pub fn made_twice(&self) -> Vec<String> {
        let mut alive: BTreeMap<(String, String, String), (String, i64)> = BTreeMap::new();
        let mut twice = Vec::new();
        for entry in self.applied() {
            let Some(id) = entry.id else { continue };
            if entry.op.ends_with(".delete") {
                alive.retain(|_, (_, made)| *made != id);
            }
            if !entry.op.ends_with(".create") {
                continue;
            }
            let label = |key: &str| entry.labels.get(key).cloned().unwrap_or_default();
            let role = match label(STEP) {
                step if step.is_empty() => entry.target.clone(),
                step => step,
            };
            if let Some((target, first)) =
                alive.insert((entry.op.clone(), label(RUN), role), (entry.target.clone(), id))
            {
                twice.push(format!("{}: {target} ({first}) and {} ({id})", entry.op, entry.target));
            }
        }
        twice
    }
    /// Effects on what does not carry this cluster's labels, and on DNS names outside `names`, whoever called.
    pub fn strayed(&self, cluster: &str, names: &[String]) -> Vec<&Entry> {
        let foreign = |e: &&Entry| {
            let cloud = e.project.is_some() && !of_cluster(&e.labels, cluster);
            cloud || e.names.iter().any(|n| !names.contains(n))
        };
        self.applied().filter(foreign).collect()
    }
    /// Those of them that are a run's: only a door that learns who calls can tell.
    pub fn foreign_touched(&self, cluster: &str, names: &[String]) -> Vec<&Entry> {
        self.strayed(cluster, names).into_iter().filter(|e| !e.who.run.is_empty()).collect()
    }
    /// Effects that happened though the caller never learned so.
    pub fn lost(&self) -> Vec<&Entry> {
        self.entries.iter().filter(|e| e.reply_lost).collect()
    }
}

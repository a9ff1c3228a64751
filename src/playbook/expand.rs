//! From steps as written to one step a node.
//!
//! What a need means: between two steps per node it is the same node's, where the needed step runs on that node, and else all
//! of them; a step for the whole cluster needs all of a step per node; brackets name nodes. A needed step whose node set is
//! empty (`others` of a single node) hands on what it needs itself, so that the order does not depend on how many nodes
//! there are.

use super::order::Link;
use super::written::WrittenStep;
use std::collections::{BTreeMap, BTreeSet};

/// One step of one node, or of the whole cluster.
pub(super) struct Instance {
    /// Index of the step as written.
    pub(super) step: usize,
    pub(super) node: Option<String>,
    /// Indices of instances, all smaller than its own, ascending.
    pub(super) needs: Vec<usize>,
}

/// Expands the steps in this order, in which needs come first.
pub(super) fn expand(steps: &[WrittenStep<'_>], links: &[Vec<Link>], order: &[usize]) -> Vec<Instance> {
    let mut placed = Placed { instances: Vec::new(), of_step: BTreeMap::new(), links };
    for step in order {
        let Some(written) = steps.get(*step) else { continue };
        let nodes: Vec<Option<String>> = match &written.nodes {
            None => vec![None],
            Some(nodes) => nodes.iter().cloned().map(Some).collect(),
        };
        let mut mine = Vec::new();
        for node in nodes {
            let mut needs = BTreeSet::new();
            placed.needs(*step, node.as_deref(), &mut needs);
            mine.push(placed.instances.len());
            placed.instances.push(Instance { step: *step, node, needs: needs.into_iter().collect() });
        }
        placed.of_step.insert(*step, mine);
    }
    placed.instances
}

struct Placed<'a> {
    instances: Vec<Instance>,
    of_step: BTreeMap<usize, Vec<usize>>,
    links: &'a [Vec<Link>],
}

impl Placed<'_> {
    /// What the written step needs, seen from this node.
    fn needs(&self, step: usize, node: Option<&str>, into: &mut BTreeSet<usize>) {
        for link in self.links.get(step).into_iter().flatten() {
            let all = self.of_step.get(&link.to).map_or(&[][..], Vec::as_slice);
            let on = |keys: &[String]| -> Vec<usize> {
                let is_on = |i: &&usize| {
                    let of = self.instances.get(**i).and_then(|x| x.node.as_ref());
                    of.is_some_and(|n| keys.contains(n))
                };
                all.iter().filter(is_on).copied().collect()
            };
            let meant = match (&link.of, node) {
                (Some(keys), _) => on(keys),
                (None, Some(node)) => {
                    let same = on(&[node.to_owned()]);
                    if same.is_empty() {
                        all.to_vec()
                    } else {
                        same
                    }
                }
                (None, None) => all.to_vec(),
            };
            if meant.is_empty() {
                self.needs(link.to, node, into);
            }
            into.extend(meant);
        }
    }
}

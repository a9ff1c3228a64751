//! Node sets: the names that `each:` and the brackets of `needs:` may use, bound to nodes before expansion.
//!
//! To add a set: one line in [`NodeSets::of`].

use crate::config::NodeSettings;

/// Node sets by name; each keeps the order of `nodes:`.
pub(super) struct NodeSets(Vec<(&'static str, Vec<String>)>);

impl NodeSets {
    /// The sets that the configuration alone decides: `node` is every node, `first` starts the cluster, `others` join it.
    pub(super) fn of(nodes: &[NodeSettings]) -> Self {
        let keys: Vec<String> = nodes.iter().map(|n| n.key.clone()).collect();
        let first = keys.iter().take(1).cloned().collect();
        let others = keys.iter().skip(1).cloned().collect();
        Self(vec![("node", keys), ("first", first), ("others", others)])
    }
    /// The nodes of a set; `None` where there is no such set.
    pub(super) fn nodes(&self, name: &str) -> Option<&[String]> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, keys)| keys.as_slice())
    }
    /// All names.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(n, _)| *n).collect()
    }
}

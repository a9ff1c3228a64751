//! What was found of a cluster that was made by hand, in words: the same for the same world, for a person to accept.

use super::found::Found;
use super::piece::Piece;
use super::shown_key::UNKNOWN;
use crate::world::{self, Labels};
use std::collections::BTreeMap;

fn words(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

impl Found {
    /// What would be written, by id, a line each: grouped by what it is.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut labelled: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for piece in self.pieces.iter().filter(|piece| !piece.missing().is_empty()) {
            let own = [world::NODE, world::HOST_KEY];
            let (own, all): (Labels, Labels) =
                piece.missing().into_iter().partition(|(key, _)| own.contains(&key.as_str()));
            let with = if own.is_empty() { String::new() } else { format!(", and {}", words(&own)) };
            labelled.entry(words(&all)).or_default().push(format!("  {}{with}", piece.words));
        }
        for (labels, pieces) in labelled {
            lines.push(if labels.is_empty() { "labels on".to_owned() } else { format!("labels {labels} on") });
            lines.extend(pieces);
        }
        let kept: Vec<&Piece> = self.pieces.iter().filter(|piece| piece.goes).collect();
        if !kept.is_empty() {
            lines.push("no longer deleted with their servers, and taken up again by a rebuild".to_owned());
            lines.extend(kept.iter().map(|piece| format!("  {}", piece.words)));
        }
        let mut commented: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (r, comment) in &self.marks {
            commented.entry(comment).or_default().push(format!("  {} {} {} (id {})", r.name, r.kind, r.content, r.id));
        }
        for (comment, records) in commented {
            lines.push(format!("comment \"{comment}\" on the records"));
            lines.extend(records);
        }
        lines.push("the cluster's lease, a placement group, which is given back at the end".to_owned());
        lines.push(
            "here, in the run's secrets: the K3s token and the admin kubeconfig, read from the first node".to_owned(),
        );
        lines.push("here, pinned from now on: the host keys that the servers show".to_owned());
        for node in &self.nodes {
            let print = world::fingerprint(&node.host_key).unwrap_or_default();
            lines.push(format!("  {} {print}, {}", node.server.name, node.known));
        }
        if self.nodes.iter().any(|node| node.known.starts_with(UNKNOWN)) {
            lines.push(
                "  on a server's console, to compare: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub".to_owned(),
            );
        }
        lines
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut lines = vec!["will be written, and nothing else:".to_owned()];
        lines.extend(self.lines().iter().map(|line| format!("  {line}")));
        let done = |piece: &&Piece| piece.is_done();
        lines.extend(self.pieces.iter().filter(done).map(|piece| format!("labelled already: {}", piece.words)));
        lines.extend(self.left.iter().map(|line| format!("left as it is: {line}")));
        lines.join("\n")
    }
}

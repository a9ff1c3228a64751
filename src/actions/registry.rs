//! The closed set of actions: the one match from a playbook's names and parameters to actions.

use super::host_key::Rotation;
use super::rank::Part;
use super::rollout::Until;
use super::verify::Which;
use super::{
    address, adopt, apart, cluster_node, cost, dns, dns_undo, fence, firewall_peers, inventory, k3s, lease, manifests,
    node, old, preflight, regain, rollout, server, stock, teardown, teardown_live, thing, token, verify, Action,
};
use crate::config::known;
use crate::world::ThingKind;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The action of this name with these parameters, or why there is none.
pub fn action(name: &str, params: &Value) -> Result<Arc<dyn Action>, String> {
    let mut params = Params(params.as_object().cloned().unwrap_or_default());
    let action: Arc<dyn Action> = match name {
        "preflight.check" => Arc::new(preflight::Preflight),
        "stock.check" => Arc::new(stock::Stock),
        "access.regain" => Arc::new(regain::Access),
        "servers.give_up" => Arc::new(regain::GiveUp),
        "old_cluster.dead" => Arc::new(old::Dead),
        "old_cluster.fence" => Arc::new(fence::Fence),
        "lease.free" => Arc::new(lease::Free),
        "lease.hold" => Arc::new(lease::Hold),
        "lease.release" => Arc::new(lease::Release),
        "ssh_key.ensure" => Arc::new(thing::Ensure(ThingKind::SshKey)),
        "network.ensure" => Arc::new(thing::Ensure(ThingKind::Network)),
        "firewall.ensure" => Arc::new(thing::Ensure(ThingKind::Firewall)),
        "placement_group.ensure" => Arc::new(thing::Ensure(ThingKind::PlacementGroup)),
        "server.ensure" => Arc::new(server::Ensure),
        "server.protect" => Arc::new(old::Protect),
        "address.free" => Arc::new(address::Free),
        "address.keep" => Arc::new(address::Keep),
        "node.ready" => Arc::new(node::Ready),
        "node.script" => Arc::new(node::RunScript { script: params.word("script", &node::SCRIPTS)? }),
        "host_key.prepare" => Arc::new(Rotation::Prepare),
        "host_key.rotate" => Arc::new(Rotation::Rotate),
        "host_key.record" => Arc::new(Rotation::Record),
        "k3s.digest" => Arc::new(k3s::ReleaseDigest),
        "k3s.install" => Arc::new(k3s::OnNode::Install),
        "k3s.start" => Arc::new(k3s::OnNode::Start),
        "k3s.voters" => Arc::new(k3s::Voters),
        "kubeconfig.fetch" => Arc::new(k3s::Kubeconfig),
        "node.registered" => Arc::new(cluster_node::Registered),
        "manifests.apply" => {
            Arc::new(manifests::Apply(params.pick("part", &["foundation", "rest"], Part::from_word)?))
        }
        "secrets.apply" => Arc::new(manifests::Secrets),
        "workloads.roll" => Arc::new(rollout::Roll(params.pick("until", &["serving", "all"], until)?)),
        "traefik.ready" => Arc::new(rollout::Traefik),
        "node.answers" => Arc::new(verify::NodeAnswers(params.pick("health", &["first", "all"], which)?)),
        "edge.answers" => Arc::new(verify::EdgeAnswers {
            which: params.pick("health", &["first", "all"], which)?,
            stable: params.pick("stable", &["yes", "no"], |word| Some(word == "yes"))?,
        }),
        "dns.point" => Arc::new(dns::Point),
        "dns.undoable" => Arc::new(dns_undo::Undoable),
        "dns.undo" => Arc::new(dns_undo::Undo),
        "rehearsal.apart" => Arc::new(apart::Apart),
        "rehearsal.budget" => Arc::new(cost::Budget(params.pick("until", &["end", "expiry"], paid_until)?)),
        "rehearsal.cost" => Arc::new(cost::Spent),
        "inventory.note" => Arc::new(inventory::Note),
        "inventory.compare" => Arc::new(inventory::Compare),
        "teardown.servers" => Arc::new(teardown::Servers),
        "teardown.things" => Arc::new(teardown::Things),
        "teardown.empty" => Arc::new(teardown::Empty),
        "teardown.names" => Arc::new(teardown_live::Names),
        "teardown.dns" => Arc::new(teardown_live::Records),
        "teardown.unprotect" => Arc::new(teardown_live::Unprotect),
        "adopt.found" => Arc::new(adopt::Accept),
        "adopt.members" => Arc::new(adopt::Members),
        "adopt.label" => Arc::new(adopt::Label),
        "adopt.mark" => Arc::new(adopt::Mark),
        "k3s.token" => Arc::new(token::Token),
        "firewall.peers" => Arc::new(firewall_peers::Peers),
        other => return Err(format!("unknown action {other}; {}", known(other, NAMES.iter().copied(), ""))),
    };
    params.empty()?;
    Ok(action)
}

/// All names that [`action`] knows, for messages.
pub const NAMES: [&str; 54] = [
    "preflight.check",
    "stock.check",
    "access.regain",
    "servers.give_up",
    "old_cluster.dead",
    "old_cluster.fence",
    "lease.free",
    "lease.hold",
    "lease.release",
    "ssh_key.ensure",
    "network.ensure",
    "firewall.ensure",
    "placement_group.ensure",
    "server.ensure",
    "server.protect",
    "address.free",
    "address.keep",
    "node.ready",
    "node.script",
    "host_key.prepare",
    "host_key.rotate",
    "host_key.record",
    "k3s.digest",
    "k3s.install",
    "k3s.start",
    "k3s.voters",
    "kubeconfig.fetch",
    "node.registered",
    "manifests.apply",
    "secrets.apply",
    "workloads.roll",
    "traefik.ready",
    "node.answers",
    "edge.answers",
    "dns.point",
    "dns.undoable",
    "dns.undo",
    "firewall.peers",
    "rehearsal.apart",
    "rehearsal.budget",
    "rehearsal.cost",
    "inventory.note",
    "inventory.compare",
    "teardown.servers",
    "teardown.things",
    "teardown.empty",
    "teardown.names",
    "teardown.dns",
    "teardown.unprotect",
    "adopt.found",
    "adopt.members",
    "adopt.label",
    "adopt.mark",
    "k3s.token",
];

fn until(word: &str) -> Option<Until> {
    match word {
        "serving" => Some(Until::Serving),
        "all" => Some(Until::All),
        _ => None,
    }
}

fn paid_until(word: &str) -> Option<cost::Until> {
    match word {
        "end" => Some(cost::Until::End),
        "expiry" => Some(cost::Until::Expiry),
        _ => None,
    }
}

fn which(word: &str) -> Option<Which> {
    match word {
        "first" => Some(Which::First),
        "all" => Some(Which::All),
        _ => None,
    }
}

struct Params(Map<String, Value>);

impl Params {
    fn word(&mut self, key: &str, allowed: &[&str]) -> Result<String, String> {
        let value = self.0.remove(key);
        // YAML 1.1 readers turn a bare yes or no into a boolean.
        let word = match &value {
            Some(Value::String(word)) => word.as_str(),
            Some(Value::Bool(true)) => "yes",
            Some(Value::Bool(false)) => "no",
            _ => return Err(format!("parameter {key} is missing; it is one of {}", allowed.join(", "))),
        };
        match allowed.contains(&word) {
            true => Ok(word.to_owned()),
            false => Err(format!("parameter {key} is {word}; it is one of {}", allowed.join(", "))),
        }
    }

    fn pick<T>(&mut self, key: &str, allowed: &[&str], read: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let word = self.word(key, allowed)?;
        read(&word).ok_or_else(|| format!("parameter {key} is {word}; it is one of {}", allowed.join(", ")))
    }

    fn empty(&self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("unknown parameter {key}")),
        }
    }
}

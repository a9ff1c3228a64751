//! Firewalls of the modelled cloud: rules, and the servers they are on.

use super::actions::{Begin, Effect};
use super::cloud::{Note, Op};
use super::strangers::peers_of;
use super::{Answer, Caller, CloudAction, Model, ThingState};
use crate::world::{FirewallRule, ThingKind};
use std::time::Duration;

impl Model {
    /// Replaces a firewall's rules.
    pub fn set_rules(
        &mut self,
        now: Duration,
        caller: &Caller,
        id: i64,
        rules: &[FirewallRule],
    ) -> Answer<CloudAction> {
        let (op, target) = ("cloud.firewall.set_rules", format!("firewall {id}"));
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            model.note_thing(project, ThingKind::Firewall, id, note)?;
            if let Some(thing) = model.project_mut(project)?.things.get_mut(&id) {
                thing.state = ThingState::Firewall { rules: rules.to_vec() };
            }
            let named: Vec<_> = rules.iter().flat_map(peers_of).collect();
            model.look_for_strangers(op, &named);
            let resources = vec![("firewall".to_owned(), id)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            model.begin(project, Begin { command: "set_firewall_rules", op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    /// Puts a firewall onto a server, or takes it off.
    pub fn apply_firewall(
        &mut self,
        now: Duration,
        caller: &Caller,
        firewall: i64,
        server: i64,
        on: bool,
    ) -> Answer<CloudAction> {
        let op = if on { "cloud.firewall.attach" } else { "cloud.firewall.detach" };
        let target = self.server_words(server);
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            model.note_thing(project, ThingKind::Firewall, firewall, note)?;
            let attached = model.find_server_mut(project, server)?;
            (note.id, note.labels) = (Some(server), attached.labels.clone());
            attached.firewalls.retain(|f| *f != firewall);
            if on {
                attached.firewalls.push(firewall);
            }
            let resources = vec![("firewall".to_owned(), firewall)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            let command = if on { "apply_firewall" } else { "remove_firewall" };
            model.begin(project, Begin { command, op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
}

//! Firewalls of the modelled cloud: rules, and the servers they are on.

use super::actions::{Begin, Effect};
use super::cloud::{Note, Op};
use super::strangers::peers_of;
use super::{Answer, ApiError, Caller, CloudAction, Model, Selector, ThingState};
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
    /// Puts a firewall onto a server, or takes it off. 422 where it is on it by a label selector.
    /// Source: Hetzner Cloud API, "Remove from Resources", `firewall_managed_by_label_selector`.
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
            if !on && attached.selected.contains(&firewall) {
                let why = "firewall is applied via a label selector and cannot be removed manually";
                return Err(ApiError::new(422, "firewall_managed_by_label_selector", why));
            }
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
    /// Puts a firewall onto every server that a label selector selects, now and later; without one, only onto those that it was
    /// put on by themselves. The API takes some seconds for it, this none.
    pub fn select_for_firewall(
        &mut self,
        now: Duration,
        caller: &Caller,
        firewall: i64,
        selector: Option<&str>,
    ) -> Answer<CloudAction> {
        let op = if selector.is_some() { "cloud.firewall.attach" } else { "cloud.firewall.detach" };
        let target = format!("firewall {firewall}");
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            model.note_thing(project, ThingKind::Firewall, firewall, note)?;
            selector.map(Selector::parse).transpose()?;
            if let Some(thing) = model.project_mut(project)?.things.get_mut(&firewall) {
                thing.selector = selector.map(str::to_owned);
            }
            model.follow_selectors(project)?;
            let resources = vec![("firewall".to_owned(), firewall)];
            let (lasts, effect) = (model.latency.action, Effect::Nothing);
            let command = if selector.is_some() { "apply_firewall" } else { "remove_firewall" };
            model.begin(project, Begin { command, op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    /// Every server has the firewalls whose selectors select its labels, and no longer those whose do not.
    pub(super) fn follow_selectors(&mut self, project: usize) -> Result<(), ApiError> {
        let held = self.project_mut(project)?;
        let mut selectors = Vec::new();
        for thing in held.things.values() {
            if let Some(selector) = &thing.selector {
                selectors.push((thing.id, Selector::parse(selector)?));
            }
        }
        for server in held.servers.values_mut() {
            let selected = selectors.iter().filter(|(_, selector)| selector.selects(&server.labels));
            let selected: Vec<i64> = selected.map(|(id, _)| *id).collect();
            let before = std::mem::take(&mut server.selected);
            server.firewalls.retain(|id| !before.contains(id) && !selected.contains(id));
            server.firewalls.splice(0..0, selected.iter().copied());
            server.selected = selected;
        }
        Ok(())
    }
}

//! The whole outside in lines that do not depend on ids, times, addresses or random values: two worlds that a run shall have
//! left the same have the same lines.

use super::cloud::Project;
use super::k3s::{node_ip, K3sNode};
use super::machine::Machine;
use super::servers::status_word;
use super::{CloudServer, CloudThing, Model, PrimaryIp, ThingState};
use crate::world::{fingerprint_label, Labels, EXPIRES, HOST_KEY};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Addresses, and whose they are.
type Owners = BTreeMap<String, String>;

/// The text with the owner's name in the place of every known address.
fn named(text: &str, owners: &Owners) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() || c == '.' {
            run.push(c);
            continue;
        }
        out.push_str(owners.get(&run).unwrap_or(&run));
        run.clear();
        out.push(c);
    }
    out.pop();
    out
}

/// The first of a digest: equal where the text is, and no secret.
fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes())).chars().take(12).collect()
}

impl Model {
    /// Servers, what scripts have left on their machines, things of the clouds' projects, DNS records, and etcd members.
    pub fn in_words(&self) -> Vec<String> {
        let owners = self.owners();
        let mut lines = Vec::new();
        for project in &self.projects {
            lines.extend(project.servers.values().map(|s| format!("{} {}", project.name, server(project, s))));
            lines.extend(project.things.values().map(|t| format!("{} {}", project.name, thing(t))));
            // The cloud makes and takes the others with their servers.
            let own = project.primary_ips.values().filter(|ip| !ip.auto_delete || ip.server.is_none());
            lines.extend(own.map(|ip| format!("{} {}", project.name, primary_ip(ip))));
        }
        for machine in self.machines.values() {
            lines.extend(self.machine_words(machine));
        }
        for zone in &self.zones.zones {
            lines.push(format!("zone {} {} ssl {}", zone.name, zone.status, zone.ssl));
            for r in zone.records.values() {
                let rest = format!("proxied {} ttl {} comment {:?}", r.proxied, r.ttl, r.comment);
                lines.push(format!("record {} {} {} {rest}", r.name, r.kind, r.content));
            }
        }
        for cluster in self.clusters.values() {
            for member in cluster.members.values() {
                let kind = if member.learner { "learner" } else { "voter" };
                lines.push(format!("etcd {kind} {} of {}", member.name, cluster.first.version));
            }
        }
        let mut lines: Vec<String> = lines.iter().map(|line| named(line, &owners)).collect();
        lines.sort();
        lines
    }

    fn owners(&self) -> Owners {
        let mut owners = Owners::new();
        for server in self.projects.iter().flat_map(|p| p.servers.values()) {
            let private = server.private.iter().map(|p| (p.address.to_string(), format!("<{} inside>", server.name)));
            owners.extend(private);
            owners.extend(server.public.iter().map(|p| (p.address.to_string(), format!("<{}>", server.name))));
        }
        owners
    }

    /// What lies on a machine and who may come in.
    fn machine_words(&self, machine: &Machine) -> Vec<String> {
        let name = self.glimpse_name(machine.server);
        let mut lines = Vec::new();
        let mut line = |text: String| lines.push(format!("on {name}: {text}"));
        line(format!("{} {} root login {}", machine.hostname, machine.os, machine.access.root_login));
        for (user, keys) in &machine.access.users {
            line(format!("user {user} with {} keys", keys.len()));
        }
        if let Some(h) = &machine.access.hardened {
            let (keys, pods, services) = (h.keys.len(), &h.pod_cidr, &h.service_cidr);
            line(format!("hardened for {} with {keys} keys, {pods}, {services}, {:?}", h.user, h.api_access));
        }
        line(format!(
            "a revert is armed: {}; a next host key: {}",
            machine.armed.is_some(),
            machine.next_host_key.is_some()
        ));
        line(format!("late: {}; powers itself off: {}", machine.late, machine.expiry.is_some()));
        for peer in &machine.peers {
            line(format!("lets in its peer {peer}"));
        }
        let labels = self.projects.get(machine.project).and_then(|p| p.servers.get(&machine.server)).map(|s| &s.labels);
        if let Some(label) = labels.and_then(|l| l.get(HOST_KEY)) {
            let known = fingerprint_label(&machine.host_key.public).is_ok_and(|own| own == *label);
            line(format!("its label is of its host key: {known}"));
        }
        line(format!("{} ip {:?}", self.k3s_words(&machine.k3s), node_ip(machine)));
        lines
    }

    fn k3s_words(&self, k3s: &K3sNode) -> String {
        let Some(installed) = &k3s.installed else { return "no K3s".to_owned() };
        let mut config = installed.config.clone();
        let token = config.as_object_mut().and_then(|c| c.remove("token"));
        for (_, value) in config.as_object_mut().into_iter().flatten().filter(|(key, _)| key.ends_with("-key")) {
            *value = digest(&value.to_string()).into();
        }
        let cluster = k3s.cluster.as_ref().and_then(|uid| self.clusters.get(uid));
        let same = cluster.is_some_and(|c| token.as_ref().and_then(|t| t.as_str()) == Some(c.token.as_str()));
        format!(
            "K3s {} {} {} enabled {} digest {} traefik {} config {config} the cluster's token: {same}",
            k3s.word(),
            installed.version,
            installed.role,
            k3s.enabled,
            installed.sha256,
            digest(&installed.traefik),
        )
    }

    fn glimpse_name(&self, server: i64) -> String {
        let found = self.projects.iter().find_map(|p| p.servers.get(&server));
        found.map(|s| s.name.clone()).unwrap_or_default()
    }
}

/// Labels; a host key's is random, and is judged where the key lies.
fn labels(labels: &Labels) -> String {
    let shown = |(key, value): (&String, &String)| match key.as_str() {
        HOST_KEY | EXPIRES => format!("{key}=..."),
        _ => format!("{key}={value}"),
    };
    labels.iter().map(shown).collect::<Vec<_>>().join(",")
}

fn server(project: &Project, s: &CloudServer) -> String {
    let thing = |id: &i64| project.things.get(id).map_or("?", |t| t.name.as_str()).to_owned();
    let mut firewalls: Vec<String> = s.firewalls.iter().map(thing).collect();
    firewalls.sort();
    let networks: Vec<String> = s.private.iter().map(|p| thing(&p.network)).collect();
    format!(
        "server {} {} {} {} {} public {} networks {networks:?} firewalls {firewalls:?} group {:?} protected {} {} {}",
        s.name,
        status_word(s.status),
        s.server_type.name,
        s.location.name,
        s.image.name,
        s.public.is_some(),
        s.placement_group.as_ref().map(thing),
        s.delete_protected,
        s.rebuild_protected,
        labels(&s.labels),
    )
}

fn primary_ip(ip: &PrimaryIp) -> String {
    format!(
        "primary IP {} {} {} assigned {} {}",
        ip.name,
        ip.address,
        ip.location,
        ip.server.is_some(),
        labels(&ip.labels)
    )
}

fn thing(t: &CloudThing) -> String {
    let what = match &t.state {
        // Every run makes its own.
        ThingState::SshKey { .. } => String::new(),
        ThingState::Network { range, subnets } => format!("{range} {subnets:?}"),
        ThingState::Firewall { rules } => format!("{rules:?}"),
        ThingState::PlacementGroup => "spread".to_owned(),
    };
    format!("{} {} {} {what}", t.state.kind().word(), t.name, labels(&t.labels))
}

//! What is not the cluster's: it must be the same, byte by byte, after whatever a run did.

use super::Model;
use crate::world::of_cluster;
use std::collections::BTreeSet;

impl Model {
    /// Everything that neither carries the cluster's labels nor is named by its hosts' records, in full.
    pub fn foreign(&self, cluster: &str, hosts: &[String]) -> BTreeSet<String> {
        let records = || self.zones.zones.iter().flat_map(|zone| zone.records.values());
        let own: BTreeSet<String> = records().filter(|r| hosts.contains(&r.name)).map(|r| r.content.clone()).collect();
        let mut all = BTreeSet::new();
        for project in &self.projects {
            let servers = project.servers.values().filter(|s| !of_cluster(&s.labels, cluster));
            let servers = servers.filter(|s| !s.public.iter().any(|p| own.contains(&p.address.to_string())));
            all.extend(servers.map(|server| format!("{} {server:?}", project.name)));
            let things = project.things.values().filter(|t| !of_cluster(&t.labels, cluster));
            all.extend(things.map(|thing| format!("{} {thing:?}", project.name)));
            // The cloud makes and takes the others with their servers.
            let ips = project.primary_ips.values().filter(|ip| !ip.auto_delete && !of_cluster(&ip.labels, cluster));
            all.extend(ips.map(|ip| format!("{} {ip:?}", project.name)));
        }
        all.extend(records().filter(|r| !hosts.contains(&r.name)).map(|record| format!("{record:?}")));
        all
    }
}

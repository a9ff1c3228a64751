//! What is in the world, in lines for people.

use super::servers::status_word;
use super::Model;

impl Model {
    /// Servers of all projects, and DNS records, a line each.
    pub fn inventory(&self) -> (Vec<String>, Vec<String>) {
        let mut servers = Vec::new();
        for project in &self.projects {
            for server in project.servers.values() {
                let address = server.public.as_ref().map(|p| p.address.to_string()).unwrap_or_default();
                servers.push(format!("{} {} {address} ({})", server.name, status_word(server.status), project.name));
            }
        }
        let records = self.zones.zones.iter().flat_map(|z| z.records.values());
        let line = |r: &super::DnsRecord| {
            format!("{} {} {}{}", r.name, r.kind, r.content, if r.proxied { " proxied" } else { "" })
        };
        (servers, records.map(line).collect())
    }
}

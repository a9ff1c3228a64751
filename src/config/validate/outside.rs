//! DNS and health checks.

use super::super::names::{is_apart, test_label};
use super::super::problem::known;
use super::super::raw::{At, RawDns, RawHealth, RawSsl};
use super::super::rule;
use super::super::settings::{DnsSettings, HealthSettings};
use super::Checks;
use std::time::Duration;

/// How long a health check must answer where the configuration does not say.
const STABLE_FOR: Duration = Duration::from_secs(10);

/// Bytes of a label of DNS (63, RFC 1035) that `-r-` and a run's id leave.
const LONGEST: usize = 63 - 15;

impl Checks {
    pub(super) fn dns(&mut self, raw: RawDns) -> DnsSettings {
        let zone = &raw.zone.value;
        let proxied = raw.proxied.unwrap_or(true);
        if !rule::is_domain(zone) || !zone.contains('.') {
            self.add(
                raw.zone.place,
                format!("dns.zone \"{zone}\" is no domain"),
                "write it as example.org, in lower case",
            );
        }
        self.some(&raw.hosts, "dns.hosts", "name at least one host of the zone");
        self.unique("host", raw.hosts.value.iter().map(|h| (h.value.as_str(), h.place)));
        for host in &raw.hosts.value {
            let below = if host.value == *zone { Some("") } else { host.value.strip_suffix(&format!(".{zone}")) };
            match below {
                _ if !rule::is_domain(&host.value) => {
                    let what = format!("\"{}\" is no host name", host.value);
                    self.add(host.place, what, "use lower-case letters, digits, hyphens and dots (no *, no https://)");
                }
                None => {
                    let what = format!("host \"{}\" is not in the zone {zone}", host.value);
                    self.add(host.place, what, format!("write it as name.{zone}, or correct dns.zone"));
                }
                // Source: Cloudflare, Universal SSL: it covers the zone and its first level of names.
                Some(below) if proxied && zone.contains('.') && below.contains('.') => {
                    let what = format!("host \"{}\" is more than one label below {zone}", host.value);
                    let remedy = "Cloudflare's Universal SSL has no certificate for it: use a name one label below the zone, or \
                                  proxied: false";
                    self.add(host.place, what, remedy);
                }
                Some(_) => {}
            }
        }
        let ssl = raw.ssl.map(|mode| {
            match mode {
                RawSsl::Off => "off",
                RawSsl::Flexible => "flexible",
                RawSsl::Full => "full",
                RawSsl::Strict => "strict",
            }
            .to_owned()
        });
        let hosts = raw.hosts.value.into_iter().map(|h| h.value).collect();
        DnsSettings { zone: raw.zone.value, ssl, proxied, hosts }
    }

    /// The zone in which a rehearsal has its names: nothing of production's may be in it, above it or below it.
    pub(super) fn test_zone(&mut self, zone: &At<String>, dns: &DnsSettings) {
        let (name, production) = (&zone.value, &dns.zone);
        if !rule::is_domain(name) || !name.contains('.') {
            let what = format!("rehearsal.zone \"{name}\" is no domain");
            return self.add(zone.place, what, "write it as example.org, in lower case");
        }
        if !is_apart(name, production) {
            let what = format!("rehearsal.zone \"{name}\" is production's zone {production}, or above or below it");
            let remedy =
                "name a zone that production has nothing in, and give CLOUDFLARE_API_TOKEN_REHEARSAL of that one alone";
            return self.add(zone.place, what, remedy);
        }
        let labels: Vec<String> = dns.hosts.iter().map(|host| test_label(host, production)).collect();
        for (host, label) in dns.hosts.iter().zip(&labels) {
            if labels.iter().filter(|other| *other == label).count() > 1 {
                let what = format!(
                    "in a rehearsal host \"{host}\" would have the same name as another: {label}-r-<run>.{name}"
                );
                self.add(zone.place, what, "rename one of the hosts, or leave rehearsal.zone out");
            }
            if label.len() > LONGEST {
                let what = format!("in a rehearsal host \"{host}\" would have too long a name: {label}-r-<run>.{name}");
                self.add(zone.place, what, "give the host a shorter name, or leave rehearsal.zone out");
            }
        }
    }

    pub(super) fn health(&mut self, raw: At<Vec<RawHealth>>, hosts: &[String]) -> Vec<HealthSettings> {
        self.some(&raw, "health", "name at least one URL: without it no run can tell that it succeeded");
        self.unique("health check", raw.value.iter().map(|h| (h.url.value.as_str(), h.url.place)));
        let mut checks = Vec::new();
        for check in raw.value {
            self.health_url(&check.url, hosts);
            let status = check.status.as_ref().map_or(200, |s| s.value);
            if let Some(at) =
                check.status.filter(|s| !(200..=299).contains(&s.value) && !(400..=599).contains(&s.value))
            {
                let redirect = (300..400).contains(&at.value);
                let why = if redirect { "a redirect is no answer" } else { "no server answers with it" };
                let remedy = format!("{why}: expect 200, or what the page behind it answers");
                self.add(at.place, format!("a health check cannot expect status {}", at.value), remedy);
            }
            let stable_for = self.time(check.stable_for.as_ref(), "stable_for", STABLE_FOR);
            checks.push(HealthSettings { url: check.url.value, status, contains: check.contains, stable_for });
        }
        checks
    }

    fn health_url(&mut self, text: &At<String>, hosts: &[String]) {
        let Ok(url) = url::Url::parse(&text.value) else {
            let what = format!("health check \"{}\" is no URL", text.value);
            return self.add(text.place, what, "write it as https://host/path");
        };
        if url.scheme() != "https" || url.port().is_some() || !url.username().is_empty() || url.password().is_some() {
            let what = "a health check asks by https, on its own port and without a login";
            self.add(text.place, what, "write it as https://host/path");
        }
        let host = url.host_str().unwrap_or_default();
        if !hosts.iter().any(|h| h == host) {
            let remedy = known(host, hosts.iter().map(String::as_str), "there are no hosts");
            self.add(text.place, format!("health check: \"{host}\" is not among dns.hosts"), remedy);
        }
    }
}

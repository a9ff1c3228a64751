//! The names of a rehearsal, where the configuration gives it a zone of its own: one for each of production's, one label below
//! the zone (the edge has no certificate for deeper ones), with the run's id in it.

use super::settings::{HealthSettings, Settings};

/// The name that stands for the zone itself.
const APEX: &str = "apex";

/// Whether neither zone is, or holds, the other.
pub(super) fn is_apart(zone: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| inner == outer || inner.ends_with(&format!(".{outer}"));
    !within(zone, other) && !within(other, zone)
}

/// What a host of production's is called in front of the run's id: `api` for `api.myhoneydue.com`.
pub(super) fn test_label(host: &str, zone: &str) -> String {
    match host.strip_suffix(zone).map(|below| below.trim_end_matches('.')) {
        Some("") => APEX.to_owned(),
        Some(below) => below.replace('.', "-"),
        None => host.replace('.', "-"),
    }
}

impl Settings {
    /// Each name of production with the one that a rehearsal has instead; none where the configuration gives it no zone. Of the
    /// living cluster's settings.
    pub(super) fn test_names(&self, run: &str) -> Vec<(String, String)> {
        let Some(zone) = &self.rehearsal.zone else { return Vec::new() };
        let name = |host: &String| format!("{}-r-{run}.{zone}", test_label(host, &self.dns.zone));
        self.dns.hosts.iter().map(|host| (host.clone(), name(host))).collect()
    }

    /// Puts these names, of the zone for rehearsals, in the place of production's. Nothing where there is no such zone.
    pub(super) fn name_in_test_zone(&mut self, names: Vec<String>) {
        let (Some(zone), Some(spare)) = (self.rehearsal.zone.clone(), &mut self.spare) else { return };
        if names.is_empty() {
            return;
        }
        spare.apart_from = Some(std::mem::replace(&mut self.dns.zone, zone));
        self.dns.hosts = names;
    }

    /// Asks for the names of the rehearsal first: those lead through the edge. Production's are asked of the nodes alone.
    pub(super) fn ask_names(&mut self, names: &[(String, String)]) {
        let other = |health: &HealthSettings| {
            let (of, rest) = health.host();
            let (_, name) = names.iter().find(|(host, _)| host == of)?;
            Some(HealthSettings { url: format!("https://{name}{rest}"), ..health.clone() })
        };
        let own: Vec<HealthSettings> = self.health.iter().filter_map(other).collect();
        self.health.splice(0..0, own);
    }

    /// Whether this is a name that a rehearsal of this id has for its time, in a zone that is not production's. Whoever decides
    /// what a run may touch asks this, whatever names the settings hold.
    pub fn is_test_name(&self, zone: &str, name: &str, run: &str) -> bool {
        let production = self.spare.as_ref().and_then(|spare| spare.apart_from.as_deref());
        let ours =
            self.rehearsal.zone.as_deref() == Some(zone) && production.is_some_and(|other| is_apart(zone, other));
        let label = name.strip_suffix(&format!("-r-{run}.{zone}"));
        ours && label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn named() -> Settings {
        let mut live = crate::config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).unwrap();
        live.rehearsal.zone = Some("example.org".to_owned());
        live
    }

    #[test]
    fn a_rehearsal_has_a_name_for_each_of_productions_one_label_below_its_own_zone() {
        let settings = named().rehearsed_as("abc").unwrap();
        let wanted = ["apex-r-abc.example.org", "api-r-abc.example.org", "admin-r-abc.example.org"];
        assert_eq!(
            (settings.dns.zone.as_str(), settings.dns.hosts.as_slice()),
            ("example.org", &wanted.map(str::to_owned)[..])
        );
        let urls: Vec<&str> = settings.health.iter().map(|health| health.url.as_str()).collect();
        assert_eq!(urls[0], "https://api-r-abc.example.org/api/health/");
        assert_eq!(urls.len(), 2 * named().health.len(), "production's are still asked of the nodes");
        assert_eq!(test_label("a.b.example.com", "example.com"), "a-b");
    }

    #[test]
    fn without_a_zone_it_has_none_and_nothing_else_changes() {
        let mut live = named();
        live.rehearsal.zone = None;
        let settings = live.rehearsed_as("abc").unwrap();
        assert_eq!((settings.dns.zone, settings.dns.hosts.len(), settings.health), (live.dns.zone, 0, live.health));
        assert!(!settings.spare.unwrap().differs.iter().any(|row| row.to_string().contains("-r-")));
    }

    #[test]
    fn only_a_name_with_the_runs_id_in_the_zone_for_rehearsals_is_one() {
        let settings = named().rehearsed_as("abc").unwrap();
        let is = |zone: &str, name: &str, run: &str| settings.is_test_name(zone, name, run);
        assert!(is("example.org", "api-r-abc.example.org", "abc"));
        assert!(!is("example.org", "api.example.org", "abc") && !is("example.org", "api-r-abd.example.org", "abc"));
        assert!(!is("example.org", "-r-abc.example.org", "abc") && !is("example.org", "a.b-r-abc.example.org", "abc"));
        assert!(!is("myhoneydue.com", "api-r-abc.myhoneydue.com", "abc"));
        assert!(!named().is_test_name("example.org", "api-r-abc.example.org", "abc"), "a live run has none");
        let mut near = settings.clone();
        near.spare.as_mut().unwrap().apart_from = Some("org".to_owned());
        assert!(!near.is_test_name("example.org", "api-r-abc.example.org", "abc"), "below production's");
    }
}

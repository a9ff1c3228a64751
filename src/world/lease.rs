//! The lease of a cluster: who may change it. It is held in the cloud's project, where two operators on two machines meet: a
//! placement group, whose names are unique in a project, so that making it is taking it. It costs nothing.
//!
//! Source: Hetzner Cloud API, Placement Groups (`name` must be unique per project; `uniqueness_error`).

use super::{label_value, of_cluster, rfc3339, Labels, Thing, RUN};
use std::time::Duration;

/// Who holds the lease: `user.host`. For people; nothing is decided by it.
pub const HOLDER: &str = "relight-holder";
/// Since when, in whole seconds of Unix time. For people too.
pub const SINCE: &str = "relight-since";

/// The name of a cluster's lease.
pub fn lease_name(cluster: &str) -> String {
    format!("{cluster}-lease")
}

/// A lease that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The cloud's id of it.
    pub id: i64,
    /// The run that holds it; empty where its labels do not say so.
    pub run: String,
    holder: Option<String>,
    since: Option<Duration>,
    ours: bool,
}

impl Lease {
    /// The cluster's lease among all placement groups, where there is one.
    pub fn among(things: &[Thing], cluster: &str) -> Option<Self> {
        let name = lease_name(cluster);
        things.iter().find(|thing| thing.name == name).map(|thing| Self {
            id: thing.id,
            run: thing.labels.get(RUN).cloned().unwrap_or_default(),
            holder: thing.labels.get(HOLDER).cloned(),
            since: thing.labels.get(SINCE).and_then(|text| text.parse().ok()).map(Duration::from_secs),
            ours: of_cluster(&thing.labels, cluster),
        })
    }
    /// Whether it is this cluster's at all: a name alone is no proof.
    pub fn is_of_cluster(&self) -> bool {
        self.ours
    }
    /// Whether this run holds it.
    pub fn is_of(&self, run: &str) -> bool {
        self.ours && self.run == label_value(run)
    }
    /// Who holds it, where it says so.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }
    /// What a person types to break it: the run's id, or the cloud's where there is none.
    pub fn name(&self) -> String {
        match self.run.is_empty() {
            true => self.id.to_string(),
            false => self.run.clone(),
        }
    }
    /// `run jnf4zkyr22gm of ann.laptop since 2026-11-25T18:13:06.000Z (41 minutes)`.
    pub fn words(&self, now: Duration) -> String {
        let since = self.since.map_or_else(String::new, |since| {
            format!(" since {} ({})", rfc3339(since), age(now.saturating_sub(since)))
        });
        format!("run {} of {}{since}", self.name(), self.holder.as_deref().unwrap_or("somebody"))
    }
}

/// The labels that say who holds it, since when.
pub fn lease_labels(holder: &str, now: Duration) -> Labels {
    let mut labels: Labels = [(SINCE.to_owned(), now.as_secs().to_string())].into();
    let holder = label_value(holder);
    if !holder.is_empty() {
        labels.insert(HOLDER.to_owned(), holder);
    }
    labels
}

fn age(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    let (amount, unit) = match minutes {
        0 => return "less than a minute".to_owned(),
        1..120 => (minutes, "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("{amount} {unit}{}", if amount == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{ThingSpec, CLUSTER, MANAGED_BY};

    fn thing(name: &str, labels: &[(&str, &str)]) -> Thing {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Thing { id: 7, name: name.to_owned(), labels, spec: ThingSpec::PlacementGroup }
    }

    #[test]
    fn a_lease_says_who_holds_it_and_for_how_long() {
        let at = Duration::from_secs;
        let mut labels = vec![(MANAGED_BY, "relight"), (CLUSTER, "c"), (RUN, "abc")];
        let held = |labels: &[(&str, &str)]| Lease::among(&[thing("c-lease", labels)], "c").unwrap();
        assert_eq!(held(&labels).words(at(5)), "run abc of somebody");
        labels.extend([(HOLDER, "ann.laptop"), (SINCE, "60")]);
        let lease = held(&labels);
        assert!(lease.is_of("abc") && !lease.is_of("abd") && lease.is_of_cluster());
        assert_eq!(lease.words(at(119)), "run abc of ann.laptop since 1970-01-01T00:01:00.000Z (less than a minute)");
        for (now, age) in [(120, "1 minute"), (7200, "119 minutes"), (7260, "2 hours"), (172_860, "2 days")] {
            assert!(lease.words(at(now)).ends_with(&format!("({age})")), "{}", lease.words(at(now)));
        }
    }

    #[test]
    fn a_name_alone_makes_no_lease_of_the_clusters() {
        assert_eq!(Lease::among(&[thing("other-lease", &[])], "c"), None);
        let foreign = Lease::among(&[thing("c-lease", &[(RUN, "abc")])], "c").unwrap();
        assert!(!foreign.is_of_cluster() && !foreign.is_of("abc"));
        assert_eq!(Lease::among(&[thing("c-lease", &[])], "c").unwrap().name(), "7");
    }

    #[test]
    fn labels_of_a_lease_obey_the_clouds_rule() {
        let labels = lease_labels("ann@home.büro", Duration::from_millis(61_500));
        assert_eq!(labels.get(HOLDER).map(String::as_str), Some("ann_home.b_ro"));
        assert_eq!(labels.get(SINCE).map(String::as_str), Some("61"));
        assert!(!lease_labels("", Duration::ZERO).contains_key(HOLDER));
    }
}

//! Names and labels of what relight makes: the one place that makes them and that says whose a thing is.

use std::collections::BTreeMap;
use std::time::Duration;

/// Labels as the cloud keeps them.
pub type Labels = BTreeMap<String, String>;

/// `managed-by=relight` stands on everything that relight made or adopted.
pub const MANAGED_BY: &str = "managed-by";
/// The cluster's name.
pub const CLUSTER: &str = "relight-cluster";
/// The run that made it.
pub const RUN: &str = "relight-run";
/// The step that made it.
pub const STEP: &str = "relight-step";
/// `live` or `rehearsal`.
pub const MODE: &str = "relight-mode";
/// Digest of the specification it was made from.
pub const SPEC: &str = "relight-spec";
/// The configuration's node key.
pub const NODE: &str = "relight-node";
/// Fingerprint of the node's SSH host key.
pub const HOST_KEY: &str = "relight-host-key";
/// When it may go: whole seconds of Unix time, on everything that a rehearsal makes.
pub const EXPIRES: &str = "relight-expires";
/// `fenced` on servers that a rebuild has put out of action.
pub const STATE: &str = "relight-state";

/// Turns any text into a label value: at most 63 of `[A-Za-z0-9._-]` with an alphanumeric at both ends; `step[node]` becomes
/// `step.node`, everything else that is not allowed `_`.
/// Source: Hetzner Cloud API overview, "Labels".
pub fn label_value(text: &str) -> String {
    let mapped: String = text
        .chars()
        .filter(|c| *c != ']')
        .map(|c| match c {
            '[' => '.',
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => c,
            _ => '_',
        })
        .collect();
    let edge = |c: char| !c.is_ascii_alphanumeric();
    let cut: String = mapped.trim_start_matches(edge).chars().take(63).collect();
    cut.trim_end_matches(edge).to_owned()
}

/// The labels that make a server, address or firewall that was made by hand one of the cluster's. No run is named: none made it.
pub fn adopted(cluster: &str) -> Labels {
    let pairs = [(MANAGED_BY, "relight".to_owned()), (CLUSTER, label_value(cluster)), (MODE, "live".to_owned())];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Cuts a hexadecimal digest to the 32 characters that a label holds comfortably.
pub fn label_digest(hex: &str) -> String {
    hex.chars().take(32).collect()
}

/// A selector for everything of one cluster, optionally of one run.
pub fn selector(cluster: &str, run: Option<&str>) -> String {
    let whole = format!("{MANAGED_BY}=relight,{CLUSTER}={}", label_value(cluster));
    match run {
        Some(run) => format!("{whole},{RUN}={}", label_value(run)),
        None => whole,
    }
}

/// Whether these labels say that the thing belongs to this cluster. A name alone is no proof.
pub fn of_cluster(labels: &Labels, cluster: &str) -> bool {
    labels.get(MANAGED_BY).is_some_and(|v| v == "relight")
        && labels.get(CLUSTER).is_some_and(|v| *v == label_value(cluster))
}

/// Whether these labels say that this run made the thing.
pub fn of_run(labels: &Labels, cluster: &str, run: &str) -> bool {
    of_cluster(labels, cluster) && labels.get(RUN).is_some_and(|v| *v == label_value(run))
}

/// The value of [`MODE`] on what a rehearsal made.
const REHEARSAL: &str = "rehearsal";

/// Which rehearsal of this cluster made the thing; `None` where none did.
pub fn rehearsal_of<'a>(labels: &'a Labels, cluster: &str) -> Option<&'a str> {
    let of_one = of_cluster(labels, cluster) && labels.get(MODE).is_some_and(|mode| mode == REHEARSAL);
    labels.get(RUN).filter(|_| of_one).map(String::as_str)
}

/// Whether the labels say that a live run made the thing, or that somebody took it over for the living cluster.
pub fn of_living(labels: &Labels, cluster: &str) -> bool {
    of_cluster(labels, cluster) && labels.get(MODE).is_none_or(|mode| mode != REHEARSAL)
}

/// When the thing may go, since the epoch; `None` where the labels do not say so.
pub fn expires(labels: &Labels) -> Option<Duration> {
    labels.get(EXPIRES)?.parse().ok().map(Duration::from_secs)
}

/// Whether the labels say that the thing's time is over.
pub fn expired(labels: &Labels, now: Duration) -> bool {
    expires(labels).is_some_and(|until| until <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsals_things_are_told_from_the_living_clusters_and_only_a_time_that_has_passed_is_over() {
        let labels = |mode: &str, until: &str| -> Labels {
            let pairs = [(MANAGED_BY, "relight"), (CLUSTER, "c"), (RUN, "abc"), (MODE, mode), (EXPIRES, until)];
            pairs.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        let (spare, live, older) = (labels("rehearsal", "100"), labels("live", ""), labels("", ""));
        assert_eq!(rehearsal_of(&spare, "c"), Some("abc"));
        assert_eq!([&live, &older].map(|l| rehearsal_of(l, "c")), [None, None]);
        assert_eq!(rehearsal_of(&spare, "another"), None);
        assert_eq!([&spare, &live, &older].map(|l| of_living(l, "c")), [false, true, true]);
        let at = Duration::from_secs;
        assert_eq!([at(99), at(100)].map(|now| expired(&spare, now)), [false, true]);
        assert!(!expired(&live, at(100)) && !expired(&labels("rehearsal", "soon"), at(100)));
    }

    #[test]
    fn label_values_obey_the_clouds_rule() {
        assert_eq!(label_value("server[node-2]"), "server.node-2");
        assert_eq!(label_value("v1.34.6+k3s1"), "v1.34.6_k3s1");
        assert_eq!(label_value("--a--"), "a");
        let long = label_value(&"-x".repeat(80));
        assert!(long.len() <= 63 && !long.ends_with('-') && !long.starts_with('-'));
        assert_eq!(label_value(""), "");
    }
}

//! What of a cluster is proven now, as people read it.

use super::proven::{ProvenRun, Standing};
use super::words::{plain, time, together};

/// How a cluster stands, in lines for people.
pub fn proven_text(standing: &Standing, cluster: &str) -> String {
    let mut lines = Vec::new();
    match &standing.proof {
        Some(proof) => {
            lines.push(sentence(proof, standing.demonstration));
            lines.extend(proof.not_executed.iter().map(|what| format!("  not executed  {}", plain(what))));
        }
        None => lines.push(never(standing, cluster)),
    }
    if let Some(failed) = &standing.failed {
        let why = failed.why_not.iter().map(|w| plain(w)).collect::<Vec<_>>().join("; ");
        lines.push(format!(
            "the last rehearsal, {} of {}, proves nothing: {why}",
            plain(&failed.run),
            ago(failed.age_seconds)
        ));
    }
    lines.join("\n") + "\n"
}

fn never(standing: &Standing, cluster: &str) -> String {
    let cluster = plain(cluster);
    if standing.demonstration {
        return format!(
            "never demonstrated in the {}: `relight rehearse --sandbox` shows what a rehearsal is",
            standing.world
        );
    }
    format!("never rehearsed: nothing proves yet that cluster {cluster} comes back; `relight rehearse` does, on spare nodes")
}

fn sentence(proof: &ProvenRun, demonstration: bool) -> String {
    let word = if demonstration { "demonstrated" } else { "proven" };
    let mut first = vec![format!("{word} {}", ago(proof.age_seconds))];
    let times = [("first answer", proof.first_answer_seconds), ("all", proof.recovery_seconds)];
    let times = times.into_iter().filter_map(|(name, seconds)| Some(format!("{name} {}", time(seconds?))));
    first.extend(times);
    let world = match demonstration {
        true => " in an emulated world: a demonstration, and no proof of the cluster",
        false => "",
    };
    let mut parts = vec![format!("{} (run {}){world}", first.join(", "), plain(&proof.run))];
    parts.push(match proof.changed.is_empty() {
        true => "nothing has changed since then".to_owned(),
        false => format!("since then changed: {}", plain(&proof.changed.join(", "))),
    });
    if !proof.unproven.is_empty() {
        parts.push(format!("these steps are unproven: {}", plain(&together(&proof.unproven))));
    }
    parts.join("; ")
}

/// `12 days ago`.
fn ago(seconds: f64) -> String {
    let seconds = std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e10)).as_secs();
    for (unit, name) in [(86_400, "day"), (3600, "hour"), (60, "minute")] {
        match seconds / unit {
            0 => {}
            1 => return format!("1 {name} ago"),
            number => return format!("{number} {name}s ago"),
        }
    }
    "just now".to_owned()
}

/// What a person must know before a live run begins: that nothing proves it as it is, and what a rehearsal that would costs at
/// most (euro, net), where that is known. None where there was one. In an emulated world the rehearsal there counts.
pub fn unproven_text(standing: &Standing, price: Option<f64>) -> Option<String> {
    if standing.proof.as_ref().is_some_and(|proof| proof.changed.is_empty()) {
        return None;
    }
    let why = match &standing.proof {
        Some(proof) => format!(
            "since the rehearsal of {} these have changed: {}",
            ago(proof.age_seconds),
            plain(&proof.changed.join(", "))
        ),
        None => "it was never rehearsed".to_owned(),
    };
    let price = price.map(|price| format!(" for at most EUR {price:.2}, net")).unwrap_or_default();
    Some(format!("no proof for this binary and configuration: {why}; `relight rehearse` gives one{price}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Outcome;
    use crate::report::proof::{proof, Proof};
    use crate::report::proven::Today;
    use crate::report::samples::{end, pairs, record, rehearsal};

    const DAY: u64 = 86_400_000;

    fn proofs(world: &str) -> Vec<Proof> {
        vec![proof(pairs(&rehearsal(world)), "").unwrap()]
    }
    /// What would run is what ran.
    fn same(proof: &Proof) -> Today {
        Today {
            version: proof.version.clone(),
            digests: proof.digests.clone(),
            settings: Vec::new(),
            rehearsed: proof.steps.iter().map(|s| record(&s.id, 1.0, &[])).collect(),
            live: proof.steps.iter().map(|s| s.id.clone()).collect(),
        }
    }
    fn later(world: &str, proofs: &[Proof], change: impl Fn(&mut Today)) -> Standing {
        let today = |proof: &Proof| {
            let mut today = same(proof);
            change(&mut today);
            Ok(today)
        };
        Standing::of(world, proofs, 1_700_000_301_010 + 12 * DAY, today)
    }

    #[test]
    fn a_proof_that_still_holds_says_when_and_how_fast() {
        let standing = later("real", &proofs("real"), |_| {});
        assert!(standing.is_proven() && unproven_text(&standing, None).is_none());
        insta::assert_snapshot!(proven_text(&standing, "demo"), @r#"
        proven 12 days ago, first answer 1m 31s, all 2m 07s (run abcdefghijkl); nothing has changed since then
          not executed  edge and DNS: no hostname led to the rehearsal; each node was asked directly
          not executed  secret app/app DATABASE_URL: another value, from environment variable OTHER
          not executed  workload worker: held at zero
          not executed  steps of a live run alone: fence dns[node-1,node-2]
        "#);
    }

    #[test]
    fn what_has_changed_since_and_what_is_therefore_unproven_is_named() {
        let standing = later("real", &proofs("real"), |today| {
            today.version = "0.2.0".to_owned();
            for name in ["binary", "k3s", "manifest manifests/api.yaml", "configuration", "script b.sh"] {
                today.digests.insert(name.to_owned(), "another".to_owned());
            }
            today.digests.remove("script a.sh");
            today.settings = ["cloud.image", "k3s.version"].map(str::to_owned).to_vec();
            today.live.extend(["fence", "dns[node-1]", "dns[node-2]"].map(str::to_owned));
            today
                .rehearsed
                .iter_mut()
                .filter(|r| r.id.starts_with("server"))
                .for_each(|r| "d2".clone_into(&mut r.inputs));
        });
        let text = proven_text(&standing, "demo");
        insta::assert_snapshot!(text.lines().next().unwrap(), @"proven 12 days ago, first answer 1m 31s, all 2m 07s (run abcdefghijkl); since then changed: relight 0.1.0 -> 0.2.0, configuration (cloud.image), K3s pin, manifests/api.yaml, a.sh (gone), b.sh (new); these steps are unproven: server[node-1,node-2] fence dns[node-1,node-2]");
        insta::assert_snapshot!(unproven_text(&standing, None).unwrap(), @"no proof for this binary and configuration: since the rehearsal of 12 days ago these have changed: relight 0.1.0 -> 0.2.0, configuration (cloud.image), K3s pin, manifests/api.yaml, a.sh (gone), b.sh (new); `relight rehearse` gives one");
    }

    #[test]
    fn a_changed_pin_is_told_once() {
        let standing = later("real", &proofs("real"), |today| {
            for name in ["k3s", "configuration"] {
                today.digests.insert(name.to_owned(), "another".to_owned());
            }
            today.settings = vec!["k3s.version".to_owned()];
        });
        assert_eq!(standing.proof.unwrap().changed, ["K3s pin"]);
    }

    #[test]
    fn without_a_rehearsal_it_says_what_to_run_and_before_a_live_run_that_nothing_is_proven() {
        let never = later("real", &[], |_| {});
        insta::assert_snapshot!(proven_text(&never, "demo"), @"never rehearsed: nothing proves yet that cluster demo comes back; `relight rehearse` does, on spare nodes");
        assert_eq!(
            unproven_text(&never, Some(0.061)).unwrap(),
            "no proof for this binary and configuration: it was never rehearsed; `relight rehearse` gives one for at most EUR 0.06, net"
        );
        assert!(proven_text(&later("sandbox", &[], |_| {}), "demo").starts_with("never demonstrated in the sandbox: "));
    }

    #[test]
    fn in_the_sandbox_it_is_a_demonstration_and_no_proof() {
        let standing = later("sandbox", &proofs("sandbox"), |_| {});
        assert!(!standing.is_proven() && unproven_text(&standing, None).is_none());
        let text = proven_text(&standing, "demo");
        assert!(
            text.starts_with("demonstrated 12 days ago, first answer 1m 31s") && text.contains("no proof"),
            "{text}"
        );
    }

    #[test]
    fn a_later_rehearsal_that_failed_is_told_beside_the_last_that_did_not() {
        let mut both = proofs("real");
        let mut events = rehearsal("real");
        events.retain(|(_, e)| *e != end("residue", Outcome::Done, ""));
        both.push(proof(pairs(&events), "").unwrap());
        let text = proven_text(&later("real", &both, |_| {}), "demo");
        assert!(
            text.starts_with("proven 12 days ago") && text.contains("proves nothing: no step `residue` looked"),
            "{text}"
        );
    }

    #[test]
    fn a_configuration_that_no_rehearsal_would_take_is_a_change() {
        let standing =
            Standing::of("real", &proofs("real"), 0, |_| Err("secret a/b would hold production's values".into()));
        let text = proven_text(&standing, "demo");
        assert!(text.starts_with("proven just now") && text.contains("would be refused (secret a/b"), "{text}");
    }
}

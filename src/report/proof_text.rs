//! A proof as people read it: `proof.md`.

use super::proof::{Proof, ProvenStep};
use super::words::{count, plain, time};
use std::fmt::Write;

/// The proof as Markdown: what it came to, what was not executed, what the run was made of, and every step.
pub fn proof_text(proof: &Proof) -> String {
    let mut lines = vec![format!("# Rehearsal of cluster {}: {}\n", plain(&proof.cluster), verdict(proof))];
    if proof.demonstration {
        let world = plain(&proof.world);
        lines.push(format!(
            "A demonstration in the {world}: it shows what relight does, and proves nothing of the cluster.\n"
        ));
    }
    lines.extend(proof.why_not.iter().map(|reason| format!("- not proven: {}", plain(reason))));
    let mended = proof.failed.iter().filter(|f| !f.remedy.is_empty());
    lines.extend(mended.map(|f| format!("- next, for {}: {}", plain(&f.step), plain(&f.remedy))));
    lines.extend(facts(proof));
    lines.push("\n## Not executed\n".to_owned());
    lines.extend(proof.not_executed.iter().map(|line| format!("- {}", plain(line))));
    lines.push("\n## Made of\n\n| what | SHA-256, or version |\n| --- | --- |".to_owned());
    for (name, digest) in &proof.digests {
        let changed = if proof.changed_underway.contains(name) { " (another after a resume)" } else { "" };
        lines.push(format!("| {}{changed} | `{}` |", cell(name), cell(digest)));
    }
    lines.push("\n## Steps\n\n| step | outcome | took | tries | began | does |".to_owned());
    lines.push("| --- | --- | --- | --- | --- | --- |".to_owned());
    lines.extend(proof.steps.iter().map(row));
    lines.join("\n") + "\n"
}

fn verdict(proof: &Proof) -> &'static str {
    match (proof.proven, proof.demonstration) {
        (true, false) => "proven",
        (true, true) => "demonstrated",
        (false, _) => "not proven",
    }
}

fn facts(proof: &Proof) -> Vec<String> {
    let seconds = &proof.seconds;
    let mut lines = vec![format!(
        "- run {} of {} in world {}, relight {}",
        plain(&proof.run),
        plain(&proof.playbook),
        plain(&proof.world),
        plain(&proof.version)
    )];
    lines.push(format!("- began {}, ended {}: {}", proof.began, proof.ended, plain(&proof.outcome).replace('_', " ")));
    for (name, seconds) in [("first answer", seconds.first_answer), ("everything verified", seconds.recovery)] {
        lines.extend(seconds.map(|seconds| format!("- {name} after {}", time(seconds))));
    }
    let mut whole = format!("- all, taking down included: {}", time(seconds.whole));
    if seconds.waited_for_people > 0.0 {
        // Writing to a string cannot fail.
        let _ = write!(whole, "; {} of waiting for people not counted", time(seconds.waited_for_people));
    }
    if proof.resumed > 0 {
        let pauses = time(seconds.interrupted);
        let _ = write!(whole, "; resumed {}, its pauses of {pauses} not counted", count(proof.resumed, "time"));
    }
    lines.push(whole);
    let told = |cost: &Option<String>| cost.as_deref().map_or_else(|| "not told".to_owned(), plain);
    lines.push(format!("- cost: forecast {}, actual {}", told(&proof.cost.forecast), told(&proof.cost.actual)));
    lines.push(match &proof.residue {
        Some(residue) => format!("- residue: {} {}", residue.outcome, plain(&residue.text)).trim_end().to_owned(),
        None => "- residue: not looked for".to_owned(),
    });
    lines.push(format!(
        "- journal: {} records, the last with SHA-256 `{}`",
        proof.journal.records,
        plain(&proof.journal.head)
    ));
    lines
}

fn row(step: &ProvenStep) -> String {
    let (took, began) = (step.seconds.map(time).unwrap_or_default(), step.began.as_deref().unwrap_or_default());
    let (id, outcome, text) = (cell(&step.id), cell(&step.outcome), cell(&step.text));
    format!("| {id} | {outcome} | {took} | {} | {began} | {text} |", step.attempts)
}

/// Nothing in it ends the table's cell.
fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Event, Outcome};
    use crate::report::proof::proof;
    use crate::report::samples::{begin, end, finished, good_run, pairs, rehearsal, retry, started};

    fn of(events: &[(u64, Event)]) -> Proof {
        proof(pairs(events), "ab12").unwrap()
    }

    #[test]
    fn a_rehearsal_that_ended_clean_is_a_proof_with_its_times_and_what_it_left_out() {
        let proof = of(&rehearsal("real"));
        assert!(proof.proven && !proof.demonstration);
        insta::assert_snapshot!(proof_text(&proof), @r#"
        # Rehearsal of cluster demo: proven

        - run abcdefghijkl of rehearse in world real, relight 0.1.0
        - began 2023-11-14T22:13:20.000Z, ended 2023-11-14T22:18:21.010Z: succeeded
        - first answer after 1m 31s
        - everything verified after 2m 07s
        - all, taking down included: 4m 57s; 4.0s of waiting for people not counted
        - cost: forecast not told, actual not told
        - residue: done
        - journal: 15 records, the last with SHA-256 `ab12`

        ## Not executed

        - edge and DNS: no hostname led to the rehearsal; each node was asked directly
        - secret app/app DATABASE_URL: another value, from environment variable OTHER
        - workload worker: held at zero
        - steps of a live run alone: fence dns[node-1,node-2]

        ## Made of

        | what | SHA-256, or version |
        | --- | --- |
        | binary | `b1` |
        | k3s | `v1.34.6+k3s1` |
        | manifest manifests/api.yaml | `m1` |
        | script a.sh | `s1` |

        ## Steps

        | step | outcome | took | tries | began | does |
        | --- | --- | --- | --- | --- | --- |
        | preflight | already | 4.0s | 1 | 2023-11-14T22:13:20.010Z | do what preflight does |
        | server[node-1] | done | 30.0s | 1 | 2023-11-14T22:13:24.020Z | do what server[node-1] does |
        | server[node-2] | done | 57.0s | 2 | 2023-11-14T22:13:24.021Z | do what server[node-2] does |
        | late | done | 35.5s | 1 | 2023-11-14T22:14:55.010Z | do what late does |
        | residue | done | 1.0s | 1 | 2023-11-14T22:18:20.000Z | do what residue does |
        "#);
    }

    #[test]
    fn a_proof_is_read_back_as_it_was_written() {
        let proof = of(&rehearsal("real"));
        let text = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<Proof>(&text).unwrap(), proof);
    }

    #[test]
    fn in_the_sandbox_it_is_a_demonstration() {
        let proof = of(&rehearsal("sandbox"));
        assert!(proof.proven && proof.demonstration);
        let text = proof_text(&proof);
        assert!(
            text.starts_with("# Rehearsal of cluster demo: demonstrated\n\nA demonstration in the sandbox"),
            "{text}"
        );
    }

    #[test]
    fn a_rehearsal_that_left_something_behind_proves_nothing_and_says_what() {
        let mut events = rehearsal("real");
        let residue = events.iter().position(|(_, e)| *e == end("residue", Outcome::Done, "")).unwrap();
        events[residue].1 = Event::StepFailed {
            step: "residue".to_owned(),
            why: "failed".to_owned(),
            error: "server demo-r-abc-node-1 is still there".to_owned(),
            remedy: "`relight resume abcdefghijkl` deletes it".to_owned(),
        };
        events.pop();
        events.push((1_700_000_400_000, finished("failed", 6, 5, 0)));
        let proof = of(&events);
        assert!(!proof.proven);
        assert_eq!(proof.why_not, ["step residue failed: server demo-r-abc-node-1 is still there"]);
        assert!(proof_text(&proof).contains("- next, for residue: `relight resume"));
    }

    #[test]
    fn without_a_look_for_residue_or_with_a_step_that_only_warned_less_is_proven() {
        let mut events = rehearsal("real");
        events.retain(|(_, e)| *e != end("residue", Outcome::Done, ""));
        let unlooked = of(&events);
        assert!(!unlooked.proven && unlooked.residue.is_none(), "{:?}", unlooked.why_not);
        assert!(unlooked.not_executed.contains(&"step residue: not run".to_owned()));

        let mut events = rehearsal("real");
        let late = events.iter().position(|(_, e)| *e == end("late", Outcome::Done, "")).unwrap();
        events[late].1 = end("late", Outcome::Warning, "no package mirror answers");
        let warned = of(&events);
        assert!(
            warned.proven && warned.not_executed.contains(&"step late: warning: no package mirror answers".to_owned())
        );
    }

    #[test]
    fn what_a_resume_ran_with_that_was_another_is_told() {
        let mut events = rehearsal("real");
        let digests = [("binary", "b2"), ("k3s", "v1.34.6+k3s1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let resumed = Event::RunResumed {
            version: "0.2.0".to_owned(),
            finished: 0,
            unknown: Vec::new(),
            digests: digests.into(),
        };
        events.insert(1, (1_700_000_000_005, resumed));
        let proof = of(&events);
        assert_eq!((proof.changed_underway.len(), proof.resumed), (3, 1));
        assert!(proof_text(&proof).contains("| binary (another after a resume) |"));
    }

    #[test]
    fn only_a_rehearsal_that_has_ended_is_one() {
        assert!(proof(pairs(&good_run()), "").is_none(), "it was live");
        let mut events = rehearsal("real");
        events.pop();
        assert!(proof(pairs(&events), "").is_none(), "it is under way");
        let live = [
            (0, started(Vec::new(), 0.0)),
            (1, begin("a")),
            (2, retry("a", 1, "transient", "")),
            (3, finished("failed", 1, 0, 0)),
        ];
        assert!(proof(pairs(&live), "").is_none());
    }
}

//! One playbook serves both modes, and a playbook may be made of others.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/named_actions.rs"]
mod named_actions;

use named_actions::load_in;
use relight::actions::Mode;
use relight::playbook::{Plan, Source, Start};
use std::path::Path;

fn text(steps: &str) -> String {
    format!("playbook: test\nfor: total-loss\nsummary: A test.\nsteps:\n{steps}")
}

fn lines(plan: &Plan) -> Vec<String> {
    let needs = |n: &Vec<usize>| n.iter().map(|n| plan.steps[*n].id.clone()).collect::<Vec<_>>().join(" ");
    let line = |s: &relight::playbook::Step| {
        format!("{}{} <- {}", s.id, if s.start == Start::Ended { "!" } else { "" }, needs(&s.needs))
            .trim_end()
            .to_owned()
    };
    plan.steps.iter().map(line).collect()
}

/// A source with these playbooks beside the binary's.
fn source(dir: &Path, playbooks: &[(&str, &str)]) -> Source {
    for (name, steps) in playbooks {
        let text = text(steps).replace("playbook: test", &format!("playbook: {name}"));
        std::fs::write(dir.join(format!("{name}.yaml")), text).unwrap();
    }
    Source::new(Some(dir)).unwrap()
}

#[test]
fn a_step_of_another_mode_is_left_out_and_hands_on_what_it_needs() {
    let steps = "
  - { id: pre, do: { act: {} } }
  - { id: fence, only: live, do: { act: {} }, needs: [pre] }
  - { id: server, each: node, do: { act: {} }, needs: [fence] }
  - { id: dns, each: node, only: live, do: { act: {} }, needs: [server] }
  - { id: held, only: rehearsal, do: { act: {} }, needs: [pre] }
  - { id: end, do: { act: {} }, needs: [dns, held] }
";
    let source = Source::embedded();
    let live = load_in(1, &text(steps), Mode::Live, &source).unwrap();
    let rehearsal = load_in(1, &text(steps), Mode::Rehearsal, &source).unwrap();
    let first = ["pre <-", "fence <- pre", "server[node-1] <- fence", "dns[node-1] <- server[node-1]"];
    assert_eq!(lines(&live)[..4], first.map(str::to_owned));
    assert_eq!(lines(&live)[4], "end <- pre dns[node-1]");
    let first = ["pre <-", "server[node-1] <- pre", "held <- pre", "end <- server[node-1] held"];
    assert_eq!(lines(&rehearsal), first.map(str::to_owned));
}

#[test]
fn an_unknown_mode_is_told() {
    let told = load_in(1, &text("  - { id: a, only: lve, do: { act: {} } }\n"), Mode::Live, &Source::embedded());
    assert_eq!(told.err().unwrap()[0].to_string(), "steps/test.yaml:5:20: unknown only `lve`; did you mean `live`?");
}

#[test]
fn a_step_that_stands_for_a_playbook_becomes_its_steps() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(
        dir.path(),
        &[
            (
                "up",
                "  - { id: x, do: { act: {} } }\n  - { id: yy, do: { act: {} } }\n  - { id: z, do: { act: {} }, needs: [x] }\n",
            ),
            ("down", "  - { id: v, do: { act: {} } }\n  - { id: w, do: { act: {} }, needs: [v] }\n"),
        ],
    );
    let steps = "
  - { id: before, do: { act: {} } }
  - { id: go, playbook: up, needs: [before] }
  - { id: back, playbook: down, needs: [go], always: true }
  - { id: after, do: { act: {} }, needs: [back] }
";
    let plan = load_in(1, &text(steps), Mode::Rehearsal, &source).unwrap();
    let wanted =
        ["before <-", "x <- before", "yy <- before", "z <- x", "v! <- yy z", "w <- v", "after <- w"].map(str::to_owned);
    assert_eq!(lines(&plan), wanted);
    let digest = plan.digest.clone();
    let down = std::fs::read_to_string(dir.path().join("down.yaml")).unwrap();
    std::fs::write(dir.path().join("down.yaml"), down + "# changed\n").unwrap();
    assert_ne!(load_in(1, &text(steps), Mode::Rehearsal, &source).unwrap().digest, digest, "theirs is in ours");
}

#[test]
fn mistakes_in_and_about_playbooks_below_are_told_where_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = source(
        dir.path(),
        &[
            ("round", "  - { id: r, playbook: round }\n"),
            ("same", "  - { id: a, do: { act: {} } }\n"),
            ("wrong", "  - { id: b, do: { atc: {} } }\n"),
        ],
    );
    let told = |steps: &str| -> Vec<String> {
        let problems = load_in(1, &text(steps), Mode::Live, &source).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    };
    let unknown = told("  - { id: a, playbook: smae }\n");
    assert_eq!(unknown, ["steps/test.yaml:5:24: there is no playbook `smae`; did you mean `same`?"]);
    let circle = told("  - { id: a, playbook: round }\n");
    assert_eq!(circle.len(), 1);
    assert!(circle[0].contains("playbooks stand on each other: test stands on round stands on round"), "{circle:?}");
    let twice = told("  - { id: a, do: { act: {} } }\n  - { id: more, playbook: same, needs: [a] }\n");
    assert_eq!(
        twice,
        ["steps/test.yaml:6:11: the id `a` is taken by a step of playbook `same`; give the other step another id"]
    );
    let wrong = told("  - { id: a, playbook: wrong }\n");
    assert!(wrong[0].contains("wrong.yaml:5:20: unknown action `atc`"), "{wrong:?}");
    let more = told("  - { id: a, playbook: same, deadline: 5m }\n");
    assert!(more[0].contains("unknown key `deadline` in a step that stands for a playbook"), "{more:?}");
}

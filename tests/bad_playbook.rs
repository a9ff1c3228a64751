//! Every mistake in a playbook is found at load, all at once, with file, line and column, and with what to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/named_actions.rs"]
mod named_actions;

use named_actions::load_in;
use relight::actions::Mode;
use relight::playbook::{Binding, Source};

const HEAD: &str = "playbook: test\nfor: total-loss\nsummary: A test.\nsteps:\n";

/// The mistakes in these steps, which start in line 5.
fn told(steps: &str) -> Vec<String> {
    told_of(&format!("{HEAD}{steps}"))
}

fn told_of(text: &str) -> Vec<String> {
    match load_in(3, text, Mode::Live, &Source::embedded()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn one(steps: &str) -> String {
    let told = told(steps);
    assert_eq!(told.len(), 1, "{told:#?}");
    told[0].clone()
}

#[test]
fn a_world_that_no_playbook_is_for_is_told_at_its_place() {
    let told = told_of("playbook: test\nfor: total-los\nsummary: Why.\nsteps:\n  - { id: a, do: { act: {} } }\n");
    assert_eq!(told, ["steps/test.yaml:2:6: no playbook is for `total-los`; did you mean \"total-loss\"?"]);
}

#[test]
fn a_right_playbook_has_no_mistakes() {
    assert_eq!(told("  - id: a\n    do: { act: {} }\n"), Vec::<String>::new());
}

#[test]
fn a_misspelt_key_of_a_step_names_the_right_one() {
    let told = one("  - id: a\n    do: { act: {} }\n    deadlin: 5m\n");
    assert_eq!(told, "steps/test.yaml:7:5: unknown key `deadlin` in a step; did you mean `deadline`?");
}

#[test]
fn a_misspelt_key_of_the_playbook_names_the_right_one() {
    let told = told_of("playbook: test\nfor: total-loss\nsumary: A test.\nsteps:\n  - id: a\n    do: { act: {} }\n");
    assert_eq!(
        told,
        [
            "steps/test.yaml:1:1: `summary` is missing; say in one sentence what it does: `summary: ...`",
            "steps/test.yaml:3:1: unknown key `sumary` in the playbook; did you mean `summary`?",
        ]
    );
}

#[test]
fn an_unknown_action_is_told_at_its_name() {
    let told = one("  - id: a\n    do: { atc: {} }\n");
    assert_eq!(told, "steps/test.yaml:6:11: unknown action `atc`; correct `atc` of step `a`");
}

#[test]
fn a_bad_parameter_is_told_where_it_stands() {
    let told = one("  - id: a\n    do:\n      act:\n        use: node.address\n");
    assert_eq!(told, "steps/test.yaml:8:9: unknown parameter `use`; correct `act` of step `a`");
}

#[test]
fn two_actions_in_one_step_are_refused() {
    let told = one("  - id: a\n    do: { act: {}, act2: {} }\n");
    assert_eq!(
        told,
        "steps/test.yaml:6:20: `do` names more than one action; write exactly one action and its parameters: `do: { server.ensure: {} }`"
    );
}

#[test]
fn a_do_without_an_action_is_refused() {
    assert!(one("  - id: a\n    do: {}\n").starts_with("steps/test.yaml:6:9: `do` names no action; "));
    assert!(one("  - id: a\n    do: act\n").starts_with("steps/test.yaml:6:9: `do` is a text; "));
    assert!(one("  - id: a\n").starts_with("steps/test.yaml:5:5: `do` is missing; "));
}

#[test]
fn an_id_written_twice_names_the_first_one() {
    let told = one("  - id: a\n    do: { act: {} }\n  - id: a\n    do: { act: {} }\n");
    assert_eq!(told, "steps/test.yaml:7:9: the id `a` is taken by the step in line 5; give one of the two another id");
}

#[test]
fn a_key_written_twice_is_refused() {
    let told = one("  - id: a\n    id: b\n    do: { act: {} }\n");
    assert!(told.starts_with("steps/test.yaml:6:5: ") && told.contains("id"), "{told}");
}

#[test]
fn a_missing_id_and_a_bad_one_are_refused() {
    assert_eq!(one("  - do: { act: {} }\n"), "steps/test.yaml:5:5: `id` is missing; name the step: `id: server`");
    let told = one("  - id: A b\n    do: { act: {} }\n");
    assert!(told.starts_with("steps/test.yaml:5:9: `A b` cannot be a step's id; "), "{told}");
}

#[test]
fn an_unknown_need_names_the_nearest_step() {
    let told = one("  - id: server\n    do: { act: {} }\n  - id: b\n    do: { act: {} }\n    needs: [serve]\n");
    assert_eq!(told, "steps/test.yaml:9:13: step `b` needs `serve`, which is no step; did you mean `server`?");
}

#[test]
fn a_step_that_needs_itself_is_refused() {
    let told = one("  - id: a\n    each: node\n    do: { act: {} }\n    needs: ['a[first]']\n");
    assert_eq!(told, "steps/test.yaml:8:13: step `a` needs itself; remove this need");
}

#[test]
fn a_circle_is_named_step_by_step() {
    let told = one("  - { id: z, do: { act: {} } }\n  - id: a\n    do: { act: {} }\n    needs: [z, c]\n  - id: b\n    do: { act: {} }\n    needs: [a]\n  - id: c\n    do: { act: {} }\n    needs: [b]\n  - id: d\n    do: { act: {} }\n    needs: [c]\n");
    assert_eq!(
        told,
        "steps/test.yaml:8:16: steps wait for each other: a needs c needs b needs a; remove one of these needs"
    );
}

#[test]
fn two_circles_are_both_named() {
    let told = told("  - { id: a, do: { act: {} }, needs: [b] }\n  - { id: b, do: { act: {} }, needs: [a] }\n  - { id: c, do: { act: {} }, needs: [d] }\n  - { id: d, do: { act: {} }, needs: [c, a] }\n");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("a needs b needs a") && told[1].contains("c needs d needs c"), "{told:#?}");
}

#[test]
fn an_unknown_node_set_names_the_sets() {
    let told = one("  - id: a\n    each: master\n    do: { act: {} }\n");
    assert_eq!(told, "steps/test.yaml:6:11: unknown node set `master`; write one of: node, first, others");
}

#[test]
fn an_unknown_node_set_in_brackets_names_the_sets() {
    let told =
        one("  - { id: a, each: node, do: { act: {} } }\n  - id: b\n    do: { act: {} }\n    needs: ['a[frist]']\n");
    assert_eq!(told, "steps/test.yaml:8:13: unknown node set `frist` in `a[frist]`; did you mean `first`?");
}

#[test]
fn brackets_behind_a_step_for_the_whole_cluster_are_refused() {
    let told = one("  - { id: a, do: { act: {} } }\n  - id: b\n    do: { act: {} }\n    needs: ['a[*]']\n");
    assert_eq!(told, "steps/test.yaml:8:13: `a` is one step for the whole cluster and has no `[*]`; write `a`");
}

#[test]
fn brackets_that_name_no_node_of_the_step_are_refused() {
    let told =
        one("  - { id: a, each: first, do: { act: {} } }\n  - id: b\n    do: { act: {} }\n    needs: ['a[others]']\n");
    assert_eq!(told, "steps/test.yaml:8:13: `a` runs on no node of `others`; write `a` or another node set");
}

#[test]
fn brackets_without_quotes_in_a_flow_list_are_explained() {
    let told =
        one("  - { id: a, each: node, do: { act: {} } }\n  - id: b\n    do: { act: {} }\n    needs: [a[*], a]\n");
    assert!(told.starts_with("steps/test.yaml:8:"), "{told}");
    assert!(told.ends_with("in quotes: [\"server[*]\", harden]"), "{told}");
}

#[test]
fn brackets_that_do_not_close_are_refused() {
    let told =
        one("  - { id: a, each: node, do: { act: {} } }\n  - id: b\n    do: { act: {} }\n    needs: ['a[first']\n");
    assert!(told.starts_with("steps/test.yaml:8:13: `a[first` cannot be read as a need; "), "{told}");
}

#[test]
fn a_need_written_twice_is_refused() {
    let told = one("  - { id: a, do: { act: {} } }\n  - id: b\n    do: { act: {} }\n    needs: [a, a]\n");
    assert_eq!(told, "steps/test.yaml:8:16: `a` is needed twice; remove one of the two");
}

#[test]
fn a_duration_without_a_unit_is_refused() {
    let told = one("  - id: a\n    do: { act: {} }\n    expected: 30\n");
    assert_eq!(
        told,
        "steps/test.yaml:7:15: `expected` is no duration: `30`; write a number with a unit, such as 30s, 5m or 1m30s"
    );
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused() {
    let too_short = one("  - id: a\n    do: { act: {} }\n    expected: 30s\n    deadline: 10s\n");
    assert_eq!(
        too_short,
        "steps/test.yaml:7:15: expected to take 30s, longer than its deadline of 10s; write a later deadline"
    );
    let none = one("  - id: a\n    do: { act: {} }\n    deadline: 0s\n");
    assert!(none.starts_with("steps/test.yaml:7:15: a deadline of nothing"), "{none}");
    let default = one("  - id: a\n    do: { act: {} }\n    expected: 11m\n");
    assert!(default.contains("default deadline of 600s"), "{default}");
}

#[test]
fn an_unknown_gate_and_milestone_name_the_known_ones() {
    let told = told("  - id: a\n    do: { act: {} }\n    gate: confrim\n    milestone: first_anser\n");
    assert_eq!(
        told,
        [
            "steps/test.yaml:7:11: unknown gate `confrim`; did you mean `confirm`?",
            "steps/test.yaml:8:16: unknown milestone `first_anser`; did you mean `first_answer`?",
        ]
    );
}

#[test]
fn a_flag_that_is_neither_true_nor_false_is_refused() {
    let told = one("  - id: a\n    do: { act: {} }\n    once: maybe\n");
    assert_eq!(told, "steps/test.yaml:7:11: `once` is a text; write true or false");
}

#[test]
fn a_fact_that_no_needed_step_provides_is_told_with_its_provider() {
    let told = one(
        "  - id: server\n    each: node\n    do: { act: { provides: node.address } }\n  - id: harden\n    each: node\n    do: { act: { uses: node.address } }\n",
    );
    assert_eq!(
        told,
        "steps/test.yaml:10:11: step `harden` uses the fact node.address, which no step that it needs provides; add to its needs: server"
    );
}

#[test]
fn a_fact_of_another_node_does_not_do_for_a_step_per_node() {
    let told = one(
        "  - id: server\n    each: node\n    do: { act: { provides: node.address } }\n  - id: harden\n    each: node\n    do: { act: { uses: node.address } }\n    needs: ['server[first]']\n",
    );
    assert!(told.starts_with("steps/test.yaml:10:11: step `harden` uses the fact node.address"), "{told}");
}

#[test]
fn a_fact_that_nothing_provides_is_told() {
    let told = one("  - id: a\n    do: { act: { uses: zone.id } }\n");
    assert!(told.ends_with("add a step that provides it, and need that"), "{told}");
}

#[test]
fn facts_flow_through_steps_between_and_from_the_first_node() {
    let text = "  - { id: server, each: node, do: { act: { provides: node.address } } }\n  - { id: a, each: node, do: { act: {} }, needs: [server] }\n  - { id: b, each: node, do: { act: { uses: node.address } }, needs: [a] }\n  - { id: kube, each: first, do: { act: { provides: kubeconfig.digest } }, needs: [a] }\n  - { id: c, each: others, do: { act: { uses: kubeconfig.digest } }, needs: [kube] }\n  - { id: d, do: { act: { uses: node.address } }, needs: ['server[first]'] }\n";
    assert_eq!(told(text), Vec::<String>::new());
}

#[test]
fn wrong_types_are_told_where_they_stand() {
    let told = told("  - id: [a]\n    do: { act: {} }\n  - nothing\n  - id: b\n    do: { act: {} }\n    needs: a\n");
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("steps/test.yaml:5:9: `id` is a list; "));
    assert!(told[1].starts_with("steps/test.yaml:7:5: a step is a text; write a map with: id, "));
    assert!(told[2].starts_with("steps/test.yaml:10:12: `needs` is a text; "));
}

#[test]
fn a_playbook_without_steps_is_refused() {
    assert!(told_of("playbook: test\nfor: total-loss\nsummary: Why.\nsteps: []\n")[0]
        .starts_with("steps/test.yaml:4:8: the playbook has no steps"));
    assert!(told_of("playbook: test\nfor: total-loss\nsummary: Why.\n")[0]
        .starts_with("steps/test.yaml:1:1: `steps` is missing"));
    assert!(told_of("")[0].starts_with("steps/test.yaml:1:1: the playbook is nothing"));
}

#[test]
fn a_playbook_has_the_name_of_its_file() {
    let told = told_of("playbook: other\nfor: total-loss\nsummary: Why.\nsteps:\n  - { id: a, do: { act: {} } }\n");
    assert_eq!(
        told,
        ["steps/test.yaml:1:11: the playbook is named `other`, and its file `test.yaml`; give both the same name"]
    );
}

#[test]
fn a_syntax_error_is_told_with_its_place() {
    let told = told_of("playbook: test\nfor: total-loss\n  summary: Why.\n");
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("steps/test.yaml:3:"), "{told:#?}");
    assert!(told[0].ends_with("; correct the YAML here"), "{told:#?}");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let told = told("  - id: a\n    do: { atc: {} }\n    needs: [zz]\n    gate: maybe\n  - id: a\n    each: nodes\n    colour: red\n    expected: soon\n    do: { act: {} }\n");
    let places: Vec<&str> = told.iter().map(|t| t.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "steps/test.yaml:6:11",
            "steps/test.yaml:7:13",
            "steps/test.yaml:8:11",
            "steps/test.yaml:9:9",
            "steps/test.yaml:10:11",
            "steps/test.yaml:11:5",
            "steps/test.yaml:12:15",
        ],
        "{told:#?}"
    );
}

#[test]
fn a_misspelt_need_is_not_also_told_as_a_missing_fact() {
    let told = one(
        "  - { id: server, do: { act: { provides: zone.id } } }\n  - { id: a, do: { act: { uses: zone.id } }, needs: [srver] }\n  - { id: b, do: { act: { uses: zone.id } }, needs: [a] }\n",
    );
    assert!(told.contains("did you mean `server`?"), "{told}");
}

#[test]
fn the_playbooks_of_this_binary_have_no_mistakes_whatever_the_number_of_nodes() {
    let source = relight::playbook::Source::embedded();
    assert!(source.names().contains(&"rebuild".to_owned()));
    let make = |name: &str, params: &serde_json::Value| relight::actions::action(name, params);
    for name in source.names() {
        let found = source.playbook(&name).unwrap().unwrap();
        for (count, mode) in [1, 2, 3, 5].into_iter().flat_map(|n| [(n, Mode::Live), (n, Mode::Rehearsal)]) {
            let nodes = named_actions::nodes(count);
            let default_deadline = std::time::Duration::from_secs(600);
            let binding = Binding { nodes: &nodes, default_deadline, mode, actions: &make, source: &source };
            if let Err(problems) = relight::playbook::load(&found.text, &found.file, &binding) {
                panic!("for {count} nodes: {problems:#?}");
            }
        }
    }
}

//! Whatever order a playbook is written in, it loads into one in which needs come first; and the critical path is the longest.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/named_actions.rs"]
mod named_actions;

use named_actions::load_in;
use proptest::prelude::*;
use relight::actions::Mode;
use relight::playbook::{Plan, Source};
use std::fmt::Write;

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

fn needs<'p>(plan: &'p Plan, id: &str) -> Vec<&'p str> {
    let step = plan.steps.iter().find(|s| s.id == id).unwrap_or_else(|| panic!("no step {id} in {:?}", ids(plan)));
    step.needs.iter().map(|n| plan.steps[*n].id.as_str()).collect()
}

fn plan(count: usize, steps: &str) -> Plan {
    let text = format!("playbook: test\nfor: total-loss\nsummary: A test.\nsteps:\n{steps}");
    load_in(count, &text, Mode::Live, &Source::embedded()).unwrap_or_else(|p| panic!("{p:#?}\n{text}"))
}

#[test]
fn a_need_is_the_same_nodes_where_it_can_be_and_else_all() {
    let plan = plan(
        3,
        "
  - { id: pre, do: { act: {} } }
  - { id: server, each: node, do: { act: {} }, needs: [pre] }
  - { id: harden, each: node, do: { act: {} }, needs: [server] }
  - { id: peers, each: node, do: { act: {} }, needs: ['server[*]', harden] }
  - { id: start, each: first, do: { act: {} }, needs: [peers] }
  - { id: join, each: others, do: { act: {} }, needs: [start, peers] }
  - { id: early, do: { act: {} }, needs: ['server[first]'] }
  - { id: late, do: { act: {} }, needs: [join, 'harden[others]'] }
",
    );
    assert_eq!(needs(&plan, "server[node-2]"), ["pre"]);
    assert_eq!(needs(&plan, "harden[node-2]"), ["server[node-2]"]);
    assert_eq!(needs(&plan, "peers[node-1]"), ["server[node-1]", "server[node-2]", "server[node-3]", "harden[node-1]"]);
    assert_eq!(needs(&plan, "start[node-1]"), ["peers[node-1]"]);
    assert_eq!(needs(&plan, "join[node-3]"), ["peers[node-3]", "start[node-1]"]);
    assert_eq!(needs(&plan, "early"), ["server[node-1]"]);
    assert_eq!(needs(&plan, "late"), ["harden[node-2]", "harden[node-3]", "join[node-2]", "join[node-3]"]);
}

#[test]
fn a_step_of_no_node_hands_on_what_it_needs() {
    let steps = "
  - { id: pre, do: { act: {} } }
  - { id: start, each: first, do: { act: {} }, needs: [pre] }
  - { id: join, each: others, do: { act: {} }, needs: [start] }
  - { id: more, each: others, do: { act: {} }, needs: [join] }
  - { id: end, do: { act: {} }, needs: [more] }
";
    assert_eq!(ids(&plan(1, steps)), ["pre", "start[node-1]", "end"]);
    assert_eq!(needs(&plan(1, steps), "end"), ["start[node-1]"]);
    assert_eq!(needs(&plan(2, steps), "end"), ["more[node-2]"]);
}

#[test]
fn a_right_order_is_kept_and_a_wrong_one_is_changed_as_little_as_possible() {
    let right =
        "  - { id: c, do: { act: {} } }\n  - { id: b, do: { act: {} } }\n  - { id: a, do: { act: {} }, needs: [c] }\n";
    assert_eq!(ids(&plan(1, right)), ["c", "b", "a"]);
    let wrong =
        "  - { id: c, do: { act: {} }, needs: [a] }\n  - { id: b, do: { act: {} } }\n  - { id: a, do: { act: {} } }\n";
    assert_eq!(ids(&plan(1, wrong)), ["b", "a", "c"]);
}

#[test]
fn every_key_of_a_step_reaches_the_plan() {
    use relight::playbook::Gate;
    use std::time::Duration;
    let plan = plan(
        1,
        "  - { id: a, do: { act: ~ }, expected: 1m30s, deadline: 5m, gate: typed, evidence: true, once: true, optional: true, milestone: first_answer }\n  - { id: b, do: { act: {} } }\n",
    );
    let a = &plan.steps[0];
    assert_eq!((a.expected, a.deadline), (Duration::from_secs(90), Duration::from_secs(300)));
    assert_eq!((a.gate, a.evidence, a.once, a.optional), (Gate::Typed, true, true, true));
    assert_eq!(
        (a.milestone.as_deref(), a.action_name.as_str(), a.node.as_deref()),
        (Some("first_answer"), "act", None)
    );
    let b = &plan.steps[1];
    assert_eq!((b.deadline, b.gate, b.milestone.as_deref()), (Duration::from_secs(600), Gate::None, None));
    assert!(!b.evidence && !b.once && !b.optional);
    assert_eq!((plan.name.as_str(), plan.mends.as_str(), plan.summary.as_str()), ("test", "total-loss", "A test."));
    assert_eq!(plan.digest.len(), 64);
}

/// Steps in the order written; each with a node set and the steps that it needs with what stands in brackets.
#[derive(Debug, Clone)]
struct Dag {
    nodes: usize,
    steps: Vec<Drawn>,
}

#[derive(Debug, Clone)]
struct Drawn {
    name: usize,
    each: Option<&'static str>,
    needs: Vec<(usize, &'static str)>,
    expected: u64,
}

/// A DAG: a step needs only steps of smaller names, and the steps are written in any order.
fn dags(most: usize) -> impl Strategy<Value = Dag> {
    (1..=most, 1..=4usize).prop_flat_map(|(count, nodes)| {
        let each = prop_oneof![Just(None), Just(Some("node")), Just(Some("first")), Just(Some("others"))];
        let step = (each, proptest::collection::vec((any::<prop::sample::Index>(), 0..3u8), 0..4), 0..600u64);
        let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
        (proptest::collection::vec(step, count), order).prop_map(move |(drawn, order)| {
            let step = |name: usize| {
                let (each, picks, expected) = drawn[name].clone();
                let mut needs: Vec<(usize, &'static str)> = Vec::new();
                for (pick, bracket) in picks.into_iter().filter(|_| name > 0) {
                    let to = pick.index(name);
                    let of = match (drawn[to].0, bracket) {
                        (Some(_), 1) => "[*]",
                        (Some("node"), 2) => "[first]",
                        _ => "",
                    };
                    if !needs.contains(&(to, of)) {
                        needs.push((to, of));
                    }
                }
                Drawn { name, each, needs, expected }
            };
            Dag { nodes, steps: order.iter().map(|n| step(*n)).collect() }
        })
    })
}

fn yaml(dag: &Dag) -> String {
    let mut text = String::new();
    for step in &dag.steps {
        writeln!(text, "  - id: s{}\n    do: {{ act: {{}} }}\n    expected: {}s", step.name, step.expected).unwrap();
        if let Some(set) = step.each {
            writeln!(text, "    each: {set}").unwrap();
        }
        let needs: Vec<String> = step.needs.iter().map(|(to, of)| format!("'s{to}{of}'")).collect();
        writeln!(text, "    needs: [{}]", needs.join(", ")).unwrap();
    }
    text
}

/// What is written, by the words of the promise: which instances `id` must wait for directly.
fn meant(dag: &Dag, name: usize, node: Option<usize>) -> Vec<String> {
    let of = |name: usize| dag.steps.iter().find(|s| s.name == name).unwrap();
    let nodes = |each: &str| match each {
        "first" => vec![1],
        "others" => (2..=dag.nodes).collect(),
        _ => (1..=dag.nodes).collect::<Vec<_>>(),
    };
    let mut all = Vec::new();
    for (to, bracket) in &of(name).needs {
        let Some(each) = of(*to).each else {
            all.push(format!("s{to}"));
            continue;
        };
        let runs_on = nodes(each);
        let wanted = match (*bracket, node) {
            ("[first]", _) => vec![1],
            ("", Some(n)) if runs_on.contains(&n) => vec![n],
            _ => runs_on,
        };
        if wanted.is_empty() {
            all.extend(meant(dag, *to, node));
        }
        all.extend(wanted.iter().map(|n| format!("s{to}[node-{n}]")));
    }
    all.sort();
    all.dedup();
    all
}

/// The longest way through all ways, tried one by one.
fn longest(plan: &Plan, from: usize) -> std::time::Duration {
    let step = &plan.steps[from];
    step.expected + step.needs.iter().map(|n| longest(plan, *n)).max().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_dag_loads_into_an_order_in_which_needs_come_first(dag in dags(12)) {
        let text = yaml(&dag);
        let plan = plan(dag.nodes, &text);
        for (i, step) in plan.steps.iter().enumerate() {
            prop_assert!(step.needs.iter().all(|n| *n < i), "{} of\n{text}", step.id);
            prop_assert!(step.needs.windows(2).all(|w| w[0] < w[1]), "needs of {} are sorted", step.id);
            let name: usize = step.id.trim_start_matches('s').split('[').next().unwrap().parse().unwrap();
            let node = step.node.as_deref().map(|n| n.trim_start_matches("node-").parse().unwrap());
            let mut found: Vec<String> = needs(&plan, &step.id).into_iter().map(str::to_owned).collect();
            found.sort();
            prop_assert_eq!(found, meant(&dag, name, node), "{} of\n{}", step.id, text);
        }
        let mut all: Vec<&str> = ids(&plan);
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(all.len(), plan.steps.len(), "no step twice");
    }

    #[test]
    fn the_critical_path_is_the_longest_of_all(dag in dags(7)) {
        let plan = plan(dag.nodes, &yaml(&dag));
        let all = (0..plan.steps.len()).map(|i| longest(&plan, i)).max().unwrap_or_default();
        prop_assert_eq!(plan.forecast(), all);
        let path = plan.critical_path();
        for pair in path.windows(2) {
            prop_assert!(plan.steps[pair[1]].needs.contains(&pair[0]), "the path is a chain of needs");
        }
    }
}

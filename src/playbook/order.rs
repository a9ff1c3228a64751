//! Which step needs which, as written: names resolved, cycles named, and an order in which needs come first.

use super::problem::{instead_of, Findings};
use super::sets::NodeSets;
use super::written::{Need, WrittenStep};
use std::collections::BTreeMap;

/// A need whose step is known.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// Index of the needed step, as written.
    pub(super) to: usize,
    /// The nodes that its brackets name; `None` where there are none.
    pub(super) of: Option<Vec<String>>,
}

/// Resolves every need; index by index as the steps. Ids written twice, unknown needs, needs on itself and brackets that make
/// no sense are findings and left out, so that such a step has fewer links than needs.
pub(super) fn links(steps: &[WrittenStep<'_>], sets: &NodeSets, findings: &mut Findings) -> Vec<Vec<Link>> {
    let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, step) in steps.iter().enumerate() {
        if let Some(first) = ids.get(step.id.as_str()).and_then(|f| steps.get(*f)) {
            let what = format!("the id `{}` is taken by the step in line {}", step.id, first.at.line);
            findings.add(step.at, what, "give one of the two another id");
        } else {
            ids.insert(&step.id, i);
        }
    }
    let link = |step: &WrittenStep<'_>, need: &Need, findings: &mut Findings| {
        if need.step == step.id {
            findings.add(need.at, format!("step `{}` needs itself", step.id), "remove this need");
            return None;
        }
        let Some((to, target)) = ids.get(need.step.as_str()).and_then(|to| Some((*to, steps.get(*to)?))) else {
            let others: Vec<&str> = ids.keys().copied().filter(|id| *id != step.id).collect();
            let what = format!("step `{}` needs `{}`, which is no step", step.id, need.step);
            findings.add(need.at, what, instead_of(&need.step, &others));
            return None;
        };
        bracket(need, target, sets, findings).map(|of| Link { to, of })
    };
    steps
        .iter()
        .map(|step| step.needs.iter().flatten().filter_map(|need| link(step, need, findings)).collect())
        .collect()
}

/// What the brackets of a need name; the outer `None` where they make no sense.
#[allow(clippy::option_option)]
fn bracket(
    need: &Need,
    target: &WrittenStep<'_>,
    sets: &NodeSets,
    findings: &mut Findings,
) -> Option<Option<Vec<String>>> {
    let Some(of) = &need.of else { return Some(None) };
    let Some(targets) = &target.nodes else {
        let what = format!("`{}` is one step for the whole cluster and has no `[{of}]`", need.step);
        findings.add(need.at, what, format!("write `{}`", need.step));
        return None;
    };
    if of == "*" {
        return Some(Some(targets.clone()));
    }
    let Some(named) = sets.nodes(of) else {
        let mut known = sets.names();
        known.push("*");
        let what = format!("unknown node set `{of}` in `{}[{of}]`", need.step);
        findings.add(need.at, what, instead_of(of, &known));
        return None;
    };
    let both: Vec<String> = named.iter().filter(|n| targets.contains(n)).cloned().collect();
    if both.is_empty() && !named.is_empty() && !targets.is_empty() {
        let what = format!("`{}` runs on no node of `{of}`", need.step);
        findings.add(need.at, what, format!("write `{}` or another node set", need.step));
        return None;
    }
    Some(Some(both))
}

/// The steps' indices in an order in which needs come first, as near to the written one as that allows. `None` where steps
/// wait for each other in a circle: each circle is a finding that names it step by step.
pub(super) fn order(steps: &[WrittenStep<'_>], links: &[Vec<Link>], findings: &mut Findings) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = Vec::with_capacity(steps.len());
    let mut placed = vec![false; steps.len()];
    let is_placed = |placed: &[bool], i: usize| placed.get(i).copied().unwrap_or(true);
    loop {
        let ready = |i: &usize| {
            !is_placed(&placed, *i) && links.get(*i).is_some_and(|l| l.iter().all(|k| is_placed(&placed, k.to)))
        };
        let Some(next) = (0..steps.len()).find(ready) else { break };
        if let Some(mark) = placed.get_mut(next) {
            *mark = true;
        }
        order.push(next);
    }
    if order.len() == steps.len() {
        return Some(order);
    }
    // Each step that was left waits for another one that was left, so following the first such need ends in a circle.
    let mut told = placed;
    while let Some(start) = told.iter().position(|seen| !seen) {
        let mut path = vec![start];
        let circle = loop {
            let here = path.last().copied().unwrap_or(start);
            let next = links.get(here).into_iter().flatten().map(|l| l.to).find(|to| !is_placed(&told, *to));
            match next {
                // What it waits for is part of, or behind, a circle that was told.
                None => break None,
                Some(to) => match path.iter().position(|p| *p == to) {
                    Some(from) => break Some(path.split_off(from)),
                    None => path.push(to),
                },
            }
        };
        if let Some(circle) = &circle {
            tell_circle(circle, steps, findings);
        }
        for i in path.into_iter().chain(circle.into_iter().flatten()) {
            if let Some(mark) = told.get_mut(i) {
                *mark = true;
            }
        }
    }
    None
}

fn tell_circle(circle: &[usize], steps: &[WrittenStep<'_>], findings: &mut Findings) {
    // Told from the step that is written first, at its need.
    let turn = circle.iter().enumerate().min_by_key(|(_, i)| **i).map_or(0, |(at, _)| at);
    let around: Vec<&WrittenStep<'_>> =
        circle.iter().cycle().skip(turn).take(circle.len()).filter_map(|i| steps.get(*i)).collect();
    let (Some(first), Some(second)) = (around.first(), around.get(1).or(around.first())) else { return };
    let at = first.needs.iter().flatten().find(|n| n.step == second.id).map_or(first.at, |n| n.at);
    let names: Vec<&str> = around.iter().chain([first]).map(|s| s.id.as_str()).collect();
    let what = format!("steps wait for each other: {}", names.join(" needs "));
    findings.add(at, what, "remove one of these needs");
}

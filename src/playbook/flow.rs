//! Whether every fact that a step uses is found by a step that it needs.

use super::expand::Instance;
use super::order::Link;
use super::problem::Findings;
use super::written::WrittenStep;
use crate::actions::{Action, FactKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An action per written step; `None` where it could not be made, which was told already.
pub(super) type Actions = [Option<Arc<dyn Action>>];

/// Tells every use of a fact that no needed step provides, once per written step and kind.
///
/// A step per node must need the same node's provider, where the provider runs on that node at all. A step behind one whose
/// action or needs are wrong is passed over: that one may be the provider.
pub(super) fn facts(
    steps: &[WrittenStep<'_>],
    links: &[Vec<Link>],
    actions: &Actions,
    instances: &[Instance],
    findings: &mut Findings,
) {
    let before = closures(instances);
    let lost_a_need = |i: usize| steps.get(i).map(|s| s.needs.len()) != links.get(i).map(Vec::len);
    let mut told: BTreeSet<(usize, FactKind)> = BTreeSet::new();
    for (instance, before) in instances.iter().zip(&before) {
        let (Some(step), Some(Some(action))) = (steps.get(instance.step), actions.get(instance.step)) else { continue };
        let broken = |i: &usize| {
            let of = instances.get(*i).map_or(usize::MAX, |x| x.step);
            !matches!(actions.get(of), Some(Some(_))) || lost_a_need(of)
        };
        if lost_a_need(instance.step) || before.iter().any(broken) {
            continue;
        }
        for kind in action.uses() {
            let providers: Vec<(usize, &Instance)> = instances
                .iter()
                .enumerate()
                .filter(|(_, x)| x.step != instance.step && provides(actions, x.step, *kind))
                .collect();
            let same_node: Vec<usize> = providers
                .iter()
                .filter(|(_, x)| instance.node.is_some() && x.node == instance.node)
                .map(|(i, _)| *i)
                .collect();
            let found = if same_node.is_empty() {
                providers.iter().any(|(i, _)| before.contains(i))
            } else {
                same_node.iter().any(|i| before.contains(i))
            };
            if !found && told.insert((instance.step, *kind)) {
                tell(step, *kind, &providers, steps, findings);
            }
        }
    }
}

fn provides(actions: &Actions, step: usize, kind: FactKind) -> bool {
    actions.get(step).and_then(Option::as_ref).is_some_and(|a| a.provides().contains(&kind))
}

fn tell(
    step: &WrittenStep<'_>,
    kind: FactKind,
    providers: &[(usize, &Instance)],
    steps: &[WrittenStep<'_>],
    findings: &mut Findings,
) {
    let mut names: Vec<&str> = providers.iter().filter_map(|(_, x)| steps.get(x.step)).map(|s| s.id.as_str()).collect();
    names.dedup();
    let at = step.action.as_ref().map_or(step.at, |a| a.at);
    let what = format!("step `{}` uses the fact {}, which no step that it needs provides", step.id, kind.name());
    let remedy = if names.is_empty() {
        "add a step that provides it, and need that".to_owned()
    } else {
        format!("add to its needs: {}", names.join(" or "))
    };
    findings.add(at, what, remedy);
}

/// For each instance all that come before it.
fn closures(instances: &[Instance]) -> Vec<BTreeSet<usize>> {
    let mut all: Vec<BTreeSet<usize>> = Vec::with_capacity(instances.len());
    for instance in instances {
        let mut mine: BTreeSet<usize> = instance.needs.iter().copied().collect();
        for need in &instance.needs {
            mine.extend(all.get(*need).into_iter().flatten());
        }
        all.push(mine);
    }
    all
}

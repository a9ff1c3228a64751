//! From instances to the plan's steps: a step that stands for a playbook becomes that playbook's steps.
//!
//! The first of them (those that need nothing) need what it needs, and what needs it needs the last of them (those that none
//! of the others needs). Their ids stay as they are, so that a plan made of playbooks labels, names and proves what the
//! playbooks alone would.

use super::expand::Instance;
use super::load::{load_below, Binding};
use super::problem::{instead_of, Findings};
use super::written::WrittenStep;
use super::{Plan, Start, Step};
use crate::actions::Action;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The plan's steps, and the digests of the playbooks that it stands on.
pub(super) fn compose(
    instances: Vec<Instance>,
    steps: &[WrittenStep<'_>],
    made: &[Option<Arc<dyn Action>>],
    binding: &Binding<'_>,
    above: &[&str],
    findings: &mut Findings,
) -> (Vec<Step>, Vec<String>) {
    let mut plan: Vec<Step> = Vec::new();
    let mut digests = Vec::new();
    // For each instance the steps that whoever needs it needs.
    let mut ends: Vec<Vec<usize>> = Vec::new();
    for instance in instances {
        let needs: BTreeSet<usize> = instance.needs.iter().filter_map(|n| ends.get(*n)).flatten().copied().collect();
        let needs: Vec<usize> = needs.into_iter().collect();
        let written = steps.get(instance.step);
        let last = match written.and_then(|step| Some((step, step.playbook.as_ref()?))) {
            Some((step, (name, at))) => {
                let below = included(name, binding, above).unwrap_or_else(|(what, remedy)| {
                    findings.add(*at, what, remedy);
                    Vec::new()
                });
                digests.extend(below.iter().map(|p| p.digest.clone()));
                below.into_iter().flat_map(|below| append(&mut plan, below, &needs, step, findings)).collect()
            }
            None => {
                let step = written.and_then(|step| finish(&instance, needs, step, made));
                plan.extend(step);
                vec![plan.len().saturating_sub(1)]
            }
        };
        ends.push(last);
    }
    (plan, digests)
}

/// The playbook of this name: one plan, or none with what is wrong and what to do.
fn included(name: &str, binding: &Binding<'_>, above: &[&str]) -> Result<Vec<Plan>, (String, String)> {
    if above.contains(&name) {
        let circle = above.iter().copied().chain([name]).collect::<Vec<_>>().join(" stands on ");
        return Err((format!("playbooks stand on each other: {circle}"), "remove this step".to_owned()));
    }
    let found = binding.source.playbook(name).map_err(|what| (what, "mend the file".to_owned()))?;
    let Some(file) = found else {
        let names = binding.source.names();
        let known: Vec<&str> = names.iter().map(String::as_str).filter(|n| !above.contains(n)).collect();
        return Err((format!("there is no playbook `{name}`"), instead_of(name, &known)));
    };
    load_below(&file.text, &file.file, binding, above).map(|plan| vec![plan]).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        (format!("playbook `{name}` has mistakes: {}", told.join("; ")), "mend that one first".to_owned())
    })
}

/// Adds the playbook's steps; what comes back are the last of them.
fn append(
    plan: &mut Vec<Step>,
    below: Plan,
    needs: &[usize],
    written: &WrittenStep<'_>,
    findings: &mut Findings,
) -> Vec<usize> {
    let offset = plan.len();
    let needed: BTreeSet<usize> = below.steps.iter().flat_map(|s| &s.needs).copied().collect();
    let last = (0..below.steps.len()).filter(|i| !needed.contains(i)).map(|i| i + offset).collect();
    for mut step in below.steps {
        if plan.iter().any(|s| s.id == step.id) {
            let what = format!("the id `{}` is taken by a step of playbook `{}`", step.id, below.name);
            findings.add(written.at, what, "give the other step another id");
        }
        if step.needs.is_empty() {
            step.needs = needs.to_vec();
            step.start = if written.start == Start::Ended { Start::Ended } else { step.start };
        } else {
            step.needs.iter_mut().for_each(|n| *n += offset);
        }
        plan.push(step);
    }
    last
}

fn finish(
    instance: &Instance,
    needs: Vec<usize>,
    step: &WrittenStep<'_>,
    made: &[Option<Arc<dyn Action>>],
) -> Option<Step> {
    Some(Step {
        id: instance.node.as_ref().map_or_else(|| step.id.clone(), |node| format!("{}[{node}]", step.id)),
        node: instance.node.clone(),
        action_name: step.action.as_ref()?.name.clone(),
        action: made.get(instance.step)?.clone()?,
        needs,
        expected: step.expected,
        deadline: step.deadline,
        gate: step.gate,
        evidence: step.evidence,
        once: step.once,
        optional: step.optional,
        start: step.start,
        milestone: step.milestone.clone(),
    })
}

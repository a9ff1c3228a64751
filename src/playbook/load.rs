//! From a playbook's text to a [`Plan`], or to everything that is wrong with it.

use super::expand::{expand, Instance};
use super::flow::facts;
use super::order::{links, order};
use super::problem::Findings;
use super::sets::NodeSets;
use super::tree;
use super::written::{self, Playbook, WrittenStep};
use super::{Plan, Step};
use crate::actions::Action;
use crate::config::{NodeSettings, Place, Problem};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What turns an action's name and parameters into an action, or into words about what is wrong with them.
pub type MakeAction<'a> = &'a dyn Fn(&str, &serde_json::Value) -> Result<Arc<dyn Action>, String>;

/// Reads a playbook and expands it for these nodes.
///
/// `file` is what messages call it; where it ends with `.yaml` the playbook must have its name. `default_deadline` is the
/// deadline of steps that name none.
///
/// # Errors
/// All mistakes at once, in the order of the file.
pub fn load(
    text: &str,
    file: &str,
    nodes: &[NodeSettings],
    default_deadline: Duration,
    actions: MakeAction<'_>,
) -> Result<Plan, Vec<Problem>> {
    let mut findings = Findings::new(file);
    let tree = tree::read(text).map_err(|(at, words)| {
        let mut findings = Findings::new(file);
        let quoting = text
            .lines()
            .nth(usize::try_from(at.line.saturating_sub(1)).unwrap_or_default())
            .is_some_and(unquoted_bracket);
        let remedy = if quoting {
            "inside [ ] put a need with brackets in quotes: [\"server[*]\", harden]"
        } else {
            "correct the YAML here"
        };
        findings.add(at, words, remedy);
        findings.sorted()
    })?;
    let sets = NodeSets::of(nodes);
    let Some(playbook) = written::playbook(&tree, &sets, default_deadline, &mut findings) else {
        return Err(findings.sorted());
    };
    named_as_its_file(&playbook, file, &mut findings);
    let steps = &playbook.steps;
    let made: Vec<_> = steps.iter().map(|step| make(step, actions, &mut findings)).collect();
    let links = links(steps, &sets, &mut findings);
    let Some(order) = order(steps, &links, &mut findings) else { return Err(findings.sorted()) };
    let instances = expand(steps, &links, &order);
    facts(steps, &links, &made, &instances, &mut findings);
    let problems = findings.sorted();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Plan {
        steps: instances.into_iter().filter_map(|instance| finish(instance, steps, &made)).collect(),
        name: playbook.name,
        mends: playbook.mends,
        summary: playbook.summary,
        digest: hex::encode(Sha256::digest(text)),
    })
}

/// A resume finds the playbook's file by its name.
fn named_as_its_file(playbook: &Playbook<'_>, file: &str, findings: &mut Findings) {
    let path = Path::new(file);
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if path.extension().is_some_and(|e| e == "yaml") && stem != playbook.name {
        let what = format!("the playbook is named `{}`, and its file `{stem}.yaml`", playbook.name);
        findings.add(playbook.name_at, what, "give both the same name");
    }
}

fn make(step: &WrittenStep<'_>, actions: MakeAction<'_>, findings: &mut Findings) -> Option<Arc<dyn Action>> {
    let action = step.action.as_ref()?;
    actions(&action.name, &action.params.json())
        .map_err(|words| {
            // A parameter that the words name in backquotes stands somewhere: that is the better place.
            let named: Option<Place> = words.split('`').skip(1).step_by(2).find_map(|n| action.params.place_of_key(n));
            findings.add(named.unwrap_or(action.at), words, format!("correct `{}` of step `{}`", action.name, step.id));
        })
        .ok()
}

fn finish(instance: Instance, steps: &[WrittenStep<'_>], made: &[Option<Arc<dyn Action>>]) -> Option<Step> {
    let step = steps.get(instance.step)?;
    Some(Step {
        id: instance.node.as_ref().map_or_else(|| step.id.clone(), |node| format!("{}[{node}]", step.id)),
        node: instance.node,
        action_name: step.action.as_ref()?.name.clone(),
        action: made.get(instance.step)?.clone()?,
        needs: instance.needs,
        expected: step.expected,
        deadline: step.deadline,
        gate: step.gate,
        evidence: step.evidence,
        once: step.once,
        optional: step.optional,
        milestone: step.milestone.clone(),
    })
}

/// `needs: [server[*]]`: inside a flow list YAML takes the inner bracket for the start of another list.
fn unquoted_bracket(line: &str) -> bool {
    let Some((_, list)) = line.split_once('[') else { return false };
    list.char_indices().any(|(i, c)| c == '[' && list[..i].ends_with(|p: char| p.is_ascii_alphanumeric()))
}

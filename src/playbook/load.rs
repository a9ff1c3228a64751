//! From a playbook's text to a [`Plan`], or to everything that is wrong with it.

use super::compose::compose;
use super::expand::expand;
use super::flow::facts;
use super::order::{links, order};
use super::problem::Findings;
use super::sets::NodeSets;
use super::tree;
use super::written::{self, Bound, Playbook, WrittenStep};
use super::{Plan, Source};
use crate::actions::{Action, Mode};
use crate::config::{NodeSettings, Place, Problem};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What turns an action's name and parameters into an action, or into words about what is wrong with them.
pub type MakeAction<'a> = &'a dyn Fn(&str, &serde_json::Value) -> Result<Arc<dyn Action>, String>;

/// What a playbook is bound to when it is read.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    /// The cluster's nodes.
    pub nodes: &'a [NodeSettings],
    /// The deadline of steps that name none.
    pub default_deadline: Duration,
    /// Steps that are only for runs of another mode are left out.
    pub mode: Mode,
    /// Makes the actions.
    pub actions: MakeAction<'a>,
    /// Where the playbooks come from that this one stands on.
    pub source: &'a Source,
}

/// Reads a playbook and expands it.
///
/// `file` is what messages call it; where it ends with `.yaml` the playbook must have its name.
///
/// # Errors
/// All mistakes at once, in the order of the file; those in a playbook that it stands on by that file's name.
pub fn load(text: &str, file: &str, binding: &Binding<'_>) -> Result<Plan, Vec<Problem>> {
    load_below(text, file, binding, &[])
}

/// `above`: the playbooks that are being read because they stand on this one.
pub(super) fn load_below(text: &str, file: &str, binding: &Binding<'_>, above: &[&str]) -> Result<Plan, Vec<Problem>> {
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
    let sets = NodeSets::of(binding.nodes);
    let bound = Bound { sets: &sets, mode: binding.mode, default_deadline: binding.default_deadline };
    let Some(playbook) = written::playbook(&tree, &bound, &mut findings) else {
        return Err(findings.sorted());
    };
    named_as_its_file(&playbook, file, &mut findings);
    let steps = &playbook.steps;
    let made: Vec<_> = steps.iter().map(|step| make(step, binding.actions, &mut findings)).collect();
    let links = links(steps, &sets, &mut findings);
    let Some(order) = order(steps, &links, &mut findings) else { return Err(findings.sorted()) };
    let instances = expand(steps, &links, &order);
    facts(steps, &links, &made, &instances, &mut findings);
    let above: Vec<&str> = above.iter().copied().chain([playbook.name.as_str()]).collect();
    let (composed, below) = compose(instances, steps, &made, binding, &above, &mut findings);
    let problems = findings.sorted();
    if !problems.is_empty() {
        return Err(problems);
    }
    let whole = below.iter().fold(Sha256::new_with_prefix(text), Digest::chain_update);
    Ok(Plan {
        steps: composed,
        name: playbook.name,
        mends: playbook.mends,
        summary: playbook.summary,
        digest: hex::encode(whole.finalize()),
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

/// `needs: [server[*]]`: inside a flow list YAML takes the inner bracket for the start of another list.
fn unquoted_bracket(line: &str) -> bool {
    let Some((_, list)) = line.split_once('[') else { return false };
    list.char_indices().any(|(i, c)| c == '[' && list[..i].ends_with(|p: char| p.is_ascii_alphanumeric()))
}

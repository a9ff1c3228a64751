//! A playbook as written: its fields read and checked one by one, nothing expanded yet.

use super::fields::{text, Fields};
use super::problem::{instead_of, Findings};
use super::sets::NodeSets;
use super::tree::{Node, Value};
use super::{Gate, Start, WORLDS};
use crate::actions::Mode;
use crate::config::{known, Place};
use std::time::Duration;

/// What a step is expected to take where its playbook does not say.
const EXPECTED: Duration = Duration::from_secs(1);

/// What the end of a step can mean for the run: the two times that `run_finished` tells.
const MILESTONES: [&str; 2] = ["first_answer", "recovered"];

const PLAYBOOK_KEYS: [&str; 4] = ["playbook", "for", "summary", "steps"];
const STEP_KEYS: [&str; 15] = [
    "id",
    "each",
    "do",
    "playbook",
    "only",
    "needs",
    "always",
    "last",
    "expected",
    "deadline",
    "gate",
    "evidence",
    "once",
    "optional",
    "milestone",
];

/// What a step that stands for a whole playbook may say: the rest is said by that playbook's own steps.
const INCLUDE_KEYS: [&str; 5] = ["id", "playbook", "only", "needs", "always"];

/// What a playbook's words are bound to while it is read.
pub(super) struct Bound<'a> {
    pub(super) sets: &'a NodeSets,
    pub(super) mode: Mode,
    pub(super) default_deadline: Duration,
}

/// A playbook as written.
pub(super) struct Playbook<'t> {
    pub(super) name: String,
    pub(super) name_at: Place,
    pub(super) mends: String,
    pub(super) summary: String,
    pub(super) steps: Vec<WrittenStep<'t>>,
}

/// A step as written.
pub(super) struct WrittenStep<'t> {
    pub(super) id: String,
    pub(super) at: Place,
    /// Its nodes; `None` where it is for the whole cluster. None of them where it is for runs of another mode.
    pub(super) nodes: Option<Vec<String>>,
    /// `None` where `do` could not be read, which was told already, or where it stands for a playbook.
    pub(super) action: Option<WrittenAction<'t>>,
    /// The playbook whose steps it stands for.
    pub(super) playbook: Option<(String, Place)>,
    /// When it may start.
    pub(super) start: Start,
    /// `None` where one could not be read: told already.
    pub(super) needs: Vec<Option<Need>>,
    pub(super) expected: Duration,
    pub(super) deadline: Duration,
    pub(super) gate: Gate,
    pub(super) evidence: bool,
    pub(super) once: bool,
    pub(super) optional: bool,
    pub(super) milestone: Option<String>,
}

/// What stands under `do`.
pub(super) struct WrittenAction<'t> {
    pub(super) name: String,
    pub(super) at: Place,
    pub(super) params: &'t Node,
}

/// One entry of `needs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) step: String,
    /// What stands in brackets: `*` or a node set.
    pub(super) of: Option<String>,
    pub(super) at: Place,
}

/// Reads the whole document. `None` where nothing can be made of it; the findings say why.
pub(super) fn playbook<'t>(tree: &'t Node, bound: &Bound<'_>, findings: &mut Findings) -> Option<Playbook<'t>> {
    let mut fields = Fields::of(tree, "the playbook", &PLAYBOOK_KEYS, findings)?;
    let name = fields.required_text("playbook", "name the playbook as its file: `playbook: rebuild`");
    let mends = fields.required_text("for", "name the disaster it mends: `for: total-loss`");
    if let Some((world, at)) = mends.as_ref().filter(|(world, _)| !WORLDS.contains(&world.as_str())) {
        let meant = known(world, WORLDS.into_iter(), "");
        fields.findings.add(*at, format!("no playbook is for `{world}`"), meant);
    }
    let summary = fields.required_text("summary", "say in one sentence what it does: `summary: ...`");
    let steps = fields.required("steps", "list its steps: `steps:`")?;
    let Value::List(items) = &steps.value else {
        findings.add(steps.at, format!("`steps` is {}", steps.value.kind()), "write a list of steps, each with a dash");
        return None;
    };
    if items.is_empty() {
        findings.add(steps.at, "the playbook has no steps", "write at least one");
    }
    let steps = items.iter().filter_map(|item| step(item, bound, findings)).collect();
    let (name, name_at) = name?;
    Some(Playbook { name, name_at, mends: mends?.0, summary: summary?.0, steps })
}

fn step<'t>(node: &'t Node, bound: &Bound<'_>, findings: &mut Findings) -> Option<WrittenStep<'t>> {
    let include = matches!(&node.value, Value::Map(entries) if entries.iter().any(|(k, _)| k.name == "playbook"));
    let (what, keys) =
        if include { ("a step that stands for a playbook", &INCLUDE_KEYS[..]) } else { ("a step", &STEP_KEYS[..]) };
    let mut fields = Fields::of(node, what, keys, findings)?;
    let id = fields.required_text("id", "name the step: `id: server`");
    let nodes = each(&mut fields, bound);
    let playbook = fields.text("playbook");
    let action = if include { None } else { action(&mut fields) };
    let needs = needs(&mut fields);
    let start = start(&mut fields);
    let (expected, deadline) = times(&mut fields, bound.default_deadline);
    let gates = [("none", Gate::None), ("confirm", Gate::Confirm), ("typed", Gate::Typed)];
    let gate = fields.one_of("gate", &gates, Gate::None);
    let (evidence, once, optional) = (fields.flag("evidence"), fields.flag("once"), fields.flag("optional"));
    let milestones = MILESTONES.map(|m| (m, Some(m)));
    let milestone = fields.one_of("milestone", &milestones, None).map(str::to_owned);
    let (id, at) = id?;
    if !is_id(&id) {
        findings.add(
            at,
            format!("`{id}` cannot be a step's id"),
            "write at most 40 lower-case letters, digits and dashes, a letter first",
        );
    }
    Some(WrittenStep {
        id,
        at,
        nodes,
        action,
        playbook,
        start,
        needs,
        expected,
        deadline,
        gate,
        evidence,
        once,
        optional,
        milestone,
    })
}

fn start(fields: &mut Fields<'_, '_>) -> Start {
    let (always, last) = (fields.flag("always"), fields.flag("last"));
    if let Some(node) = fields.find("last").filter(|_| always && last) {
        fields.findings.add(node.at, "a step is `always` or `last`, not both", "remove one of them");
    }
    match (always, last) {
        (true, _) => Start::Ended,
        (false, true) => Start::Last,
        (false, false) => Start::Done,
    }
}

/// A step's id becomes part of labels (63 characters with the node's key) and of systemd unit names.
fn is_id(id: &str) -> bool {
    id.len() <= 40
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The nodes of a step; none for a step of another mode, which then hands on its needs as any step without nodes does.
fn each(fields: &mut Fields<'_, '_>, bound: &Bound<'_>) -> Option<Vec<String>> {
    let modes = [Mode::Live, Mode::Rehearsal].map(|mode| (mode.word(), Some(mode)));
    let only = fields.one_of("only", &modes, None);
    let nodes = nodes(fields, bound.sets);
    if only.is_some_and(|mode| mode != bound.mode) {
        return Some(Vec::new());
    }
    nodes
}

fn nodes(fields: &mut Fields<'_, '_>, sets: &NodeSets) -> Option<Vec<String>> {
    let (set, at) = fields.text("each")?;
    let nodes = sets.nodes(&set);
    if nodes.is_none() {
        fields.findings.add(at, format!("unknown node set `{set}`"), instead_of(&set, &sets.names()));
    }
    // A step of an unknown set is read on as one of every node, so that its needs are not reported as well.
    nodes.or_else(|| sets.nodes("node")).map(<[String]>::to_vec)
}

fn action<'t>(fields: &mut Fields<'t, '_>) -> Option<WrittenAction<'t>> {
    let node = fields.required("do", "say what it does: `do: { server.ensure: {} }`")?;
    let remedy = "write exactly one action and its parameters: `do: { server.ensure: {} }`";
    let Value::Map(entries) = &node.value else {
        fields.findings.add(node.at, format!("`do` is {}", node.value.kind()), remedy);
        return None;
    };
    match entries.as_slice() {
        [(key, params)] => Some(WrittenAction { name: key.name.clone(), at: key.at, params }),
        [] => {
            fields.findings.add(node.at, "`do` names no action", remedy);
            None
        }
        [_, (second, _), ..] => {
            fields.findings.add(second.at, "`do` names more than one action", remedy);
            None
        }
    }
}

fn needs(fields: &mut Fields<'_, '_>) -> Vec<Option<Need>> {
    let Some(node) = fields.find("needs") else { return Vec::new() };
    let Value::List(items) = &node.value else {
        let kind = node.value.kind();
        fields.findings.add(node.at, format!("`needs` is {kind}"), "write a list: `needs: [preflight, server[*]]`");
        return vec![None];
    };
    let mut read: Vec<Option<Need>> = Vec::new();
    for item in items {
        let need = text(item, "needs", fields.findings).and_then(|(word, at)| need(&word, at, fields.findings));
        match need {
            Some(n) if read.iter().flatten().any(|r| r.step == n.step && r.of == n.of) => {
                fields.findings.add(n.at, format!("`{}` is needed twice", n.step), "remove one of the two");
            }
            other => read.push(other),
        }
    }
    read
}

/// `server`, `server[*]`, `server[first]`.
fn need(word: &str, at: Place, findings: &mut Findings) -> Option<Need> {
    let Some((step, rest)) = word.split_once('[') else {
        return Some(Need { step: word.to_owned(), of: None, at });
    };
    match rest.strip_suffix(']') {
        Some(of) if !of.is_empty() => Some(Need { step: step.to_owned(), of: Some(of.to_owned()), at }),
        _ => {
            let remedy = "write `server`, `server[*]` or a node set as in `server[first]`";
            findings.add(at, format!("`{word}` cannot be read as a need"), remedy);
            None
        }
    }
}

fn times(fields: &mut Fields<'_, '_>, default_deadline: Duration) -> (Duration, Duration) {
    let expected = fields.duration("expected");
    let deadline = fields.duration("deadline");
    if let Some((_, at)) = deadline.filter(|(d, _)| d.is_zero()) {
        fields.findings.add(at, "a deadline of nothing can never be met", "write the longest time the step may take");
    } else if let (Some((e, at)), Some((d, _))) = (expected, deadline) {
        if e > d {
            fields.findings.add(
                at,
                format!("expected to take {e:?}, longer than its deadline of {d:?}"),
                "write a later deadline",
            );
        }
    } else if let (Some((e, at)), None) = (expected, fields.find("deadline")) {
        if e > default_deadline {
            fields.findings.add(
                at,
                format!("expected to take {e:?}, longer than the default deadline of {default_deadline:?}"),
                "write a `deadline` that is later",
            );
        }
    }
    let deadline = deadline.map_or(default_deadline, |(d, _)| d);
    (expected.map_or(EXPECTED.min(deadline), |(e, _)| e), deadline)
}

//! The contract of an action, and what it is told.

use super::{FactKind, Facts};
use crate::config::{NodeSettings, Settings};
use crate::world::{self, Labels, Permit, Result, Target, World};
use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a run acts on production or on spare nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Production.
    Live,
    /// Spare nodes, in another project, without a way to the outside.
    Rehearsal,
}

impl Mode {
    /// The word in labels and journals.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Rehearsal => "rehearsal",
        }
    }
    /// The inverse of [`Mode::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Live, Self::Rehearsal].into_iter().find(|m| m.word() == word)
    }
}

/// Which run this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId {
    /// 12 lower-case base32 characters.
    pub id: String,
    /// Live or rehearsal.
    pub mode: Mode,
}

/// Everything that a step is about before the outside is looked at: enough to describe it offline.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The cluster.
    pub settings: &'a Settings,
    /// The run.
    pub run: &'a RunId,
    /// The step's id: `server[node-2]`.
    pub step: &'a str,
    /// The node, where the step is for one.
    pub node: Option<&'a NodeSettings>,
    /// Texts of the scripts that run on nodes, by file name.
    pub scripts: &'a Scripts,
}

/// Texts of the scripts that run on nodes, by file name.
pub type Scripts = BTreeMap<String, Arc<str>>;

impl Place<'_> {
    /// The server's name of a node: `<cluster>-<node>`, in a rehearsal `<cluster>-r-<run>-<node>`.
    pub fn server_name(&self, node: &str) -> String {
        self.name(node)
    }
    /// Labels of what this step makes from a specification.
    pub fn labels(&self, spec: &Value) -> Labels {
        let digest = hex::encode(Sha256::digest(spec.to_string().as_bytes()));
        let mut labels = Labels::new();
        for (key, value) in [
            (world::MANAGED_BY, "relight"),
            (world::CLUSTER, &self.settings.cluster),
            (world::RUN, &self.run.id),
            (world::STEP, self.step),
            (world::MODE, self.run.mode.word()),
            (world::SPEC, &world::label_digest(&digest)),
        ] {
            labels.insert(key.to_owned(), world::label_value(value));
        }
        if let Some(node) = self.node {
            labels.insert(world::NODE.to_owned(), world::label_value(&node.key));
        }
        labels
    }
    /// The name of something that the run makes.
    pub fn name(&self, suffix: &str) -> String {
        match self.run.mode {
            Mode::Live => format!("{}-{suffix}", self.settings.cluster),
            Mode::Rehearsal => format!("{}-r-{}-{suffix}", self.settings.cluster, self.run.id),
        }
    }
}

/// What a look at the world found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// As wanted.
    Done(Facts),
    /// To be done; the text says what is missing.
    Needed(String),
    /// Under way by itself: looked at again until it is done, within the step's deadline. The text says what is waited for.
    Pending(String),
    /// Exists but differs, or must not be: a person decides. The text is the evidence.
    Refused(String),
    /// Evidence against going on, for a person to accept in a step with `evidence: true`; once accepted, the facts stand.
    Against(String, Facts),
    /// The same where it is another's: what must be typed is this name, not the cluster's.
    Anothers {
        /// The evidence.
        text: String,
        /// What must be typed.
        name: String,
        /// What stands once it is accepted.
        facts: Facts,
    },
}

/// What an action may do besides looking: implemented by the engine.
#[async_trait]
pub trait Effects: Send + Sync {
    /// Looks at the target through the guard, writes the intent, and returns once it is on disk. Every mutating call needs one;
    /// each call that can create something needs its own. `what` is the intent's text and holds no secret.
    async fn permit(&self, target: Target, what: &str) -> Result<Permit>;
    /// Tells what is going on inside a long apply. May be dropped.
    fn progress(&self, text: &str);
    /// Something that stops nothing and that a person should know: it is kept with the step's result. Told by a check, it counts
    /// until the next one.
    fn note(&self, text: &str);
}

/// What one execution of one step is told.
pub struct StepContext<'a> {
    /// What it is about.
    pub place: Place<'a>,
    /// The outside.
    pub world: &'a World,
    /// Facts of all finished steps.
    pub facts: &'a Facts,
    /// Leave to act.
    pub effects: &'a dyn Effects,
}

impl<'a> StepContext<'a> {
    /// Labels of what this step makes now from a specification; on spare things also when they may go.
    pub fn labels(&self, spec: &Value) -> Labels {
        let mut labels = self.place.labels(spec);
        if let Some(spare) = &self.settings().spare {
            let until = self.world.clock.now() + spare.expires_after;
            labels.insert(world::EXPIRES.to_owned(), until.as_secs().to_string());
        }
        labels
    }
    /// The cluster.
    pub fn settings(&self) -> &'a Settings {
        self.place.settings
    }
    /// The step's node, for actions that are per node.
    pub fn node(&self) -> Result<&'a NodeSettings> {
        self.place.node.ok_or_else(|| {
            crate::world::Error::fatal(format!("step {} is for no node", self.place.step))
                .remedy("the playbook's step needs `each: node`")
        })
    }
}

/// What a step does. All actions are values without state: everything that lasts is in the world.
#[async_trait]
pub trait Action: Send + Sync {
    /// One line, the same in plan, prompt and report. Pure.
    fn describe(&self, place: &Place<'_>) -> String;
    /// What of the configuration it depends on, so that a resume can tell which steps a change concerns. Pure, no secrets.
    fn inputs(&self, place: &Place<'_>) -> Value;
    /// What [`world::SPEC`] on what it makes is the digest of; none where it makes nothing of its own. Pure, no secrets.
    fn made_from(&self, _place: &Place<'_>) -> Option<Value> {
        None
    }
    /// The facts it finds.
    fn provides(&self) -> &'static [FactKind] {
        &[]
    }
    /// The facts it uses.
    fn uses(&self) -> &'static [FactKind] {
        &[]
    }
    /// Whether it resolves sources of secrets: what a person has to be asked for is asked before the run is driven. Pure.
    fn needs_secrets(&self) -> bool {
        false
    }
    /// Looks, and changes nothing.
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check>;
    /// Does it, from whatever state the check found. Safe to repeat. Waiting for the outside to settle is the check's part.
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()>;
}

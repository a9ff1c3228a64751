//! The person at a gate.

use super::Result;
use async_trait::async_trait;

/// What is asked before something goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The step that asks.
    pub step: String,
    /// What will happen, or what was found, in full sentences; names the world, the project and the zone.
    pub text: String,
    /// The word that must be typed; `None` for a yes or no.
    pub type_this: Option<String>,
    /// Raised by evidence, so that `--yes` does not answer it.
    pub evidence: bool,
}

/// How a question ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Do not.
    No,
    /// Nobody is there to answer; the text names the flag that answers it beforehand.
    Nobody(String),
}

/// Whoever answers gates: a terminal, flags given beforehand, or a test's script.
#[async_trait]
pub trait Person: Send + Sync {
    /// Asks, and waits for the answer without a limit.
    async fn ask(&self, question: &Question) -> Result<Answer>;
}

/// Nobody is there: for commands that only look.
pub struct NobodyThere;

#[async_trait]
impl Person for NobodyThere {
    async fn ask(&self, _question: &Question) -> Result<Answer> {
        Ok(Answer::Nobody("run it at a terminal".to_owned()))
    }
}

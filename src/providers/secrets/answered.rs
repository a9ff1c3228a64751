//! What a person has already been asked.

use crate::world::{Result, Secret, SecretFrom, SecretSource};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers prompts from what a person typed before the run was driven; everything else comes from the source within.
///
/// Nobody can be asked while a run goes on: its drawing would hide the question, and a step's deadline would pass meanwhile.
pub struct Answered {
    inner: Arc<dyn SecretSource>,
    answers: BTreeMap<String, Secret>,
}

impl Answered {
    /// Wraps a source. The answers are by the prompt's text.
    pub fn new(inner: Arc<dyn SecretSource>, answers: BTreeMap<String, Secret>) -> Self {
        Self { inner, answers }
    }
}

#[async_trait]
impl SecretSource for Answered {
    async fn resolve(&self, from: &SecretFrom) -> Result<Secret> {
        let answer = match from {
            SecretFrom::Prompt(text) => self.answers.get(text).cloned(),
            _ => None,
        };
        match answer {
            Some(secret) => Ok(secret),
            None => self.inner.resolve(from).await,
        }
    }
    fn stand_ins(&self) -> Vec<String> {
        self.inner.stand_ins()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secrets;
    use super::*;

    #[tokio::test]
    async fn an_answer_given_beforehand_is_the_prompts_value_and_no_other_prompts() {
        let inner = Secrets::new([("HAVE".to_owned(), Secret::new("set"))].into(), ".");
        let source = Answered::new(Arc::new(inner), [("Key".to_owned(), Secret::new("typed"))].into());
        assert_eq!(source.resolve(&SecretFrom::Prompt("Key".into())).await.unwrap().expose(), b"typed");
        assert_eq!(source.resolve(&SecretFrom::Env("HAVE".into())).await.unwrap().expose(), b"set");
        let error = source.resolve(&SecretFrom::Prompt("Other".into())).await.unwrap_err();
        assert!(error.what.contains("\"Other\"") && error.remedy.contains("terminal"), "{error:?}");
    }
}

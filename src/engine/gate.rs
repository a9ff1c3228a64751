//! A step's questions to a person.

use super::event::Event;
use super::journal::Broken;
use super::step::{failed, interrupted, StepEnd, StepRun, Why};
use crate::playbook::Gate;
use crate::world::{Answer, Question};

impl StepRun<'_> {
    pub(super) async fn gate(&self) -> Result<Option<StepEnd>, Broken> {
        let text = self.step.action.describe(&self.place);
        match self.step.gate {
            Gate::None => Ok(None),
            Gate::Confirm => self.ask(&text, None, false).await,
            Gate::Typed => self.ask(&text, Some(self.place.settings.cluster.clone()), false).await,
        }
    }

    /// Puts a question, unless the same one was answered with yes in this run; the word is what must be typed. `None`: go on.
    pub(super) async fn ask(
        &self,
        text: &str,
        word: Option<String>,
        evidence: bool,
    ) -> Result<Option<StepEnd>, Broken> {
        let step = self.step.id.clone();
        if self.memory.answered.contains(&(step.clone(), text.to_owned())) {
            return Ok(None);
        }
        let asked = Event::GateAsked { step: step.clone(), text: text.to_owned(), evidence };
        self.journal.append(asked).await?;
        let question = Question { step: step.clone(), text: text.to_owned(), type_this: word, evidence };
        let answer = tokio::select! {
            biased;
            () = self.stopping() => return Ok(Some(interrupted())),
            answer = self.world.person.ask(&question) => answer,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Some(failed(Why::NeedsPerson, &error))),
        };
        let yes = answer == Answer::Yes;
        self.journal.append(Event::GateAnswered { step, text: text.to_owned(), yes }).await?;
        Ok(match answer {
            Answer::Yes => None,
            Answer::No => Some(StepEnd::Failed {
                why: Why::NeedsPerson,
                error: format!("not agreed to: {text}"),
                remedy: "run `relight resume` to be asked again".to_owned(),
            }),
            Answer::Nobody(flag) => {
                Some(StepEnd::Failed { why: Why::NeedsPerson, error: format!("nobody to ask: {text}"), remedy: flag })
            }
        })
    }
}

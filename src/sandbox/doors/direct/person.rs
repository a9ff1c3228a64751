//! A person who answers from a script.

use crate::world::{Answer, Person, Question, Result};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Answers the given answers in turn, then the last word for ever; remembers what was asked.
#[derive(Debug)]
pub struct ScriptedPerson {
    answers: Mutex<VecDeque<Answer>>,
    then: Answer,
    asked: Mutex<Vec<Question>>,
}

impl ScriptedPerson {
    /// Answers these, then always `then`.
    pub fn new(answers: impl IntoIterator<Item = Answer>, then: Answer) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), then, asked: Mutex::default() }
    }
    /// Says yes to everything.
    pub fn willing() -> Self {
        Self::new([], Answer::Yes)
    }
    /// Everything that was asked.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Person for ScriptedPerson {
    async fn ask(&self, question: &Question) -> Result<Answer> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(question.clone());
        let next = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        Ok(next.unwrap_or_else(|| self.then.clone()))
    }
}

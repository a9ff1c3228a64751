//! The person at a gate: a terminal, or the flags given beforehand.

use super::drawing::fitted;
use crate::world::{Answer, Error, Person, Question, Result};
use async_trait::async_trait;
use dialoguer::console::Term;
use std::io::IsTerminal;
use std::sync::Arc;

/// Runs something while nothing else is drawn.
pub type Quiet = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// The code of the error that says that Ctrl-C was typed.
const INTERRUPTED: &str = "interrupted_at_question";

/// Answers gates from `--yes`, `--confirm NAME`, or the terminal.
pub struct Terminal {
    /// `--yes`.
    pub yes: bool,
    /// `--confirm NAME`, each.
    pub confirm: Vec<String>,
    /// World, project and zone: stands before every question.
    pub header: String,
    /// Runs while the question is on the screen, so that a drawing does not write over it.
    pub quiet: Quiet,
}

impl Terminal {
    fn beforehand(&self, question: &Question) -> Option<Answer> {
        match &question.type_this {
            Some(word) if self.confirm.contains(word) => Some(Answer::Yes),
            // Whoever gave another name meant another cluster: no terminal is asked for a second opinion.
            Some(word) if !self.confirm.is_empty() => Some(Answer::Nobody(format!(
                "--confirm {} does not name it: answer with `--confirm {word}`, or at a terminal",
                self.confirm.join(" --confirm ")
            ))),
            None if self.yes && !question.evidence => Some(Answer::Yes),
            _ => None,
        }
    }

    fn flag(question: &Question) -> String {
        match &question.type_this {
            Some(word) => format!("answer it at a terminal, or with `--confirm {word}`"),
            None => "answer it at a terminal, or with `--yes`".to_owned(),
        }
    }
}

/// A person who has answered these gates before the run began: step and question. Nobody is asked the same twice.
pub struct Agreed {
    /// Who is asked everything else.
    pub person: Arc<dyn Person>,
    /// Typed gates that have their answer.
    pub to: Vec<(String, String)>,
}

#[async_trait]
impl Person for Agreed {
    async fn ask(&self, question: &Question) -> Result<Answer> {
        let known = |(step, text): &(String, String)| *step == question.step && *text == question.text;
        match !question.evidence && self.to.iter().any(known) {
            true => Ok(Answer::Yes),
            false => self.person.ask(question).await,
        }
    }
}

#[async_trait]
impl Person for Terminal {
    async fn ask(&self, question: &Question) -> Result<Answer> {
        if let Some(answer) = self.beforehand(question) {
            return Ok(answer);
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Ok(Answer::Nobody(Self::flag(question)));
        }
        let (question, header, quiet) = (question.clone(), self.header.clone(), Arc::clone(&self.quiet));
        let asked = tokio::task::spawn_blocking(move || {
            let mut answer = Err(Error::fatal("no answer"));
            quiet(&mut || answer = at_terminal(&question, &header));
            answer
        });
        match asked.await.map_err(|e| Error::fatal(format!("the question ended badly: {e}")))? {
            // Ctrl-C at the question is no answer: it has become a signal, which stops the run as at any other time.
            Err(error) if error.is(INTERRUPTED) => std::future::pending().await,
            answer => answer,
        }
    }
}

fn at_terminal(question: &Question, header: &str) -> Result<Answer> {
    let broken = |dialoguer::Error::IO(e)| match e.kind() {
        std::io::ErrorKind::Interrupted => Error::fatal("interrupted at a question").code(INTERRUPTED),
        _ => Error::fatal(format!("the terminal cannot be read: {e}")),
    };
    eprintln!("{}", fitted(&format!("\n{header}\n{}", question.text), &Term::stderr()));
    let yes = match &question.type_this {
        Some(word) => {
            let prompt = format!("Type {word} to go on");
            let typed: String =
                dialoguer::Input::new().with_prompt(prompt).allow_empty(true).interact_text().map_err(broken)?;
            typed.trim() == word
        }
        None => {
            // A single key would leave the Enter that most people type after it to the bars.
            let asked = dialoguer::Confirm::new().with_prompt("Go on?").default(false).wait_for_newline(true);
            asked.interact().map_err(broken)?
        }
    };
    Ok(if yes { Answer::Yes } else { Answer::No })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_answers_its_own_question_and_a_yes_none_that_wants_a_name() {
        let asked = |confirm: &[&str], word: Option<&str>| {
            let confirm = confirm.iter().map(|name| (*name).to_owned()).collect();
            let person = Terminal { yes: true, confirm, header: String::new(), quiet: Arc::new(|then| then()) };
            let type_this = word.map(str::to_owned);
            person.beforehand(&Question { step: "lease".into(), text: "?".into(), type_this, evidence: true })
        };
        let both = ["honeydue", "annannannann"];
        assert_eq!(
            [asked(&both, Some("annannannann")), asked(&both, Some("honeydue"))],
            [const { Some(Answer::Yes) }; 2]
        );
        assert_eq!((asked(&[], Some("annannannann")), asked(&both, None)), (None, None));
        let Some(Answer::Nobody(told)) = asked(&["honeydue"], Some("annannannann")) else { panic!("no answer") };
        assert!(
            told.contains("--confirm honeydue does not name it") && told.contains("`--confirm annannannann`"),
            "{told}"
        );
    }
}

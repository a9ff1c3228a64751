//! What `--help` and the completions show: of the options of all commands, only those that mean something to the one at hand.

use super::args::Cli;
use crate::playbook::Source;
use clap::{Arg, Command, CommandFactory};

/// The options of all commands that these commands heed. What is not listed acts on the world and heeds them all.
const HEEDS: [(&str, &[&str]); 8] = [
    ("status", &["config", "state", "steps", "sandbox", "json"]),
    ("plan", &["config", "state", "steps", "sandbox", "profile", "json"]),
    ("validate", &["config", "steps", "json"]),
    ("sandbox", &["config", "state", "steps", "profile", "json"]),
    ("kubectl", &["config", "state", "sandbox"]),
    ("kubeconfig", &["config", "state", "sandbox"]),
    ("schema", &[]),
    ("completions", &[]),
];

/// The command line. An option that means nothing to a command is accepted there all the same: it may stand in an alias.
pub fn command() -> Command {
    let whole = Cli::command().mut_subcommand("plan", |plan| plan.mut_arg("playbook", |arg| arg.help(playbooks())));
    let all: Vec<Arg> = whole.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    whole.mut_subcommands(|command| {
        let heeds = HEEDS.iter().find(|(name, _)| *name == command.get_name()).map(|(_, heeds)| *heeds);
        let Some(heeds) = heeds else { return command };
        let hidden = all.iter().filter(|arg| !heeds.contains(&arg.get_id().as_str()));
        // An argument of the command's own takes the place of the one that would be handed down.
        command.args(hidden.map(|arg| arg.clone().hide(true)))
    })
}

fn playbooks() -> String {
    format!("One of {}, or of the directory of --steps", Source::embedded().names().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn help(of: &str) -> String {
        let mut whole = command();
        whole.build();
        whole.find_subcommand_mut(of).unwrap().render_long_help().to_string()
    }

    #[test]
    fn a_commands_help_lists_the_options_that_it_heeds_and_no_others() {
        command().debug_assert();
        for (name, heeds) in HEEDS {
            let (text, whole) = (help(name), command());
            for option in whole.get_arguments().filter(|arg| arg.is_global_set()) {
                let long = option.get_long().unwrap();
                let told = text.contains(&format!("--{long}"));
                assert_eq!(told, heeds.contains(&option.get_id().as_str()), "{name}: --{long}");
            }
        }
        assert!(help("rebuild").contains("--confirm") && help("plan").contains("teardown-live"));
    }

    #[test]
    fn an_option_that_is_not_listed_is_taken_wherever_it_stands() {
        let read = |words: &[&str]| Cli::from_arg_matches(&command().try_get_matches_from(words).unwrap()).unwrap();
        for words in [["relight", "--sandbox", "schema"], ["relight", "schema", "--sandbox"]] {
            assert!(read(&words).global.sandbox, "{words:?}");
        }
        assert!(read(&["relight", "--yes", "plan", "--sandbox"]).global.yes);
    }
}

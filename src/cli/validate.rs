//! `relight validate`: everything that can be known from files. What is wrong with them fails here, and not minutes into an
//! outage: configuration, playbooks, scripts, and the manifests as Kubernetes itself would judge them.

use super::args::Global;
use super::exit::{Exit, Stop};
use super::prepare;
use super::say::say;
use crate::actions::Mode;
use crate::config::{self, Place, Problem, Problems, Settings};
use crate::playbook::Source;
use serde_json::json;
use std::path::{Path, PathBuf};

mod scripts;

/// What is there, where nothing is wrong with it.
struct Seen {
    settings: Settings,
    playbooks: Vec<String>,
    steps: usize,
    scripts: Vec<String>,
    manifests: usize,
    bash: bool,
}

/// Looks at all files and says what is there, or everything that is wrong.
pub fn validate(global: &Global) -> Result<Exit, Stop> {
    match look(global) {
        Ok(seen) => {
            tell(global, &seen);
            Ok(Exit::Done)
        }
        Err(Problems(problems)) if global.json => {
            let problems: Vec<_> = problems.iter().map(as_json).collect();
            say!("{}", json!({ "v": 1, "valid": false, "problems": problems }));
            Ok(Exit::Usage)
        }
        Err(problems) => Err(Stop::usage(problems.to_string(), "")),
    }
}

fn as_json(Problem { file, line, column, what, remedy }: &Problem) -> serde_json::Value {
    json!({ "file": file, "line": line, "column": column, "what": what, "remedy": remedy })
}

/// Without a configuration nothing else can be judged; everything behind it is told at once.
fn look(global: &Global) -> Result<Seen, Problems> {
    let settings = config::load(&global.config)?;
    let own = global.steps.as_deref();
    let source = Source::new(own).map_err(|what| whole_file(own.unwrap_or(Path::new("steps")), &what))?;
    let mut problems = Problems::default();
    let playbooks = source.names();
    let steps = playbooks.iter().map(|name| playbook(own, &source, name, &settings, &mut problems)).sum();
    let scripts = source.scripts();
    for name in &scripts {
        if let Err(what) = source.script(name) {
            problems.0.extend(whole_file(&beside(own, "scripts", name), &what).0);
        }
    }
    let bash = scripts::check(own, &mut problems);
    let manifests = manifests(&settings, &mut problems);
    problems.0.sort();
    // Some mistakes show in a rehearsal's plan and in a live one's.
    problems.0.dedup();
    problems.or(Seen { settings, playbooks, steps, scripts, manifests, bash })
}

/// How many steps a playbook has in a live run. It must be fit for a rehearsal too.
fn playbook(own: Option<&Path>, source: &Source, name: &str, settings: &Settings, problems: &mut Problems) -> usize {
    let file = match source.playbook(name) {
        Ok(Some(file)) => file,
        Ok(None) => return 0,
        Err(what) => {
            problems.0.extend(whole_file(&beside(own, "", &format!("{name}.yaml")), &what).0);
            return 0;
        }
    };
    let mut steps = 0;
    for mode in [Mode::Rehearsal, Mode::Live] {
        match prepare::expanded(source, &file, settings, mode) {
            Ok(plan) => steps = plan.steps.len(),
            Err(found) => problems.0.extend(found),
        }
    }
    steps
}

/// How many objects there are.
fn manifests(settings: &Settings, problems: &mut Problems) -> usize {
    match config::manifests(settings) {
        Ok(all) => all.len(),
        Err(found) => {
            problems.0.extend(found.0);
            0
        }
    }
}

/// Where a playbook or script lies: in the directory of `--steps`, else in the binary.
fn beside(own: Option<&Path>, under: &str, name: &str) -> PathBuf {
    let path = own.map(|own| own.join(under).join(name)).filter(|path| path.exists());
    path.unwrap_or_else(|| Path::new("steps").join(under).join(name))
}

/// A mistake of a whole file, from words that end with what to do.
fn whole_file(file: &Path, what: &str) -> Problems {
    let (what, remedy) = what.split_once("; ").unwrap_or((what, "mend it"));
    let mut problems = Problems::default();
    problems.add(file, Place::START, what, remedy);
    problems
}

fn tell(global: &Global, seen: &Seen) {
    let Seen { settings, playbooks, steps, scripts, manifests, bash } = seen;
    if global.json {
        let all = json!({
            "v": 1, "valid": true, "cluster": settings.cluster, "nodes": settings.nodes.len(), "playbooks": playbooks,
            "scripts": scripts, "manifests": manifests,
        });
        say!("{all}");
        return;
    }
    say!("{}: valid", global.config.display());
    say!("  cluster    {} with {} nodes, K3s {}", settings.cluster, settings.nodes.len(), settings.k3s.version);
    say!("  playbooks  {} ({steps} steps)", playbooks.join(", "));
    say!("  scripts    {}", scripts.join(", "));
    say!("  manifests  {manifests} objects");
    if settings.cloud.authorized_keys.is_empty() {
        say!("  note       no `ssh_authorized_keys`: only the run's own key will get into the nodes");
    }
    if !bash {
        say!("  note       no bash here: whether the scripts of --steps can be read was not looked at");
    }
}

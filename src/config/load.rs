//! `relight.yaml` from its text to [`Settings`], in three stages: text, raw input, validated settings.

use super::problem::{shown, Place, Problem, Problems};
use super::raw::RawSettings;
use super::settings::Settings;
use super::validate::{self, Checks};
use super::yaml::{options, syntax_problem, Yaml};
use super::{schema, shape};
use serde_json::Value;
use std::path::Path;

/// Reads and checks a configuration.
///
/// All problems that can be told at once are reported at once: first those of syntax (one, as nothing behind it can be
/// trusted), then those of keys and types, then those of values. Looks at nothing but this file and the files that it names.
pub fn load(path: &Path) -> Result<Settings, Problems> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let file = shown(path);
    let one = |what: String, remedy: &str| {
        let Place { line, column } = Place::START;
        Problems(vec![Problem { file: file.clone(), line, column, what, remedy: remedy.into() }])
    };
    let text = std::fs::read_to_string(&absolute).map_err(|why| {
        one(
            format!("the configuration cannot be read ({why})"),
            "go to its directory, or name the file with --config FILE",
        )
    })?;
    let documents = Yaml::documents(&file, &text).map_err(|problem| Problems(vec![problem]))?;
    let [yaml] = documents.as_slice() else {
        let what = format!("a configuration is one document, this file has {}", documents.len());
        return Err(one(what, "write one document, without --- between its parts"));
    };
    let mut problems = Problems::default();
    shape::check(schema_value(), &file, yaml, &mut problems);
    problems.or(())?;
    let raw: RawSettings = serde_saphyr::from_str_with_options(&text, options())
        .map_err(|error| Problems(vec![syntax_problem(&file, &error)]))?;
    let base = absolute.parent().map(Path::to_owned).unwrap_or_default();
    let mut checks = Checks { file, base, problems: Problems::default() };
    let settings = validate::settings(&mut checks, raw);
    checks.problems.or(settings)
}

/// The schema, made once.
fn schema_value() -> &'static Value {
    static SCHEMA: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(schema)
}

impl Settings {
    /// What is allowed but worth saying when a configuration is validated, one sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.cloud.authorized_keys.is_empty() {
            let text = "cloud.ssh_authorized_keys is empty: only the key that relight makes for each run can log in to the nodes";
            remarks.push(text.to_owned());
        }
        if self.k3s.snapshots.s3.is_none() {
            remarks.push("k3s.snapshots has no s3: etcd snapshots stay on the nodes and are lost with them".to_owned());
        }
        if self.cloud.api_access.iter().any(|range| range.ends_with("/0")) {
            remarks.push("cloud.api_access lets anyone reach the Kubernetes API".to_owned());
        }
        if self.nodes.len() == 1 {
            remarks.push("a single node: etcd survives no loss".to_owned());
        }
        remarks
    }
}

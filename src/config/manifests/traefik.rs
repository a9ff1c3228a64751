//! Traefik's HelmChartConfig. It goes to the nodes' disks before K3s starts first, where a mistake in it shows late and badly: as
//! a Helm job that is repeated for ever, or as a site that redirects to itself.

use super::super::problem::{shown, Place, Problem, Problems};
use super::super::settings::Settings;
use super::super::validate::resolved;
use super::super::yaml::{Shape, Yaml};
use super::{read_file, Document};
use std::path::Path;

/// Keys that make Traefik's chart redirect an entry point, by its versions: before 34, and since.
/// Source: the chart's values.yaml, `ports.web`.
const REDIRECTS: [&str; 2] = ["redirectTo", "redirections"];

pub(super) fn check(settings: &Settings, problems: &mut Problems) {
    let Some(traefik) = &settings.k3s.traefik else { return };
    let path = resolved(&settings.base, &traefik.path.to_string_lossy());
    let file = shown(&path);
    let mut documents = Vec::new();
    read_file(&file, &path, &mut documents, problems);
    let flexible = settings.dns.proxied && settings.dns.ssl.as_deref() == Some("flexible");
    for document in &documents {
        let is = (document.kind(), document.namespace(), document.name());
        if is != ("HelmChartConfig", "kube-system", "traefik") {
            let remedy =
                "this file may hold HelmChartConfig kube-system/traefik alone: move anything else to the manifests";
            problems.add(
                &file,
                document.yaml.place,
                format!("{document} in the file of Traefik's configuration"),
                remedy,
            );
        } else if let Some(values) = values(&file, document, problems).filter(|_| flexible) {
            redirects(&file, &values, problems);
        }
    }
}

/// The Helm values. Their places are those in the file where they stand as a block (`valuesContent: |-`), as they always do.
fn values(file: &Path, document: &Document, problems: &mut Problems) -> Option<Yaml> {
    let content = document.yaml.at(&["spec", "valuesContent"])?;
    match Yaml::documents(file, content.text().unwrap_or_default()) {
        Ok(mut values) => values.pop().map(|values| moved(values, content.place)),
        Err(Problem { line, column, what, remedy, .. }) => {
            let place = inside(content.place, Place { line, column });
            problems.add(file, place, format!("valuesContent: {what}"), remedy);
            None
        }
    }
}

fn inside(outer: Place, inner: Place) -> Place {
    Place { line: outer.line + inner.line - 1, column: outer.column + inner.column - 1 }
}

fn moved(yaml: Yaml, by: Place) -> Yaml {
    let shape = match yaml.shape {
        Shape::List(items) => Shape::List(items.into_iter().map(|item| moved(item, by)).collect()),
        Shape::Map(entries) => Shape::Map(
            entries
                .into_iter()
                .map(|(mut key, value)| {
                    key.place = inside(by, key.place);
                    (key, moved(value, by))
                })
                .collect(),
        ),
        scalar @ Shape::Scalar(_) => scalar,
    };
    Yaml { place: inside(by, yaml.place), shape }
}

fn redirects(file: &Path, values: &Yaml, problems: &mut Problems) {
    for (key, value) in values.entries() {
        if REDIRECTS.contains(&key.name.as_str()) {
            let what = format!(
                "{} redirects to HTTPS, and with dns.ssl: flexible the edge asks by plain HTTP again",
                key.name
            );
            problems.add(file, key.place, what, "remove it: it would redirect for ever");
        }
        redirects(file, value, problems);
    }
    values.items().iter().for_each(|item| redirects(file, item, problems));
}

//! The whole set of manifests judged as Kubernetes would: what is wrong with it stops a run minutes into an outage, when nodes are
//! fenced and others built. So `relight validate` and every run ask here, before anything is touched.

use super::super::problem::Problems;
use super::super::settings::Settings;
use super::{classes, fields, kinds, namespaces, pods, ports, provided, references, Document, Written};

/// A misspelt kind is told and not what follows from it: that what it should have been is missing elsewhere.
pub(super) fn check(documents: &[Document], all: &[Written<'_>], settings: &Settings, problems: &mut Problems) {
    let misspelt = kinds::check(documents, &settings.manifests.external, &settings.k3s.version);
    let all_known = misspelt.is_empty();
    problems.0.extend(misspelt);
    for one in all {
        fields::check(one, &mut problems.0);
        pods::check(one, settings, &mut problems.0);
        ports::check(one, &mut problems.0);
    }
    if all_known {
        namespaces::check(documents, problems);
        provided::check(documents, settings, problems);
        classes::check(all, settings, &mut problems.0);
        references::check(all, settings, &mut problems.0);
    }
}

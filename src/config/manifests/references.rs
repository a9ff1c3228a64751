//! What the objects name: Services, accounts, volumes, hosts and Secrets must be there, and be there once. (That Secrets and
//! ConfigMaps are there is held wherever the manifests are read.)

use super::super::kubernetes::pod_path;
use super::super::problem::{nearest, Problem};
use super::super::settings::Settings;
use super::{pods, Written};
use serde_json::Value;
use std::collections::BTreeMap;

/// Services that every K3s cluster has.
const SERVICES: [&str; 4] =
    ["default/kubernetes", "kube-system/kube-dns", "kube-system/metrics-server", "kube-system/traefik"];
/// Where K3s has accounts of its own.
const SYSTEM: &str = "kube-system";

/// Everything that can be named: by kind and `namespace/name`, with the object where a manifest makes it.
struct There<'a> {
    all: BTreeMap<(&'a str, String), Option<&'a Written<'a>>>,
}

pub(super) fn check(all: &[Written<'_>], settings: &Settings, problems: &mut Vec<Problem>) {
    let there = There::new(all, settings);
    // What is written speaks of production's names, also where others stand for them.
    let names: Vec<String> = settings.manifests.names.iter().map(|(host, _)| host.clone()).collect();
    let declared = if names.is_empty() { &settings.dns.hosts } else { &names };
    for written in all {
        match written.kind() {
            "Ingress" => {
                hosts(written, declared, problems);
                backends(written, &there, problems);
            }
            "Secret" => twice(written, settings, problems),
            "RoleBinding" | "ClusterRoleBinding" => {
                subjects(written, &there, problems);
                role(written, &there, problems);
            }
            _ => {}
        }
        pod(written, &there, problems);
    }
}

impl<'a> There<'a> {
    fn new(written: &'a [Written<'a>], settings: &'a Settings) -> Self {
        let mut all: BTreeMap<_, _> = SERVICES.iter().map(|name| (("Service", (*name).to_owned()), None)).collect();
        let external = settings.manifests.external.iter().filter_map(|e| e.split_once(' '));
        all.extend(external.map(|(kind, name)| ((kind, name.to_owned()), None)));
        all.extend(written.iter().map(|w| ((w.kind(), w.full()), Some(w))));
        Self { all }
    }
    /// Adds a problem where this is not there; the object, where a manifest makes it.
    fn find(
        &self,
        by: &Written<'_>,
        path: &str,
        kind: &str,
        full: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<&'a Written<'a>> {
        if let Some((_, found)) = self.all.iter().find(|((k, name), _)| *k == kind && name == full) {
            return *found;
        }
        // Names of the same namespace, compared without it: it would make every short name look like every other.
        let (namespace, name) = full.split_once('/').unwrap_or_default();
        let in_there = |(k, full): &(&str, String)| {
            let (at, name) = full.split_once('/')?;
            (*k == kind && at == namespace).then(|| name.to_owned())
        };
        let names: Vec<String> = self.all.keys().filter_map(in_there).collect();
        let remedy = match nearest(name, names.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {namespace}/{name}?"),
            None => format!("add a manifest for it, or \"{kind} {full}\" to manifests.external"),
        };
        problems.push(by.problem(path, format!("wants {kind} {full}, which nothing provides"), remedy));
        None
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A host that has no record leads nobody here. Where relight keeps no records, somebody else does.
fn hosts(written: &Written<'_>, declared: &[String], problems: &mut Vec<Problem>) {
    for (i, rule) in list(&written.object, "/spec/rules").iter().enumerate() {
        let Some(host) = text(rule, "/host").filter(|_| !declared.is_empty()) else { continue };
        if declared.iter().any(|name| name == host || covers(name, host) || covers(host, name)) {
            continue;
        }
        let what = format!("host {host} is not in dns.hosts: nobody would find it");
        let remedy = match nearest(host, declared.iter().map(String::as_str)) {
            Some(name) => format!("did you mean {name}? Else add it to dns.hosts"),
            None => "add it to dns.hosts, or correct it".to_owned(),
        };
        problems.push(written.problem(&format!("spec.rules[{i}].host"), what, remedy));
    }
}

/// Whether a wildcard stands for this name: for one label.
fn covers(wildcard: &str, name: &str) -> bool {
    let rest = wildcard.strip_prefix("*.");
    rest.is_some_and(|rest| name.split_once('.').is_some_and(|(_, parent)| parent == rest))
}

fn backends(written: &Written<'_>, there: &There<'_>, problems: &mut Vec<Problem>) {
    let mut named = Vec::new();
    if let Some(service) = written.object.pointer("/spec/defaultBackend/service") {
        named.push(("spec.defaultBackend.service".to_owned(), service));
    }
    for (i, rule) in list(&written.object, "/spec/rules").iter().enumerate() {
        for (j, path) in list(rule, "/http/paths").iter().enumerate() {
            if let Some(service) = path.pointer("/backend/service") {
                named.push((format!("spec.rules[{i}].http.paths[{j}].backend.service"), service));
            }
        }
    }
    for (path, backend) in named {
        let Some(name) = text(backend, "/name") else { continue };
        let full = format!("{}/{name}", written.namespace());
        let found = there.find(written, &format!("{path}.name"), "Service", &full, problems);
        let Some(service) = found else { continue };
        let port = |wanted: &str, field: &str| {
            let wanted = backend.pointer(wanted)?;
            let has = list(&service.object, "/spec/ports").iter().any(|port| port.get(field) == Some(wanted));
            (!has).then(|| wanted.to_string())
        };
        if let Some(port) = port("/port/name", "name").or_else(|| port("/port/number", "port")) {
            let what = format!("wants port {port} of Service {full}, which has none such");
            problems.push(written.problem(&format!("{path}.port"), what, "write one of its spec.ports"));
        }
    }
}

/// The account and the claims of an object's pods. `default` is in every namespace.
fn pod(written: &Written<'_>, there: &There<'_>, problems: &mut Vec<Problem>) {
    let Some(path) = pod_path(written.kind()) else { return };
    let Some(spec) = pods::at(&written.object, path) else { return };
    let mut fields = ["serviceAccountName", "serviceAccount"].into_iter();
    if let Some((field, name)) = fields.find_map(|field| Some((field, spec.get(field)?.as_str()?))) {
        account(written, &format!("{path}.{field}"), (written.namespace(), name), there, problems);
    }
    for (i, volume) in list(spec, "/volumes").iter().enumerate() {
        if let Some(name) = text(volume, "/persistentVolumeClaim/claimName") {
            let full = format!("{}/{name}", written.namespace());
            let place = format!("{path}.volumes[{i}].persistentVolumeClaim.claimName");
            there.find(written, &place, "PersistentVolumeClaim", &full, problems);
        }
    }
}

fn subjects(written: &Written<'_>, there: &There<'_>, problems: &mut Vec<Problem>) {
    for (i, subject) in list(&written.object, "/subjects").iter().enumerate() {
        let (Some("ServiceAccount"), Some(name)) = (text(subject, "/kind"), text(subject, "/name")) else { continue };
        let namespace = text(subject, "/namespace").unwrap_or(written.namespace());
        account(written, &format!("subjects[{i}].name"), (namespace, name), there, problems);
    }
}

/// The role in its own namespace; one of the whole cluster is in `classes.rs`.
fn role(written: &Written<'_>, there: &There<'_>, problems: &mut Vec<Problem>) {
    let (Some("Role"), Some(name)) = (text(&written.object, "/roleRef/kind"), text(&written.object, "/roleRef/name"))
    else {
        return;
    };
    if written.namespace() != SYSTEM {
        there.find(written, "roleRef.name", "Role", &format!("{}/{name}", written.namespace()), problems);
    }
}

fn account(by: &Written<'_>, path: &str, of: (&str, &str), there: &There<'_>, problems: &mut Vec<Problem>) {
    let (namespace, name) = of;
    if namespace != SYSTEM && !["default", ""].contains(&name) {
        there.find(by, path, "ServiceAccount", &format!("{namespace}/{name}"), problems);
    }
}

/// Two would take turns in writing it.
fn twice(written: &Written<'_>, settings: &Settings, problems: &mut Vec<Problem>) {
    let made = settings.secrets.iter().any(|s| s.namespace == written.namespace() && s.name == written.name());
    if made {
        let what = format!("`secrets` in relight.yaml makes {} too", written.full());
        problems.push(written.problem(
            "metadata.name",
            what,
            "keep one: remove this manifest, or the entry in `secrets`",
        ));
    }
}

//! `preflight.check`: everything that can be known to be wrong before anything is touched, all findings at once.

use super::manifests::manifests;
use super::patience::patiently;
use super::{address, stock, Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::{SecretContent, Settings};
use crate::world::{self, Class, Error, PrimaryIp, Result, SecretFrom, SecretSource, ServerType, ThingKind};
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{json, Value};
use std::collections::BTreeSet;

/// Looks, and changes nothing.
pub(super) struct Preflight;

/// Problems with their remedies; whatever cannot be asked just now is an error, and asked again.
#[derive(Default)]
struct Findings {
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn problem(&mut self, what: impl Into<String>, remedy: &str) {
        self.problems.push(format!("{}; {remedy}", what.into()));
    }

    /// Takes an answer; an error that another try may mend is passed on, any other is a finding.
    fn take<T>(&mut self, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.class, Class::Transient | Class::Unknown) => Err(error),
            Err(Error { what, remedy, .. }) => {
                let text = if remedy.is_empty() { what } else { format!("{what}; {remedy}") };
                if !self.problems.contains(&text) {
                    self.problems.push(text);
                }
                Ok(None)
            }
        }
    }
}

/// Every source of a secret that a run will need, with what it is for.
pub fn secret_sources(settings: &Settings) -> Vec<(String, SecretFrom)> {
    let mut all = Vec::new();
    for secret in &settings.secrets {
        let title = format!("{}/{}", secret.namespace, secret.name);
        match &secret.content {
            SecretContent::Keys { keys, .. } => {
                all.extend(keys.iter().map(|(key, from)| (format!("{title} {key}"), from.clone())));
            }
            SecretContent::Registry { password, .. } => all.push((format!("{title} password"), password.clone())),
        }
    }
    if let Some(s3) = &settings.k3s.snapshots.s3 {
        all.push(("snapshot access key".to_owned(), s3.access_key.clone()));
        all.push(("snapshot secret key".to_owned(), s3.secret_key.clone()));
    }
    all
}

/// Resolves every source that [`secret_sources`] lists, each once and all at the same time: several programs that wait for a
/// person's touch must not add up against a deadline. No value is kept here.
pub async fn resolve_all(source: &dyn SecretSource, settings: &Settings) -> Vec<(String, SecretFrom, Result<()>)> {
    let all = secret_sources(settings);
    let mut once: Vec<&SecretFrom> = Vec::new();
    for (_, from) in &all {
        if !once.contains(&from) {
            once.push(from);
        }
    }
    let ends = join_all(once.iter().map(|from| source.resolve(from))).await;
    let end_of = |from: &SecretFrom| {
        let end = once.iter().zip(&ends).find(|(one, _)| **one == from).map(|(_, end)| end.clone());
        end.map_or(Ok(()), |end| end.map(|_| ()))
    };
    all.iter().map(|(title, from)| (title.clone(), from.clone(), end_of(from))).collect()
}

async fn local(cx: &StepContext<'_>, found: &mut Findings) -> Result<()> {
    for (title, _, end) in resolve_all(&*cx.world.secrets, cx.settings()).await {
        if let Err(error) = end {
            found.problem(format!("secret {title}: {}", error.what), &error.remedy);
        }
    }
    let generated = cx.world.secrets.stand_ins();
    if !generated.is_empty() {
        found.warnings.push(format!("generated for the sandbox, because it has no value: {}", generated.join(", ")));
    }
    found.take(manifests(&cx.place))?;
    found.take(cx.world.shell.equipped())?;
    Ok(())
}

async fn cloud(cx: &StepContext<'_>, found: &mut Findings) -> Result<()> {
    let cloud = &cx.world.cloud;
    if found.take(cloud.prove_writable().await)?.is_none() {
        return Ok(());
    }
    let settings = &cx.settings().cloud;
    let missing = stock::missing_nodes(cx).await?;
    if let Some(types) = found.take(cloud.server_types(&settings.server_types).await)?.filter(|_| missing > 0) {
        types_fit(settings, &types, found);
        for architecture in types.iter().map(|t| t.architecture.as_str()).collect::<BTreeSet<_>>() {
            if found.take(cloud.image_exists(&settings.image, architecture).await)? == Some(false) {
                let what = format!("image {} does not exist for {architecture}", settings.image);
                found.problem(what, "check `cloud.image`");
            }
        }
    }
    names(cx, found).await?;
    if let Some(addresses) = found.take(cloud.primary_ips().await)? {
        let all = found.take(cloud.servers("").await)?.unwrap_or_default();
        let own = |s: &&world::Server| world::of_run(&s.labels, &cx.settings().cluster, &cx.place.run.id);
        let own: Vec<i64> = all.iter().filter(own).map(|s| s.id).collect();
        let (servers, count) = (all.len(), addresses.len());
        let nodes = cx.settings().nodes.len().saturating_sub(own.len());
        let after = count + nodes.saturating_sub(kept_addresses(cx, &addresses, &own, found));
        found.warnings.push(format!(
            "the project holds {servers} servers and {count} primary IPs, with the nodes still to be made {} and {after}: its limits \
             cannot be asked for, compare them in the console",
            servers + nodes
        ));
    }
    Ok(())
}

/// For how many of the nodes that are still to be made an address is kept that they take up. Where they do not, it is told: it costs.
fn kept_addresses(cx: &StepContext<'_>, all: &[PrimaryIp], own: &[i64], found: &mut Findings) -> usize {
    let (settings, mut taken_up) = (cx.settings(), 0);
    for node in settings.nodes.iter().filter(|_| settings.spare.is_none()) {
        let kept = address::of_node(all, &settings.cluster, &node.key);
        if kept.iter().any(|ip| ip.assignee.is_some_and(|server| own.contains(&server))) {
            continue;
        }
        match settings.cloud.keep_addresses {
            true => taken_up += usize::from(!kept.is_empty()),
            false => found.warnings.extend(kept.iter().map(|ip| {
                format!(
                    "address {} (id {}) was kept for {} and is not taken up, for `cloud.keep_addresses` is off: it still costs",
                    ip.address, ip.id, node.key
                )
            })),
        }
    }
    taken_up
}

/// Types that cannot serve, whatever their stock.
fn types_fit(settings: &crate::config::CloudSettings, types: &[ServerType], found: &mut Findings) {
    for other in types.iter().filter(|t| settings.server_types.contains(&t.name) && t.architecture != "x86") {
        let what = format!("server type {} is {}, and K3s is installed for x86 alone", other.name, other.architecture);
        found.problem(what, "leave it out of `cloud.server_types`");
    }
    for name in settings.server_types.iter().filter(|n| !types.iter().any(|t| t.name == **n)) {
        found.problem(format!("server type {name} does not exist"), "check `cloud.server_types`");
    }
}

/// Names that foreign things hold.
async fn names(cx: &StepContext<'_>, found: &mut Findings) -> Result<()> {
    let cluster = &cx.settings().cluster;
    let Some(servers) = found.take(cx.world.cloud.servers("").await)? else { return Ok(()) };
    for node in &cx.settings().nodes {
        let name = cx.place.server_name(&node.key);
        let foreign = |s: &&world::Server| s.name == name && !world::of_cluster(&s.labels, cluster);
        if let Some(server) = servers.iter().find(foreign) {
            found.problem(
                format!("server {name} (id {}) exists and does not carry this cluster's labels", server.id),
                "rename or delete it, or give the cluster another name",
            );
        }
    }
    for (kind, suffixes) in [
        (ThingKind::Network, &["net"][..]),
        (ThingKind::Firewall, &["nodes"]),
        (ThingKind::PlacementGroup, &["spread", "lease"]),
    ] {
        let names: Vec<String> = suffixes.iter().map(|suffix| cx.place.name(suffix)).collect();
        let things = found.take(cx.world.cloud.things(kind, "").await)?.unwrap_or_default();
        let foreign = |t: &&world::Thing| names.contains(&t.name) && !world::of_cluster(&t.labels, cluster);
        for world::Thing { name, .. } in things.iter().filter(foreign) {
            let kind = kind.word().replace('_', " ");
            found.problem(
                format!("{kind} {name} exists and does not carry this cluster's labels"),
                "rename or delete it",
            );
        }
    }
    Ok(())
}

/// A cluster can be rebuilt while Cloudflare's API is down: only DNS has to wait for it.
async fn patient_dns(cx: &StepContext<'_>, found: &mut Findings) -> Result<Option<String>> {
    let asked = patiently(cx, || async {
        let mut own = Findings::default();
        let zone = dns(cx, &mut own).await?;
        Ok((zone, own))
    });
    match asked.await {
        Ok((zone, own)) => {
            found.problems.extend(own.problems);
            found.warnings.extend(own.warnings);
            Ok(zone)
        }
        Err(error) if matches!(error.class, Class::Transient | Class::Unknown) => {
            found.warnings.push(format!(
                "Cloudflare cannot be asked now ({}): token, zone, SSL mode and records are not checked, and all but DNS goes on",
                error.what
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn dns(cx: &StepContext<'_>, found: &mut Findings) -> Result<Option<String>> {
    let (api, settings) = (&cx.world.dns, &cx.settings().dns);
    if found.take(api.prove_token().await)?.is_none() {
        return Ok(None);
    }
    let Some(zone) = found.take(api.zone(&settings.zone).await)? else { return Ok(None) };
    let Some(zone) = zone else {
        let what = format!("zone {} is not visible to the Cloudflare token", settings.zone);
        found.problem(what, "check `dns.zone` and the token's zone permissions");
        return Ok(None);
    };
    if zone.status != "active" {
        let what = format!("zone {} is {}, not active: nobody resolves its names there", zone.name, zone.status);
        found.warnings.push(what);
    }
    found.take(api.prove_writable(&zone).await)?;
    if let Some(records) = found.take(api.records(&zone, &settings.hosts).await)? {
        for record in records.iter().filter(|r| r.kind == "CNAME") {
            let what = format!("{} is a CNAME to {}, which forbids an address beside it", record.name, record.content);
            found.problem(what, "delete that record at Cloudflare");
        }
    }
    match (found.take(api.ssl_mode(&zone).await)?.flatten(), &settings.ssl) {
        (Some(mode), Some(wanted)) if mode != *wanted => {
            let what = format!("the zone's SSL mode is {mode}, the configuration says {wanted}");
            found.problem(what, "change one of them");
        }
        (None, Some(_)) => found.warnings.push("the token may not read the zone's SSL mode".to_owned()),
        _ => {}
    }
    Ok(Some(zone.id))
}

#[async_trait]
impl Action for Preflight {
    fn describe(&self, _place: &Place<'_>) -> String {
        "check tokens, zone, stock, names, secrets and manifests; touch nothing".to_owned()
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster, "zone": place.settings.dns.zone })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::ZoneId]
    }
    fn needs_secrets(&self) -> bool {
        true
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let mut found = Findings::default();
        local(cx, &mut found).await?;
        cloud(cx, &mut found).await?;
        let names = !cx.settings().dns.hosts.is_empty();
        let zone = if names { patient_dns(cx, &mut found).await? } else { None };
        for warning in &found.warnings {
            cx.effects.note(warning);
        }
        if !found.problems.is_empty() {
            return Ok(Check::Refused(found.problems.join("\n")));
        }
        Ok(Check::Done(Facts::none().with(FactKind::ZoneId, zone.unwrap_or_default())))
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

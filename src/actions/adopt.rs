//! `adopt.found`, `adopt.members`, `adopt.label`, `adopt.mark`: a cluster that was made by hand becomes relight's. A person accepts
//! what was found, by id; then exactly that is labelled, and nothing else changes.

use super::found::{marked, to_mark, Found};
use super::piece::{self, Piece};
use super::teardown::first_error;
use super::{access, dns, going, Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{self, Batch, Class, Error, Kind, NewRecord, Record, Result, Scope, Server, Target};
use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{json, Value};
use std::collections::BTreeSet;

/// Finds the cluster and has a person accept it.
pub(super) struct Accept;

#[async_trait]
impl Action for Accept {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("find the servers that {} point at, and what they consist of", place.settings.dns.hosts.join(", "))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        let nodes: Vec<&String> = place.settings.nodes.iter().map(|n| &n.key).collect();
        json!({ "cluster": place.settings.cluster, "nodes": nodes, "zone": place.settings.dns.zone, "hosts": place.settings.dns.hosts })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[
            FactKind::ServerId,
            FactKind::NodeAddress,
            FactKind::HostKey,
            FactKind::Login,
            FactKind::Adopted,
            FactKind::AdoptedRecords,
        ]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        match Found::look(cx.world, cx.settings(), &cx.place.run.id).await? {
            // An error, and no evidence: no name that is typed makes it right.
            Err(wrong) => Err(Error::refused(wrong.join("\n"))
                .remedy("mend what it names, then `relight resume`; nothing was written")),
            Ok(found) if found.is_accepted(cx.facts) => Ok(Check::Done(found.facts())),
            Ok(found) => Ok(Check::Against(found.text(), found.facts())),
        }
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Each node's server id and host key, as they were accepted.
fn nodes<'a>(cx: &StepContext<'a>) -> Result<Vec<(&'a str, i64, &'a str)>> {
    let of = |n: &'a crate::config::NodeSettings| {
        let node = n.key.as_str();
        Ok((node, cx.facts.id(FactKind::ServerId, Some(node))?, cx.facts.text(FactKind::HostKey, Some(node))?))
    };
    cx.settings().nodes.iter().map(of).collect()
}

/// Every server that was accepted is a node of the one cluster whose kubeconfig was fetched, and that has no other nodes.
pub(super) struct Members;

/// Where Kubernetes says that a node is.
fn addresses(node: &Value) -> BTreeSet<String> {
    let all = node.pointer("/status/addresses").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|a| a.get("address")?.as_str().map(str::to_owned)).collect()
}

fn name(node: &Value) -> &str {
    node.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

#[async_trait]
impl Action for Members {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("make sure that the {} servers are the nodes of one K3s cluster", place.settings.nodes.len())
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "nodes": place.settings.nodes.len() })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::ServerId, FactKind::HostKey, FactKind::Kubeconfig]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let at = access::api(cx, access::first(cx)?).await?;
        let members = match cx.world.cluster.list(&at, &Kind::new("v1", "Node"), &Scope::default()).await {
            Ok(members) => members,
            Err(error) if error.class == Class::Transient => return Ok(Check::Pending(error.what)),
            Err(error) => return Err(error),
        };
        let servers = cx.world.cloud.servers("").await?;
        let of: BTreeSet<i64> = nodes(cx)?.into_iter().map(|(_, id, _)| id).collect();
        let held = |s: &Server| -> BTreeSet<String> {
            let private = s.private_ips.iter().map(|(_, ip)| ip.to_string());
            s.public_ip.iter().map(ToString::to_string).chain(private).collect()
        };
        let here = |node: &Value, s: &Server| name(node) == s.name || !addresses(node).is_disjoint(&held(s));
        let (ours, mut wrong) = (servers.iter().filter(|s| of.contains(&s.id)).collect::<Vec<_>>(), Vec::new());
        for server in ours.iter().filter(|s| !members.iter().any(|node| here(node, s))) {
            wrong.push(format!(
                "server {} (id {}) is no node of the cluster that the first one is of",
                server.name, server.id
            ));
        }
        for node in members.iter().filter(|node| !ours.iter().any(|s| here(node, s))) {
            wrong.push(format!("the cluster has a node {} that is none of these servers", name(node)));
        }
        Ok(match wrong.is_empty() {
            true => Check::Done(Facts::none()),
            false => {
                Check::Refused(format!("{}: correct `nodes` or the records; nothing was written", wrong.join("; ")))
            }
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Labels servers, addresses and firewalls.
pub(super) struct Label;

impl Label {
    async fn pieces(cx: &StepContext<'_>) -> Result<Vec<Piece>> {
        let servers = cx.world.cloud.servers("").await?;
        let (pieces, _) = piece::all(cx.world, cx.settings(), &servers, &nodes(cx)?).await?;
        Ok(pieces.into_iter().filter(|piece| !piece.is_done()).collect())
    }

    async fn label(cx: &StepContext<'_>, piece: &Piece) -> Result<()> {
        let Piece { kind, id, name, .. } = piece;
        let target = Target::Adopted { kind, id: *id };
        let permit = cx.effects.permit(target, &format!("label {name} as this cluster's")).await?;
        let labels = piece.all_labels();
        match *kind {
            "server" => cx.world.cloud.update_server(&permit, *id, name, &labels).await,
            "firewall" => cx.world.cloud.label_firewall(&permit, *id, &labels).await,
            _ if piece.goes => cx.world.cloud.keep_primary_ip(&permit, *id, name, &labels).await,
            _ => cx.world.cloud.label_primary_ip(&permit, *id, &labels).await,
        }
    }
}

#[async_trait]
impl Action for Label {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("label servers, addresses and firewalls as {}'s", place.settings.cluster)
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::ServerId, FactKind::HostKey, FactKind::Adopted]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let pieces = Self::pieces(cx).await?;
        let ours = |p: &Piece| world::of_living(&p.labels, &cx.settings().cluster) || cx.facts.accepts(p.kind, p.id);
        if let Some(piece) = pieces.iter().find(|piece| !ours(piece)) {
            return Ok(Check::Refused(format!("nobody was asked about {}: `relight resume` asks", piece.words)));
        }
        let names: Vec<&str> = pieces.iter().map(|piece| piece.name.as_str()).collect();
        Ok(match names.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(format!("labels of {}", names.join(", "))),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let pieces = Self::pieces(cx).await?;
        first_error(join_all(pieces.iter().map(|piece| Self::label(cx, piece))).await)
    }
}

/// Gives records relight's comment.
pub(super) struct Mark;

impl Mark {
    async fn records(cx: &StepContext<'_>) -> Result<(Vec<Record>, Vec<Record>)> {
        let all = going::named(cx.world, cx.settings()).await?;
        let of = |n: &crate::config::NodeSettings| cx.facts.address(FactKind::NodeAddress, &n.key);
        let addresses: Result<Vec<_>> = cx.settings().nodes.iter().map(of).collect();
        let addresses: Vec<String> = addresses?.iter().map(ToString::to_string).collect();
        let unmarked = to_mark(&all, &cx.settings().cluster, &addresses);
        Ok((all, unmarked))
    }
}

#[async_trait]
impl Action for Mark {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("mark the records of {} by a comment", place.settings.dns.hosts.join(", "))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "zone": place.settings.dns.zone, "hosts": place.settings.dns.hosts })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::NodeAddress, FactKind::AdoptedRecords]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let (_, unmarked) = Self::records(cx).await?;
        if let Some(Record { name, content, .. }) = unmarked.iter().find(|r| !cx.facts.accepts_record(&r.id)) {
            return Ok(Check::Refused(format!(
                "nobody was asked about record {name} {content}: `relight resume` asks"
            )));
        }
        Ok(match unmarked.len() {
            0 => Check::Done(Facts::none()),
            count => Check::Needed(format!("the comments of {count} records")),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let (all, unmarked) = Self::records(cx).await?;
        if unmarked.is_empty() {
            return Ok(());
        }
        if unmarked.iter().any(|r| !cx.facts.accepts_record(&r.id)) {
            return Err(Error::transient("the records have changed; looking again"));
        }
        let zone = dns::zone(cx).await?;
        dns::save(cx, &all).await?;
        let patch = |record: &Record| {
            let comment = marked(record, &cx.settings().cluster, &cx.place.run.id);
            let Record { id, kind, name, content, proxied, ttl, .. } = record.clone();
            (id, NewRecord { kind, name, content, proxied, ttl, comment })
        };
        let batch = Batch { patches: unmarked.iter().map(patch).collect(), ..Batch::default() };
        let names: BTreeSet<String> = unmarked.into_iter().map(|r| r.name).collect();
        let target = Target::Dns { zone: zone.name.clone(), names: names.into_iter().collect() };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        dns::change(&permit, cx, &zone, &batch).await
    }
}

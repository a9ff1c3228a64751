//! `dns.undoable`, `dns.undo`: the names of the cluster point again where they did before an earlier run.

use super::behind::Behind;
use super::dns::{change, save, zone, BEFORE};
use super::{access, Action, Check, Facts, Place, StepContext};
use crate::world::{Batch, Error, NewRecord, Record, Result, Target, World};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

/// Where the records that are wanted back lie in the run's files: a copy of the earlier run's `dns-before.json`.
pub const WANTED: &str = "dns-wanted.json";

/// A record as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierRecord {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    content: String,
    proxied: bool,
    ttl: u32,
    #[serde(default)]
    comment: Option<String>,
}

impl EarlierRecord {
    pub(super) fn of(record: &Record) -> Self {
        let Record { kind, name, content, proxied, ttl, comment, .. } = record.clone();
        // Cloudflare says `""` of a comment that was taken away, and `null` of one that never was.
        Self { kind, name, content, proxied, ttl, comment: comment.filter(|text| !text.is_empty()) }
    }
    pub(super) fn content(&self) -> &str {
        &self.content
    }
    pub(super) fn is_address(&self) -> bool {
        matches!(self.kind.as_str(), "A" | "AAAA")
    }
    fn wanted(&self) -> NewRecord {
        NewRecord {
            kind: self.kind.clone(),
            name: self.name.clone(),
            content: self.content.clone(),
            proxied: self.proxied,
            ttl: self.ttl,
            comment: self.comment.clone().unwrap_or_default(),
        }
    }
}

/// The records that an earlier run kept. Errors say that they are none.
pub fn earlier_records(text: &[u8]) -> std::result::Result<Vec<EarlierRecord>, String> {
    serde_json::from_slice(text).map_err(|error| format!("it holds no records: {error}"))
}

/// The addresses that the cluster's names pointed at before this run's first change; none where it has changed nothing.
pub async fn earlier_addresses(world: &World) -> Vec<String> {
    let kept = world.files.read(BEFORE).await.ok().flatten().unwrap_or_default();
    let records = earlier_records(&kept).unwrap_or_default();
    let mut all: Vec<String> = records.into_iter().filter(EarlierRecord::is_address).map(|r| r.content).collect();
    all.sort();
    all.dedup();
    all
}

/// What has to change so that the names are as they were, and that in lines for people. A name that had no address keeps what it
/// has: no name is ever made empty.
pub fn undone(now: &[Record], earlier: &[EarlierRecord]) -> (Batch, Vec<String>) {
    let (mut batch, mut lines) = (Batch::default(), Vec::new());
    let mut names: Vec<&String> = now.iter().map(|r| &r.name).chain(earlier.iter().map(|r| &r.name)).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let mut back: Vec<&EarlierRecord> = earlier.iter().filter(|r| r.name == *name && r.is_address()).collect();
        let mut there: Vec<&Record> = now.iter().filter(|r| r.name == *name && is_address(r)).collect();
        if back.is_empty() {
            if !there.is_empty() {
                lines.push(format!("  {name} had no address before: left as it is"));
            }
            continue;
        }
        // What is there as it was needs nothing; then the same address with other words, then any of the same kind.
        let same: [fn(&Record, &EarlierRecord) -> bool; 3] = [
            |now, back| EarlierRecord::of(now) == *back,
            |now, back| now.kind == back.kind && now.content == back.content,
            |now, back| now.kind == back.kind,
        ];
        for (round, same) in same.into_iter().enumerate() {
            back.retain(|back| {
                let Some(place) = there.iter().position(|now| same(now, back)) else { return true };
                let now = there.swap_remove(place);
                if round > 0 {
                    lines.push(format!("  {name} {} {} -> {}", now.kind, now.content, back.content));
                    batch.patches.push((now.id.clone(), back.wanted()));
                }
                false
            });
        }
        lines.extend(back.iter().map(|r| format!("  {name} {} {} is made", r.kind, r.content)));
        batch.posts.extend(back.iter().map(|r| r.wanted()));
        lines.extend(there.iter().map(|r| format!("  {name} {} {} is removed", r.kind, r.content)));
        batch.deletes.extend(there.iter().map(|r| r.id.clone()));
    }
    (batch, lines)
}

fn is_address(record: &Record) -> bool {
    matches!(record.kind.as_str(), "A" | "AAAA")
}

/// Every address that the names shall have again is still this project's, and somebody answers there or a person knows: seen
/// before anything is touched.
pub(super) struct Undoable;

#[async_trait]
impl Action for Undoable {
    fn describe(&self, _place: &Place<'_>) -> String {
        "make sure that the project still holds the addresses of before, and that servers run there".to_owned()
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "zone": place.settings.dns.zone, "hosts": place.settings.dns.hosts })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let earlier = Undo::earlier(cx).await?;
        let behind = Behind::look(cx.world, &cx.settings().cluster, &earlier).await?;
        if let Some(lost) = behind.lost() {
            // Nobody's yes makes it the project's again.
            return Err(Error::refused(lost).remedy("mend what it names, then `relight resume`"));
        }
        let (batch, _) = undone(&cx.world.dns.records(&zone(cx).await?, &cx.settings().dns.hosts).await?, &earlier);
        Ok(match behind.against().filter(|_| !batch.is_empty()) {
            None => Check::Done(Facts::none()),
            Some(text) => Check::Against(text, Facts::none()),
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Puts the records of before an earlier run back.
pub(super) struct Undo;

impl Undo {
    async fn earlier(cx: &StepContext<'_>) -> Result<Vec<EarlierRecord>> {
        let none = || Error::fatal(format!("{WANTED} is missing")).remedy("begin again: `relight dns undo RUN`");
        let text = access::kept(cx, WANTED).await?.ok_or_else(none)?;
        earlier_records(text.expose()).map_err(|why| Error::fatal(format!("{WANTED}: {why}")))
    }
}

#[async_trait]
impl Action for Undo {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("point {} where they pointed before", place.settings.dns.hosts.join(", "))
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "zone": place.settings.dns.zone, "hosts": place.settings.dns.hosts })
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let earlier = Self::earlier(cx).await?;
        let behind = Behind::look(cx.world, &cx.settings().cluster, &earlier).await?;
        if let Some(lost) = behind.lost() {
            return Ok(Check::Refused(lost));
        }
        let (batch, lines) = undone(&cx.world.dns.records(&zone(cx).await?, &cx.settings().dns.hosts).await?, &earlier);
        if let Some(silent) = behind.silent() {
            cx.effects.note(&silent);
        }
        Ok(match batch.is_empty() {
            true => Check::Done(Facts::none()),
            false => Check::Needed(lines.join(";").trim().to_owned()),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let (zone, earlier) = (zone(cx).await?, Self::earlier(cx).await?);
        let now = cx.world.dns.records(&zone, &cx.settings().dns.hosts).await?;
        let (batch, _) = undone(&now, &earlier);
        if batch.is_empty() {
            return Ok(());
        }
        save(cx, &now).await?;
        let mut names: Vec<String> =
            batch.posts.iter().chain(batch.patches.iter().map(|(_, r)| r)).map(|r| r.name.clone()).collect();
        names.extend(now.iter().filter(|r| batch.deletes.contains(&r.id)).map(|r| r.name.clone()));
        names.sort();
        names.dedup();
        let target = Target::Dns { zone: zone.name.clone(), names };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        change(&permit, cx, &zone, &batch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(id: &str, name: &str, content: &str) -> Record {
        Record {
            id: id.into(),
            kind: "A".into(),
            name: name.into(),
            content: content.into(),
            proxied: true,
            ttl: 1,
            comment: None,
        }
    }
    fn before(name: &str, content: &str) -> EarlierRecord {
        EarlierRecord::of(&now("", name, content))
    }

    #[test]
    fn addresses_are_changed_in_place_and_only_what_is_left_over_is_made_or_removed() {
        let there = [now("1", "a", "192.0.2.1"), now("2", "a", "192.0.2.2"), now("3", "b", "192.0.2.1")];
        let back = [before("a", "192.0.2.1"), before("b", "192.0.2.8"), before("b", "192.0.2.9")];
        let (batch, lines) = undone(&there, &back);
        assert_eq!(batch.deletes, ["2"]);
        assert_eq!(
            batch.patches.iter().map(|(id, to)| (&**id, &*to.content)).collect::<Vec<_>>(),
            [("3", "192.0.2.8")]
        );
        assert_eq!(batch.posts.iter().map(|r| &*r.content).collect::<Vec<_>>(), ["192.0.2.9"]);
        assert_eq!(lines, ["  a A 192.0.2.2 is removed", "  b A 192.0.2.1 -> 192.0.2.8", "  b A 192.0.2.9 is made"]);
    }

    #[test]
    fn a_name_that_had_no_address_is_not_made_empty() {
        let (batch, lines) = undone(&[now("1", "a", "192.0.2.1")], &[]);
        assert!(batch.is_empty());
        assert_eq!(lines, ["  a had no address before: left as it is"]);
    }

    #[test]
    fn what_is_as_it_was_needs_nothing_and_another_proxy_setting_is_a_change() {
        let there = [now("1", "a", "192.0.2.1")];
        assert!(undone(&there, &[before("a", "192.0.2.1")]).0.is_empty());
        let bare = EarlierRecord { proxied: false, ..before("a", "192.0.2.1") };
        assert_eq!(undone(&there, &[bare]).0.patches.len(), 1);
    }

    #[test]
    fn no_comment_is_an_empty_one() {
        let there = Record { comment: Some(String::new()), ..now("1", "a", "192.0.2.1") };
        assert!(undone(&[there], &[before("a", "192.0.2.1")]).0.is_empty());
    }

    #[test]
    fn records_of_a_run_that_kept_no_comments_are_read() {
        let text = br#"[{"type":"A","name":"a","content":"192.0.2.1","proxied":true,"ttl":1}]"#;
        assert_eq!(earlier_records(text).unwrap(), [before("a", "192.0.2.1")]);
        assert!(earlier_records(b"{").is_err());
    }
}

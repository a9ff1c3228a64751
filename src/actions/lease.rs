//! `lease.free`, `lease.hold`, `lease.release`: one live run changes a cluster at a time, over machines too. The guard lets a run
//! that has taken the lease do nothing once it is not its own any more.

use super::access::{file_error, unwritten};
use super::going::whose;
use super::thing::exists_by_now;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::world::{self, Error, Lease, Result, Target, ThingKind, ThingSpec};
use async_trait::async_trait;
use serde_json::{json, Value};

/// Which lease this run has given back, in the run's files: a lease that is gone was either that one, or somebody broke it.
const GIVEN_BACK: &str = "lease-given-back";

/// Whether the lease that this run held is gone by its own hand.
async fn given_back(cx: &StepContext<'_>, lease: &str) -> Result<bool> {
    let kept = cx.world.files.read(GIVEN_BACK).await.map_err(|e| file_error(cx, GIVEN_BACK, &e))?;
    Ok(kept.is_some_and(|id| id == lease.as_bytes()))
}

async fn held(cx: &StepContext<'_>) -> Result<Option<Lease>> {
    let cluster = &cx.settings().cluster;
    let things = cx.world.cloud.things(ThingKind::PlacementGroup, "").await?;
    let Some(lease) = Lease::among(&things, cluster) else { return Ok(None) };
    if lease.is_of_cluster() {
        return Ok(Some(lease));
    }
    let name = world::lease_name(cluster);
    Err(Error::refused(format!(
        "placement group {name} (id {}) exists and does not carry this cluster's labels: its name is the lease of the cluster",
        lease.id
    ))
    .remedy("rename or delete it, or give the cluster another name; then `relight resume`"))
}

/// That another holds it, and what can be done.
fn anothers(cx: &StepContext<'_>, lease: &Lease) -> String {
    let (cluster, name) = (&cx.settings().cluster, lease.name());
    format!(
        "another run is changing cluster {cluster}, or was stopped half-way: {} holds its lease. Where it was begun, `relight resume \
         {name}` finishes it and gives the lease back. If that machine is gone, `relight reconstruct --run {name}` here goes on with \
         a rebuild. If that run shall not go on, break its lease by typing {name}: this run takes it, and that one can do nothing \
         more",
        lease.words(cx.world.clock.now())
    )
}

/// Nobody else holds the lease, or a person has named the run whose lease is to be broken.
pub(super) struct Free;

#[async_trait]
impl Action for Free {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("make sure that nobody else is changing cluster {}", place.settings.cluster)
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::BrokenLease]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let broken = |id: &str| Facts::none().with(FactKind::BrokenLease, id);
        let lost = match cx.facts.find(FactKind::LeaseId, None) {
            Some(lease) => !given_back(cx, lease).await?,
            None => false,
        };
        Ok(match held(cx).await? {
            None if lost => Check::Against(
                format!(
                    "this run has lost the lease of cluster {}, and nobody holds it now: another run has broken it and ended, or \
                     somebody deleted it. The cluster may have been changed since: accepted, this run takes the lease again and \
                     goes on",
                    cx.settings().cluster
                ),
                broken(""),
            ),
            None => Check::Done(broken("")),
            Some(lease) if lease.is_of(&cx.place.run.id) => {
                if let Some(other) = lease.holder().filter(|holder| *holder != world::label_value(&cx.world.holder)) {
                    cx.effects.note(&format!(
                        "{other} began this run and holds its lease: make sure that no relight goes on with it there"
                    ));
                }
                Check::Done(broken(""))
            }
            Some(lease) => {
                Check::Anothers { text: anothers(cx, &lease), name: lease.name(), facts: broken(&lease.id.to_string()) }
            }
        })
    }
    async fn apply(&self, _cx: &StepContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// Takes the lease, and breaks another's where a person has named it.
pub(super) struct Hold;

/// Whether this is the lease that a person has named as one to be broken.
fn is_named(cx: &StepContext<'_>, lease: &Lease) -> bool {
    cx.facts.find(FactKind::BrokenLease, None) == Some(lease.id.to_string().as_str())
}

#[async_trait]
impl Action for Hold {
    fn describe(&self, place: &Place<'_>) -> String {
        let what = format!("hold the lease of cluster {}", place.settings.cluster);
        match &place.settings.taken_down {
            None => what,
            Some(_) => format!("{what}, to delete everything {} for good", whose(place)),
        }
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::LeaseId]
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::BrokenLease]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        Ok(match held(cx).await? {
            None => Check::Needed(world::lease_name(&cx.settings().cluster)),
            Some(lease) if lease.is_of(&cx.place.run.id) => {
                Check::Done(Facts::none().with(FactKind::LeaseId, lease.id))
            }
            Some(lease) if is_named(cx, &lease) => {
                Check::Needed(format!("the lease, which run {} holds", lease.name()))
            }
            Some(lease) => Check::Refused(anothers(cx, &lease)),
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let (kind, word) = (ThingKind::PlacementGroup, ThingKind::PlacementGroup.word());
        if let Some(lease) = held(cx).await?.filter(|lease| is_named(cx, lease)) {
            let what = format!("break the lease of {}", lease.words(cx.world.clock.now()));
            let permit = cx.effects.permit(Target::Cloud { kind: word, id: lease.id }, &what).await?;
            cx.world.cloud.delete_thing(&permit, kind, lease.id).await?;
        }
        let name = world::lease_name(&cx.settings().cluster);
        let mut labels = cx.labels(&self.inputs(&cx.place));
        labels.extend(world::lease_labels(&cx.world.holder, cx.world.clock.now()));
        let target = Target::CloudNew { kind: word, name: name.clone() };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        let made = cx.world.cloud.create_thing(&permit, &name, &ThingSpec::PlacementGroup, &labels).await;
        made.map(|_| ()).map_err(exists_by_now)
    }
}

/// Gives the lease back.
pub(super) struct Release;

#[async_trait]
impl Action for Release {
    fn describe(&self, place: &Place<'_>) -> String {
        format!("give the lease of cluster {} back", place.settings.cluster)
    }
    fn inputs(&self, place: &Place<'_>) -> Value {
        json!({ "cluster": place.settings.cluster })
    }
    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::LeaseId]
    }
    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        Ok(match held(cx).await? {
            None => Check::Done(Facts::none()),
            Some(lease) if lease.is_of(&cx.place.run.id) => Check::Needed(world::lease_name(&cx.settings().cluster)),
            Some(lease) => {
                let by = lease.words(cx.world.clock.now());
                cx.effects.note(&format!("{by} has broken this run's lease: what it changes is not known here"));
                Check::Done(Facts::none())
            }
        })
    }
    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let Some(lease) = held(cx).await?.filter(|lease| lease.is_of(&cx.place.run.id)) else { return Ok(()) };
        let written = cx.world.files.write(GIVEN_BACK, lease.id.to_string().as_bytes()).await;
        written.map_err(|e| unwritten(cx, GIVEN_BACK, &e))?;
        let target = Target::Cloud { kind: ThingKind::PlacementGroup.word(), id: lease.id };
        let permit = cx.effects.permit(target, &self.describe(&cx.place)).await?;
        cx.world.cloud.delete_thing(&permit, ThingKind::PlacementGroup, lease.id).await
    }
}

//! What is said of the lease of a cluster before a run begins, and after one that did not end well.

use super::drive;
use crate::actions::{Mode, RunId};
use crate::config::Settings;
use crate::world::{Lease, ThingKind, World};

/// The lease, where somebody holds it. A cloud that does not answer is asked again by the run.
async fn held(world: &World, settings: &Settings) -> Option<Lease> {
    let things = world.cloud.things(ThingKind::PlacementGroup, "").await.ok()?;
    Lease::among(&things, &settings.cluster).filter(Lease::is_of_cluster)
}

/// Who changes the cluster now: the run will ask for that run's name.
pub async fn text(look: &World, settings: &Settings, mode: Mode) -> Option<String> {
    if mode == Mode::Rehearsal {
        return None;
    }
    let lease = held(look, settings).await?;
    let (words, name, world) = (lease.words(look.clock.now()), lease.name(), drive::title(look.kind, mode));
    Some(format!(
        "{world}: {words} holds the lease of cluster {}: this run goes on only where its name is typed, or with `--confirm {name}`",
        settings.cluster
    ))
}

/// That a run that is not over keeps others out.
pub async fn kept(world: &World, settings: &Settings, id: &RunId) -> Option<String> {
    if id.mode == Mode::Rehearsal {
        return None;
    }
    let lease = held(world, settings).await?;
    lease.is_of(&id.id).then(|| {
        format!(
            "this run holds the lease of cluster {} until `relight resume {}` has finished it: nobody else's live run begins \
             meanwhile",
            settings.cluster, id.id
        )
    })
}

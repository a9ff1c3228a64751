//! The guard's look at the lease: a run that has taken it changes nothing once it is not its own any more, and no run takes
//! another's away unless a person has named it.

use crate::actions::{FactKind, Facts, Mode, Place};
use crate::world::{lease_name, Error, Lease, Result, Target, ThingKind, World};

/// Whether the target is the lease of a live run's cluster, to be made: what whoever takes down makes too.
pub(super) fn is_new(place: &Place<'_>, target: &Target) -> bool {
    let name = lease_name(&place.settings.cluster);
    place.run.mode == Mode::Live && *target == Target::CloudNew { kind: ThingKind::PlacementGroup.word(), name }
}

/// Whether a run that has taken the lease still holds it; and, where the target is the lease itself, whether this run may take it
/// away.
pub(super) async fn look(world: &World, place: &Place<'_>, facts: &Facts, target: &Target) -> Result<()> {
    let (cluster, run) = (&place.settings.cluster, &place.run.id);
    let a_group = matches!(target, Target::Cloud { kind, .. } if *kind == ThingKind::PlacementGroup.word());
    let taken = facts.find(FactKind::LeaseId, None).is_some();
    let outside = !matches!(target, Target::LocalFile { .. });
    if place.run.mode != Mode::Live || is_new(place, target) || !(a_group || (taken && outside)) {
        return Ok(());
    }
    let held = Lease::among(&world.cloud.things(ThingKind::PlacementGroup, "").await?, cluster);
    let is_it = |lease: &Lease| a_group && matches!(target, Target::Cloud { id, .. } if *id == lease.id);
    let named = |lease: &Lease| facts.find(FactKind::BrokenLease, None) == Some(lease.id.to_string().as_str());
    match &held {
        Some(lease) if lease.is_of(run) => Ok(()),
        Some(lease) if is_it(lease) && named(lease) => Ok(()),
        Some(lease) if is_it(lease) || taken => Err(lost(world, place, Some(lease))),
        None if taken => Err(lost(world, place, None)),
        _ => Ok(()),
    }
}

fn lost(world: &World, place: &Place<'_>, now: Option<&Lease>) -> Error {
    let by = match now {
        Some(lease) => format!("{} holds it", lease.words(world.clock.now())),
        None => "nobody holds it: it was broken, or deleted".to_owned(),
    };
    let cluster = &place.settings.cluster;
    Error::refused(format!("the guard stopped step {}: the lease of cluster {cluster} is not this run's: {by}", place.step))
        .remedy("nothing was sent; find out who changes the cluster, then `relight resume`, which asks before it takes the lease")
        .code("lease")
}

//! A server of the run goes only where a person gave it up, in a live run, and while no name points at it.

use crate::leave::{beside, given};
use relight::actions::{FactKind, Mode};
use relight::world::{label_value, Labels, Permit, Target, CLUSTER, MANAGED_BY, RUN};

/// Leave to end a server is leave for that server alone.
fn that_server(permit: &Permit, target: &Target) {
    let Target::GivenUp { id } = *target else { panic!("{target}") };
    permit.covers(&Target::Cloud { kind: "server", id }).unwrap();
    assert!(permit.covers(&Target::Cloud { kind: "server", id: id + 1 }).is_err());
    assert!(permit.covers(&Target::Cloud { kind: "firewall", id }).is_err());
}

/// Whether a run of this mode may end a server that has these labels, where DNS names it and a person gave it up, or not.
fn may_end(labels: &Labels, named: bool, given_up: bool, mode: Mode) -> (bool, String) {
    let (life, server) = beside("honeydue-node-1", labels.clone(), named, mode);
    let ids = if given_up { format!("7 {server}") } else { "7".to_owned() };
    given(life, "end", &(FactKind::GivenUp, ids), &Target::GivenUp { id: server }, that_server)
}

#[test]
fn a_server_goes_only_live_where_this_run_made_it_a_person_gave_it_up_and_no_name_points_at_it() {
    let label = |key: &str, value: &str| (key.to_owned(), label_value(value));
    let cluster: Labels = [label(MANAGED_BY, "relight"), label(CLUSTER, "honeydue")].into();
    let (mut own, mut earlier) = (cluster.clone(), cluster.clone());
    own.extend([label(RUN, "abcdefghijkl")]);
    earlier.extend([label(RUN, "mnopqrstuvwx")]);
    let (may, told) = may_end(&own, false, true, Mode::Live);
    assert!(may, "{told}");
    for (labels, named, given_up, mode) in [
        (&own, true, true, Mode::Live),
        (&own, false, false, Mode::Live),
        (&own, false, true, Mode::Rehearsal),
        (&earlier, false, true, Mode::Live),
        (&cluster, false, true, Mode::Live),
        (&Labels::new(), false, true, Mode::Live),
    ] {
        let case = format!("{labels:?} named {named} given up {given_up} {mode:?}");
        let (may, told) = may_end(labels, named, given_up, mode);
        assert!(!may && told.contains("the guard stopped step end: server honeydue-node-1"), "{case}: {told}");
    }
}

//! The operator's disk fills up: whatever of the run could not be written, nothing is done without it, and a resume goes on.

use crate::life::{End, Life};
use relight::engine::Broken;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::Loss;

#[test]
fn a_disk_that_is_full_at_any_write_stops_the_run_and_once_there_is_room_a_resume_finishes_it() {
    let whole = Life::lost(Loss::Gone);
    assert_eq!(whole.process(&Tripwire::new()).outcome(), "succeeded");
    let all = whole.sandbox.disk.syncs();
    let mut secrets = 0;
    // The run's own secrets are made early on; later writes are the journal's.
    for n in (1..all.min(40)).chain((40..all).step_by(11)) {
        let life = Life::lost(Loss::Gone);
        life.sandbox.disk.full_from_sync(Some(n));
        match life.process(&Tripwire::new()) {
            End::Broken(Broken::Beside { why }) => {
                assert!(why.contains("cannot be written"), "{why}");
                secrets += 1;
            }
            End::Broken(Broken::Write { .. }) => {}
            end => panic!("write {n}: {end:?}"),
        }
        life.sandbox.disk.full_from_sync(None);
        assert_eq!(life.process(&Tripwire::new()).outcome(), "succeeded", "after write {n}");
        assert_eq!(life.broken_promises(), Vec::<String>::new(), "after write {n}");
    }
    assert!(secrets > 0, "no secret met the full disk");
}

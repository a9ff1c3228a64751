//! Nothing goes wrong: three nodes, the health check answers, nothing foreign is touched.

use crate::life::Life;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::Loss;

#[test]
fn a_rebuild_ends_with_the_health_check_answering_through_the_edge() {
    for loss in [Loss::Off, Loss::Gone] {
        let life = Life::lost(loss);
        let wire = Tripwire::new();
        let end = life.process(&wire);
        let told: Vec<_> = life.events().into_iter().map(|(at, e)| format!("{at} {e:?}")).collect();
        assert_eq!(end.outcome(), "succeeded", "{end:?}\n{}", told.join("\n"));
        assert_eq!(life.broken_promises(), Vec::<String>::new());
        println!("{} points; {end:?}", wire.points().len());
    }
}

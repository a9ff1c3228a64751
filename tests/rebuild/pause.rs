//! A node takes back a hardening that nobody confirmed; whoever resumes after that does it again.

use crate::life::{End, Life};
use relight::engine::Event;
use relight::sandbox::doors::direct::{Keep, Tripwire};
use relight::sandbox::model::Loss;
use std::time::Duration;

#[test]
fn a_kill_between_a_hardening_and_its_confirmation_is_resumed_after_minutes() {
    let wire = Tripwire::new();
    assert_eq!(Life::lost(Loss::Gone).process(&wire).outcome(), "succeeded");
    let confirms: Vec<usize> = wire
        .points()
        .iter()
        .enumerate()
        .filter(|(_, name)| name.starts_with("before harden.sh confirm"))
        .map(|(point, _)| point)
        .collect();
    assert_eq!(confirms.len(), 3);
    for point in confirms {
        let life = Life::lost(Loss::Gone);
        assert!(matches!(life.process(&Tripwire::at(point)), End::Killed));
        life.crash(Keep::All);
        life.later(Duration::from_secs(600));
        let before = life.events().len();
        let end = life.process(&Tripwire::new());
        let told: Vec<_> = life.events().into_iter().skip(before).map(|(_, e)| format!("{e:?}")).collect();
        assert_eq!(end.outcome(), "succeeded", "{end:?}\n{}", told.join("\n"));
        let again = |e: &(u64, Event)| matches!(&e.1, Event::Intent { what, .. } if what == "harden.sh apply");
        assert!(life.events().iter().skip(before).any(again), "the revert was not noticed");
        assert_eq!(life.broken_promises(), Vec::<String>::new());
    }
}

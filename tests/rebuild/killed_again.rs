//! A resume may be killed too: at any later point, right after the torn journal was mended, and again.

use crate::judged::{all, finished, thinned, undisturbed, After, Kills, AFTERS};
use crate::life::{End, Life};
use rand::{Rng, SeedableRng};
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::Loss;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Points that a resume passes while it mends the journal and writes that it goes on.
const MENDING: usize = 9;

/// Where each process of a run is killed, and what comes after.
#[derive(Debug)]
struct Schedule {
    loss: Loss,
    kills: Vec<(usize, After)>,
}

fn seeded() -> rand::rngs::StdRng {
    let seed = std::env::var("RELIGHT_SEED").map_or(20_261_124, |seed| seed.parse().unwrap());
    println!("RELIGHT_SEED={seed}");
    rand::rngs::StdRng::seed_from_u64(seed)
}

fn any(random: &mut rand::rngs::StdRng) -> After {
    AFTERS[random.random_range(0..AFTERS.len())]
}

/// Kills every process where the schedule says. A process that ends before its kill ends the schedule.
fn killed(life: &Life, schedule: &Schedule, reached: &AtomicUsize) -> Kills {
    let mut kills = Kills::default();
    for (nth, (point, after)) in schedule.kills.iter().enumerate() {
        if !matches!(life.process(&Tripwire::at(*point)), End::Killed) {
            break;
        }
        kills.crash(life, *after);
        reached.fetch_add(usize::from(nth > 0), Ordering::SeqCst);
    }
    kills
}

fn each_loss(title: &str, mut later: impl FnMut(&mut rand::rngs::StdRng, usize, usize) -> Vec<(usize, After)>) {
    let mut random = seeded();
    let wanted = [undisturbed(Loss::Gone), undisturbed(Loss::Off)];
    let mut schedules = Vec::new();
    for (loss, wanted) in [Loss::Gone, Loss::Off].into_iter().zip(&wanted) {
        for point in 0..wanted.points.len() {
            let mut kills = vec![(point, any(&mut random))];
            kills.extend(later(&mut random, point, wanted.points.len()));
            schedules.push(Schedule { loss, kills });
        }
    }
    let (schedules, reached) = (thinned(schedules), AtomicUsize::new(0));
    all(title, &schedules, |schedule| {
        let life = Life::lost(schedule.loss);
        let kills = killed(&life, schedule, &reached);
        let wrong = finished(&life, &kills, &wanted[usize::from(schedule.loss == Loss::Off)]);
        wrong.into_iter().map(|w| format!("{schedule:?}: {w}")).collect()
    });
    let reached = reached.into_inner();
    println!("{title}: {reached} of the kills hit a resume");
    assert!(reached * 2 > schedules.len(), "hardly any resume was killed");
}

#[test]
fn a_resume_may_be_killed_at_any_later_point() {
    each_loss("killed twice", |random, point, points| {
        vec![(random.random_range(0..points.saturating_sub(point).max(12)), any(random))]
    });
}

#[test]
fn a_resume_may_be_killed_again_and_again_while_it_mends_the_journal() {
    each_loss("killed while it mends the journal", |random, _, _| {
        let kills = random.random_range(1..4);
        (0..kills).map(|_| (random.random_range(0..MENDING), any(random))).collect()
    });
}

//! How fast a rebuild is, in ratios: `cargo bench`. Nothing here fails on a slow machine.
//!
//! Three figures of a whole rebuild under virtual time, with the sandbox's latencies of the profile `real`: its wall time by its
//! critical path (the longest chain of steps that need each other, as long as each took), for the first answer and for the
//! whole; the same against a relight that looks at everything twenty times as often, which shows what is lost between looks; and
//! the processor's time it takes, beside a digest's. Then how long the binary takes to start, beside a program that does nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark stops where it fails"
)]

#[allow(dead_code, reason = "the tests of the rebuild use all of it")]
#[path = "../rebuild/life.rs"]
mod life;
mod path;
mod start;

use life::{End, Life};
use path::{Lasted, Path};
use relight::engine::RunFinished;
use relight::sandbox::doors::direct::Tripwire;
use relight::sandbox::model::Loss;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Rebuilds whose processor's time is added up.
const TIMES: u32 = 20;
/// How many times as often the watchful relight looks.
const OFTEN: u32 = 20;

fn rebuilt(often: u32) -> (Life, RunFinished) {
    let life = Life { often, ..Life::lost(Loss::Gone) };
    match life.process(&Tripwire::new()) {
        End::Finished(end) if end.outcome == "succeeded" => (life, end),
        end => panic!("{end:?}"),
    }
}

/// Time that this thread has spent on a processor. Source: Linux, Documentation/scheduler/sched-stats.rst (nanoseconds).
fn on_cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default())
}

fn cpu_of(work: impl Fn()) -> Duration {
    let before = on_cpu();
    (0..TIMES).for_each(|_| work());
    on_cpu().saturating_sub(before) / TIMES
}

fn told(name: &str, end: Option<f64>, path: &Path, watchful: Option<f64>) {
    let (Some(end), Some(watchful)) = (end, watchful) else { return };
    println!(
        "{name:<13}{end:>7.1} s   critical path {:>6.1} s, ratio {:.3}   watchful {watchful:>6.1} s, ratio {:.3}",
        path.seconds,
        end / path.seconds,
        end / watchful
    );
}

fn main() {
    let (life, end) = rebuilt(1);
    let (_, watchful) = rebuilt(OFTEN);
    let lasted = Lasted::of(&life);
    let (answer, whole) = (lasted.path("first_answer"), lasted.path("recovered"));
    println!("a rebuild of {} nodes under virtual time, latencies as in life", life.settings.nodes.len());
    told("first answer", end.first_answer_seconds, &answer, watchful.first_answer_seconds);
    told("recovered", end.recovery_seconds, &whole, watchful.recovery_seconds);
    println!("\npath of the first answer:\n{}", answer.shown());
    println!("joins on it: {}", answer.steps.iter().filter(|s| s.id.contains("join")).count());
    println!("\npath of the whole:\n{}", whole.shown());

    let rebuild = cpu_of(|| drop(rebuilt(1)));
    let megabyte = vec![7_u8; 1 << 20];
    let digest = cpu_of(|| {
        std::hint::black_box(Sha256::digest(&megabyte));
    });
    let ratio = rebuild.as_secs_f64() / digest.as_secs_f64();
    println!("\nprocessor's time of a rebuild: {rebuild:.1?}, as SHA-256 of {ratio:.0} MiB on this machine");
    start::told(&life);
}

//! How long the binary takes from its start to its end, beside a program that does nothing.

use crate::life::Life;
use relight::engine::JOURNAL;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Starts of each; the quickest counts, for the others measure who else is on the machine.
const STARTS: u32 = 30;

fn quickest(program: &str, arguments: &[&str], place: &Path) -> Duration {
    let once = || {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(place).stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let ended = command.status();
        assert!(ended.is_ok_and(|status| status.success()), "{program} {arguments:?}");
        begun.elapsed()
    };
    (0..STARTS).map(|_| once()).min().unwrap_or_default()
}

/// Prints it, with the journal of this run for `status`.
pub fn told(life: &Life) {
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("state/sandbox").join(&life.settings.cluster).join(&life.id.id);
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join(JOURNAL), life.sandbox.disk.read(JOURNAL).unwrap_or_default()).unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml").display().to_string();
    let nothing = quickest("true", &[], place.path());
    for arguments in [&["--version"][..], &["--config", &config, "status"]] {
        let took = quickest(env!("CARGO_BIN_EXE_relight"), arguments, place.path());
        let name = arguments.last().copied().unwrap_or_default();
        println!(
            "relight {name}: {took:.1?}, {:.1} times as long as `true`",
            took.as_secs_f64() / nothing.as_secs_f64()
        );
    }
}

//! A run: a transient systemd unit on the node, and the waiting for its end across lost connections.
//!
//! What a start can meet, and what comes of it:
//!
//! | unit of the same step and digest | start |
//! |---|---|
//! | none | started |
//! | at work | joined |
//! | ended, well or not, or lost | started anew |
//!
//! An end is read by the calls that started or joined the unit, and by no later one. A later call follows a look that found
//! work to do: whatever an earlier end said is no longer so (a hardening that was not confirmed in time is taken back).
//!
//! While waiting: a lost connection is made again and waited on, without a limit but the engine's deadline, which drops the
//! future. A unit that is lost (the node restarted, or someone stopped it) or that is not there after a start whose reply was
//! lost is `Unknown`: the engine looks at the node before anything is tried again.

use super::{
    node::Node,
    program::{self, End},
    trouble,
};
use crate::world::{label_value, Class, Clock, Ended, Error, Host, Result, Script};
use std::time::Duration;

/// First and longest pause between two attempts to reach a node again. Clock time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// `relight-<step>-<first 16 of the digest>`: `harden[node-1]` becomes `relight-harden.node-1-...`.
pub(super) fn name(step: &str, script: &Script) -> String {
    let digest: String = script.digest().chars().take(16).collect();
    format!("relight-{}-{digest}", label_value(step))
}

/// Starts or joins the unit and waits for its end.
pub(super) async fn run(
    node: &Node,
    clock: &dyn Clock,
    host: &Host,
    step: &str,
    script: &Script,
    call: &str,
) -> Result<Ended> {
    let unit = name(step, script);
    let what = format!("{} {} on {}", script.name, script.verb, host.address);
    let mut program = program::start(script, &unit, call)?;
    let (mut sent, mut pause) = (false, PAUSES.0);
    loop {
        let error = match node.send(host, &program).await {
            Ok(End::Exit(ended)) => return Ok(ended),
            Ok(End::Running) => {
                (sent, pause) = (true, PAUSES.0);
                program = program::wait(&unit, call);
                continue;
            }
            Ok(End::Lost) => {
                return Err(Error::unknown(format!(
                    "{what} did not come to its end: the node restarted, or {unit} was stopped"
                )))
            }
            Ok(End::Absent) => return Err(Error::unknown(format!("it is not known whether {what} was started"))),
            Ok(End::Trouble(said)) if !sent => return Err(Error::transient(format!("{what} did not start: {said}"))),
            Ok(End::Trouble(said)) => Error::transient(said),
            Ok(End::Silent(said)) if !sent && said.contains("sudo:") => return Err(trouble::silent(host, &said)),
            Ok(End::Silent(said)) => trouble::silent(host, &said),
            // The connection had died before anything was said on it: the next one is new.
            Err(failed) if failed.stale && !failed.sent && failed.error.class == Class::Transient => continue,
            Err(failed) if failed.error.class != Class::Transient || !(sent || failed.sent) => return Err(failed.error),
            Err(failed) => failed.error,
        };
        if !sent {
            // The start may have arrived. It is asked for, not repeated.
            sent = true;
            program = program::wait(&unit, call);
        }
        tracing::info!(%unit, node = %host.address, "still waiting, after: {error}");
        clock.sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn unit_names_are_the_step_and_what_it_does() {
        let script = Script {
            name: "harden.sh".into(),
            body: "exit 0".into(),
            verb: "apply".into(),
            input: BTreeMap::default(),
        };
        let unit = name("harden[node-1]", &script);
        assert!(unit.starts_with("relight-harden.node-1-") && unit.len() == "relight-harden.node-1-".len() + 16);
        assert!(program::is_plain(&unit));
        let other = Script { verb: "confirm".into(), ..script };
        assert_ne!(name("harden[node-1]", &other), unit);
    }
}

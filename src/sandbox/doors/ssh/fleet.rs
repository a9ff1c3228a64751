//! SSH doors for all nodes of a model: one opens where a machine has power, and closes when it has none.

use super::{ForwardTable, ModelNode, ScriptLookup, SshDoor};
use crate::sandbox::model::{lock, Shared};
use crate::world::{Addresses, Clock};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How often the model is asked which machines have power. Wall time.
const LOOK_OUT: Duration = Duration::from_millis(50);

/// Keeps a door open for each machine with power. Dropping it closes them all.
pub struct SshFleet(AbortHandle);

impl SshFleet {
    /// Begins to follow the model. Doors are at port 22 as [`Addresses::sandbox`] moves it.
    pub fn follow(model: Shared, clock: Arc<dyn Clock>, scripts: ScriptLookup, forwards: ForwardTable) -> Self {
        let follow = async move {
            let mut doors: BTreeMap<Ipv4Addr, SshDoor> = BTreeMap::new();
            let mut ticks = tokio::time::interval(LOOK_OUT);
            loop {
                ticks.tick().await;
                let powered = powered(&model, clock.now());
                doors.retain(|address, _| powered.contains(address));
                for address in powered {
                    if doors.contains_key(&address) {
                        continue;
                    }
                    let node = ModelNode::new(model.clone(), clock.clone(), address, forwards.clone());
                    let at = Addresses::sandbox().reach(address.into(), 22);
                    match SshDoor::open(at, Arc::new(node), scripts.clone()).await {
                        Ok(door) => drop(doors.insert(address, door)),
                        // Tried again at the next look: a door that just closed may still hold the port.
                        Err(error) => tracing::debug!(%at, %error, "an SSH door does not open yet"),
                    }
                }
            }
        };
        Self(tokio::spawn(follow).abort_handle())
    }
}

impl Drop for SshFleet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn powered(model: &Shared, now: Duration) -> BTreeSet<Ipv4Addr> {
    let mut model = lock(model);
    model.advance(now);
    model.machines().into_iter().filter(|machine| machine.on).filter_map(|machine| machine.public).collect()
}

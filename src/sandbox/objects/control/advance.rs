//! The passing of time.

use crate::sandbox::objects::machines::{Kubelet, NodeView};
use crate::sandbox::objects::pace::Pace;
use crate::sandbox::objects::store::Objects;
use std::time::Duration;

/// Passes without an end would be a fault of the controllers; the time then goes on all the same.
const MOST_PASSES: u32 = 400;

impl Objects {
    /// Lets everything happen that was due until `now`. Time that goes back is ignored.
    pub fn advance(&mut self, now: Duration) {
        if !self.machines.quorum {
            self.now = self.now.max(now);
            return;
        }
        self.settle();
        while let Some(due) = self.machines.alarms.first().copied().filter(|due| *due <= now) {
            self.machines.alarms.remove(&due);
            self.now = self.now.max(due);
            self.restless = true;
            self.settle();
        }
        self.now = self.now.max(now);
    }
    /// When something is due next, for whoever waits.
    pub fn next_due(&self) -> Option<Duration> {
        self.machines.alarms.first().copied()
    }
    /// The latencies and faults, to be changed.
    pub fn pace_mut(&mut self) -> &mut Pace {
        self.restless = true;
        &mut self.pace
    }
    /// Whether etcd has a quorum. Without one nothing is answered and no controller acts; containers run on.
    pub fn has_quorum(&self) -> bool {
        self.machines.quorum
    }
    /// Says whether etcd has a quorum. Kubelets are not blamed for the time without one.
    pub fn set_quorum(&mut self, now: Duration, quorum: bool) {
        self.advance(now);
        if quorum && !self.machines.quorum {
            let at = self.now;
            self.machines.kubelets.values_mut().for_each(|k| k.since = k.since.max(at));
        }
        self.machines.quorum = quorum;
        self.restless = true;
    }
    /// Says how all kubelets are. One that is not named is silent; a new one registers its node.
    pub fn nodes(&mut self, now: Duration, views: &[NodeView]) {
        self.advance(now);
        let at = self.now;
        for kubelet in self.machines.kubelets.values_mut() {
            if kubelet.view.ready && !views.iter().any(|v| v.name == kubelet.view.name) {
                kubelet.view.ready = false;
                kubelet.since = at;
                self.restless = true;
            }
        }
        for view in views {
            match self.machines.kubelets.get_mut(&view.name) {
                Some(known) if known.view == *view => continue,
                Some(known) => {
                    if known.view.ready != view.ready || known.view.boot != view.boot {
                        known.since = at;
                        // A kubelet registers its node when it starts, and only then.
                        known.registered &= !view.ready;
                    }
                    known.view = view.clone();
                }
                None => {
                    let new = Kubelet { view: view.clone(), since: at, registered: false };
                    self.machines.kubelets.insert(view.name.clone(), new);
                }
            }
            self.restless = true;
        }
    }
    /// Sets an alarm; true where the time has come.
    pub(in crate::sandbox::objects) fn due(&mut self, at: Duration) -> bool {
        if at > self.now {
            self.machines.alarms.insert(at);
        }
        at <= self.now
    }
    fn settle(&mut self) {
        for _ in 0..MOST_PASSES {
            if !self.restless {
                return;
            }
            self.restless = false;
            self.keep_nodes();
            self.keep_k3s();
            self.keep_namespaces();
            self.collect_orphans();
            self.keep_charts();
            self.keep_deployments();
            self.keep_replica_sets();
            self.keep_stateful_sets();
            self.keep_daemon_sets();
            self.keep_jobs();
            self.schedule();
            self.keep_claims();
            self.run_pods();
            self.keep_endpoints();
            self.keep_budgets();
            self.establish_definitions();
        }
    }
}

//! The passing of time.

use crate::sandbox::objects::machines::{Kubelet, NodeView};
use crate::sandbox::objects::pace::Pace;
use crate::sandbox::objects::store::Objects;
use std::collections::BTreeSet;
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
        self.settle(&BTreeSet::new());
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            let later = self.machines.alarms.split_off(&(due, usize::MAX));
            let woken = std::mem::replace(&mut self.machines.alarms, later);
            self.settle(&woken.into_iter().map(|(_, controller)| controller).collect());
        }
        self.now = self.now.max(now);
    }
    /// When something is due next, for whoever waits.
    pub fn next_due(&self) -> Option<Duration> {
        self.machines.alarms.first().map(|(due, _)| *due)
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
        // It is said at every look, many times a second: only a change makes the controllers look too.
        if quorum == self.machines.quorum {
            return;
        }
        if quorum {
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
    /// Sets an alarm for the controller that looks; true where the time has come.
    pub(in crate::sandbox::objects) fn due(&mut self, at: Duration) -> bool {
        if at > self.now {
            self.machines.alarms.insert((at, self.looking));
        }
        at <= self.now
    }
    /// Lets the controllers look until nothing changes. After something from outside (a kubelet, another pace) all of them look;
    /// else those whose alarms rang or whose resources have changed.
    fn settle(&mut self, woken: &BTreeSet<usize>) {
        for pass in 0..MOST_PASSES {
            let all = std::mem::take(&mut self.restless);
            let touched = std::mem::take(&mut self.touched);
            let rang = |place: &usize| pass == 0 && woken.contains(place);
            if !all && touched.is_empty() && (pass > 0 || woken.is_empty()) {
                return;
            }
            for (place, (inputs, look)) in CONTROLLERS.into_iter().enumerate() {
                if all || rang(&place) || inputs.split(' ').any(|i| touched.contains(i)) {
                    self.looking = place;
                    look(self);
                }
            }
        }
    }
}

/// What a controller looks at, and the controller.
type Controller = (&'static str, fn(&mut Objects));

const CONTROLLERS: [Controller; 16] = [
    ("nodes pods", Objects::keep_nodes),
    ("nodes storageclasses.storage.k8s.io", Objects::keep_k3s),
    ("namespaces *gone", Objects::keep_namespaces),
    ("*gone", Objects::collect_orphans),
    (
        "helmcharts.helm.cattle.io helmchartconfigs.helm.cattle.io jobs.batch daemonsets.apps deployments.apps",
        Objects::keep_charts,
    ),
    ("deployments.apps replicasets.apps pods", Objects::keep_deployments),
    ("replicasets.apps pods", Objects::keep_replica_sets),
    ("statefulsets.apps pods", Objects::keep_stateful_sets),
    ("daemonsets.apps pods nodes", Objects::keep_daemon_sets),
    ("jobs.batch pods", Objects::keep_jobs),
    ("pods nodes persistentvolumeclaims persistentvolumes", Objects::schedule),
    ("persistentvolumeclaims persistentvolumes pods storageclasses.storage.k8s.io", Objects::keep_claims),
    (
        "pods persistentvolumeclaims secrets configmaps serviceaccounts helmchartconfigs.helm.cattle.io",
        Objects::run_pods,
    ),
    ("services pods ingresses.networking.k8s.io daemonsets.apps deployments.apps", Objects::keep_endpoints),
    ("poddisruptionbudgets.policy pods", Objects::keep_budgets),
    ("customresourcedefinitions.apiextensions.k8s.io", Objects::establish_definitions),
];

//! What differs between the K3s that is on a machine and the one that is wanted, and what of it a restart changes: `k3s.sh` in words
//! and deeds.

use super::k3s::{Installed, Phase};
use super::scripts::wanted_here;
use super::units::{ended, Job};
use super::Model;
use crate::world::Ended;
use std::collections::BTreeSet;

impl Installed {
    /// The keys of `config.yaml` that are not as wanted.
    fn differing_keys(&self, wanted: &Self) -> Vec<String> {
        let (is, wanted) = (self.config.as_object(), wanted.config.as_object());
        let keys: BTreeSet<&String> = [is, wanted].into_iter().flatten().flat_map(|config| config.keys()).collect();
        let differs = |key: &&String| is.and_then(|c| c.get(*key)) != wanted.and_then(|c| c.get(*key));
        keys.into_iter().filter(differs).cloned().collect()
    }
    /// The first thing that is not as wanted, in the script's words.
    pub(super) fn difference(&self, wanted: &Self) -> Option<String> {
        let keys = self.differing_keys(wanted);
        if (&self.version, &self.sha256) != (&wanted.version, &wanted.sha256) {
            Some("/usr/local/bin/k3s is another binary than the pinned one".to_owned())
        } else if !keys.is_empty() {
            Some(format!("/etc/rancher/k3s/config.yaml has another content in {}", keys.join(", ")))
        } else if self.traefik != wanted.traefik {
            let file = "/var/lib/rancher/k3s/server/manifests/traefik-config.yaml";
            Some(format!("{file} has another content"))
        } else {
            None
        }
    }
    /// Whether all that differs is what K3s reads anew at each start.
    pub(super) fn only_reread(&self, wanted: &Self) -> bool {
        let with_its_config = Self { config: wanted.config.clone(), ..self.clone() };
        let reread = |key: &String| {
            let begins = ["etcd-s3-", "etcd-snapshot-"].iter().any(|start| key.starts_with(start));
            begins || ["etcd-s3", "kubelet-arg", "tls-san"].contains(&key.as_str())
        };
        with_its_config.difference(wanted).is_none() && self.differing_keys(wanted).iter().all(reread)
    }
}

impl Model {
    /// `k3s.sh change`: what K3s reads anew, and one restart.
    pub(super) fn k3s_change(&mut self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        let wanted = match wanted_here(machine, job) {
            Ok(wanted) => wanted,
            Err(why) => return ended(10, &why),
        };
        let is = machine.k3s.installed.as_ref();
        let Some(what) = is.map_or_else(|| Some("K3s is missing".to_owned()), |is| is.difference(&wanted)) else {
            return self.k3s_told(server, job);
        };
        if !is.is_some_and(|is| is.only_reread(&wanted)) {
            return ended(10, &format!("k3s.sh: more differs than a restart can change: {what}"));
        }
        machine.k3s.installed = Some(wanted);
        machine.k3s.phase = Phase::Stopped;
        self.k3s_start(server);
        self.k3s_told(server, job)
    }
}

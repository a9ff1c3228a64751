//! What the node scripts do to a modelled machine: inputs and outputs as in the contract of `steps/scripts`.

use super::k3s::{Installed, Phase};
use super::machine::{Hardened, HostKey, Machine};
use super::state::Due;
use super::units::{ended, Job};
use super::Model;
use crate::world::Ended;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

fn output(pairs: &[(&str, &str)]) -> Ended {
    let mut stdout = String::new();
    for (key, value) in pairs {
        // Writing to a String cannot fail.
        let _ = writeln!(stdout, "{key}={value}");
    }
    Ended { exit: 0, stdout, stderr: String::new() }
}

fn yes(is: bool) -> &'static str {
    if is {
        "yes"
    } else {
        "no"
    }
}

fn input<'a>(job: &'a Job, key: &str) -> &'a str {
    job.input.get(key).map_or("", String::as_str)
}

fn wanted_peers(job: &Job) -> BTreeSet<Ipv4Addr> {
    let own = input(job, "SELF").parse().ok();
    let listed = input(job, "PEERS").split_whitespace().filter_map(|p| p.parse().ok());
    listed.filter(|p| Some(*p) != own).collect()
}

fn peers_state(machine: &Machine, wanted: &BTreeSet<Ipv4Addr>) -> Ended {
    let set: BTreeSet<Ipv4Addr> = machine.peers.clone().unwrap_or_default();
    let state = match &machine.peers {
        None => "absent",
        Some(set) if set == wanted => "as-specified",
        Some(_) => "differs",
    };
    output(&[("state", state), ("digest", &hex::encode(Sha256::digest(format!("{set:?}"))))])
}

fn harden_state(machine: &Machine, input: &BTreeMap<String, String>) -> Ended {
    let digest = machine.access.hardened.as_ref().map(Hardened::digest).unwrap_or_default();
    let state = match &machine.access.hardened {
        None => "absent",
        Some(set) if *set != Hardened::of(input) => "differs",
        Some(_) if machine.armed.is_some() => "armed",
        Some(_) => "as-specified",
    };
    output(&[("state", state), ("digest", &digest)])
}

fn k3s_state(machine: &Machine, job: &Job) -> Ended {
    let k3s = &machine.k3s;
    let installed = k3s.installed.as_ref();
    let wanted = wanted_k3s(job);
    // A caller that says nothing of what it wants is told what is.
    let differs = match (installed, &wanted) {
        (Some(is), Ok(wanted)) => !input(job, "VERSION").is_empty() && is != wanted,
        _ => false,
    };
    let state = if differs { "differs" } else { k3s.word() };
    let why = match &k3s.phase {
        Phase::Starting(why) | Phase::Failed(why) => why.as_str(),
        _ if differs => "what is installed is not what was asked for",
        _ => "",
    };
    output(&[
        ("state", state),
        ("version", installed.map_or("", |i| i.version.as_str())),
        ("binary_sha256", installed.map_or("", |i| i.sha256.as_str())),
        ("ready", yes(k3s.phase == Phase::Running)),
        ("why", why),
    ])
}

fn wanted_k3s(job: &Job) -> Result<Installed, String> {
    let config: serde_json::Value =
        serde_json::from_str(input(job, "CONFIG_JSON")).map_err(|e| format!("CONFIG_JSON is no JSON: {e}"))?;
    Ok(Installed {
        version: input(job, "VERSION").to_owned(),
        sha256: input(job, "SHA256").to_owned(),
        config,
        traefik: input(job, "TRAEFIK").to_owned(),
        role: input(job, "ROLE").to_owned(),
    })
}

impl Model {
    /// How long a script takes, once cloud-init is done.
    pub(super) fn script_time(&self, script: &str, verb: &str) -> Duration {
        match (script, verb) {
            (_, "check") => self.latency.ssh,
            ("harden.sh", "apply") => self.latency.harden,
            ("k3s.sh", "install") => self.latency.install,
            ("late.sh", "apply") => self.latency.late,
            _ => self.latency.script,
        }
    }
    /// Does what the script does, now. The door has made sure that it is a script relight ships.
    pub(super) fn carry_out(&mut self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get(&server) else { return ended(1, "no such machine") };
        match (job.script.as_str(), job.verb.as_str()) {
            ("probe.sh", "check") => self.probe(machine),
            ("hostkey.sh", verb) => self.hostkey(server, verb, input(job, "NEXT")),
            ("harden.sh", "check") => harden_state(machine, &job.input),
            ("harden.sh", "apply") => self.harden(server, job),
            ("harden.sh", "confirm") => self.confirm(server, job),
            ("peers.sh", "check") => peers_state(machine, &wanted_peers(job)),
            ("peers.sh", "apply") => self.set_peers(server, job),
            ("k3s.sh", "check") => k3s_state(machine, job),
            ("k3s.sh", "install") => self.k3s_install(server, job),
            ("k3s.sh", "start") => {
                if machine.k3s.installed.is_none() {
                    return ended(10, "k3s is not installed");
                }
                self.k3s_start(server);
                self.machines.get(&server).map_or_else(|| ended(1, "gone"), |m| k3s_state(m, job))
            }
            ("etcd.sh", "check") => self.etcd(server),
            ("kubeconfig.sh", "check") => match machine.k3s.cluster.as_ref().and_then(|c| self.clusters.get(c)) {
                Some(cluster) => Ended { exit: 0, stdout: cluster.kubeconfig.clone(), stderr: String::new() },
                None => ended(11, "/etc/rancher/k3s/k3s.yaml does not exist yet"),
            },
            ("late.sh", "check") => output(&[("state", if machine.late { "as-specified" } else { "absent" })]),
            ("late.sh", "apply") => {
                if let Some(machine) = self.machines.get_mut(&server) {
                    machine.late = true;
                }
                output(&[("state", "as-specified")])
            }
            (script, verb) => ended(64, &format!("the sandbox does not model {script} {verb}")),
        }
    }
    fn probe(&self, machine: &Machine) -> Ended {
        let done = machine.on_since.is_some_and(|on| self.now >= on + self.latency.cloud_init);
        let cloud_init = match (done, machine.cloud_init_error) {
            (false, _) => "running",
            (true, true) => "error",
            (true, false) => "done",
        };
        let k3s = match (&machine.k3s.phase, &machine.k3s.installed) {
            (Phase::Stopped, None) => "absent",
            (Phase::Stopped, Some(_)) => "inactive",
            _ => "active",
        };
        output(&[
            ("boot_id", &machine.boot_id),
            ("cloud_init", cloud_init),
            ("os", "Ubuntu 24.04 LTS"),
            ("k3s", k3s),
            ("clock_synced", yes(done)),
            ("host_key", &machine.host_key.public),
            ("next_host_key", machine.next_host_key.as_ref().map_or("", |k| k.public.as_str())),
        ])
    }
    fn hostkey(&mut self, server: i64, verb: &str, next: &str) -> Ended {
        let fresh = HostKey::make(&mut self.random);
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        match verb {
            "check" => {}
            "prepare" => {
                machine.next_host_key.get_or_insert(fresh);
            }
            "rotate" if machine.host_key.public == next => {}
            "rotate" => match machine.next_host_key.take() {
                Some(prepared) if prepared.public == next => machine.host_key = prepared,
                other => {
                    machine.next_host_key = other;
                    return ended(10, "the prepared key is not the expected one");
                }
            },
            _ => return ended(64, "unknown verb"),
        }
        let next = machine.next_host_key.as_ref().map_or("", |k| k.public.as_str());
        output(&[("host_key", &machine.host_key.public), ("next_host_key", next)])
    }
    fn harden(&mut self, server: i64, job: &Job) -> Ended {
        let turn = self.next_turn();
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        let wanted = Hardened::of(&job.input);
        if wanted.user.is_empty() || wanted.keys.is_empty() {
            return ended(10, "DEPLOY_USER and AUTHORIZED_KEYS must not be empty: nobody could log in any more");
        }
        if machine.access.hardened.as_ref() == Some(&wanted) {
            return harden_state(machine, &job.input);
        }
        let before = match machine.armed.take() {
            // Not confirmed yet: what to go back to is still the last confirmed state.
            Some((before, _)) => before,
            None => machine.access.clone(),
        };
        machine.access.users.insert(wanted.user.clone(), wanted.keys.clone());
        machine.access.root_login = false;
        machine.access.hardened = Some(wanted);
        machine.armed = Some((before, turn));
        let state = harden_state(machine, &job.input);
        self.plan(self.latency.revert, Due::Revert { server, turn });
        state
    }
    fn confirm(&mut self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        if machine.access.hardened.as_ref() != Some(&Hardened::of(&job.input)) {
            return ended(10, "what is set is not what is to be confirmed");
        }
        machine.armed = None;
        harden_state(machine, &job.input)
    }
    fn set_peers(&mut self, server: i64, job: &Job) -> Ended {
        let wanted = wanted_peers(job);
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        machine.peers = Some(wanted.clone());
        let state = peers_state(machine, &wanted);
        self.look_for_strangers("node.peers.sh.apply", None);
        state
    }
    fn k3s_install(&mut self, server: i64, job: &Job) -> Ended {
        let wanted = match wanted_k3s(job) {
            Ok(wanted) => wanted,
            Err(why) => return ended(1, &why),
        };
        let Some(machine) = self.machines.get(&server) else { return ended(1, "no such machine") };
        let project = self.projects.get(machine.project);
        let shape = project.and_then(|p| p.servers.get(&server)).map_or("x86", |s| s.server_type.architecture.as_str());
        let architecture = if shape == "arm" { "arm64" } else { "amd64" };
        let binary = self.release_digest(&wanted.version, architecture);
        if binary != wanted.sha256 {
            return ended(1, "k3s: FAILED\nsha256sum: WARNING: 1 computed checksum did NOT match");
        }
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        if machine.k3s.cluster.is_some() && machine.k3s.installed.as_ref().is_some_and(|i| i.role != wanted.role) {
            return ended(10, "etcd data of another role lies on this disk");
        }
        machine.k3s.installed = Some(wanted);
        k3s_state(machine, job)
    }
    /// SHA-256 of the K3s binary of this version, as the release's checksum file has it.
    pub fn release_digest(&self, version: &str, architecture: &str) -> String {
        let own = || hex::encode(Sha256::digest(format!("the sandbox's k3s {version} for {architecture}")));
        self.releases.get(&format!("{version}/{architecture}")).cloned().unwrap_or_else(own)
    }
    fn etcd(&self, server: i64) -> Ended {
        let cluster =
            self.machines.get(&server).and_then(|m| m.k3s.cluster.as_ref()).and_then(|c| self.clusters.get(c));
        let Some(cluster) = cluster.filter(|c| self.has_quorum(&c.uid)) else {
            return output(&[("voters", "0"), ("learners", "0"), ("members", "")]);
        };
        let words = |learner| if learner { "learner" } else { "voter" };
        let members: Vec<String> =
            cluster.members.values().map(|m| format!("{}:{}", m.name, words(m.learner))).collect();
        let voters = cluster.members.values().filter(|m| !m.learner).count();
        output(&[
            ("voters", &voters.to_string()),
            ("learners", &(members.len() - voters).to_string()),
            ("members", &members.join(",")),
        ])
    }
}

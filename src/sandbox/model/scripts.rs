//! What the node scripts do to a modelled machine: inputs and outputs as in the contract of `steps/scripts`.

use super::etcd::Member;
use super::k3s::{Installed, Phase};
use super::machine::{Hardened, HostKey, Machine};
use super::things::bare_key;
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
    let state = match (&machine.peers, machine.access.hardened.is_some()) {
        (set, true) if set == wanted => "as-specified",
        (set, _) if set.is_empty() => "absent",
        _ => "differs",
    };
    output(&[("state", state), ("digest", &hex::encode(Sha256::digest(format!("{:?}", machine.peers))))])
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

fn regain(machine: &Machine, job: &Job) -> Ended {
    let installed = machine.k3s.installed.as_ref();
    let token = installed.and_then(|k3s| k3s.config.get("token")?.as_str()).unwrap_or_default();
    let authorized = machine.admits_user(input(job, "DEPLOY_USER"), input(job, "KEY"));
    output(&[("authorized", yes(authorized)), ("k3s_token", token)])
}

/// What `k3s.sh` wants on this machine. Where an etcd datastore is on the disk, K3s ignores whom to join and whether to start a
/// cluster, and so does the script. Source: docs.k3s.io, "High Availability Embedded etcd".
pub(super) fn wanted_here(machine: &Machine, job: &Job) -> Result<Installed, String> {
    let mut wanted = wanted_k3s(job)?;
    let kept = machine.k3s.installed.as_ref().filter(|_| machine.k3s.cluster.is_some());
    if let (Some(is), Some(config)) = (kept, wanted.config.as_object_mut()) {
        for key in ["cluster-init", "server"] {
            match is.config.get(key) {
                Some(value) => config.insert(key.to_owned(), value.clone()),
                None => config.remove(key),
            };
        }
        wanted.role.clone_from(&is.role);
    }
    Ok(wanted)
}

fn k3s_state(machine: &Machine, job: &Job, quorum: bool) -> Ended {
    let k3s = &machine.k3s;
    let installed = k3s.installed.as_ref();
    let wanted = wanted_here(machine, job);
    let differs = installed.zip(wanted.as_ref().ok()).and_then(|(is, wanted)| is.difference(wanted));
    let state = if differs.is_some() { "differs" } else { k3s.word() };
    let why = match &k3s.phase {
        _ if differs.is_some() => differs.as_deref().unwrap_or_default(),
        Phase::Starting(why) | Phase::Failed(why) => why.as_str(),
        _ => "",
    };
    output(&[
        ("state", state),
        ("version", installed.map_or("", |i| i.version.as_str())),
        ("binary_sha256", installed.map_or("", |i| i.sha256.as_str())),
        ("ready", yes(k3s.phase == Phase::Running && quorum)),
        ("datastore", yes(k3s.cluster.is_some())),
        ("why", why),
    ])
}

fn wanted_k3s(job: &Job) -> Result<Installed, String> {
    let config: serde_json::Value = serde_json::from_str(input(job, "CONFIG_JSON")).unwrap_or_default();
    let sha256 = input(job, "SHA256");
    if sha256.len() != 64 || !sha256.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!("k3s.sh: SHA256 '{sha256}' is no SHA-256: correct k3s.sha256"));
    }
    let needs = if input(job, "ROLE") == "first" { "cluster-init" } else { "server" };
    if config.get(needs).is_none_or(|v| v.is_null() || *v == false) {
        return Err(format!("k3s.sh: CONFIG_JSON does not fit ROLE '{}': it needs {needs}", input(job, "ROLE")));
    }
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
            ("k3s.sh", "check") => match wanted_k3s(job) {
                Err(why) => ended(10, &why),
                Ok(_) => self.k3s_told(server, job),
            },
            ("k3s.sh", "install") => self.k3s_install(server, job),
            ("k3s.sh", "change") => self.k3s_change(server, job),
            ("k3s.sh", "start") => match wanted_here(machine, job) {
                Err(why) => ended(10, &why),
                Ok(wanted) if machine.k3s.installed.as_ref() != Some(&wanted) => {
                    ended(10, "k3s.sh: not installed as wanted. Run install first")
                }
                Ok(_) => {
                    self.k3s_start(server);
                    self.k3s_told(server, job)
                }
            },
            ("etcd.sh", "check") => self.etcd(server),
            ("kubeconfig.sh", "check") => match machine.k3s.cluster.as_ref().and_then(|c| self.clusters.get(c)) {
                Some(cluster) => Ended { exit: 0, stdout: cluster.kubeconfig.clone(), stderr: String::new() },
                None => ended(11, "/etc/rancher/k3s/k3s.yaml does not exist yet"),
            },
            ("token.sh", "check") => match machine.k3s.cluster.as_ref().and_then(|c| self.clusters.get(c)) {
                // As K3s writes it there: with the digest of its authority before it.
                Some(cluster) => {
                    let authority = hex::encode(Sha256::digest(cluster.uid.as_bytes()));
                    let stdout = format!("K10{authority}::server:{}\n", cluster.token);
                    Ended { exit: 0, stdout, stderr: String::new() }
                }
                None => ended(11, "/var/lib/rancher/k3s/server/token does not exist yet"),
            },
            ("regain.sh", "check") => regain(machine, job),
            ("regain.sh", "apply") => self.let_in(server, job),
            ("late.sh", "check") => output(&[("state", if machine.late { "as-specified" } else { "absent" })]),
            ("late.sh", "apply") => {
                if let Some(machine) = self.machines.get_mut(&server) {
                    machine.late = true;
                }
                output(&[("state", "as-specified")])
            }
            (script, verb) => ended(2, &format!("the sandbox does not model {script} {verb}")),
        }
    }
    fn let_in(&mut self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        let key = bare_key(input(job, "KEY"));
        if !key.starts_with("ssh-") {
            return ended(10, "regain.sh: this is no public key");
        }
        let Some(keys) = machine.access.users.get_mut(input(job, "DEPLOY_USER")) else {
            return ended(10, "regain.sh: there is no such user: correct cloud.user");
        };
        keys.insert(key);
        regain(machine, job)
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
            ("os", &machine.os),
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
                    return ended(10, "hostkey.sh: the node has no such prepared key");
                }
            },
            _ => return ended(2, "hostkey.sh: unknown verb"),
        }
        let next = machine.next_host_key.as_ref().map_or("", |k| k.public.as_str());
        output(&[("host_key", &machine.host_key.public), ("next_host_key", next)])
    }
    fn harden(&mut self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        let wanted = Hardened::of(&job.input);
        if wanted.user.is_empty() || wanted.keys.is_empty() {
            return ended(10, "harden.sh: without DEPLOY_USER and AUTHORIZED_KEYS nobody could log in any more");
        }
        if machine.access.hardened.as_ref() != Some(&wanted) {
            // Where an earlier change is not confirmed yet, what to go back to is still what was before that.
            let before = machine.access.clone();
            machine.armed.get_or_insert((before, 0));
            machine.access.users.insert(wanted.user.clone(), wanted.keys.clone());
            machine.access.root_login = false;
            machine.access.hardened = Some(wanted);
        }
        let state = harden_state(machine, &job.input);
        self.wind_up(server);
        state
    }
    fn confirm(&mut self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        if machine.access.hardened.as_ref() != Some(&Hardened::of(&job.input)) {
            return ended(1, "harden.sh: not as wanted, perhaps taken back already: run apply again");
        }
        machine.armed = None;
        harden_state(machine, &job.input)
    }
    fn set_peers(&mut self, server: i64, job: &Job) -> Ended {
        let wanted = wanted_peers(job);
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        if machine.access.hardened.is_none() {
            return ended(10, "peers.sh: ufw is off: run harden.sh first");
        }
        machine.peers.clone_from(&wanted);
        let state = peers_state(machine, &wanted);
        let named: Vec<Ipv4Addr> = wanted.into_iter().collect();
        self.look_for_strangers("node.peers.sh.apply", &named);
        state
    }
    pub(super) fn k3s_told(&self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get(&server) else { return ended(1, "no such machine") };
        let quorum = machine.k3s.cluster.as_ref().is_some_and(|uid| self.has_quorum(uid));
        k3s_state(machine, job, quorum)
    }
    fn k3s_install(&mut self, server: i64, job: &Job) -> Ended {
        let Some(machine) = self.machines.get(&server) else { return ended(1, "no such machine") };
        let wanted = match wanted_here(machine, job) {
            Ok(wanted) => wanted,
            Err(why) => return ended(10, &why),
        };
        let project = self.projects.get(machine.project);
        let shape = project.and_then(|p| p.servers.get(&server)).map_or("x86", |s| s.server_type.architecture.as_str());
        let architecture = if shape == "arm" { "arm64" } else { "amd64" };
        let binary = self.release_digest(&wanted.version, architecture);
        if binary != wanted.sha256 {
            return ended(10, "k3s.sh: what the URL gave is not the pinned binary; nothing was put in place");
        }
        let Some(machine) = self.machines.get_mut(&server) else { return ended(1, "no such machine") };
        let at_work = matches!(machine.k3s.phase, Phase::Running | Phase::Starting(_));
        let is = machine.k3s.installed.as_ref();
        if let Some((is, what)) = is.filter(|_| at_work).and_then(|is| Some((is, is.difference(&wanted)?))) {
            if machine.k3s.cluster.is_some() && !is.only_reread(&wanted) {
                let why = format!("k3s.sh: K3s is running here, and what differs is not changed under it: {what}");
                return ended(10, &why);
            }
            if machine.k3s.cluster.is_some() {
                let why = format!("k3s.sh: K3s is running here, and what differs takes a restart ('change'): {what}");
                return ended(12, &why);
            }
            // It only asks to join: nothing is lost with it.
            machine.k3s.stop();
        }
        machine.k3s.installed = Some(wanted);
        self.k3s_told(server, job)
    }
    /// SHA-256 of the K3s binary of this version, as the release's checksum file has it.
    pub fn release_digest(&self, version: &str, architecture: &str) -> String {
        let own = || hex::encode(Sha256::digest(format!("the sandbox's k3s {version} for {architecture}")));
        self.releases.get(&format!("{version}/{architecture}")).cloned().unwrap_or_else(own)
    }
    /// The checksum file of a K3s release, by its address at GitHub; `None` for any other address.
    /// Source: the files `sha256sum-amd64.txt` and `sha256sum-arm64.txt` of k3s' releases.
    pub fn release_file(&self, host: &str, path: &str) -> Option<String> {
        let rest = path.strip_prefix("/k3s-io/k3s/releases/download/").filter(|_| host == "github.com")?;
        let (version, file) = rest.split_once('/')?;
        let (architecture, name) = match file {
            "sha256sum-amd64.txt" => ("amd64", "k3s"),
            "sha256sum-arm64.txt" => ("arm64", "k3s-arm64"),
            _ => return None,
        };
        let digest = self.release_digest(&version.replace("%2B", "+").replace("%2b", "+"), architecture);
        Some(format!("{digest}  {name}\n"))
    }
    fn etcd(&self, server: i64) -> Ended {
        let cluster =
            self.machines.get(&server).and_then(|m| m.k3s.cluster.as_ref()).and_then(|c| self.clusters.get(c));
        let datastore = ("datastore", yes(cluster.is_some()));
        // A learner does not answer this question: "rpc not supported for learner" (etcd, server/etcdserver/api/v3rpc).
        let votes = |members: &BTreeMap<i64, Member>| members.get(&server).is_some_and(|m| !m.learner);
        let Some(cluster) = cluster.filter(|c| self.has_quorum(&c.uid) && votes(&c.members)) else {
            let why = ("why", "etcd does not answer");
            return output(&[("voters", "0"), ("learners", "0"), ("members", ""), datastore, why]);
        };
        let words = |learner| if learner { "learner" } else { "voter" };
        let mut members: Vec<String> =
            cluster.members.values().map(|m| format!("{}:{}", m.etcd_name, words(m.learner))).collect();
        members.sort_unstable();
        let voters = cluster.members.values().filter(|m| !m.learner).count();
        output(&[
            ("voters", &voters.to_string()),
            ("learners", &(members.len() - voters).to_string()),
            ("members", &members.join(",")),
            datastore,
        ])
    }
}

//! A run whose journal is lost, as the labels of what it made tell it: enough for a journal to go on with. Looks at the cloud
//! and changes nothing; whatever the labels do not tell, the steps look up again.

use super::event::Reconstructed;
use super::fold::fact_record;
use super::run::place;
use crate::actions::{FactKind, Facts, RunId, Scripts, UNKNOWN};
use crate::config::Settings;
use crate::playbook::Plan;
use crate::world::{
    label_value, lease_name, of_living, selector, Cloud, Labels, Lease, Result, Server, Thing, ThingKind, HOST_KEY,
    NODE, RUN, SPEC, STATE, STEP,
};
use std::collections::BTreeMap;

/// The kinds of things that a run makes beside its servers.
const KINDS: [ThingKind; 4] = [ThingKind::SshKey, ThingKind::Network, ThingKind::Firewall, ThingKind::PlacementGroup];

/// A live run, as what carries its labels tells it.
#[derive(Debug, Clone, Default)]
pub struct Lost {
    /// Its id.
    pub run: String,
    /// Its servers, those that a later run has fenced left out.
    pub servers: Vec<Server>,
    /// What it made beside servers.
    pub things: Vec<Thing>,
    /// Servers of earlier runs that it has fenced.
    pub fenced: Vec<Server>,
    /// Whether a later run has fenced servers of it: an earlier life of the cluster.
    pub over: bool,
    /// Whether it holds the cluster's lease: it is under way.
    pub holds: bool,
}

impl Lost {
    /// All live runs of the cluster of which anything is left, by id.
    ///
    /// # Errors
    /// Those of the cloud.
    pub async fn all(cloud: &dyn Cloud, cluster: &str) -> Result<Vec<Self>> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        let of = |labels: &Labels| labels.get(RUN).filter(|_| of_living(labels, cluster)).cloned();
        for server in cloud.servers(&selector(cluster, None)).await? {
            let fenced = server.labels.contains_key(STATE);
            if let Some(run) = of(&server.labels) {
                let own = all.entry(run).or_default();
                own.over |= fenced;
                own.servers.extend((!fenced).then(|| server.clone()));
            }
            // The name is no proof of whose it is, which the labels are, but the only trace of who has fenced it.
            if let Some((_, by)) = server.name.rsplit_once("-old-").filter(|_| fenced) {
                all.entry(by.to_owned()).or_default().fenced.push(server.clone());
            }
        }
        for kind in KINDS {
            let things = cloud.things(kind, &selector(cluster, None)).await?;
            if let Some(lease) = Lease::among(&things, cluster).filter(|lease| !lease.run.is_empty()) {
                all.entry(lease.run).or_default().holds = true;
            }
            for thing in things.into_iter().filter(|thing| thing.name != lease_name(cluster)) {
                if let Some(run) = of(&thing.labels) {
                    all.entry(run).or_default().things.push(thing);
                }
            }
        }
        Ok(all.into_iter().map(|(run, lost)| Self { run, ..lost }).collect())
    }

    /// The runs among these that may be the one that was lost: the one that holds the lease; else those whose servers stand, or
    /// that have fenced others'; else those that have not come so far.
    pub fn candidates(all: &[Self]) -> Vec<&Self> {
        if let Some(holder) = all.iter().find(|lost| lost.holds && lost.has_made()) {
            return vec![holder];
        }
        let living: Vec<&Self> = all.iter().filter(|lost| !lost.over && lost.has_made()).collect();
        let standing: Vec<&Self> =
            living.iter().copied().filter(|lost| !lost.servers.is_empty() || !lost.fenced.is_empty()).collect();
        if standing.is_empty() {
            living
        } else {
            standing
        }
    }

    /// Whether it has done anything by which it is known for a rebuild: others hold the lease too.
    pub fn has_made(&self) -> bool {
        !self.servers.is_empty() || !self.fenced.is_empty() || !self.things.is_empty()
    }

    /// What is left of it, a line each.
    pub fn lines(&self) -> Vec<String> {
        let server = |server: &Server| {
            let address = server.public_ip.map(|ip| format!(", {ip}")).unwrap_or_default();
            let key = match server.labels.contains_key(HOST_KEY) {
                true => "its host key is recorded",
                false => "its host key is not recorded",
            };
            let status = format!("{:?}", server.status).to_lowercase();
            format!("server {} (id {}){address}, {status}, {key}", server.name, server.id)
        };
        let thing =
            |thing: &Thing| format!("{} {} (id {})", thing.spec.kind().word().replace('_', " "), thing.name, thing.id);
        let fenced = |server: &Server| format!("fenced by it: server {} (id {})", server.name, server.id);
        let lines = self.servers.iter().map(server).chain(self.things.iter().map(thing));
        let holds = self.holds.then(|| "it holds the cluster's lease".to_owned());
        lines.chain(self.fenced.iter().map(fenced)).chain(holds).collect()
    }

    /// What the first record of its new journal says of it.
    pub fn reconstructed(&self, plan: &Plan, settings: &Settings, id: &RunId, scripts: &Scripts) -> Reconstructed {
        let mut facts = Facts::none();
        for node in &settings.nodes {
            facts = facts.of(FactKind::EarlierServer, &node.key, UNKNOWN);
        }
        for server in &self.servers {
            if let Some(node) = server.labels.get(NODE) {
                facts = facts.of(FactKind::ServerId, node, server.id);
            }
        }
        let made = self.servers.iter().map(|server| (server.name.as_str(), &server.labels));
        let made = made.chain(self.things.iter().map(|thing| (thing.name.as_str(), &thing.labels)));
        let differs = |(name, labels): (&str, &Labels)| differs(name, labels, plan, settings, id, scripts);
        Reconstructed { from: self.lines(), differs: made.filter_map(differs).collect(), facts: fact_record(&facts) }
    }
}

/// How what carries these labels was made in another way than the plan would make it now.
fn differs(
    name: &str,
    labels: &Labels,
    plan: &Plan,
    settings: &Settings,
    id: &RunId,
    scripts: &Scripts,
) -> Option<String> {
    let label = labels.get(STEP)?;
    let Some(step) = plan.steps.iter().find(|step| label_value(&step.id) == *label) else {
        return Some(format!("{name} was made by step {label}, which playbook {} does not have", plan.name));
    };
    let place = place(settings, id, scripts, step);
    let now = place.labels(&step.action.made_from(&place)?).remove(SPEC);
    (labels.get(SPEC) != now.as_ref())
        .then(|| format!("{name} was made from other settings than the present ones (step {})", step.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{ServerStatus, ThingSpec};

    fn server() -> Server {
        Server {
            id: 1,
            name: "c-node-1".to_owned(),
            status: ServerStatus::Running,
            server_type: String::new(),
            location: String::new(),
            public_ip: None,
            private_ips: Vec::new(),
            labels: Labels::new(),
            delete_protected: false,
            rebuild_protected: false,
            placement_group: None,
            firewalls: Vec::new(),
            created: None,
        }
    }
    fn key() -> Thing {
        Thing { id: 2, name: "c-run-a".to_owned(), labels: Labels::new(), spec: ThingSpec::SshKey(String::new()) }
    }
    fn chosen(all: &[Lost]) -> String {
        Lost::candidates(all).iter().map(|lost| lost.run.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_run_that_was_lost_is_the_holder_of_the_lease_else_the_one_whose_servers_stand() {
        let of = |run: &str| Lost { run: run.to_owned(), ..Lost::default() };
        let standing = |run: &str| Lost { servers: vec![server()], ..of(run) };
        let begun = |run: &str| Lost { things: vec![key()], ..of(run) };
        let fences = |run: &str| Lost { fenced: vec![server()], ..of(run) };
        let holds = |lost: Lost| Lost { holds: true, ..lost };
        assert_eq!(chosen(&[standing("a"), begun("b")]), "a");
        assert_eq!(chosen(&[standing("a"), holds(begun("b"))]), "b");
        // Whoever holds it and has made nothing may be a teardown.
        assert_eq!(chosen(&[standing("a"), holds(of("b"))]), "a");
        assert_eq!(chosen(&[holds(of("b"))]), "");
        // What a later run has begun to fence is an earlier life.
        let earlier = Lost { over: true, ..standing("a") };
        assert_eq!(chosen(&[earlier, fences("b")]), "b");
        assert_eq!(chosen(&[standing("a"), standing("b")]), "a b");
        assert_eq!(chosen(&[begun("a"), begun("b")]), "a b");
        assert_eq!(chosen(&[]), "");
    }
}

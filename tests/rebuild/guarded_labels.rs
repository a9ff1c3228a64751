//! What was made by hand is labelled where a person accepted it by its id, and nothing else is.

use crate::leave::given;
use crate::life::{settings, Life};
use crate::living::somebody;
use relight::actions::FactKind;
use relight::sandbox::model::{Filter, Model, RecordChange, Start, ThingState};
use relight::world::{Labels, Permit, Target, CLUSTER, MANAGED_BY};

/// Leave to take something over is leave to label it.
fn its_labels(permit: &Permit, target: &Target) {
    let Target::Adopted { kind, id } = *target else { panic!("{target}") };
    permit.covers_labels(kind, id).unwrap();
}

/// Whether a run may label a firewall or an address without labels: one that is on a server of this label set, where a person
/// accepted these things.
fn may_label(kind: &'static str, server: Labels, accepted: &str, on_another: bool) -> (bool, String) {
    let settings = settings();
    let mut model = Model::empty_world(&settings, &Start::default());
    let address = model.place_foreign("live", "by-hand", server).unwrap();
    model.place_foreign("live", "anothers", Labels::new()).unwrap();
    let record = RecordChange::address(&settings.dns.hosts[0], &address.to_string(), true, None);
    model.place_record(&settings.dns.zone, &record);
    let now = model.now();
    let all = model.servers(now, &somebody(), &Filter::labels("")).result.unwrap();
    let id_of = |name: &str| all.iter().find(|s| s.name == name).unwrap().id;
    let id = match kind {
        "firewall" => {
            let state = ThingState::Firewall { rules: Vec::new() };
            model.create_thing(now, &somebody(), "wall", &state, &Labels::new()).result.unwrap().id
        }
        _ => {
            let ips = model.primary_ips(now, &somebody(), &Filter::labels("")).result.unwrap();
            ips.iter().find(|ip| ip.address == address).unwrap().id
        }
    };
    let servers = if on_another { vec!["by-hand", "anothers"] } else { vec!["by-hand"] };
    for name in servers.into_iter().filter(|_| kind == "firewall") {
        assert!(model.apply_firewall(now, &somebody(), id, id_of(name), true).result.is_ok());
    }
    let accepted = accepted.replace("SERVER", &id_of("by-hand").to_string()).replace("ID", &id.to_string());
    model.advance(now + std::time::Duration::from_secs(60));
    let life = Life::around(model, settings);
    given(life, "take", &(FactKind::Adopted, accepted), &Target::Adopted { kind, id }, its_labels)
}

#[test]
fn an_address_or_firewall_is_taken_over_only_with_every_server_that_has_it() {
    let ours: Labels = [(MANAGED_BY, "relight"), (CLUSTER, "honeydue")].map(|(k, v)| (k.into(), v.into())).into();
    let theirs: Labels = [(MANAGED_BY, "relight"), (CLUSTER, "another")].map(|(k, v)| (k.into(), v.into())).into();
    for kind in ["firewall", "primary_ip"] {
        let both = format!("server SERVER, {kind} ID");
        for server in [Labels::new(), ours.clone()] {
            let (may, told) = may_label(kind, server, &both, false);
            assert!(may, "{kind}: {told}");
        }
        for (server, accepted) in
            [(Labels::new(), "server SERVER".to_owned()), (Labels::new(), format!("{kind} ID")), (theirs.clone(), both)]
        {
            let (may, told) = may_label(kind, server.clone(), &accepted, false);
            assert!(!may && told.contains("the guard stopped step take"), "{kind} {server:?} {accepted}: {told}");
        }
    }
    let (may, told) = may_label("firewall", Labels::new(), "server SERVER, firewall ID", true);
    assert!(!may && told.contains("firewall wall (id "), "it lets something into another's server too: {told}");
}

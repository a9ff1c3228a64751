//! What is another's is not adopted.

use super::{nobody, refused, stopped};
use crate::life::Life;
use relight::sandbox::model::{lock, Caller, Filter, RecordChange, Start};
use relight::world::{Labels, ThingKind};

/// Something of a cluster that was made by hand is given these labels.
fn labelled(life: &Life, kind: &str, labels: &Labels) {
    let mut model = lock(&life.sandbox.model);
    let (now, caller, all) = (model.now(), Caller::token(Start::default().cloud_token), Filter::labels(""));
    let done = match kind {
        "server" => {
            let servers = model.servers(now, &caller, &all).result.unwrap();
            let id = servers.iter().find(|s| s.name == "ubuntu-8gb-nbg1-2").unwrap().id;
            model.update_server(now, &caller, id, None, Some(labels)).result.is_ok()
        }
        "address" => {
            let id = *life.by_hand.iter().find(|id| model.primary_ip(now, &caller, **id).result.is_ok()).unwrap();
            model.update_primary_ip(now, &caller, id, None, Some(labels), None).result.is_ok()
        }
        _ => {
            let walls = model.things(now, &caller, ThingKind::Firewall, &all).result.unwrap();
            let id = walls.iter().find(|t| t.name == "firewall-1").unwrap().id;
            model.update_thing(now, &caller, ThingKind::Firewall, id, None, Some(labels)).result.is_ok()
        }
    };
    assert!(done, "{kind}");
}

#[test]
fn an_adoption_of_what_is_anothers_is_refused_whatever_is_typed() {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Labels>();
    let theirs = pairs(&[("managed-by", "relight"), ("relight-cluster", "theirs")]);
    let spare = pairs(&[("managed-by", "relight"), ("relight-cluster", "honeydue"), ("relight-mode", "rehearsal")]);
    let tools = pairs(&[("managed-by", "terraform")]);
    for kind in ["server", "address", "firewall"] {
        for labels in [&theirs, &spare, &tools] {
            let life = Life::hand_made();
            labelled(&life, kind, labels);
            refused(&life, &["is another's (managed-by=", kind]);
        }
    }
    // A name is no proof, and an address that the names point at may be anybody's.
    let life = Life::hand_made();
    lock(&life.sandbox.model).place_foreign("live", "honeydue-node-1", Labels::new()).unwrap();
    refused(&life, &["server honeydue-node-1 (id ", "none of its records points at it", "renamed"]);
    let life = Life::hand_made();
    let record = RecordChange::address(&life.settings.dns.hosts[1], "192.0.2.77", true, None);
    lock(&life.sandbox.model).place_record(&life.settings.dns.zone, &record);
    refused(&life, &["192.0.2.77, which no server of this project has", "HCLOUD_TOKEN"]);
    let life = Life::hand_made();
    lock(&life.sandbox.model).place_foreign("live", "mine-too", Labels::new()).unwrap();
    let start = Start::default();
    let other = life.sandbox.with_tokens(&format!("{}-rehearsal", start.cloud_token), &start.dns_token);
    refused(&Life { sandbox: other, ..life }, &["which no server of this project has", "HCLOUD_TOKEN"]);
    stopped(&Life::hand_made(), nobody(), "needs_person", &["--confirm honeydue", "server ubuntu-8gb-nbg1-1"]);
}

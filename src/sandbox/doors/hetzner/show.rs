//! Servers, actions and things in the API's words.

use super::show_offer;
use super::Shape;
use crate::sandbox::model::{status_word, CloudAction, CloudServer, CloudThing, Model, PrimaryIp, ThingState};
use crate::world::{rfc3339, FirewallRule, ServerStatus};
use serde_json::{json, Map, Value};

/// 20 TiB, in bytes: what a server's price includes.
const INCLUDED_TRAFFIC: u64 = 20 << 40;

/// An action.
pub(super) fn action(action: &CloudAction) -> Value {
    let resources: Vec<Value> = action.resources.iter().map(|(kind, id)| json!({ "type": kind, "id": id })).collect();
    let error = action.error.as_ref().filter(|_| action.finished.is_some());
    json!({
        "id": action.id, "command": action.command, "status": action.status.word(), "progress": action.progress,
        "started": rfc3339(action.started), "finished": action.finished.map(rfc3339), "resources": resources,
        "error": error.map(|(code, message)| json!({ "code": code, "message": message })),
    })
}

/// A server, with everything it refers to written out as the API does.
pub(super) fn server(model: &Model, shape: Shape, server: &CloudServer) -> Value {
    let group = server.placement_group.and_then(|id| model.glimpse(id)).map(|group| thing(&group));
    let resting = matches!(server.status, ServerStatus::Running | ServerStatus::Off);
    let mut shown = object(json!({
        "id": server.id, "name": server.name, "status": status_word(server.status), "created": rfc3339(server.created),
        "public_net": public_net(server), "private_net": private_net(server), "labels": server.labels, "locked": !resting,
        "server_type": show_offer::server_type(&model.offer, shape, &server.server_type),
        "location": show_offer::location(&server.location), "image": show_offer::image(shape, &server.image),
        "iso": null, "rescue_enabled": false, "backup_window": null, "volumes": [], "load_balancers": [],
        "outgoing_traffic": 0, "ingoing_traffic": 0, "included_traffic": INCLUDED_TRAFFIC,
        "protection": { "delete": server.delete_protected, "rebuild": server.rebuild_protected },
        "primary_disk_size": server.server_type.disk, "placement_group": group,
    }));
    if shape == Shape::December2025 {
        shown.insert("datacenter".to_owned(), show_offer::datacenter(&server.location));
    }
    Value::Object(shown)
}

fn public_net(server: &CloudServer) -> Value {
    let ipv4 = server.public.as_ref().map(|public| {
        let name = format!("static.{}.clients.your-server.de", public.address);
        json!({ "id": public.primary_ip, "ip": public.address, "blocked": false, "dns_ptr": name })
    });
    let firewalls: Vec<Value> = server.firewalls.iter().map(|id| json!({ "id": id, "status": "applied" })).collect();
    json!({ "ipv4": ipv4, "ipv6": null, "floating_ips": [], "firewalls": firewalls })
}

fn private_net(server: &CloudServer) -> Vec<Value> {
    let shown = server.private.iter().map(|private| {
        json!({ "network": private.network, "ip": private.address, "alias_ips": [], "mac_address": private.mac })
    });
    shown.collect()
}

/// An SSH key, network, firewall or placement group.
pub(super) fn thing(thing: &CloudThing) -> Value {
    let own = match &thing.state {
        ThingState::SshKey { public_key, fingerprint } => {
            json!({ "public_key": public_key, "fingerprint": fingerprint })
        }
        ThingState::Network { range, subnets } => {
            let subnets: Vec<Value> = subnets
                .iter()
                .map(|subnet| {
                    json!({
                        "type": "cloud", "ip_range": subnet.range, "network_zone": subnet.zone, "gateway": subnet.gateway,
                        "vswitch_id": null,
                    })
                })
                .collect();
            json!({
                "ip_range": range, "subnets": subnets, "routes": [], "servers": thing.servers, "load_balancers": [],
                "protection": { "delete": false }, "expose_routes_to_vswitch": false,
            })
        }
        ThingState::Firewall { rules } => {
            let on = |id: &i64| json!({ "type": "server", "server": { "id": id } });
            let on_servers: Vec<Value> = thing.servers.iter().map(on).collect();
            let applied = match &thing.selector {
                None => on_servers,
                Some(selector) => vec![json!({
                    "type": "label_selector", "label_selector": { "selector": selector },
                    "applied_to_resources": on_servers,
                })],
            };
            json!({ "rules": rules.iter().map(rule).collect::<Vec<_>>(), "applied_to": applied })
        }
        ThingState::PlacementGroup => json!({ "type": "spread", "servers": thing.servers }),
    };
    let mut shown = object(own);
    shown.insert("id".to_owned(), thing.id.into());
    shown.insert("name".to_owned(), thing.name.clone().into());
    shown.insert("labels".to_owned(), json!(thing.labels));
    shown.insert("created".to_owned(), rfc3339(thing.created).into());
    Value::Object(shown)
}

fn rule(rule: &FirewallRule) -> Value {
    let (none, some) = (json!([]), json!(rule.addresses));
    let (sources, destinations) = if rule.direction == "out" { (none, some) } else { (some, none) };
    json!({
        "direction": rule.direction, "protocol": rule.protocol, "port": rule.port, "source_ips": sources,
        "destination_ips": destinations, "description": rule.description,
    })
}

/// A primary IP. In the older form a free one says `server` all the same.
pub(super) fn primary_ip(model: &Model, shape: Shape, ip: &PrimaryIp) -> Value {
    let place = model.offer.locations.get(&ip.location);
    let free = ip.server.is_none() && shape == Shape::Late2026;
    let mut shown = object(json!({
        "id": ip.id, "name": ip.name, "type": "ipv4", "ip": ip.address, "labels": ip.labels,
        "created": rfc3339(ip.created), "blocked": false, "protection": { "delete": false }, "dns_ptr": [],
        "auto_delete": ip.auto_delete, "assignee_type": if free { "unassigned" } else { "server" }, "assignee_id": ip.server,
        "location": place.map(show_offer::location),
    }));
    if let (Shape::December2025, Some(place)) = (shape, place) {
        shown.insert("datacenter".to_owned(), show_offer::datacenter(place));
    }
    Value::Object(shown)
}

/// The members of what is an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

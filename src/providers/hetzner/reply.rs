//! The few fields of Hetzner's replies that relight needs, read so that nothing else in them can make a call fail.
//!
//! Only what a call cannot do without is required (an id, a name); `null` and absence mean the same; an unknown word of an
//! enumeration is kept as "other". Both shapes of a location are read: `location`, and `datacenter.location` as it was until
//! July 2026.

use crate::world::{
    self, FirewallRule, Labels, Server, ServerStatus, ServerType, Thing, ThingKind, ThingSpec, TypeInLocation,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::net::Ipv4Addr;

pub(super) fn lenient<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize, Default)]
struct Named {
    name: String,
}

#[derive(Deserialize, Default)]
struct Datacenter {
    #[serde(default, deserialize_with = "lenient")]
    location: Option<Named>,
}

#[derive(Deserialize, Default)]
struct PublicNet {
    ipv4: Option<PublicIp>,
    #[serde(default, deserialize_with = "lenient")]
    firewalls: Vec<Identified>,
}

#[derive(Deserialize)]
struct PublicIp {
    ip: Option<String>,
}

#[derive(Deserialize)]
struct PrivateNet {
    network: i64,
    ip: Option<String>,
}

#[derive(Deserialize, Default)]
struct Protection {
    #[serde(default)]
    delete: bool,
    #[serde(default)]
    rebuild: bool,
}

#[derive(Deserialize)]
struct Identified {
    id: i64,
}

/// A server as the API tells it.
#[derive(Deserialize)]
pub(super) struct ServerReply {
    id: i64,
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    server_type: Named,
    location: Option<Named>,
    datacenter: Option<Datacenter>,
    #[serde(default, deserialize_with = "lenient")]
    public_net: PublicNet,
    #[serde(default, deserialize_with = "lenient")]
    private_net: Vec<PrivateNet>,
    #[serde(default, deserialize_with = "lenient")]
    labels: Labels,
    #[serde(default, deserialize_with = "lenient")]
    protection: Protection,
    placement_group: Option<Identified>,
    #[serde(default, deserialize_with = "lenient")]
    created: String,
}

impl From<ServerReply> for Server {
    fn from(reply: ServerReply) -> Self {
        let status = match reply.status.as_str() {
            "running" => ServerStatus::Running,
            "initializing" => ServerStatus::Initializing,
            "starting" => ServerStatus::Starting,
            "stopping" => ServerStatus::Stopping,
            "off" => ServerStatus::Off,
            "deleting" => ServerStatus::Deleting,
            _ => ServerStatus::Other,
        };
        let address = |text: Option<String>| text?.parse::<Ipv4Addr>().ok();
        let location = reply.location.or_else(|| reply.datacenter?.location).unwrap_or_default().name;
        let private = reply.private_net.into_iter().filter_map(|net| Some((net.network, address(net.ip)?)));
        let firewalls = reply.public_net.firewalls.iter().map(|firewall| firewall.id).collect();
        Self {
            id: reply.id,
            name: reply.name,
            status,
            server_type: reply.server_type.name,
            location,
            public_ip: reply.public_net.ipv4.and_then(|ipv4| address(ipv4.ip)),
            private_ips: private.collect(),
            labels: reply.labels,
            delete_protected: reply.protection.delete,
            rebuild_protected: reply.protection.rebuild,
            placement_group: reply.placement_group.map(|group| group.id),
            firewalls,
            created: world::from_rfc3339(&reply.created),
        }
    }
}

#[derive(Deserialize)]
struct RuleReply {
    #[serde(default, deserialize_with = "lenient")]
    direction: String,
    #[serde(default, deserialize_with = "lenient")]
    protocol: String,
    port: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    source_ips: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    destination_ips: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    description: String,
}

impl From<RuleReply> for FirewallRule {
    fn from(reply: RuleReply) -> Self {
        let mut addresses = if reply.direction == "out" { reply.destination_ips } else { reply.source_ips };
        addresses.sort();
        let (direction, protocol, port) = (reply.direction, reply.protocol, reply.port);
        Self { direction, protocol, port, addresses, description: reply.description }
    }
}

#[derive(Deserialize)]
struct SubnetReply {
    #[serde(default, deserialize_with = "lenient")]
    network_zone: String,
}

/// An SSH key, network, firewall or placement group as the API tells it.
#[derive(Deserialize)]
pub(super) struct ThingReply {
    id: i64,
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    labels: Labels,
    #[serde(default, deserialize_with = "lenient")]
    public_key: String,
    #[serde(default, deserialize_with = "lenient")]
    ip_range: String,
    #[serde(default, deserialize_with = "lenient")]
    subnets: Vec<SubnetReply>,
    #[serde(default, deserialize_with = "lenient")]
    rules: Vec<RuleReply>,
}

impl ThingReply {
    /// As a thing of the kind that was asked for.
    pub(super) fn into_thing(self, kind: ThingKind) -> Thing {
        let spec = match kind {
            // Type and key without the comment, which says nothing about whose key it is.
            ThingKind::SshKey => {
                ThingSpec::SshKey(self.public_key.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
            }
            ThingKind::Network => {
                let zone = self.subnets.into_iter().next().map(|subnet| subnet.network_zone).unwrap_or_default();
                ThingSpec::Network { range: self.ip_range, zone }
            }
            ThingKind::Firewall => ThingSpec::Firewall(self.rules.into_iter().map(FirewallRule::from).collect()),
            ThingKind::PlacementGroup => ThingSpec::PlacementGroup,
        };
        Thing { id: self.id, name: self.name, labels: self.labels, spec }
    }
}

#[derive(Deserialize)]
struct PriceReply {
    location: String,
    price_hourly: Option<Amount>,
    price_monthly: Option<Amount>,
}

#[derive(Deserialize)]
struct Amount {
    #[serde(default)]
    net: Value,
}

/// Prices are decimal texts; a number is read as well.
pub(super) fn decimal(amount: &Value) -> f64 {
    match amount {
        Value::String(text) => text.parse().unwrap_or(f64::NAN),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

fn euro(amount: Option<Amount>) -> f64 {
    amount.map_or(f64::NAN, |amount| decimal(&amount.net))
}

#[derive(Deserialize)]
struct PlaceReply {
    name: String,
    available: Option<bool>,
    deprecation: Option<Deprecation>,
}

#[derive(Deserialize)]
struct Deprecation {
    unavailable_after: Option<String>,
}

/// A server type as the API tells it.
#[derive(Deserialize)]
pub(super) struct TypeReply {
    pub(super) name: String,
    #[serde(default, deserialize_with = "lenient")]
    architecture: String,
    #[serde(default, deserialize_with = "lenient")]
    locations: Vec<PlaceReply>,
    #[serde(default, deserialize_with = "lenient")]
    prices: Vec<PriceReply>,
}

impl From<TypeReply> for ServerType {
    /// It can be ordered where it has a price. Where nothing is said about stock, it is taken to be there: a create tells.
    fn from(reply: TypeReply) -> Self {
        let TypeReply { name, architecture, locations: places, prices } = reply;
        let locations = prices.into_iter().map(|price| {
            let place = places.iter().find(|place| place.name == price.location);
            TypeInLocation {
                available: place.map_or(places.is_empty(), |place| place.available.unwrap_or(true)),
                unavailable_after: place.and_then(|place| place.deprecation.as_ref()?.unavailable_after.clone()),
                location: price.location,
                hourly: euro(price.price_hourly),
                monthly: euro(price.price_monthly),
            }
        });
        Self { name, architecture, locations: locations.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn server(reply: Value) -> Server {
        serde_json::from_value::<ServerReply>(reply).unwrap().into()
    }

    #[test]
    fn a_server_is_read_in_both_shapes_and_with_words_not_known_yet() {
        let old = server(
            json!({"id": 7, "name": "a", "status": "running", "datacenter": {"location": {"name": "nbg1"}},
            "server_type": {"name": "cx33", "deprecated": null}, "public_net": {"ipv4": {"ip": "192.0.2.7"}},
            "private_net": [{"network": 3, "ip": "10.0.0.2"}], "placement_group": {"id": 9}, "labels": {"a": "b"},
            "protection": {"delete": true, "rebuild": true}, "image": {"os_flavor": "new"}, "primary_disk_size": 80.0}),
        );
        assert_eq!((old.location.as_str(), old.public_ip), ("nbg1", Some(Ipv4Addr::new(192, 0, 2, 7))));
        assert_eq!(old.private_ips, [(3, Ipv4Addr::new(10, 0, 0, 2))]);
        assert!(old.delete_protected && old.placement_group == Some(9));
        let bare = server(
            json!({"id": 7, "name": "a", "status": "pondering", "location": {"name": "hel1"}, "labels": null,
            "public_net": {"ipv4": null}, "private_net": null, "placement_group": null, "server_type": {"name": "cx33"}}),
        );
        assert_eq!((bare.status, bare.location.as_str(), bare.public_ip), (ServerStatus::Other, "hel1", None));
    }

    #[test]
    fn stock_and_price_are_read_by_location() {
        let price = |place: &str| json!({"location": place, "price_hourly": {"net": "0.0104"}, "price_monthly": {"net": "6.49"}});
        let reply = json!({"id": 1, "name": "cx33", "architecture": "x86", "prices": [price("fsn1"), price("nbg1")],
            "locations": [{"id": 1, "name": "fsn1", "available": false, "deprecation": null},
                {"id": 2, "name": "nbg1", "deprecation": {"announced": "x", "unavailable_after": "2027-01-01T00:00:00Z"}}]});
        let kind: ServerType = serde_json::from_value::<TypeReply>(reply).unwrap().into();
        assert!(!kind.locations[0].available && kind.locations[1].available);
        assert!((kind.locations[0].monthly - 6.49).abs() < 1e-9);
        assert_eq!(kind.locations[1].unavailable_after.as_deref(), Some("2027-01-01T00:00:00Z"));
    }

    #[test]
    fn a_keys_comment_says_nothing() {
        let reply: ThingReply =
            serde_json::from_value(json!({"id": 1, "name": "k", "public_key": "ssh-ed25519 AAAA me@here"})).unwrap();
        assert_eq!(reply.into_thing(ThingKind::SshKey).spec, ThingSpec::SshKey("ssh-ed25519 AAAA".into()));
    }
}

//! Primary IPs as the API tells them.

use super::reply::lenient;
use crate::world::{self, Labels, PrimaryIp};
use serde::Deserialize;
use serde_json::Value;

/// A primary IP. Source: Hetzner Cloud API, GET /primary_ips, and its changelog: since August 2026 one that is free says
/// `unassigned` of its `assignee_type`, before it said `server` with no id; `datacenter` is gone since July 2026.
#[derive(Deserialize)]
pub(super) struct PrimaryIpReply {
    id: i64,
    #[serde(default, deserialize_with = "lenient")]
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    ip: String,
    #[serde(default, deserialize_with = "lenient")]
    labels: Labels,
    #[serde(default)]
    location: Value,
    #[serde(default)]
    datacenter: Value,
    #[serde(default, deserialize_with = "lenient")]
    assignee_type: String,
    assignee_id: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    auto_delete: bool,
    #[serde(default, deserialize_with = "lenient")]
    created: String,
}

impl PrimaryIpReply {
    /// Nothing where it is no IPv4 address: an IPv6 one is a network, `2001:db8::/64`.
    pub(super) fn ipv4(self) -> Option<PrimaryIp> {
        let place = self.location.get("name").or_else(|| self.datacenter.pointer("/location/name"));
        Some(PrimaryIp {
            id: self.id,
            name: self.name,
            address: self.ip.parse().ok()?,
            labels: self.labels,
            location: place.and_then(Value::as_str).unwrap_or_default().to_owned(),
            assignee: self.assignee_id.filter(|_| self.assignee_type != "unassigned"),
            auto_delete: self.auto_delete,
            created: world::from_rfc3339(&self.created),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::Ipv4Addr;

    fn read(reply: Value) -> Option<PrimaryIp> {
        serde_json::from_value::<PrimaryIpReply>(reply).unwrap().ipv4()
    }

    #[test]
    fn a_primary_ip_is_read_in_both_shapes_and_an_ipv6_one_is_left_out() {
        let old = read(json!({"id": 7, "name": "a", "type": "ipv4", "ip": "192.0.2.7", "labels": {"a": "b"},
            "datacenter": {"name": "nbg1-dc3", "location": {"name": "nbg1"}}, "assignee_type": "server", "assignee_id": 5,
            "auto_delete": true, "created": "2026-12-01T08:00:00Z"}))
        .unwrap();
        assert_eq!((old.location.as_str(), old.address), ("nbg1", Ipv4Addr::new(192, 0, 2, 7)));
        assert_eq!((old.assignee, old.auto_delete), (Some(5), true));
        assert_eq!(old.created.map(|at| at.as_secs()), Some(1_796_112_000));
        let free = read(json!({"id": 8, "name": "b", "ip": "192.0.2.8", "labels": null, "location": {"name": "hel1"},
            "assignee_type": "unassigned", "assignee_id": null}))
        .unwrap();
        assert_eq!((free.location.as_str(), free.assignee, free.auto_delete), ("hel1", None, false));
        assert_eq!(free.created, None);
        assert_eq!(read(json!({"id": 9, "ip": "192.0.2.9", "assignee_type": null})).unwrap().location, "");
        assert_eq!(read(json!({"id": 10, "name": "c", "type": "ipv6", "ip": "2001:db8::/64", "assignee_id": 5})), None);
    }
}

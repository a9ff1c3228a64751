//! Bodies of requests, read into the model's words.

use crate::sandbox::model::{ApiError, ServerOrder, Subnet, ThingState};
use crate::world::{FirewallRule, Labels, ThingKind};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::Value;
use std::net::Ipv4Addr;

/// A body as JSON; an empty one is an empty object. 400 `json_error` where it is no JSON, 422 where a field is missing or of
/// another type.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let value: Value = serde_json::from_slice(body)
        .map_err(|e| ApiError::new(400, "json_error", format!("the request body is no valid JSON: {e}")))?;
    serde_json::from_value(value).map_err(|e| {
        let text = e.to_string();
        let field = text.split('`').nth(1).unwrap_or("body").to_owned();
        ApiError::invalid(&field, &text)
    })
}

/// A name or an id.
#[derive(Deserialize)]
#[serde(untagged)]
enum NameOrId {
    Name(String),
    Id(i64),
}

impl NameOrId {
    fn text(self) -> String {
        match self {
            Self::Name(name) => name,
            Self::Id(id) => id.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct OnFirewall {
    firewall: i64,
}

#[derive(Deserialize)]
struct PublicNet {
    enable_ipv4: Option<bool>,
    ipv4: Option<i64>,
}

/// `POST /servers`.
#[derive(Deserialize)]
pub(super) struct ServerBody {
    name: String,
    server_type: NameOrId,
    image: NameOrId,
    location: Option<NameOrId>,
    ssh_keys: Option<Vec<NameOrId>>,
    user_data: Option<String>,
    labels: Option<Labels>,
    networks: Option<Vec<i64>>,
    firewalls: Option<Vec<OnFirewall>>,
    placement_group: Option<i64>,
    public_net: Option<PublicNet>,
    start_after_create: Option<bool>,
}

impl From<ServerBody> for ServerOrder {
    fn from(body: ServerBody) -> Self {
        let (enabled, primary_ip) = body.public_net.map(|net| (net.enable_ipv4, net.ipv4)).unwrap_or_default();
        Self {
            name: body.name,
            server_type: body.server_type.text(),
            image: body.image.text(),
            location: body.location.map(NameOrId::text).unwrap_or_default(),
            ssh_keys: body.ssh_keys.unwrap_or_default().into_iter().map(NameOrId::text).collect(),
            user_data: body.user_data.unwrap_or_default(),
            labels: body.labels.unwrap_or_default(),
            networks: body.networks.unwrap_or_default(),
            firewalls: body.firewalls.unwrap_or_default().into_iter().map(|f| f.firewall).collect(),
            placement_group: body.placement_group,
            public_ipv4: enabled.unwrap_or(true),
            primary_ip,
            start: body.start_after_create.unwrap_or(true),
        }
    }
}

/// `PUT` of anything with a name and labels.
#[derive(Deserialize)]
pub(super) struct ChangeBody {
    pub(super) name: Option<String>,
    pub(super) labels: Option<Labels>,
}

/// `PUT` of a primary IP.
#[derive(Deserialize)]
pub(super) struct AddressBody {
    pub(super) name: Option<String>,
    pub(super) labels: Option<Labels>,
    pub(super) auto_delete: Option<bool>,
}

/// `POST /servers/{id}/actions/rebuild`.
#[derive(Deserialize)]
pub(super) struct RebuildBody {
    image: NameOrId,
    pub(super) user_data: Option<String>,
}

impl RebuildBody {
    /// The image's name or id.
    pub(super) fn image(self) -> String {
        self.image.text()
    }
}

/// `POST /servers/{id}/actions/change_protection`.
#[derive(Deserialize)]
pub(super) struct ProtectionBody {
    delete: Option<bool>,
    rebuild: Option<bool>,
}

impl ProtectionBody {
    /// On or off: of a server the API takes both the same only. Source: Hetzner Cloud API, "Change Server Protection".
    pub(super) fn on(&self) -> Result<bool, ApiError> {
        match (self.delete, self.rebuild) {
            (Some(delete), Some(rebuild)) if delete == rebuild => Ok(delete),
            _ => Err(ApiError::invalid("delete", "delete and rebuild must be the same")),
        }
    }
}

/// `POST /servers/{id}/actions/attach_to_network` and `detach_from_network`.
#[derive(Deserialize)]
pub(super) struct NetworkBody {
    pub(super) network: i64,
    pub(super) ip: Option<Ipv4Addr>,
}

/// A subnet of a network, or `POST /networks/{id}/actions/add_subnet`.
#[derive(Deserialize)]
pub(super) struct SubnetBody {
    network_zone: String,
    ip_range: Option<String>,
}

impl SubnetBody {
    /// The subnet to add; which range it gets is for the caller to say, not for the sandbox to guess.
    pub(super) fn subnet(self) -> Result<Subnet, ApiError> {
        let range = self.ip_range.ok_or_else(|| ApiError::invalid("ip_range", "is required by this sandbox"))?;
        Ok(Subnet { range, zone: self.network_zone, gateway: String::new() })
    }
}

#[derive(Deserialize)]
struct RuleBody {
    direction: String,
    protocol: String,
    port: Option<String>,
    source_ips: Option<Vec<String>>,
    destination_ips: Option<Vec<String>>,
    description: Option<String>,
}

impl RuleBody {
    fn rule(self) -> Result<FirewallRule, ApiError> {
        let addresses = match self.direction.as_str() {
            "in" => self.source_ips,
            "out" => self.destination_ips,
            _ => return Err(ApiError::invalid("direction", "must be in or out")),
        };
        if !["tcp", "udp", "icmp", "esp", "gre"].contains(&self.protocol.as_str()) {
            return Err(ApiError::invalid("protocol", "must be tcp, udp, icmp, esp or gre"));
        }
        if self.port.is_none() && ["tcp", "udp"].contains(&self.protocol.as_str()) {
            return Err(ApiError::invalid("port", "is required for tcp and udp"));
        }
        let mut addresses = addresses.unwrap_or_default();
        if addresses.is_empty() {
            return Err(ApiError::invalid("source_ips", "at least one address is required"));
        }
        addresses.sort();
        let (direction, protocol, port) = (self.direction, self.protocol, self.port);
        Ok(FirewallRule { direction, protocol, port, addresses, description: self.description.unwrap_or_default() })
    }
}

/// `POST /firewalls/{id}/actions/set_rules`.
#[derive(Deserialize)]
pub(super) struct RulesBody {
    rules: Vec<RuleBody>,
}

impl RulesBody {
    pub(super) fn rules(self) -> Result<Vec<FirewallRule>, ApiError> {
        self.rules.into_iter().map(RuleBody::rule).collect()
    }
}

#[derive(Deserialize)]
struct Identified {
    id: i64,
}

/// What a firewall is applied to.
#[derive(Deserialize)]
pub(super) struct ResourceBody {
    server: Option<Identified>,
    label_selector: Option<SelectorBody>,
}

#[derive(Deserialize)]
struct SelectorBody {
    selector: String,
}

/// What a firewall is put onto or taken off.
pub(super) enum Resource {
    Server(i64),
    Selected(String),
}

/// `POST /firewalls/{id}/actions/apply_to_resources` and `remove_from_resources`.
#[derive(Deserialize)]
pub(super) struct ResourcesBody {
    #[serde(alias = "remove_from")]
    apply_to: Vec<ResourceBody>,
}

impl ResourcesBody {
    /// The one server or label selector: several at once relight never asks for.
    pub(super) fn resource(self) -> Result<Resource, ApiError> {
        match self.apply_to.as_slice() {
            [ResourceBody { server: Some(server), label_selector: None }] => Ok(Resource::Server(server.id)),
            [ResourceBody { server: None, label_selector: Some(by) }] => Ok(Resource::Selected(by.selector.clone())),
            _ => Err(ApiError::new(422, "unsupported_error", "this sandbox applies firewalls to one resource a call")),
        }
    }
}

/// A `POST` that creates an SSH key, network, firewall or placement group.
#[derive(Deserialize)]
pub(super) struct ThingBody {
    pub(super) name: String,
    pub(super) labels: Option<Labels>,
    public_key: Option<String>,
    ip_range: Option<String>,
    subnets: Option<Vec<SubnetBody>>,
    rules: Option<Vec<RuleBody>>,
    r#type: Option<String>,
}

impl ThingBody {
    /// What is to be made.
    pub(super) fn state(&mut self, kind: ThingKind) -> Result<ThingState, ApiError> {
        let required =
            |value: Option<String>, field: &str| value.ok_or_else(|| ApiError::invalid(field, "is required"));
        match kind {
            ThingKind::SshKey => {
                let public_key = required(self.public_key.take(), "public_key")?;
                Ok(ThingState::SshKey { public_key, fingerprint: String::new() })
            }
            ThingKind::Network => {
                let range = required(self.ip_range.take(), "ip_range")?;
                let subnets = self.subnets.take().unwrap_or_default().into_iter().map(|subnet| Subnet {
                    range: subnet.ip_range.unwrap_or_else(|| range.clone()),
                    zone: subnet.network_zone,
                    gateway: String::new(),
                });
                Ok(ThingState::Network { subnets: subnets.collect(), range: range.clone() })
            }
            ThingKind::Firewall => {
                let rules = self.rules.take().unwrap_or_default();
                Ok(ThingState::Firewall { rules: RulesBody { rules }.rules()? })
            }
            ThingKind::PlacementGroup if self.r#type.as_deref() == Some("spread") => Ok(ThingState::PlacementGroup),
            ThingKind::PlacementGroup => Err(ApiError::invalid("type", "must be spread")),
        }
    }
}

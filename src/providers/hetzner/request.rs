//! What relight wants, in the `hcloud` crate's request models.

use crate::world::{Error, FirewallRule, Labels, Result, ServerSpec, ThingSpec};
use hcloud::models;
use serde_json::Value;
use std::collections::HashMap;

fn map(labels: &Labels) -> HashMap<String, String> {
    labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// The body that creates a server: everything in the one call, so that it is never open or unlabelled.
pub(super) fn server(spec: &ServerSpec) -> Result<models::CreateServerRequest> {
    let too_great = |id: i64| Error::fatal(format!("the id {id} of a primary IP is too great for hcloud's request"));
    let number = |id: i64| i32::try_from(id).map_err(|_| too_great(id).remedy("this is a bug in relight"));
    let address = spec.address.map(number).transpose()?;
    let kept = |id: i32| {
        Box::new(models::CreateServerRequestPublicNet {
            ipv4: Some(Some(id)),
            ..models::CreateServerRequestPublicNet::new()
        })
    };
    let firewalls = spec.firewalls.iter().map(|id| models::CreateServerRequestFirewalls { firewall: *id }).collect();
    Ok(models::CreateServerRequest {
        labels: Some(map(&spec.labels)),
        public_net: address.map(kept),
        location: Some(spec.location.clone()),
        ssh_keys: unless_empty(spec.ssh_keys.iter().map(i64::to_string).collect()),
        networks: unless_empty(spec.networks.clone()),
        firewalls: unless_empty(firewalls),
        placement_group: spec.placement_group,
        start_after_create: Some(true),
        user_data: Some(spec.user_data.clone()).filter(|text| !text.is_empty()),
        ..models::CreateServerRequest::new(spec.image.clone(), spec.name.clone(), spec.server_type.clone())
    })
}

/// The body that gives a server another name and exactly these labels.
pub(super) fn rename(name: &str, labels: &Labels) -> models::ReplaceServerRequest {
    models::ReplaceServerRequest { labels: Some(map(labels)), name: Some(name.to_owned()) }
}

/// The body that gives a firewall exactly these labels.
pub(super) fn label_firewall(labels: &Labels) -> models::ReplaceFirewallRequest {
    models::ReplaceFirewallRequest { labels: Some(map(labels)), name: None }
}

/// The body that gives a primary IP exactly these labels.
pub(super) fn label_primary_ip(labels: &Labels) -> models::ReplacePrimaryIpRequest {
    models::ReplacePrimaryIpRequest { labels: Some(map(labels)), ..models::ReplacePrimaryIpRequest::new() }
}

/// The same with another name, for one that stays when its server goes.
pub(super) fn keep_primary_ip(name: &str, labels: &Labels) -> models::ReplacePrimaryIpRequest {
    models::ReplacePrimaryIpRequest {
        auto_delete: Some(false),
        name: Some(name.to_owned()),
        ..label_primary_ip(labels)
    }
}

/// The body that creates a thing.
pub(super) fn thing(name: &str, spec: &ThingSpec, labels: &Labels) -> Result<Value> {
    let (name, labels) = (name.to_owned(), Some(map(labels)));
    let body = match spec {
        ThingSpec::SshKey(public_key) => {
            let public_key = public_key.clone();
            serde_json::to_value(models::CreateSshKeyRequest { labels, name, public_key })
        }
        ThingSpec::Network { range, zone } => {
            let subnet = models::Subnet {
                ip_range: Some(range.clone()),
                ..models::Subnet::new(zone.clone(), models::subnet::Type::Cloud)
            };
            let request = models::CreateNetworkRequest {
                labels,
                subnets: Some(vec![subnet]),
                ..models::CreateNetworkRequest::new(range.clone(), name)
            };
            serde_json::to_value(request)
        }
        ThingSpec::Firewall(list) => {
            let rules = Some(rules(list)?.rules);
            serde_json::to_value(models::CreateFirewallRequest { apply_to: None, labels, name, rules })
        }
        ThingSpec::PlacementGroup => {
            let r#type = models::create_placementgroup_request::Type::Spread;
            serde_json::to_value(models::CreatePlacementgroupRequest { labels, name, r#type })
        }
    };
    body.map_err(|e| Error::fatal(format!("the request cannot be written: {e}")).remedy("this is a bug in relight"))
}

/// The body that replaces a firewall's rules. Errors are `Fatal`: a direction or protocol that the cloud does not have.
pub(super) fn rules(list: &[FirewallRule]) -> Result<models::SetRulesRequest> {
    let rules = list.iter().map(rule).collect::<Result<Vec<_>>>()?;
    Ok(models::SetRulesRequest { rules })
}

fn rule(rule: &FirewallRule) -> Result<models::Rule> {
    use models::rule::{Direction, Protocol};
    let no = |word: &str| {
        Error::fatal(format!("a firewall rule cannot be for `{word}`")).remedy("use in or out, and tcp, udp or icmp")
    };
    let direction = match rule.direction.as_str() {
        "in" => Direction::In,
        "out" => Direction::Out,
        other => return Err(no(other)),
    };
    let protocol = match rule.protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        other => return Err(no(other)),
    };
    let addresses = Some(rule.addresses.clone());
    let (source_ips, destination_ips) = if direction == Direction::In { (addresses, None) } else { (None, addresses) };
    Ok(models::Rule {
        description: Some(Some(rule.description.clone())).filter(|_| !rule.description.is_empty()),
        destination_ips,
        direction,
        port: rule.port.clone().map(Some),
        protocol,
        source_ips,
    })
}

fn this_server(server: i64) -> models::FirewallResource {
    models::FirewallResource {
        server: Some(Box::new(models::ResourceId::new(server))),
        ..models::FirewallResource::new(models::firewall_resource::Type::Server)
    }
}

/// The body that puts a firewall onto a server.
pub(super) fn apply_to(server: i64) -> models::ApplyToResourcesRequest {
    models::ApplyToResourcesRequest { apply_to: vec![this_server(server)] }
}

/// The body that takes a firewall off a server.
pub(super) fn remove_from(server: i64) -> models::RemoveFromResourcesRequest {
    models::RemoveFromResourcesRequest { remove_from: vec![this_server(server)] }
}

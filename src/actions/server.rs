//! `server.ensure`: one server, created in one call with everything it needs, so that it is never open.

use super::access::{self, Vouched, IDENTITY};
use super::address;
use super::thing::exists_by_now;
use super::{Action, Check, FactKind, Facts, Place, StepContext};
use crate::config::{CloudSettings, NetworkSettings};
use crate::world::{self, Class, Error, PrimaryIp, Result, Server, ServerSpec, ServerStatus, Target};
use async_trait::async_trait;
use serde_json::{json, Map, Value};
use std::net::IpAddr;

/// Makes the step's server, or finds it.
pub(super) struct Ensure;

/// What cloud-init is told. JSON is YAML; the host key in it is replaced as soon as the node answers, because the cloud keeps
/// user data and serves it to the node.
fn user_data(place: &Place<'_>, run_key: &str, host: &HostKeyPair<'_>, expires: Option<&str>) -> String {
    let cloud = &place.settings.cloud;
    let mut keys = vec![run_key.to_owned()];
    keys.extend(cloud.authorized_keys.iter().cloned());
    let user = json!({
        "name": cloud.user,
        "groups": ["sudo"],
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "shell": "/bin/bash",
        "lock_passwd": true,
        "ssh_authorized_keys": keys,
    });
    let mut config = json!({
        "users": [user],
        "disable_root": true,
        "ssh_pwauth": false,
        "ssh_deletekeys": true,
        "ssh_genkeytypes": [],
        "ssh_keys": { "ed25519_private": host.private, "ed25519_public": host.public },
        "package_update": false,
        "package_upgrade": false,
        "locale": false,
    });
    if let (Some(map), Some(until)) = (config.as_object_mut(), expires) {
        map.extend(powers_itself_off(until));
    }
    format!("#cloud-config\n{config:#}\n")
}

/// A host key as cloud-init is told it.
struct HostKeyPair<'a> {
    private: &'a str,
    public: &'a str,
}

/// What makes a server power itself off at this time (`2026-12-01 12:00:00 UTC`), also where it was off then and is powered on
/// later. Sources: cloud-init's modules write_files and runcmd; systemd.timer(5), `OnCalendar=` and `Persistent=`.
fn powers_itself_off(until: &str) -> Map<String, Value> {
    let unit = |name: &str, content: String| json!({ "path": format!("/etc/systemd/system/relight-expiry.{name}"), "permissions": "0644", "content": content });
    let service = "[Unit]\nDescription=Power off a spare server\n[Service]\nType=oneshot\n\
                   ExecStart=/usr/bin/systemctl poweroff\n";
    let timer = format!(
        "[Unit]\nDescription=When a spare server powers itself off\n[Timer]\nOnCalendar={until}\nPersistent=true\n\
         [Install]\nWantedBy=timers.target\n"
    );
    let runs = [vec!["systemctl", "daemon-reload"], vec!["systemctl", "enable", "--now", "relight-expiry.timer"]];
    let write = json!([unit("service", service.to_owned()), unit("timer", timer)]);
    [("write_files".to_owned(), write), ("runcmd".to_owned(), json!(runs))].into_iter().collect()
}

/// The address that peers use.
fn peer_address(server: &Server, settings: &crate::config::Settings, network: i64) -> Option<IpAddr> {
    match settings.cloud.network {
        NetworkSettings::Private { .. } => {
            server.private_ips.iter().find(|(id, _)| *id == network).map(|(_, ip)| IpAddr::V4(*ip))
        }
        NetworkSettings::Public => server.public_ip.map(IpAddr::V4),
    }
}

/// What a server is made from, as far as it cannot be changed later: where and of which type it is, is the stock's choice.
fn image_and_user(place: &Place<'_>) -> Value {
    json!({ "image": place.settings.cloud.image, "user": place.settings.cloud.user })
}

impl Ensure {
    /// The servers of this run, and the step's own among them.
    async fn of_run(cx: &StepContext<'_>) -> Result<(Vec<Server>, Option<Server>)> {
        let run = world::selector(&cx.settings().cluster, Some(&cx.place.run.id));
        let name = cx.place.server_name(&cx.node()?.key);
        let all = cx.world.cloud.servers(&run).await?;
        let own = all.iter().find(|s| s.name == name).cloned();
        Ok((all, own))
    }

    /// The configured locations in the order in which they are tried: first where this run's other servers are, so that all
    /// nodes are together where possible.
    fn locations<'a>(cx: &StepContext<'a>, servers: &[Server]) -> Vec<&'a String> {
        let mut places: Vec<&String> = cx.settings().cloud.locations.iter().collect();
        places.sort_by_key(|place| !servers.iter().any(|s| s.location == **place));
        places
    }

    /// A server that came to be and then was not started.
    async fn power_on(cx: &StepContext<'_>, server: &Server) -> Result<()> {
        let target = Target::Cloud { kind: "server", id: server.id };
        let permit = cx.effects.permit(target, &format!("power on server {}", server.name)).await?;
        let end = cx.world.cloud.power_on(&permit, server.id).await;
        end.map_err(|e| {
            e.remedy("where it cannot be powered on, delete it in the cloud's console, then `relight resume`")
        })
    }

    /// What a create leaves behind that was accepted and then found no room: its name is needed for the next one.
    async fn clear_away(cx: &StepContext<'_>) -> Result<()> {
        let (_, left) = Self::of_run(cx).await?;
        let Some(server) = left.filter(|s| s.status != ServerStatus::Running) else { return Ok(()) };
        let target = Target::Cloud { kind: "server", id: server.id };
        let permit = cx.effects.permit(target, &format!("delete server {}: it found no room", server.name)).await?;
        cx.world.cloud.delete_server(&permit, server.id).await
    }

    /// With the kept address, where that is of this place.
    async fn create(
        &self,
        cx: &StepContext<'_>,
        server_type: &str,
        location: &str,
        kept: Option<&PrimaryIp>,
    ) -> Result<()> {
        let kept = kept.filter(|ip| ip.location == location);
        let spec = ServerSpec { address: kept.map(|ip| ip.id), ..self.spec(cx, server_type, location).await? };
        let target = Target::CloudNew { kind: "server", name: spec.name.clone() };
        let with = kept.map(|ip| format!(" with its address {}", ip.address)).unwrap_or_default();
        let permit = cx.effects.permit(target, &format!("create it as {server_type} in {location}{with}")).await?;
        let made = cx.world.cloud.create_server(&permit, &spec).await;
        made.map(|_| ()).map_err(|error| if kept.is_some() { address::another_now(error) } else { error })
    }

    /// Once more where another node has just found room: stock comes and goes within a second, and a cluster that is spread over
    /// places stays so. Whether it was made.
    async fn made(
        &self,
        cx: &StepContext<'_>,
        servers: &mut Vec<Server>,
        (server_type, location): (&str, &String),
        kept: Option<&PrimaryIp>,
    ) -> Result<bool> {
        for again in [false, true] {
            if again {
                *servers = Self::of_run(cx).await?.0;
                if Self::locations(cx, servers).first() != Some(&location) {
                    break;
                }
            }
            match self.create(cx, server_type, location, kept).await {
                Ok(()) => return Ok(true),
                Err(error) if error.class == Class::Branch => {
                    Self::clear_away(cx).await?;
                    cx.effects.progress(&format!("{server_type} in {location}: {}", error.what));
                }
                Err(error) => return Err(exists_by_now(error)),
            }
        }
        Ok(false)
    }

    async fn spec(&self, cx: &StepContext<'_>, server_type: &str, location: &str) -> Result<ServerSpec> {
        let node = &cx.node()?.key;
        let private = access::kept_or(cx, &access::host_key_file(node), || access::new_key(cx, "")).await?;
        let identity = access::kept(cx, IDENTITY).await?;
        let identity =
            identity.ok_or_else(|| Error::fatal("the run's SSH key is missing").remedy("start a new run"))?;
        let private_text = private.expose_str().unwrap_or_default();
        let run_key = world::public_key(&identity)?;
        let host_key = world::public_key(&private)?;
        let network = cx.facts.id(FactKind::NetworkId, None)?;
        let group = cx.facts.id(FactKind::PlacementGroupId, None)?;
        let cloud = &cx.settings().cloud;
        let labels = cx.labels(&image_and_user(&cx.place));
        let expires = labels.get(world::EXPIRES).and_then(|text| text.parse().ok()).map(world::calendar);
        let host = HostKeyPair { private: private_text, public: &host_key };
        Ok(ServerSpec {
            name: cx.place.server_name(node),
            server_type: server_type.to_owned(),
            location: location.to_owned(),
            image: cloud.image.clone(),
            ssh_keys: vec![cx.facts.id(FactKind::SshKeyId, None)?],
            networks: if network == 0 { Vec::new() } else { vec![network] },
            firewalls: vec![cx.facts.id(FactKind::FirewallId, None)?],
            placement_group: Some(group),
            address: None,
            user_data: user_data(&cx.place, &run_key, &host, expires.as_deref()),
            labels,
        })
    }
}

/// Why a server that the run made is not one that it would make now: which of the listed types and places it got was chance.
fn no_longer_listed(server: &Server, cloud: &CloudSettings) -> Option<String> {
    let (key, value) =
        match (cloud.server_types.contains(&server.server_type), cloud.locations.contains(&server.location)) {
            (false, _) => ("server_types", &server.server_type),
            (_, false) => ("locations", &server.location),
            _ => return None,
        };
    Some(format!(
        "server {} (id {}) is of {value}, which `cloud.{key}` no longer lists; take the change back, or delete the server",
        server.name, server.id
    ))
}

#[async_trait]
impl Action for Ensure {
    fn describe(&self, place: &Place<'_>) -> String {
        let name = place.node.map(|n| place.server_name(&n.key)).unwrap_or_default();
        let cloud = &place.settings.cloud;
        let first = |list: &[String]| list.first().cloned().unwrap_or_default();
        format!("create server {name} ({}, {})", first(&cloud.server_types), first(&cloud.locations))
    }

    fn inputs(&self, place: &Place<'_>) -> Value {
        let cloud = &place.settings.cloud;
        json!({ "types": cloud.server_types, "locations": cloud.locations, "image": cloud.image, "user": cloud.user,
                "keep_addresses": cloud.keep_addresses })
    }

    fn made_from(&self, place: &Place<'_>) -> Option<Value> {
        Some(image_and_user(place))
    }

    fn provides(&self) -> &'static [FactKind] {
        &[FactKind::ServerId, FactKind::NodeAddress, FactKind::PeerAddress, FactKind::FirstHostKey, FactKind::HostKey]
    }

    fn uses(&self) -> &'static [FactKind] {
        &[FactKind::SshKeyId, FactKind::NetworkId, FactKind::FirewallId, FactKind::PlacementGroupId]
    }

    async fn check(&self, cx: &StepContext<'_>) -> Result<Check> {
        let node = &cx.node()?.key;
        let name = cx.place.server_name(node);
        let servers = cx.world.cloud.servers("").await?;
        let Some(server) = servers.into_iter().find(|s| s.name == name) else {
            return Ok(Check::Needed(format!("server {name}")));
        };
        let id = server.id;
        if !world::of_run(&server.labels, &cx.settings().cluster, &cx.place.run.id) {
            return Ok(Check::Refused(match world::of_cluster(&server.labels, &cx.settings().cluster) {
                true => format!("server {name} (id {id}) is of an earlier run and was not fenced"),
                false => format!("server {name} (id {id}) exists and is not this cluster's"),
            }));
        }
        let made_from = cx.place.labels(&image_and_user(&cx.place)).remove(world::SPEC);
        if server.labels.get(world::SPEC) != made_from.as_ref() {
            return Ok(Check::Refused(format!(
                "server {name} (id {id}) was made from another image or for another user than relight.yaml says now; take the \
                 change back, or delete the server"
            )));
        }
        if let Some(why) = no_longer_listed(&server, &cx.settings().cloud) {
            return Ok(Check::Refused(why));
        }
        if server.status == ServerStatus::Off {
            let until = server.labels.get(world::EXPIRES).and_then(|text| text.parse().ok());
            if until.is_some_and(|until: u64| cx.world.clock.now().as_secs() >= until) {
                return Ok(Check::Refused(format!(
                    "the time of spare server {name} (id {id}) is over, and it has powered itself off: rehearse anew"
                )));
            }
            return Ok(Check::Needed(format!("server {name} is off")));
        }
        if server.status != ServerStatus::Running {
            return Ok(Check::Pending(format!("server {name} is {:?}", server.status).to_lowercase()));
        }
        let network = cx.facts.id(FactKind::NetworkId, None)?;
        let (Some(public), Some(peer)) = (server.public_ip, peer_address(&server, cx.settings(), network)) else {
            return Ok(Check::Pending(format!("server {name} has not got its addresses yet")));
        };
        let facts = Facts::none().of(FactKind::ServerId, node, id).of(FactKind::NodeAddress, node, public).of(
            FactKind::PeerAddress,
            node,
            peer,
        );
        if let Some(host_key) = access::kept(cx, &access::host_key_file(node)).await? {
            return Ok(Check::Done(facts.of(FactKind::FirstHostKey, node, world::public_key(&host_key)?)));
        }
        Ok(match access::vouched(cx, &server).await? {
            Vouched::Key(key) => Check::Done(facts.of(FactKind::HostKey, node, key)),
            Vouched::Silent => Check::Pending(format!("server {name} (id {id}) does not answer by SSH")),
            Vouched::No(why) => Check::Refused(format!("server {name} (id {id}) is this run's, but {why}")),
        })
    }

    async fn apply(&self, cx: &StepContext<'_>) -> Result<()> {
        let (mut servers, own) = Self::of_run(cx).await?;
        match own {
            Some(server) if server.status == ServerStatus::Off => return Self::power_on(cx, &server).await,
            Some(_) => return Ok(()),
            None => {}
        }
        let kept = address::free(cx).await?;
        let home = |location: &str| kept.as_ref().is_some_and(|ip| ip.location == location);
        let mut refusals = Vec::new();
        // Where the node's kept address is first, whatever the type: only there can it be taken up.
        for at_home in [true, false] {
            for server_type in &cx.settings().cloud.server_types {
                for location in Self::locations(cx, &servers).into_iter().filter(|place| home(place) == at_home) {
                    if self.made(cx, &mut servers, (server_type, location), kept.as_ref()).await? {
                        return Ok(());
                    }
                    refusals.push(format!("{server_type} in {location}"));
                }
            }
        }
        Err(Error::fatal(format!("sold out: {}", refusals.join(", ")))
            .remedy("add another of `cloud.server_types` or `cloud.locations`, then `relight resume`"))
    }
}

//! The cloud by the direct door.

use super::entry::{classed, Entry};
use crate::sandbox::model::{
    self, gross, ActionStatus, Answer, ApiError, Caller, CloudAction, CloudServer, CloudThing, Failure, Filter, Model,
    Offer, Power, ServerOrder, Subnet, ThingState, IPV4_HOURLY, IPV4_MONTHLY,
};
use crate::world::{
    Amount, Class, Cloud, Error, FirewallRule, Labels, Permit, Price, PriceList, PrimaryIp, Result, Server, ServerSpec,
    ServerType, Target, Thing, ThingKind, ThingSpec, TypeInLocation,
};
use async_trait::async_trait;
use std::time::Duration;

/// After this long an action that still runs is left to the step's check.
const PATIENCE: Duration = Duration::from_secs(120);

/// One project, for one process.
pub(super) struct DirectCloud(pub Entry);

fn server(from: CloudServer) -> Server {
    Server {
        id: from.id,
        name: from.name,
        status: from.status,
        server_type: from.server_type.name,
        location: from.location.name,
        public_ip: from.public.map(|p| p.address),
        private_ips: from.private.into_iter().map(|p| (p.network, p.address)).collect(),
        labels: from.labels,
        delete_protected: from.delete_protected,
        rebuild_protected: from.rebuild_protected,
        placement_group: from.placement_group,
        firewalls: from.firewalls,
        // The API tells whole seconds.
        created: Some(Duration::from_secs(from.created.as_secs())),
    }
}

fn thing(from: CloudThing) -> Thing {
    let spec = match from.state {
        ThingState::SshKey { public_key, .. } => {
            ThingSpec::SshKey(public_key.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        }
        ThingState::Network { range, subnets } => {
            ThingSpec::Network { range, zone: subnets.into_iter().next().map(|s| s.zone).unwrap_or_default() }
        }
        ThingState::Firewall { rules } => ThingSpec::Firewall(rules),
        ThingState::PlacementGroup => ThingSpec::PlacementGroup,
    };
    Thing { id: from.id, name: from.name, labels: from.labels, spec }
}

fn primary_ip(from: model::PrimaryIp) -> PrimaryIp {
    PrimaryIp {
        id: from.id,
        name: from.name,
        address: from.address,
        labels: from.labels,
        location: from.location,
        assignee: from.server,
        auto_delete: from.auto_delete,
        created: Some(Duration::from_secs(from.created.as_secs())),
    }
}

fn state(spec: &ThingSpec) -> ThingState {
    match spec {
        ThingSpec::SshKey(key) => ThingState::SshKey { public_key: key.clone(), fingerprint: String::new() },
        ThingSpec::Network { range, zone } => {
            let subnet = Subnet { range: range.clone(), zone: zone.clone(), gateway: String::new() };
            ThingState::Network { range: range.clone(), subnets: vec![subnet] }
        }
        ThingSpec::Firewall(rules) => ThingState::Firewall { rules: rules.clone() },
        ThingSpec::PlacementGroup => ThingState::PlacementGroup,
    }
}

fn order(spec: &ServerSpec) -> ServerOrder {
    ServerOrder {
        name: spec.name.clone(),
        server_type: spec.server_type.clone(),
        image: spec.image.clone(),
        location: spec.location.clone(),
        ssh_keys: spec.ssh_keys.iter().map(i64::to_string).collect(),
        user_data: spec.user_data.clone(),
        labels: spec.labels.clone(),
        networks: spec.networks.clone(),
        firewalls: spec.firewalls.clone(),
        placement_group: spec.placement_group,
        public_ipv4: true,
        primary_ip: spec.address,
        start: true,
    }
}

fn of_server(id: i64) -> Target {
    Target::Cloud { kind: "server", id }
}

fn not_found(error: &Error) -> bool {
    error.is("not_found")
}

impl DirectCloud {
    async fn read<T: Send>(
        &self,
        what: &str,
        act: impl FnOnce(&mut Model, Duration, &Caller) -> Answer<T> + Send,
    ) -> Result<T> {
        let caller = self.0.caller(None);
        let answer = self.0.request(None, |model, now| act(model, now, &caller)).await;
        self.0.open(what, false, answer).await
    }
    async fn change<T: Send>(
        &self,
        permit: &Permit,
        target: &Target,
        what: &str,
        act: impl FnOnce(&mut Model, Duration, &Caller) -> Answer<T> + Send,
    ) -> Result<T> {
        permit.covers(target)?;
        let caller = self.0.caller(Some(permit));
        let answer = self.0.request(Some(what), |model, now| act(model, now, &caller)).await;
        self.0.open(what, true, answer).await
    }
    /// Waits until an action has ended.
    async fn ended(&self, what: &str, action: CloudAction) -> Result<()> {
        let end = self.0.clock.time() + PATIENCE;
        let mut action = action;
        loop {
            match (action.status, action.error) {
                (ActionStatus::Success, _) => return Ok(()),
                (ActionStatus::Error, error) => {
                    let (code, message) = error.unwrap_or_default();
                    return Err(Error::unknown(format!("{what}: {message} ({code})")).code(code));
                }
                (ActionStatus::Running, _) if self.0.clock.time() > end => {
                    return Err(Error::unknown(format!("{what}: action {} does not end", action.id)));
                }
                (ActionStatus::Running, _) => {}
            }
            self.0.clock.wait(self.0.latency.action / 2).await;
            let id = action.id;
            // A look at an action that has started decides nothing: what fails here leaves the outcome unknown.
            let seen = self.read(what, |model, now, caller| model.action(now, caller, id)).await;
            action = seen.map_err(|e| if e.class == Class::Transient { Error::unknown(e.what) } else { e })?;
        }
    }
}

#[async_trait]
impl Cloud for DirectCloud {
    async fn prove_writable(&self) -> Result<()> {
        let caller = self.0.caller(None);
        let answer = self.0.request(None, |model, now| model.probe_write(now, &caller)).await;
        match answer.result {
            Err(Failure::Api(ApiError { status: 422, .. })) | Ok(()) => Ok(()),
            Err(failure) => Err(classed("prove that the token may write", false, failure, answer.retry_after)),
        }
    }
    async fn servers(&self, selector: &str) -> Result<Vec<Server>> {
        let filter = Filter::labels(selector);
        let found = self.read("list servers", |model, now, caller| model.servers(now, caller, &filter)).await?;
        Ok(found.into_iter().map(server).collect())
    }
    async fn server(&self, id: i64) -> Result<Option<Server>> {
        match self.read("get server", |model, now, caller| model.server(now, caller, id)).await {
            Ok(found) => Ok(Some(server(found))),
            Err(error) if not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
    async fn create_server(&self, permit: &Permit, spec: &ServerSpec) -> Result<Server> {
        let target = Target::CloudNew { kind: "server", name: spec.name.clone() };
        let what = format!("create server {}", spec.name);
        let order = order(spec);
        let ordered =
            self.change(permit, &target, &what, |model, now, caller| model.create_server(now, caller, &order));
        let made = ordered.await.map_err(Error::branch_where_sold_out)?;
        for action in [made.action].into_iter().chain(made.next_actions) {
            self.ended(&what, action).await.map_err(Error::branch_where_sold_out)?;
        }
        Ok(server(made.server))
    }
    async fn update_server(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()> {
        let what = format!("update server {id}");
        let act =
            |model: &mut Model, now, caller: &Caller| model.update_server(now, caller, id, Some(name), Some(labels));
        permit.covers_labels("server", id)?;
        self.change(permit, permit.target(), &what, act).await.map(|_| ())
    }
    async fn power_off(&self, permit: &Permit, id: i64) -> Result<()> {
        let what = format!("power off server {id}");
        let act = |model: &mut Model, now, caller: &Caller| model.power(now, caller, id, Power::Off);
        let action = self.change(permit, &of_server(id), &what, act).await?;
        self.ended(&what, action).await
    }
    async fn power_on(&self, permit: &Permit, id: i64) -> Result<()> {
        let what = format!("power on server {id}");
        let act = |model: &mut Model, now, caller: &Caller| model.power(now, caller, id, Power::On);
        let action = self.change(permit, &of_server(id), &what, act).await?;
        self.ended(&what, action).await
    }
    async fn protect_server(&self, permit: &Permit, id: i64, on: bool) -> Result<()> {
        let what = format!("protect server {id}");
        let act = |model: &mut Model, now, caller: &Caller| model.protect_server(now, caller, id, on);
        let action = self.change(permit, &of_server(id), &what, act).await?;
        self.ended(&what, action).await
    }
    async fn delete_server(&self, permit: &Permit, id: i64) -> Result<()> {
        let what = format!("delete server {id}");
        let act = |model: &mut Model, now, caller: &Caller| model.delete_server(now, caller, id);
        match self.change(permit, &of_server(id), &what, act).await {
            Ok(action) => self.ended(&what, action).await,
            Err(error) if not_found(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
    async fn things(&self, kind: ThingKind, selector: &str) -> Result<Vec<Thing>> {
        let filter = Filter::labels(selector);
        let what = format!("list {}s", kind.word());
        let found = self.read(&what, |model, now, caller| model.things(now, caller, kind, &filter)).await?;
        Ok(found.into_iter().map(thing).collect())
    }
    async fn create_thing(&self, permit: &Permit, name: &str, spec: &ThingSpec, labels: &Labels) -> Result<Thing> {
        let kind = spec.kind().word();
        let target = Target::CloudNew { kind, name: name.to_owned() };
        let what = format!("create {kind} {name}");
        let state = state(spec);
        let act = |model: &mut Model, now, caller: &Caller| model.create_thing(now, caller, name, &state, labels);
        self.change(permit, &target, &what, act).await.map(thing)
    }
    async fn set_firewall_rules(&self, permit: &Permit, id: i64, rules: &[FirewallRule]) -> Result<()> {
        let what = format!("set rules of firewall {id}");
        let act = |model: &mut Model, now, caller: &Caller| model.set_rules(now, caller, id, rules);
        let action = self.change(permit, &Target::Cloud { kind: "firewall", id }, &what, act).await?;
        self.ended(&what, action).await
    }
    async fn label_firewall(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()> {
        permit.covers_labels("firewall", id)?;
        let act = |model: &mut Model, now, caller: &Caller| {
            model.update_thing(now, caller, ThingKind::Firewall, id, None, Some(labels))
        };
        self.change(permit, permit.target(), &format!("label firewall {id}"), act).await.map(|_| ())
    }
    async fn attach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()> {
        let what = format!("attach firewall {firewall} to server {server}");
        let act = |model: &mut Model, now, caller: &Caller| model.apply_firewall(now, caller, firewall, server, true);
        let action = self.change(permit, &of_server(server), &what, act).await?;
        self.ended(&what, action).await
    }
    async fn detach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()> {
        let what = format!("detach firewall {firewall} from server {server}");
        let act = |model: &mut Model, now, caller: &Caller| model.apply_firewall(now, caller, firewall, server, false);
        let action = self.change(permit, &of_server(server), &what, act).await?;
        self.ended(&what, action).await
    }
    async fn delete_thing(&self, permit: &Permit, kind: ThingKind, id: i64) -> Result<()> {
        let what = format!("delete {} {id}", kind.word());
        let target = Target::Cloud { kind: kind.word(), id };
        let act = |model: &mut Model, now, caller: &Caller| model.delete_thing(now, caller, kind, id);
        match self.change(permit, &target, &what, act).await {
            Err(error) if not_found(&error) => Ok(()),
            other => other,
        }
    }
    async fn server_types(&self, names: &[String]) -> Result<Vec<ServerType>> {
        let offer = self.read("list server types", Model::read_offer).await?;
        Ok(types(&offer, names))
    }
    async fn prices(&self) -> Result<PriceList> {
        self.read("read the price list", Model::read_offer).await.map(|offer| price_list(&offer))
    }
    async fn image_exists(&self, name: &str, architecture: &str) -> Result<bool> {
        let offer = self.read("list images", Model::read_offer).await?;
        Ok(offer.image(name, architecture).is_some())
    }
    async fn primary_ips(&self) -> Result<Vec<PrimaryIp>> {
        let all = Filter::default();
        let found = self.read("list primary IPs", |model, now, caller| model.primary_ips(now, caller, &all)).await?;
        Ok(found.into_iter().map(primary_ip).collect())
    }
    async fn label_primary_ip(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()> {
        permit.covers_labels("primary_ip", id)?;
        let act = |model: &mut Model, now, caller: &Caller| {
            model.update_primary_ip(now, caller, id, None, Some(labels), None)
        };
        self.change(permit, permit.target(), &format!("label primary IP {id}"), act).await.map(|_| ())
    }
    async fn keep_primary_ip(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()> {
        permit.covers_labels("primary_ip", id)?;
        let act = |model: &mut Model, now, caller: &Caller| {
            model.update_primary_ip(now, caller, id, Some(name), Some(labels), Some(false))
        };
        self.change(permit, permit.target(), &format!("keep primary IP {id}"), act).await.map(|_| ())
    }
    async fn unassign_primary_ip(&self, permit: &Permit, id: i64) -> Result<()> {
        let what = format!("unassign primary IP {id}");
        let act = |model: &mut Model, now, caller: &Caller| model.unassign_primary_ip(now, caller, id);
        let action = self.change(permit, &Target::Cloud { kind: "primary_ip", id }, &what, act).await?;
        self.ended(&what, action).await
    }
    async fn delete_primary_ip(&self, permit: &Permit, id: i64) -> Result<()> {
        let what = format!("delete primary IP {id}");
        let act = |model: &mut Model, now, caller: &Caller| model.delete_primary_ip(now, caller, id);
        match self.change(permit, &Target::Cloud { kind: "primary_ip", id }, &what, act).await {
            Err(error) if not_found(&error) => Ok(()),
            other => other,
        }
    }
}

fn price_list(offer: &Offer) -> PriceList {
    let amount = |net: &str| net.parse().ok().map(|net| Amount { net, gross: gross(net) });
    let price = |hour: &str, month: &str| Some(Price { hourly: amount(hour)?, monthly: amount(month)? });
    let by_type = offer.types.values().flat_map(|t| {
        t.sales.iter().filter_map(move |s| Some(((t.name.clone(), s.location.clone()), price(&s.hourly, &s.monthly)?)))
    });
    let ipv4 = offer.locations.keys().filter_map(|place| Some((place.clone(), price(IPV4_HOURLY, IPV4_MONTHLY)?)));
    PriceList { currency: "EUR".to_owned(), server_types: by_type.collect(), primary_ipv4: ipv4.collect() }
}

fn types(offer: &Offer, names: &[String]) -> Vec<ServerType> {
    let price = |text: &str| text.parse().unwrap_or(f64::NAN);
    let found = names.iter().filter_map(|name| offer.types.get(name));
    let sale = |s: &crate::sandbox::model::Sale| TypeInLocation {
        location: s.location.clone(),
        available: s.available,
        unavailable_after: s.unavailable_after.clone(),
        hourly: price(&s.hourly),
        monthly: price(&s.monthly),
    };
    let one = |t: &crate::sandbox::model::OfferedType| ServerType {
        name: t.name.clone(),
        architecture: t.architecture.clone(),
        locations: t.sales.iter().map(sale).collect(),
    };
    found.map(one).collect()
}

//! The world's cloud, by the Hetzner API.

use super::actions::Actions;
use super::api::Api;
use super::pricing::PricingReply;
use super::primary_ip::PrimaryIpReply;
use super::reply::{ServerReply, ThingReply, TypeReply};
use super::request;
use crate::config::Timeouts;
use crate::providers::{Budget, Endpoint};
use crate::world::{
    Clock, Cloud, Error, FirewallRule, Labels, Permit, PriceList, PrimaryIp, Result, Secret, Server, ServerSpec,
    ServerType, Target, Thing, ThingKind, ThingSpec,
};
use async_trait::async_trait;
use hcloud::models;
use http::Method;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks whether a server is gone, while the budget is rich.
const USUAL_PACE: Duration = Duration::from_millis(500);

/// Hetzner Cloud: one project, by its token.
pub struct Hetzner {
    api: Api,
    actions: Actions,
    clock: Arc<dyn Clock>,
}

impl Hetzner {
    /// Where the API is. Source: Hetzner Cloud API overview.
    pub const BASE: &'static str = "https://api.hetzner.cloud/v1";

    /// The project of this token, at [`Hetzner::BASE`] or at the sandbox's `http://127.a.b.c:port/v1`. Nothing is sent.
    /// Errors are `Fatal`: an address that would send the token unencrypted, a token that cannot be one.
    pub fn new(base: &str, token: &Secret, clock: Arc<dyn Clock>, timeouts: &Timeouts) -> Result<Self> {
        let budget = Budget::new(clock.clone(), 3600, Duration::from_secs(3600));
        let api = Api(Endpoint::new("Hetzner Cloud", base, token, budget, timeouts)?);
        Ok(Self { api, actions: Actions::new(clock.clone()), clock })
    }

    /// A server action that needs no more words than its name.
    async fn switch(&self, id: i64, action: &str) -> Result<()> {
        let reply = self.api.call(Method::POST, &format!("/servers/{id}/actions/{action}"), &[], None).await?;
        self.actions.settle(&self.api, &reply).await
    }

    /// Deletes what goes at once; what is gone already is deleted.
    async fn delete(&self, path: &str) -> Result<()> {
        match self.api.call(Method::DELETE, path, &[], None).await {
            Err(error) if error.is("not_found") => Ok(()),
            end => end.map(|_| ()),
        }
    }

    /// A change of something that exists, and the wait for the actions that it starts.
    async fn act(&self, path: &str, body: &impl serde::Serialize) -> Result<()> {
        let reply = self.api.post(path, body).await?;
        self.actions.settle(&self.api, &reply).await
    }
}

fn existing(kind: &'static str, id: i64) -> Target {
    Target::Cloud { kind, id }
}

/// The list's path and key, and the key of one.
fn words(kind: ThingKind) -> (&'static str, &'static str) {
    match kind {
        ThingKind::SshKey => ("ssh_keys", "ssh_key"),
        ThingKind::Network => ("networks", "network"),
        ThingKind::Firewall => ("firewalls", "firewall"),
        ThingKind::PlacementGroup => ("placement_groups", "placement_group"),
    }
}

fn selected(selector: &str) -> Vec<(&str, &str)> {
    if selector.is_empty() {
        vec![]
    } else {
        vec![("label_selector", selector)]
    }
}

#[async_trait]
impl Cloud for Hetzner {
    /// A public key that is none: a token that may write gets 422 for the key, one that may not gets 401 before it is read.
    async fn prove_writable(&self) -> Result<()> {
        let body = models::CreateSshKeyRequest::new("relight-proof".to_owned(), "this is no key".to_owned());
        match self.api.post("/ssh_keys", &body).await {
            Err(error) if error.is("invalid_input") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::fatal("Hetzner Cloud took a key that is none")
                .remedy("delete the SSH key `relight-proof` and check which API HCLOUD_ENDPOINT names")),
        }
    }

    async fn servers(&self, selector: &str) -> Result<Vec<Server>> {
        let list: Vec<ServerReply> = self.api.all("/servers", "servers", &selected(selector)).await?;
        Ok(list.into_iter().map(Server::from).collect())
    }

    async fn server(&self, id: i64) -> Result<Option<Server>> {
        Ok(self.api.one::<ServerReply>(&format!("/servers/{id}"), "server").await?.map(Server::from))
    }

    async fn create_server(&self, permit: &Permit, spec: &ServerSpec) -> Result<Server> {
        permit.covers(&Target::CloudNew { kind: "server", name: spec.name.clone() })?;
        let reply = self.api.post("/servers", &request::server(spec)?).await.map_err(Error::branch_where_sold_out)?;
        let server: ServerReply = self.api.part(&Method::POST, "/servers", &reply, "server")?;
        // Room may turn out to be missing only now: `resource_unavailable` is among the codes of actions too. Source: hcloud-go,
        // the errors of `Action`.
        self.actions.settle(&self.api, &reply).await.map_err(Error::branch_where_sold_out)?;
        Ok(Server::from(server))
    }

    async fn update_server(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()> {
        permit.covers_labels("server", id)?;
        self.api.put(&format!("/servers/{id}"), &request::rename(name, labels)).await.map(|_| ())
    }

    async fn power_off(&self, permit: &Permit, id: i64) -> Result<()> {
        permit.covers(&existing("server", id))?;
        self.switch(id, "poweroff").await
    }

    async fn power_on(&self, permit: &Permit, id: i64) -> Result<()> {
        permit.covers(&existing("server", id))?;
        self.switch(id, "poweron").await
    }

    async fn protect_server(&self, permit: &Permit, id: i64, on: bool) -> Result<()> {
        permit.covers(&existing("server", id))?;
        let body = models::ChangeServerProtectionRequest { delete: Some(on), rebuild: Some(on) };
        self.act(&format!("/servers/{id}/actions/change_protection"), &body).await
    }

    async fn delete_server(&self, permit: &Permit, id: i64) -> Result<()> {
        permit.covers(&existing("server", id))?;
        match self.api.call(Method::DELETE, &format!("/servers/{id}"), &[], None).await {
            Ok(reply) => self.actions.settle(&self.api, &reply).await?,
            Err(error) if error.is("not_found") => return Ok(()),
            Err(error) => return Err(error),
        }
        while self.server(id).await?.is_some() {
            self.clock.sleep(self.api.0.budget.pace(USUAL_PACE)).await;
        }
        Ok(())
    }

    async fn things(&self, kind: ThingKind, selector: &str) -> Result<Vec<Thing>> {
        let (many, _) = words(kind);
        let list: Vec<ThingReply> = self.api.all(&format!("/{many}"), many, &selected(selector)).await?;
        Ok(list.into_iter().map(|reply| reply.into_thing(kind)).collect())
    }

    async fn create_thing(&self, permit: &Permit, name: &str, spec: &ThingSpec, labels: &Labels) -> Result<Thing> {
        let kind = spec.kind();
        permit.covers(&Target::CloudNew { kind: kind.word(), name: name.to_owned() })?;
        let (many, one) = words(kind);
        let path = format!("/{many}");
        let reply = self.api.post(&path, &request::thing(name, spec, labels)?).await?;
        let thing: ThingReply = self.api.part(&Method::POST, &path, &reply, one)?;
        self.actions.settle(&self.api, &reply).await?;
        Ok(thing.into_thing(kind))
    }

    async fn set_firewall_rules(&self, permit: &Permit, id: i64, rules: &[FirewallRule]) -> Result<()> {
        permit.covers(&existing("firewall", id))?;
        self.act(&format!("/firewalls/{id}/actions/set_rules"), &request::rules(rules)?).await
    }

    async fn label_firewall(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()> {
        permit.covers_labels("firewall", id)?;
        self.api.put(&format!("/firewalls/{id}"), &request::label_firewall(labels)).await.map(|_| ())
    }

    async fn attach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()> {
        permit.covers(&existing("server", server))?;
        let path = format!("/firewalls/{firewall}/actions/apply_to_resources");
        match self.act(&path, &request::apply_to(server)).await {
            Err(error) if error.is("firewall_already_applied") => Ok(()),
            end => end,
        }
    }

    async fn detach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()> {
        permit.covers(&existing("server", server))?;
        let path = format!("/firewalls/{firewall}/actions/remove_from_resources");
        match self.act(&path, &request::remove_from(server)).await {
            Err(error) if error.is("firewall_resource_not_found") => Ok(()),
            end => end,
        }
    }

    async fn delete_thing(&self, permit: &Permit, kind: ThingKind, id: i64) -> Result<()> {
        permit.covers(&existing(kind.word(), id))?;
        self.delete(&format!("/{}/{id}", words(kind).0)).await
    }

    async fn server_types(&self, names: &[String]) -> Result<Vec<ServerType>> {
        let list: Vec<TypeReply> = self.api.all("/server_types", "server_types", &[]).await?;
        Ok(list.into_iter().filter(|reply| names.contains(&reply.name)).map(ServerType::from).collect())
    }

    async fn prices(&self) -> Result<PriceList> {
        let reply = self.api.call(Method::GET, "/pricing", &[], None).await?;
        self.api.part::<PricingReply>(&Method::GET, "/pricing", &reply, "pricing").map(PriceList::from)
    }

    async fn image_exists(&self, name: &str, architecture: &str) -> Result<bool> {
        let query = [("name", name), ("architecture", architecture)];
        let list: Vec<Value> = self.api.all("/images", "images", &query).await?;
        Ok(!list.is_empty())
    }

    async fn primary_ips(&self) -> Result<Vec<PrimaryIp>> {
        let list: Vec<PrimaryIpReply> = self.api.all("/primary_ips", "primary_ips", &[]).await?;
        Ok(list.into_iter().filter_map(PrimaryIpReply::ipv4).collect())
    }

    async fn label_primary_ip(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()> {
        permit.covers_labels("primary_ip", id)?;
        self.api.put(&format!("/primary_ips/{id}"), &request::label_primary_ip(labels)).await.map(|_| ())
    }

    async fn keep_primary_ip(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()> {
        permit.covers_labels("primary_ip", id)?;
        self.api.put(&format!("/primary_ips/{id}"), &request::keep_primary_ip(name, labels)).await.map(|_| ())
    }

    async fn unassign_primary_ip(&self, permit: &Permit, id: i64) -> Result<()> {
        permit.covers(&existing("primary_ip", id))?;
        let path = format!("/primary_ips/{id}/actions/unassign");
        let reply = self.api.call(Method::POST, &path, &[], None).await?;
        self.actions.settle(&self.api, &reply).await
    }

    async fn delete_primary_ip(&self, permit: &Permit, id: i64) -> Result<()> {
        permit.covers(&existing("primary_ip", id))?;
        self.delete(&format!("/primary_ips/{id}")).await
    }
}

//! A cloud that says of everything in it that this run made it.

use async_trait::async_trait;
use relight::world::{
    Cloud, FirewallRule, Labels, Permit, PriceList, PrimaryIp, Result, Server, ServerSpec, ServerType, Thing,
    ThingKind, ThingSpec,
};
use std::sync::Arc;

/// The cloud, and the labels that it says everything has. What it is told to do it does as it is.
pub struct Lying(pub Arc<dyn Cloud>, pub Labels);

impl Lying {
    fn server(&self, server: Server) -> Server {
        Server { labels: self.1.clone(), ..server }
    }
}

#[async_trait]
impl Cloud for Lying {
    async fn servers(&self, _selector: &str) -> Result<Vec<Server>> {
        Ok(self.0.servers("").await?.into_iter().map(|server| self.server(server)).collect())
    }
    async fn server(&self, id: i64) -> Result<Option<Server>> {
        Ok(self.0.server(id).await?.map(|server| self.server(server)))
    }
    async fn things(&self, kind: ThingKind, _selector: &str) -> Result<Vec<Thing>> {
        let all = self.0.things(kind, "").await?;
        Ok(all.into_iter().map(|thing| Thing { labels: self.1.clone(), ..thing }).collect())
    }
    async fn primary_ips(&self) -> Result<Vec<PrimaryIp>> {
        let all = self.0.primary_ips().await?;
        Ok(all.into_iter().map(|ip| PrimaryIp { labels: self.1.clone(), ..ip }).collect())
    }
    async fn prove_writable(&self) -> Result<()> {
        self.0.prove_writable().await
    }
    async fn create_server(&self, permit: &Permit, spec: &ServerSpec) -> Result<Server> {
        self.0.create_server(permit, spec).await
    }
    async fn update_server(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()> {
        self.0.update_server(permit, id, name, labels).await
    }
    async fn label_firewall(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()> {
        self.0.label_firewall(permit, id, labels).await
    }
    async fn label_primary_ip(&self, permit: &Permit, id: i64, labels: &Labels) -> Result<()> {
        self.0.label_primary_ip(permit, id, labels).await
    }
    async fn keep_primary_ip(&self, permit: &Permit, id: i64, name: &str, labels: &Labels) -> Result<()> {
        self.0.keep_primary_ip(permit, id, name, labels).await
    }
    async fn unassign_primary_ip(&self, permit: &Permit, id: i64) -> Result<()> {
        self.0.unassign_primary_ip(permit, id).await
    }
    async fn power_off(&self, permit: &Permit, id: i64) -> Result<()> {
        self.0.power_off(permit, id).await
    }
    async fn power_on(&self, permit: &Permit, id: i64) -> Result<()> {
        self.0.power_on(permit, id).await
    }
    async fn protect_server(&self, permit: &Permit, id: i64, on: bool) -> Result<()> {
        self.0.protect_server(permit, id, on).await
    }
    async fn delete_server(&self, permit: &Permit, id: i64) -> Result<()> {
        self.0.delete_server(permit, id).await
    }
    async fn create_thing(&self, permit: &Permit, name: &str, spec: &ThingSpec, labels: &Labels) -> Result<Thing> {
        self.0.create_thing(permit, name, spec, labels).await
    }
    async fn set_firewall_rules(&self, permit: &Permit, id: i64, rules: &[FirewallRule]) -> Result<()> {
        self.0.set_firewall_rules(permit, id, rules).await
    }
    async fn attach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()> {
        self.0.attach_firewall(permit, firewall, server).await
    }
    async fn detach_firewall(&self, permit: &Permit, firewall: i64, server: i64) -> Result<()> {
        self.0.detach_firewall(permit, firewall, server).await
    }
    async fn delete_thing(&self, permit: &Permit, kind: ThingKind, id: i64) -> Result<()> {
        self.0.delete_thing(permit, kind, id).await
    }
    async fn server_types(&self, names: &[String]) -> Result<Vec<ServerType>> {
        self.0.server_types(names).await
    }
    async fn prices(&self) -> Result<PriceList> {
        self.0.prices().await
    }
    async fn image_exists(&self, name: &str, architecture: &str) -> Result<bool> {
        self.0.image_exists(name, architecture).await
    }
    async fn delete_primary_ip(&self, permit: &Permit, id: i64) -> Result<()> {
        self.0.delete_primary_ip(permit, id).await
    }
}

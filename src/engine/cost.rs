//! What a cluster costs when a run has ended.

use super::event::Cost;
use crate::world::{of_run, selector, Amount, Server, World, STATE};
use std::time::Duration;

/// What the cluster's servers cost a month, by the cloud's price list of now. None where the cloud does not tell within the
/// limit, or has no price of one of them: a sum that leaves something out would be a wrong one. No server costs nothing,
/// whatever the prices are.
pub(super) async fn now(world: &World, cluster: &str, run: &str, limit: Duration) -> Option<Cost> {
    let told = async {
        let servers = world.cloud.servers(&selector(cluster, None)).await.ok()?;
        if servers.is_empty() {
            return Some(Cost::default());
        }
        let prices = world.cloud.prices().await.ok()?;
        let (mut ours, mut fenced) = ((0, Amount::default()), (0, Amount::default()));
        let made = |server: &Server| of_run(&server.labels, cluster, run);
        // Others of the cluster may be what still serves: they are no leftovers.
        for server in servers.iter().filter(|s| made(s) || s.labels.contains_key(STATE)) {
            let amount = prices.server(server)?;
            let (count, sum) = if made(server) { &mut ours } else { &mut fenced };
            *count += 1;
            *sum = *sum + amount;
        }
        Some(Cost {
            currency: prices.currency,
            servers: ours.0,
            monthly_net: cents(ours.1.net),
            monthly_gross: cents(ours.1.gross),
            fenced: fenced.0,
            fenced_monthly_net: cents(fenced.1.net),
            fenced_monthly_gross: cents(fenced.1.gross),
        })
    };
    tokio::select! {
        biased;
        cost = told => cost,
        () = world.clock.sleep(limit) => None,
    }
}

/// Sums of decimal texts, without what binary fractions add to them.
fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

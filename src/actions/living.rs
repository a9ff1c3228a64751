//! Whether what is about to be named is still ours: what facts say of a node's addresses may be minutes old, and an address that
//! is nobody's now is somebody's soon.

use super::{FactKind, StepContext};
use crate::world::{self, Error, Result};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The code of the error by which a node's server is lost.
pub(super) const LOST: &str = "node_lost";

/// All addresses, public and private, of this run's servers.
pub(super) async fn addresses(cx: &StepContext<'_>) -> Result<BTreeSet<IpAddr>> {
    let of_run = world::selector(&cx.settings().cluster, Some(&cx.place.run.id));
    let servers = cx.world.cloud.servers(&of_run).await?;
    let of = |server: &world::Server| {
        let private = server.private_ips.iter().map(|(_, ip)| *ip);
        server.public_ip.into_iter().chain(private).map(IpAddr::V4).collect::<Vec<_>>()
    };
    Ok(servers.iter().flat_map(of).collect())
}

/// Nothing may name this address of a node any more.
pub(super) fn lost(node: &str, address: IpAddr) -> Error {
    Error::transient(format!("{node} is lost: no server of this run has the address {address} any more"))
        .remedy("`relight resume` makes the server again")
        .code(LOST)
}

/// The addresses of all nodes towards their peers, each of which a server of this run has now. Errors: [`LOST`].
pub(super) async fn peers(cx: &StepContext<'_>) -> Result<Vec<IpAddr>> {
    let living = addresses(cx).await?;
    let mut all = Vec::new();
    for node in &cx.settings().nodes {
        let address = cx.facts.address(FactKind::PeerAddress, &node.key)?;
        if !living.contains(&address) {
            return Err(lost(&cx.place.server_name(&node.key), address));
        }
        all.push(address);
    }
    Ok(all)
}

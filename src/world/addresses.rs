//! Where a port of a node is really reached: identity in life, moved above 1024 in the sandbox.

use std::net::{IpAddr, SocketAddr};

/// Translates the ports of nodes to where they are served. One value goes to everything that connects to nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    low_ports_moved: bool,
}

/// What the sandbox adds to a port below 1024, which only root may listen on.
pub const MOVED_BY: u16 = 10_000;

impl Addresses {
    /// Every port is where it is: real nodes and the lab's.
    pub fn identity() -> Self {
        Self { low_ports_moved: false }
    }
    /// Ports below 1024 are served [`MOVED_BY`] higher, the rest where they are.
    pub fn sandbox() -> Self {
        Self { low_ports_moved: true }
    }
    /// The port to connect to for this port of a node.
    pub fn port(self, port: u16) -> u16 {
        if self.low_ports_moved && port < 1024 {
            port + MOVED_BY
        } else {
            port
        }
    }
    /// The address to connect to for this port of a node.
    pub fn reach(self, address: IpAddr, port: u16) -> SocketAddr {
        SocketAddr::new(address, self.port(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sandbox_moves_ports_and_only_low_ones() {
        assert_eq!([22, 80, 443, 6443].map(|p| Addresses::sandbox().port(p)), [10022, 10080, 10443, 6443]);
        assert_eq!([22, 80, 443, 6443].map(|p| Addresses::identity().port(p)), [22, 80, 443, 6443]);
    }
}

//! Where an address of the outside is really reached: as written in life, shifted onto loopback in the sandbox.

use std::net::{IpAddr, SocketAddr};

/// Added to every port below 1024 in the sandbox, so that it needs no root.
const SHIFT: u16 = 10_000;

/// The map from addresses as the run knows them to addresses as sockets are opened.
///
/// In life it changes nothing. In the sandbox a node has a loopback address of its own and keeps it, ports below 1024 are
/// [`SHIFT`] higher, and every host name is the sandbox's edge: nothing leaves loopback, whatever a URL says.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    sandbox: Option<Sandbox>,
}

#[derive(Debug, Clone)]
struct Sandbox {
    edge: IpAddr,
    authority: Vec<u8>,
}

impl Addresses {
    /// The map that changes nothing.
    pub fn life() -> Self {
        Self::default()
    }
    /// The sandbox's map: the edge's loopback address, and the sandbox's certificate authority as PEM.
    pub fn sandbox(edge: IpAddr, authority: impl Into<Vec<u8>>) -> Self {
        Self { sandbox: Some(Sandbox { edge, authority: authority.into() }) }
    }
    /// The port to open a socket at for this port.
    pub fn port(&self, port: u16) -> u16 {
        match self.sandbox {
            Some(_) if port < 1024 => port.saturating_add(SHIFT),
            _ => port,
        }
    }
    /// The socket address for this port of a node.
    pub fn node(&self, node: IpAddr, port: u16) -> SocketAddr {
        SocketAddr::new(node, self.port(port))
    }
    /// What every host name resolves to; `None`: what the system says.
    pub fn edge(&self) -> Option<IpAddr> {
        self.sandbox.as_ref().map(|sandbox| sandbox.edge)
    }
    /// The only certificate authority to trust, as PEM; `None`: the public ones.
    pub fn authority(&self) -> Option<&[u8]> {
        self.sandbox.as_ref().map(|sandbox| sandbox.authority.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn life_changes_nothing_and_the_sandbox_shifts_low_ports() {
        let node = IpAddr::from([127, 3, 4, 11]);
        assert_eq!(Addresses::life().node(node, 80).port(), 80);
        assert_eq!(Addresses::life().edge(), None);
        let sandbox = Addresses::sandbox(IpAddr::from([127, 3, 4, 2]), "pem");
        assert_eq!(sandbox.node(node, 80), SocketAddr::new(node, 10_080));
        assert_eq!(sandbox.port(22), 10_022);
        assert_eq!(sandbox.port(1023), 11_023);
        assert_eq!(sandbox.port(1024), 1024);
        assert_eq!(sandbox.port(6443), 6443);
        assert_eq!(sandbox.edge(), Some(IpAddr::from([127, 3, 4, 2])));
    }
}

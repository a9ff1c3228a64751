//! Public addresses of the emulated cloud: one /24 of the loopback network.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Which addresses are taken. A freed address is given out again soon, as in life.
#[derive(Debug, Clone)]
pub struct AddressPool {
    base: [u8; 4],
    taken: BTreeSet<u8>,
    last: u8,
}

impl AddressPool {
    /// Addresses of this /24.
    pub fn new(base: Ipv4Addr) -> Self {
        Self { base: base.octets(), taken: BTreeSet::new(), last: 9 }
    }
    fn at(&self, host: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.base;
        Ipv4Addr::new(a, b, c, host)
    }
    /// The next free address; `None` when all 244 are taken.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let after = self.last.saturating_add(1)..=254;
        let host = after.chain(10..=254).find(|host| !self.taken.contains(host))?;
        self.taken.insert(host);
        self.last = host;
        Some(self.at(host))
    }
    /// Gives an address back.
    pub fn free(&mut self, address: Ipv4Addr) {
        let [_, _, _, host] = address.octets();
        self.taken.remove(&host);
    }
}

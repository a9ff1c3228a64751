//! What the cloud's things cost.

use super::Server;
use std::collections::BTreeMap;
use std::ops::Add;

/// An amount, as the price list has it: the currency is the list's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Amount {
    /// Without VAT.
    pub net: f64,
    /// With the VAT of whoever owns the project.
    pub gross: f64,
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { net: self.net + other.net, gross: self.gross + other.gross }
    }
}

/// What one thing costs. Source: Hetzner Cloud billing: by the started hour, and never more a month than the monthly price.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Price {
    /// For each started hour.
    pub hourly: Amount,
    /// At most, a month.
    pub monthly: Amount,
}

/// What things cost by the hour, and a month at most.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PriceList {
    /// `EUR`.
    pub currency: String,
    /// Server types, by name and location.
    pub server_types: BTreeMap<(String, String), Price>,
    /// A primary IPv4 address, by location. Source: Hetzner Cloud API, GET /pricing: addresses are charged beside servers.
    pub primary_ipv4: BTreeMap<String, Price>,
}

impl PriceList {
    /// What a server costs a month with its address; `None` where the list does not have it.
    pub fn server(&self, server: &Server) -> Option<Amount> {
        self.monthly(&server.server_type, &server.location, server.public_ip.is_some())
    }
    /// What a server of this type there costs for each started hour, with or without an address; `None` where the list does
    /// not have it.
    pub fn hourly(&self, server_type: &str, location: &str, with_address: bool) -> Option<Amount> {
        self.sum(server_type, location, with_address, |price| price.hourly)
    }
    /// The same for a month, at most.
    pub fn monthly(&self, server_type: &str, location: &str, with_address: bool) -> Option<Amount> {
        self.sum(server_type, location, with_address, |price| price.monthly)
    }
    /// What a server with its address costs for each started hour in the dearest of these places, net: what it may come to where
    /// the first choices are sold out. `None` where the list has none of them.
    pub fn dearest_hour(&self, server_types: &[String], locations: &[String]) -> Option<f64> {
        let all = server_types.iter().flat_map(|name| locations.iter().filter_map(|l| self.hourly(name, l, true)));
        all.map(|amount| amount.net).reduce(f64::max)
    }
    fn sum(&self, server_type: &str, place: &str, with_address: bool, of: fn(&Price) -> Amount) -> Option<Amount> {
        let own = of(self.server_types.get(&(server_type.to_owned(), place.to_owned()))?);
        match with_address {
            true => Some(own + of(self.primary_ipv4.get(place)?)),
            false => Some(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_and_a_month_include_the_address_where_there_is_one() {
        let amount = |net: f64| Amount { net, gross: net * 2.0 };
        let price = |hour: f64, month: f64| Price { hourly: amount(hour), monthly: amount(month) };
        let list = PriceList {
            currency: "EUR".into(),
            server_types: [
                (("cx33".into(), "nbg1".into()), price(0.5, 4.0)),
                (("cx33".into(), "hel1".into()), price(1.0, 8.0)),
            ]
            .into(),
            primary_ipv4: [("nbg1".into(), price(0.25, 1.0))].into(),
        };
        assert_eq!(list.hourly("cx33", "nbg1", true), Some(amount(0.75)));
        assert_eq!(list.hourly("cx33", "nbg1", false), Some(amount(0.5)));
        assert_eq!(list.monthly("cx33", "nbg1", true), Some(amount(5.0)));
        assert_eq!(list.hourly("cx33", "hel1", true), None, "a sum that leaves something out would be a wrong one");
        assert_eq!(list.hourly("cx99", "nbg1", false), None);
        let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(list.dearest_hour(&words(&["cx99", "cx33"]), &words(&["hel1", "nbg1"])), Some(0.75));
        assert_eq!(list.dearest_hour(&words(&["cx33"]), &words(&["hel1"])), None);
    }
}

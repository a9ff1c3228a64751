//! The price list. Source: Hetzner Cloud API, GET /pricing: amounts are decimal texts, net and gross.

use super::reply::{decimal, lenient};
use crate::world::{Amount, PriceList};
use serde::Deserialize;
use serde_json::Value;

/// The price list as the API tells it, as far as relight buys.
#[derive(Deserialize)]
pub(super) struct PricingReply {
    #[serde(default, deserialize_with = "lenient")]
    currency: String,
    #[serde(default, deserialize_with = "lenient")]
    server_types: Vec<NamedReply>,
    #[serde(default, deserialize_with = "lenient")]
    primary_ips: Vec<AddressReply>,
}

#[derive(Deserialize)]
struct NamedReply {
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    prices: Vec<MonthReply>,
}

#[derive(Deserialize)]
struct AddressReply {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lenient")]
    prices: Vec<MonthReply>,
}

#[derive(Deserialize)]
struct MonthReply {
    location: String,
    price_monthly: AmountReply,
}

#[derive(Deserialize)]
struct AmountReply {
    #[serde(default)]
    net: Value,
    #[serde(default)]
    gross: Value,
}

impl MonthReply {
    /// Location and amount; nothing where an amount is no number.
    fn read(self) -> Option<(String, Amount)> {
        let amount = Amount { net: decimal(&self.price_monthly.net), gross: decimal(&self.price_monthly.gross) };
        (amount.net.is_finite() && amount.gross.is_finite()).then_some((self.location, amount))
    }
}

impl From<PricingReply> for PriceList {
    fn from(reply: PricingReply) -> Self {
        let PricingReply { currency, server_types, primary_ips } = reply;
        let by_type = server_types.into_iter().flat_map(|NamedReply { name, prices }| {
            prices.into_iter().filter_map(move |p| p.read().map(|(place, amount)| ((name.clone(), place), amount)))
        });
        let ipv4 = primary_ips.into_iter().filter(|ip| ip.kind == "ipv4").flat_map(|ip| ip.prices);
        Self { currency, server_types: by_type.collect(), primary_ipv4: ipv4.filter_map(MonthReply::read).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prices_are_read_by_type_and_location_and_what_is_no_number_is_no_price() {
        let month = |place: &str, net: &str, gross: &str| json!({"location": place, "price_hourly": {"net": "1", "gross": "1"}, "price_monthly": {"net": net, "gross": gross}});
        let reply = json!({"currency": "EUR", "vat_rate": "19.00", "image": {}, "server_types": [
            {"id": 1, "name": "cx33", "prices": [month("nbg1", "5.0000000000", "5.95"), month("hel1", "free", "x")]}],
            "primary_ips": [{"type": "ipv6", "prices": [month("nbg1", "0", "0")]}, {"type": "ipv4", "prices": [month("nbg1", "0.50", "0.595")]}]});
        let list = PriceList::from(serde_json::from_value::<PricingReply>(reply).unwrap());
        assert_eq!(list.currency, "EUR");
        let only = [(("cx33".to_owned(), "nbg1".to_owned()), Amount { net: 5.0, gross: 5.95 })];
        assert_eq!(list.server_types, only.into());
        assert_eq!(list.primary_ipv4, [("nbg1".to_owned(), Amount { net: 0.5, gross: 0.595 })].into());
    }

    #[test]
    fn a_list_without_what_is_asked_for_is_read_and_empty() {
        let list = PriceList::from(serde_json::from_value::<PricingReply>(json!({"currency": "EUR"})).unwrap());
        assert!(list.server_types.is_empty() && list.primary_ipv4.is_empty());
    }
}

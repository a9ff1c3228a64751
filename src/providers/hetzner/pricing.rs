//! The price list. Source: Hetzner Cloud API, GET /pricing: amounts are decimal texts, net and gross.

use super::reply::{decimal, lenient};
use crate::world::{Amount, Price, PriceList};
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
    prices: Vec<PriceReply>,
}

#[derive(Deserialize)]
struct AddressReply {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "lenient")]
    prices: Vec<PriceReply>,
}

#[derive(Deserialize)]
struct PriceReply {
    location: String,
    #[serde(default, deserialize_with = "lenient")]
    price_hourly: AmountReply,
    #[serde(default, deserialize_with = "lenient")]
    price_monthly: AmountReply,
}

#[derive(Deserialize, Default)]
struct AmountReply {
    #[serde(default)]
    net: Value,
    #[serde(default)]
    gross: Value,
}

impl AmountReply {
    fn read(&self) -> Option<Amount> {
        let amount = Amount { net: decimal(&self.net), gross: decimal(&self.gross) };
        (amount.net.is_finite() && amount.gross.is_finite()).then_some(amount)
    }
}

impl PriceReply {
    /// Location and price; nothing where an amount is no number.
    fn read(self) -> Option<(String, Price)> {
        let price = Price { hourly: self.price_hourly.read()?, monthly: self.price_monthly.read()? };
        Some((self.location, price))
    }
}

impl From<PricingReply> for PriceList {
    fn from(reply: PricingReply) -> Self {
        let PricingReply { currency, server_types, primary_ips } = reply;
        let by_type = server_types.into_iter().flat_map(|NamedReply { name, prices }| {
            prices.into_iter().filter_map(move |p| p.read().map(|(place, price)| ((name.clone(), place), price)))
        });
        let ipv4 = primary_ips.into_iter().filter(|ip| ip.kind == "ipv4").flat_map(|ip| ip.prices);
        Self { currency, server_types: by_type.collect(), primary_ipv4: ipv4.filter_map(PriceReply::read).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prices_are_read_by_type_and_location_and_what_is_no_number_is_no_price() {
        let price = |place: &str, hour: Value, month: &str| json!({"location": place, "price_hourly": {"net": hour, "gross": hour}, "price_monthly": {"net": month, "gross": month}});
        let reply = json!({"currency": "EUR", "vat_rate": "19.00", "image": {}, "server_types": [
            {"id": 1, "name": "cx33", "prices": [price("nbg1", json!("0.0104"), "5.0000000000"), price("hel1", json!("0.01"), "free"),
                price("fsn1", Value::Null, "5"), {"location": "ash", "price_monthly": {"net": "5", "gross": "5"}}]}],
            "primary_ips": [{"type": "ipv6", "prices": [price("nbg1", json!(0), "0")]},
                {"type": "ipv4", "prices": [price("nbg1", json!(0.0008), "0.50")]}]});
        let list = PriceList::from(serde_json::from_value::<PricingReply>(reply).unwrap());
        assert_eq!(list.currency, "EUR");
        let both = |hour: f64, month: f64| Price {
            hourly: Amount { net: hour, gross: hour },
            monthly: Amount { net: month, gross: month },
        };
        assert_eq!(list.server_types, [(("cx33".to_owned(), "nbg1".to_owned()), both(0.0104, 5.0))].into());
        assert_eq!(list.primary_ipv4, [("nbg1".to_owned(), both(0.0008, 0.5))].into());
    }

    #[test]
    fn a_list_without_what_is_asked_for_is_read_and_empty() {
        let list = PriceList::from(serde_json::from_value::<PricingReply>(json!({"currency": "EUR"})).unwrap());
        assert!(list.server_types.is_empty() && list.primary_ipv4.is_empty());
    }
}

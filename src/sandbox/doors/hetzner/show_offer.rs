//! Locations, server types, images and prices in the API's words.

use super::show::object;
use super::Shape;
use crate::sandbox::model::{gross, Location, Offer, OfferedImage, OfferedType, Sale, IPV4_HOURLY, IPV4_MONTHLY};
use serde_json::{json, Value};

/// Where the locations are, in degrees. Source: the API's replies.
const PLACES: [(&str, f64, f64); 6] = [
    ("fsn1", 50.476_12, 12.370_071),
    ("nbg1", 49.452_102, 11.076_665),
    ("hel1", 60.169_855, 24.938_379),
    ("ash", 39.045_821, -77.487_073),
    ("hil", 45.542_22, -122.951_924),
    ("sin", 1.283_333, 103.833_333),
];

/// A location.
pub(super) fn location(location: &Location) -> Value {
    let place = PLACES.iter().find(|(name, _, _)| *name == location.name);
    let (latitude, longitude) = place.map_or((0.0, 0.0), |(_, latitude, longitude)| (*latitude, *longitude));
    json!({
        "id": location.id, "name": location.name, "description": format!("{} DC Park 1", location.city),
        "country": location.country, "city": location.city, "latitude": latitude, "longitude": longitude,
        "network_zone": location.network_zone,
    })
}

/// A data centre, as it was shown until July 2026: one for each location.
pub(super) fn datacenter(place: &Location) -> Value {
    json!({
        "id": place.id, "name": format!("{}-dc1", place.name), "description": format!("{} virtual DC 1", place.city),
        "location": location(place), "server_types": { "supported": [], "available": [], "available_for_migration": [] },
    })
}

/// Net, and gross with German VAT of 19 %, as decimal texts.
fn amount(net: &str) -> Value {
    let gross = net.parse::<f64>().map_or_else(|_| net.to_owned(), |net| format!("{:.10}", gross(net)));
    json!({ "net": net, "gross": gross })
}

fn price(sale: &Sale) -> Value {
    json!({
        "location": sale.location, "price_hourly": amount(&sale.hourly), "price_monthly": amount(&sale.monthly),
        "included_traffic": 20_u64 << 40, "price_per_tb_traffic": amount("1.0000000000"),
    })
}

/// A server type.
pub(super) fn server_type(offer: &Offer, shape: Shape, offered: &OfferedType) -> Value {
    let locations: Vec<Value> = offered
        .sales
        .iter()
        .map(|sale| {
            let ends = sale.unavailable_after.as_ref();
            let deprecation = ends.map(|after| json!({ "announced": after, "unavailable_after": after }));
            json!({
                "id": offer.locations.get(&sale.location).map(|place| place.id), "name": sale.location,
                "deprecation": deprecation, "available": sale.available, "recommended": sale.available,
            })
        })
        .collect();
    let mut shown = object(json!({
        "id": offered.id, "name": offered.name, "description": offered.name.to_uppercase(), "cores": offered.cores,
        "memory": offered.memory, "disk": offered.disk, "storage_type": "local", "cpu_type": offered.cpu_type,
        "category": "Cost-Optimized", "architecture": offered.architecture, "locations": locations,
        "prices": offered.sales.iter().map(price).collect::<Vec<_>>(),
    }));
    if shape == Shape::December2025 {
        shown.insert("deprecated".to_owned(), false.into());
        shown.insert("deprecation".to_owned(), Value::Null);
    }
    Value::Object(shown)
}

/// A system image.
pub(super) fn image(shape: Shape, image: &OfferedImage) -> Value {
    let mut shown = object(json!({
        "id": image.id, "type": "system", "status": "available", "name": image.name, "description": image.name,
        "image_size": null, "disk_size": 5, "created": "2024-04-25T13:26:27+00:00", "created_from": null, "bound_to": null,
        "os_flavor": image.flavor, "os_version": image.version, "rapid_deploy": true, "protection": { "delete": false },
        "deleted": null, "labels": {}, "architecture": image.architecture,
    }));
    let gone = if shape == Shape::December2025 { "deprecated" } else { "deprecation" };
    shown.insert(gone.to_owned(), Value::Null);
    Value::Object(shown)
}

/// The price list, as far as the model sells: server types and primary IPs.
pub(super) fn pricing(offer: &Offer) -> Value {
    let types: Vec<Value> = offer
        .types
        .values()
        .map(|t| json!({ "id": t.id, "name": t.name, "prices": t.sales.iter().map(price).collect::<Vec<_>>() }))
        .collect();
    let ip = |place: &Location| json!({ "location": place.name, "price_hourly": amount(IPV4_HOURLY), "price_monthly": amount(IPV4_MONTHLY) });
    let ips: Vec<Value> = offer.locations.values().map(ip).collect();
    json!({
        "currency": "EUR", "vat_rate": "19.00", "server_types": types, "primary_ips": [{ "type": "ipv4", "prices": ips }],
        "floating_ips": [], "floating_ip": { "price_monthly": amount("3.0000") }, "load_balancer_types": [],
        "image": { "price_per_gb_month": amount("0.0110") }, "volume": { "price_per_gb_month": amount("0.0440") },
        "server_backup": { "percentage": "20.00" },
    })
}

//! What the modelled cloud sells: locations, server types with prices and stock, images.

use std::collections::{BTreeMap, BTreeSet};

/// A location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The cloud's id.
    pub id: i64,
    /// `nbg1`.
    pub name: String,
    /// `eu-central`.
    pub network_zone: String,
    /// `DE`.
    pub country: String,
    /// `Nuremberg`.
    pub city: String,
}

/// What a primary IPv4 address costs an hour, net, as the API prints it.
pub const IPV4_HOURLY: &str = "0.0008";

/// What a primary IPv4 address costs a month, net, as the API prints it.
pub const IPV4_MONTHLY: &str = "0.5000";

/// With German VAT of 19 %.
pub fn gross(net: f64) -> f64 {
    net * 1.19
}

/// Price and stock of a server type in one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// `nbg1`.
    pub location: String,
    /// Euro per hour, net, as the API prints it: a text.
    pub hourly: String,
    /// Euro per month, net, as the API prints it.
    pub monthly: String,
    /// The stock flag, which is a hint.
    pub available: bool,
    /// No longer orderable from this time on (RFC 3339).
    pub unavailable_after: Option<String>,
}

/// A server type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedType {
    /// The cloud's id.
    pub id: i64,
    /// `cx33`.
    pub name: String,
    /// `x86`, `arm`.
    pub architecture: String,
    /// `shared`, `dedicated`.
    pub cpu_type: String,
    /// Virtual cores.
    pub cores: u32,
    /// GB.
    pub memory: u32,
    /// GB.
    pub disk: u32,
    /// Where it is sold.
    pub sales: Vec<Sale>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedImage {
    /// The cloud's id.
    pub id: i64,
    /// `ubuntu-24.04`.
    pub name: String,
    /// `ubuntu`.
    pub flavor: String,
    /// `24.04`.
    pub version: String,
    /// `x86`, `arm`.
    pub architecture: String,
}

/// Everything that is sold.
#[derive(Debug, Clone)]
pub struct Offer {
    /// By name.
    pub locations: BTreeMap<String, Location>,
    /// By name.
    pub types: BTreeMap<String, OfferedType>,
    /// All of them.
    pub images: Vec<OfferedImage>,
    /// `(type, location)` without capacity, whatever the stock flag says.
    sold_out: BTreeSet<(String, String)>,
}

const LOCATIONS: [(&str, &str, &str, &str); 6] = [
    ("fsn1", "eu-central", "DE", "Falkenstein"),
    ("nbg1", "eu-central", "DE", "Nuremberg"),
    ("hel1", "eu-central", "FI", "Helsinki"),
    ("ash", "us-east", "US", "Ashburn, VA"),
    ("hil", "us-west", "US", "Hillsboro, OR"),
    ("sin", "ap-southeast", "SG", "Singapore"),
];

const EU: &[&str] = &["fsn1", "nbg1", "hel1"];
const ALL: &[&str] = &["fsn1", "nbg1", "hel1", "ash", "hil", "sin"];

type TypeRow =
    (&'static str, &'static str, &'static str, u32, u32, u32, &'static str, &'static str, &'static [&'static str]);

/// Names, sizes and regions are the cloud's; cx33's price is the one its API gave on 2026-05-27, the others are of that order.
const TYPES: [TypeRow; 8] = [
    ("cx23", "x86", "shared", 2, 4, 40, "0.0056", "3.49", EU),
    ("cx33", "x86", "shared", 4, 8, 80, "0.0104", "6.49", EU),
    ("cx43", "x86", "shared", 8, 16, 160, "0.0192", "11.99", EU),
    ("cx53", "x86", "shared", 16, 32, 320, "0.0360", "22.49", EU),
    ("cpx22", "x86", "shared", 2, 4, 80, "0.0104", "6.49", ALL),
    ("cpx32", "x86", "shared", 4, 8, 160, "0.0176", "10.99", ALL),
    ("cax11", "arm", "shared", 2, 4, 40, "0.0064", "3.99", EU),
    ("cax21", "arm", "shared", 4, 8, 80, "0.0120", "7.49", EU),
];

impl Default for Offer {
    fn default() -> Self {
        let locations = (1..).zip(LOCATIONS).map(|(id, (name, zone, country, city))| {
            let location = Location {
                id,
                name: name.to_owned(),
                network_zone: zone.to_owned(),
                country: country.to_owned(),
                city: city.to_owned(),
            };
            (name.to_owned(), location)
        });
        let types = (101..).zip(TYPES).map(|(id, row)| (row.0.to_owned(), offered(id, row)));
        let mut images = Vec::new();
        for (flavor, version) in [("ubuntu", "24.04"), ("ubuntu", "22.04"), ("debian", "12"), ("debian", "13")] {
            for architecture in ["x86", "arm"] {
                images.push(OfferedImage {
                    id: 45_000_000 + i64::try_from(images.len()).unwrap_or(0),
                    name: format!("{flavor}-{version}"),
                    flavor: flavor.to_owned(),
                    version: version.to_owned(),
                    architecture: architecture.to_owned(),
                });
            }
        }
        Self { locations: locations.collect(), types: types.collect(), images, sold_out: BTreeSet::new() }
    }
}

fn offered(
    id: i64,
    (name, architecture, cpu_type, cores, memory, disk, hourly, monthly, places): TypeRow,
) -> OfferedType {
    let sale = |place: &&str| Sale {
        location: (*place).to_owned(),
        hourly: hourly.to_owned(),
        monthly: monthly.to_owned(),
        available: true,
        unavailable_after: None,
    };
    OfferedType {
        id,
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        cpu_type: cpu_type.to_owned(),
        cores,
        memory,
        disk,
        sales: places.iter().map(sale).collect(),
    }
}

impl Offer {
    /// Whether a create succeeds, or what is missing.
    pub fn orderable(&self, server_type: &str, location: &str) -> bool {
        let sold = self.types.get(server_type).is_some_and(|t| t.sales.iter().any(|s| s.location == location));
        sold && !self.sold_out.contains(&(server_type.to_owned(), location.to_owned()))
    }
    /// Takes a type in a location off the shelf or puts it back; the stock flag follows.
    pub fn set_stock(&mut self, server_type: &str, location: &str, available: bool) {
        let place = (server_type.to_owned(), location.to_owned());
        if available {
            self.sold_out.remove(&place);
        } else {
            self.sold_out.insert(place);
        }
        let sales = self.types.get_mut(server_type).map(|t| t.sales.iter_mut());
        for sale in sales.into_iter().flatten().filter(|s| s.location == location) {
            sale.available = available;
        }
    }
    /// The image of this name (or id as text) for this architecture.
    pub fn image(&self, name: &str, architecture: &str) -> Option<&OfferedImage> {
        self.images.iter().find(|i| (i.name == name || i.id.to_string() == name) && i.architecture == architecture)
    }
}

//! Nodes and the cloud they stand in.

use super::super::problem::Place;
use super::super::raw::{At, Ordered, RawCloud, RawNetwork, RawNode};
use super::super::rule;
use super::super::settings::{CloudSettings, NetworkSettings, NodeSettings};
use super::{resolved, Checks};

/// Locations by network zone: a private network lies in one zone.
/// Source: Hetzner Cloud API, `GET /locations`, `network_zone`.
const ZONES: [(&str, &[&str]); 4] = [
    ("eu-central", &["nbg1", "fsn1", "hel1"]),
    ("us-east", &["ash"]),
    ("us-west", &["hil"]),
    ("ap-southeast", &["sin"]),
];

/// How many characters `<cluster>` and `<node>` may have together, so that the longest name relight makes of them, that of a
/// fenced server (`<cluster>-<node>-old-<run>`), is a host name of 63. A run's id has 12.
const NAME_LIMIT: usize = 63 - "--old-".len() - 12;

impl Checks {
    pub(super) fn nodes(&mut self, cluster: &At<String>, raw: At<Ordered<Option<RawNode>>>) -> Vec<NodeSettings> {
        let count = raw.value.0.len();
        if !matches!(count, 1 | 3 | 5) {
            let what = format!("{count} nodes are no good number for etcd");
            let remedy =
                "have 1, 3 or 5: etcd needs a majority, so an even number survives no more losses than one node fewer";
            self.add(raw.place, what, remedy);
        }
        let mut nodes = Vec::new();
        for (key, node) in raw.value.0 {
            self.label(&key, "the node's name");
            if cluster.value.len() + key.value.len() > NAME_LIMIT {
                let what = format!("server names of node \"{}\" would be longer than 63 characters", key.value);
                let remedy =
                    format!("shorten it or the cluster's name: together they may have {NAME_LIMIT} characters");
                self.add(key.place, what, remedy);
            }
            let labels = node.unwrap_or_default().labels.0;
            for (name, value) in &labels {
                if !rule::is_label_key(&name.value) {
                    let what = format!("\"{}\" is no key of a Kubernetes label", name.value);
                    self.add(
                        name.place,
                        what,
                        "write name or domain/name, the name of at most 63 of A-Z a-z 0-9 - _ .",
                    );
                }
                if !rule::is_label_value(&value.value) {
                    let what = format!("\"{}\" is no value of a Kubernetes label", value.value);
                    self.add(value.place, what, "use at most 63 of A-Z a-z 0-9 - _ ., alphanumeric at both ends");
                }
            }
            let labels = labels.into_iter().map(|(k, v)| (k.value, v.value)).collect();
            nodes.push(NodeSettings { key: key.value, labels });
        }
        nodes
    }

    pub(super) fn cloud(&mut self, raw: RawCloud) -> CloudSettings {
        self.some(&raw.server_types, "cloud.server_types", "name at least one, such as cx33");
        self.some(&raw.locations, "cloud.locations", "name at least one, such as nbg1");
        for (list, what) in [(&raw.server_types, "server type"), (&raw.locations, "location")] {
            self.unique(what, list.value.iter().map(|v| (v.value.as_str(), v.place)));
        }
        let user = raw.user.unwrap_or(At { place: Place::START, value: "deploy".into() });
        if !rule::is_user(&user.value) || user.value == "root" {
            let what = format!("cloud.user cannot be \"{}\"", user.value);
            self.add(user.place, what, "use a name of lower-case letters and digits; root's login is turned off");
        }
        for range in &raw.api_access {
            self.range(range, "cloud.api_access");
        }
        let network = match raw.network.unwrap_or(RawNetwork::Private) {
            RawNetwork::Private => self.private(raw.network_range, &raw.locations.value),
            RawNetwork::Public => {
                if let Some(range) = raw.network_range {
                    let what = "cloud.network_range is of no use with network: public";
                    self.add(range.place, what, "leave it out, or write network: private");
                }
                NetworkSettings::Public
            }
        };
        let image = self.filled(raw.image, "cloud.image", "name one, such as ubuntu-24.04");
        let plain = |list: Vec<At<String>>| list.into_iter().map(|v| v.value).collect();
        let authorized_keys = self.authorized_keys(raw.ssh_authorized_keys);
        CloudSettings {
            server_types: plain(raw.server_types.value),
            locations: plain(raw.locations.value),
            image,
            network,
            authorized_keys,
            user: user.value,
            api_access: plain(raw.api_access),
            keep_addresses: raw.keep_addresses.unwrap_or(false),
        }
    }

    fn private(&mut self, range: Option<At<String>>, locations: &[At<String>]) -> NetworkSettings {
        let range = range.unwrap_or(At { place: Place::START, value: "10.0.0.0/16".into() });
        let read = self.range(&range, "cloud.network_range");
        if read.is_some_and(|r| !r.is_private_network()) {
            let what = format!("cloud.network_range \"{}\" cannot be a private network", range.value);
            self.add(range.place, what, "take at least a /24 of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
        }
        let zone_of = |location: &str| ZONES.iter().find(|(_, l)| l.contains(&location)).map(|(zone, _)| *zone);
        let mut zone = None;
        for location in locations {
            let here = zone_of(&location.value);
            let first = *zone.get_or_insert(here.unwrap_or_default());
            if here.is_none() {
                let known: Vec<&str> = ZONES.iter().flat_map(|(_, l)| l.iter().copied()).collect();
                let what = format!("the network zone of location \"{}\" is unknown", location.value);
                self.add(location.place, what, format!("take one of {}, or write network: public", known.join(", ")));
            } else if here != Some(first) && !first.is_empty() {
                let there = here.unwrap_or_default();
                let what =
                    format!("location \"{}\" is in network zone {there}, the first one in {first}", location.value);
                self.add(location.place, what, "take locations of one zone, or write network: public");
            }
        }
        NetworkSettings::Private { range: range.value, zone: zone.unwrap_or_default().to_owned() }
    }

    /// Keys as they stand in `authorized_keys`, from the files named or written here.
    fn authorized_keys(&mut self, raw: Vec<At<String>>) -> Vec<String> {
        let mut keys = Vec::new();
        for entry in raw {
            if is_public_key(&entry.value) {
                keys.push(entry.value.trim().to_owned());
                continue;
            }
            let path = resolved(&self.base, &entry.value);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(why) => {
                    let what = format!("the public key {} cannot be read ({why})", entry.value);
                    let remedy =
                        "name an existing .pub file, write the key itself (ssh-ed25519 AAAA...), or leave it out";
                    self.add(entry.place, what, remedy);
                    continue;
                }
            };
            let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
            let (good, bad): (Vec<&str>, Vec<&str>) = lines.partition(|l| is_public_key(l));
            if good.is_empty() || !bad.is_empty() {
                let private = text.contains("PRIVATE KEY");
                let remedy = if private { "this is a private key: name its .pub file" } else { "name a .pub file" };
                self.add(entry.place, format!("{} holds no public SSH keys", entry.value), remedy);
            }
            keys.extend(good.into_iter().map(str::to_owned));
        }
        keys
    }
}

/// Whether a text is a public key in OpenSSH's form, without options before it.
fn is_public_key(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let kind =
        words.next().is_some_and(|k| k.starts_with("ssh-") || k.starts_with("ecdsa-sha2-") || k.starts_with("sk-"));
    kind && words.next().is_some_and(|data| data.starts_with("AAAA"))
}

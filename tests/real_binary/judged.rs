//! What the sandbox's own ledger says of a run of the real binary: every effect is judged by what it was done to.

use super::place::Place;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Milliseconds by which two processes' clocks may differ: both reckon from the same wall clock, in whole milliseconds.
const CLOCKS: u64 = 5;
/// Whose the planted things are: relight's, of another cluster.
const SOMEBODY: &str = "otherdue";
/// A name of the zone that no configuration names.
pub const MAIL: &str = "mail.myhoneydue.com";

/// Things of somebody else in the same project and zone, made by the official APIs.
pub struct Foreign {
    api: Api,
    /// Path of each thing, and what it was.
    planted: Vec<(String, Value)>,
    /// Effects before and during the planting.
    known: usize,
}

struct Api {
    card: Value,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    fn of(place: &Place) -> Self {
        let card = std::fs::read(place.path().join("state/sandbox/honeydue/sandbox.json")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { card: serde_json::from_slice(&card).unwrap(), runtime }
    }
    fn word(&self, key: &str) -> &str {
        self.card[key].as_str().unwrap()
    }
    fn get(&self, path: &str) -> Value {
        self.call(path.starts_with("/zones"), path, None)
    }
    fn call(&self, dns: bool, path: &str, body: Option<&Value>) -> Value {
        let (base, token) = match dns {
            true => ("cloudflare_base_url", "cloudflare_api_token"),
            false => ("hcloud_endpoint", "hcloud_token"),
        };
        let url = format!("{}{path}", self.word(base));
        let client = reqwest::Client::new();
        let request = match body {
            Some(body) => client.post(&url).json(body),
            None => client.get(&url),
        };
        self.runtime.block_on(async {
            let reply = request.bearer_auth(self.word(token)).send().await.unwrap();
            let status = reply.status();
            let text = reply.text().await.unwrap();
            assert!(status.is_success(), "{url}: {status} {text}");
            serde_json::from_str(&text).unwrap()
        })
    }
}

fn ledger(place: &Place) -> Value {
    place.json(&["sandbox", "status", "--json"])["world"]["ledger"].clone()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no {key} in {value}"))
}

impl Foreign {
    /// Plants a server that runs, a firewall, a network and an SSH key of another cluster, and a record beside the run's names.
    pub fn plant(place: &Place) -> Self {
        let api = Api::of(place);
        let labels = json!({ "managed-by": "relight", "relight-cluster": SOMEBODY });
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        let things = [
            (
                "server",
                json!({ "name": "honeydue-node-9", "server_type": "cx33", "image": "ubuntu-24.04", "labels": labels }),
            ),
            ("firewall", json!({ "name": "honeydue-old", "labels": labels })),
            ("network", json!({ "name": "honeydue-netz", "ip_range": "10.9.0.0/16", "labels": labels })),
            ("ssh_key", json!({ "name": "honeydue-run-of-somebody", "public_key": key, "labels": labels })),
        ];
        let mut paths = Vec::new();
        for (kind, body) in things {
            let made = api.call(false, &format!("/{kind}s"), Some(&body));
            paths.push(format!("/{kind}s/{}", made[kind]["id"]));
        }
        let zone = api.call(true, "/zones", None)["result"][0]["id"].as_str().unwrap().to_owned();
        let record = json!({ "type": "TXT", "name": MAIL, "content": "v=spf1 -all", "ttl": 300 });
        let made = api.call(true, &format!("/zones/{zone}/dns_records"), Some(&record));
        paths.push(format!("/zones/{zone}/dns_records/{}", made["result"]["id"].as_str().unwrap()));
        let planted = paths.into_iter().map(|path| (path.clone(), lasting(api.get(&path)))).collect();
        let known = list(&ledger(place), "effects").len();
        Self { api, planted, known }
    }

    /// All foreign things are as they were, and the ledger knows of no other effect on anything foreign.
    pub fn is_untouched(&self, place: &Place) {
        for (path, was) in &self.planted {
            assert_eq!(lasting(self.api.get(path)), *was, "{path}");
        }
        let ledger = ledger(place);
        let foreign = list(&ledger, "foreign");
        let plants = list(&ledger, "effects")[..self.known].iter().filter(|e| planted(e)).count();
        assert_eq!(plants, self.planted.len());
        assert_eq!(foreign.len(), self.planted.len(), "only the planting itself: {foreign:#?}");
    }
}

/// Whether this is the making of a foreign thing, which no run did.
fn planted(effect: &Value) -> bool {
    let names = ["honeydue-node-9", "honeydue-old", "honeydue-netz", "honeydue-run-of-somebody"];
    let made = effect["op"].as_str().unwrap().ends_with(".create");
    let target = effect["target"].as_str().unwrap();
    made && names.iter().any(|n| target.split(' ').any(|word| word == *n)) || effect["names"] == json!([MAIL])
}

/// What does not change by itself: a server goes on starting.
fn lasting(mut reply: Value) -> Value {
    if let Some(server) = reply.get_mut("server").and_then(Value::as_object_mut) {
        server.remove("status");
        server.remove("locked");
    }
    reply
}

/// Every promise that the ledger can judge was kept, and each effect had its intent on disk before.
pub fn kept(place: &Place) {
    let ledger = ledger(place);
    for promise in ["made_twice", "strangers", "broken"] {
        assert_eq!(list(&ledger, promise), &[] as &[Value], "{promise}");
    }
    let intents = intents(place);
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    let effects: Vec<&Value> = list(&ledger, "effects").iter().filter(|e| e["refused"].is_null()).collect();
    assert!(effects.len() > 20, "{effects:#?}");
    for effect in effects {
        if planted(effect) {
            continue;
        }
        let wanted = target(effect);
        let at = effect["at"].as_u64().unwrap() + CLOCKS;
        let before = intents.iter().filter(|(when, what)| *when <= at && matches(what, &wanted)).count();
        assert!(before > 0, "no intent on disk before {effect}, which wants {wanted:?}");
        if effect["op"].as_str().unwrap().ends_with(".create") {
            let count = made.entry(format!("{wanted:?}")).or_default();
            *count += 1;
            assert!(*count <= before, "{effect}: made {count} times by {before} intents");
        }
    }
}

/// Time and target of each intent in the journal.
fn intents(place: &Place) -> Vec<(u64, String)> {
    let status = place.json(&["status", "--json"]);
    let events = list(&status, "events").iter().filter(|e| e["event"]["event"] == "intent");
    events.map(|e| (e["at"].as_u64().unwrap(), e["event"]["target"].as_str().unwrap().to_owned())).collect()
}

/// How the intent of an effect names its target.
#[derive(Debug)]
enum Wanted {
    Exactly(String),
    Records(Vec<String>),
}

fn target(effect: &Value) -> Wanted {
    let (op, target) = (effect["op"].as_str().unwrap(), effect["target"].as_str().unwrap());
    let words: Vec<&str> = op.split('.').collect();
    match words.as_slice() {
        ["cloud", kind, "create"] => {
            let name = target.split(' ').find(|word| word.starts_with("honeydue-")).unwrap();
            Wanted::Exactly(format!("new {} {name}", kind.replace('_', " ")))
        }
        ["cloud", "firewall", "attach" | "detach"] => Wanted::Exactly(format!("server {}", effect["id"])),
        ["cloud", kind, ..] => Wanted::Exactly(format!("{} {}", kind.replace('_', " "), effect["id"])),
        ["node", ..] => Wanted::Exactly(format!("node {}", effect["address"].as_str().unwrap())),
        ["dns", ..] => {
            Wanted::Records(list(effect, "names").iter().map(|name| name.as_str().unwrap().to_owned()).collect())
        }
        other => panic!("an effect that no intent is known for: {other:?}"),
    }
}

fn matches(intent: &str, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Exactly(text) => intent == text,
        Wanted::Records(names) => intent.starts_with("records of ") && names.iter().all(|name| intent.contains(name)),
    }
}

//! What a cluster needs of others: cloud, DNS, health checks, where secrets come from, and how a rehearsal differs.

use super::{At, Ordered};
use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, value::MapAccessDeserializer, Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Hetzner Cloud.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cloud")]
pub(in super::super) struct RawCloud {
    /// Server types in order of preference: the next one is taken when one cannot be had.
    pub server_types: At<Vec<At<String>>>,
    /// Locations in order of preference. All nodes stay together where possible.
    pub locations: At<Vec<At<String>>>,
    /// The servers' image: `ubuntu-24.04`.
    pub image: At<String>,
    /// How the nodes talk to each other. Default: private.
    pub network: Option<RawNetwork>,
    /// Range of the private network. Default: 10.0.0.0/16.
    pub network_range: Option<At<String>>,
    /// Public SSH keys of people who may log in: files (`~` is your home) or the keys themselves (`ssh-ed25519
    /// AAAA...`). Without any, only the key that relight makes for each run gets in.
    #[serde(default)]
    pub ssh_authorized_keys: Vec<At<String>>,
    /// The user that relight and people log in as. Default: deploy.
    pub user: Option<At<String>>,
    /// CIDRs that may reach the Kubernetes API (6443) directly. Default: nobody, it is reached through SSH.
    #[serde(default)]
    pub api_access: Vec<At<String>>,
    /// Whether the nodes' public addresses are kept: they outlive their servers, and a rebuild takes them up again in the
    /// same location. An address without a server still costs. Default: false.
    pub keep_addresses: Option<bool>,
}

/// How the nodes talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Network")]
pub(in super::super) enum RawNetwork {
    /// Over a private network of the project.
    Private,
    /// Over their public addresses.
    Public,
}

/// Where a secret value comes from: exactly one of these.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "From")]
pub(in super::super) enum RawFrom {
    /// An environment variable.
    Env(String),
    /// A file, without its last newline.
    File(String),
    /// A program and its arguments, started without a shell: its output without the last newline.
    Command(Vec<String>),
    /// A file encrypted with age.
    Age(String),
    /// Asked at the terminal with this text, without echo.
    Prompt(String),
    /// This text: for what is no secret, such as a rehearsal's stand-in.
    Value(String),
}

/// Cloudflare.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Dns")]
pub(in super::super) struct RawDns {
    /// The zone: `example.org`.
    pub zone: At<String>,
    /// The zone's SSL mode as it should be, compared in preflight. Default: not compared.
    pub ssl: Option<RawSsl>,
    /// Whether Cloudflare's edge stands before the nodes. Default: true.
    pub proxied: Option<bool>,
    /// Names that get an A record on every node.
    pub hosts: At<Vec<At<String>>>,
}

/// Cloudflare's SSL modes.
#[derive(Debug, Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Ssl")]
pub(in super::super) enum RawSsl {
    /// The edge serves plain HTTP.
    Off,
    /// The edge speaks plain HTTP to the nodes.
    Flexible,
    /// The edge speaks TLS to the nodes and takes any certificate.
    Full,
    /// The edge speaks TLS to the nodes and checks their certificate.
    Strict,
}

/// A health check.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Health")]
pub(in super::super) struct RawHealth {
    /// An https URL below one of `dns.hosts`, asked through the edge; the nodes are asked directly by plain HTTP.
    pub url: At<String>,
    /// The expected status. Default: 200.
    pub status: Option<At<u16>>,
    /// A text that the answer must contain.
    pub contains: Option<String>,
    /// How long it must answer without a failure. Default: 10s.
    pub stable_for: Option<At<String>>,
}

/// How a rehearsal differs from a live run.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rehearsal")]
pub(in super::super) struct RawRehearsal {
    /// What it may cost at most, in euro.
    pub budget: Option<At<f64>>,
    /// When its servers power themselves off.
    pub expires_after: Option<At<String>>,
    /// A zone of its own in which the rehearsal has names for its time (`api-r-<run>.example.org`), so that DNS and the edge are
    /// rehearsed too; token from `CLOUDFLARE_API_TOKEN_REHEARSAL`. Default: no names, each node is asked directly.
    pub zone: Option<At<String>>,
    /// Workloads that stay at zero replicas.
    #[serde(default)]
    pub hold_at_zero: Vec<At<String>>,
    /// What it does with the Secrets, by `namespace/name`.
    #[serde(default)]
    pub secrets: Ordered<RawRehearsalSecret>,
}

/// What a rehearsal does with one Secret: `shared-readonly`, or a map of its keys with other sources.
#[derive(Debug)]
pub(in super::super) enum RawRehearsalSecret {
    Shared,
    Overrides(Ordered<At<RawFrom>>),
}

impl<'de> Deserialize<'de> for RawRehearsalSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawRehearsalSecret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("shared-readonly or a map of keys")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match text {
                    "shared-readonly" => Ok(RawRehearsalSecret::Shared),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
                Ordered::deserialize(MapAccessDeserializer::new(access)).map(RawRehearsalSecret::Overrides)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for RawRehearsalSecret {
    fn schema_name() -> Cow<'static, str> {
        "RehearsalSecret".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let overrides = generator.subschema_for::<Ordered<At<RawFrom>>>();
        json_schema!({
            "description": "`shared-readonly`: production's values may be used. Else: these keys have other values.",
            "anyOf": [{ "const": "shared-readonly", "type": "string" }, overrides]
        })
    }
}

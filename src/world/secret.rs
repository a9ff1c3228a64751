//! Secret values and where they come from.

use super::Result;
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretBox};
use std::collections::BTreeMap;
use std::fmt;

/// A secret text. Prints as `[secret]`, cannot be serialised, and is wiped when dropped.
///
/// The type that configuration, actions and providers pass secrets in; there is no other.
#[derive(Clone)]
pub struct Secret(std::sync::Arc<SecretBox<Vec<u8>>>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(std::sync::Arc::new(SecretBox::new(Box::new(value.into()))))
    }
    /// The bytes, for the one line that hands them to the outside.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
    /// The text, for the one line that hands it to the outside; `None` where it is not UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(self.expose()).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where one secret value comes from. Holds no secret itself, so it may be journaled and printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// An environment variable of relight.
    Env(String),
    /// A file, without its last newline.
    File(std::path::PathBuf),
    /// A program and its arguments, started without a shell; its standard output without the last newline.
    Command(Vec<String>),
    /// A file encrypted with age; the identity comes from `RELIGHT_AGE_IDENTITY` (a file) or `SOPS_AGE_KEY_FILE`.
    Age(std::path::PathBuf),
    /// Asked at the terminal, without echo.
    Prompt(String),
    /// Written in the configuration: for what is no secret, such as a rehearsal's stand-in.
    Value(String),
}

impl fmt::Display for SecretFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Command(words) => write!(f, "command {}", words.first().map_or("", String::as_str)),
            Self::Age(path) => write!(f, "age file {}", path.display()),
            Self::Prompt(text) => write!(f, "prompt \"{text}\""),
            Self::Value(_) => f.write_str("a value in the configuration"),
        }
    }
}

/// Resolves secrets on the operator's machine.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The value, or an error that names the source and the remedy and never the value. Asked twice for the same source, it
    /// answers from memory: a person is prompted once.
    async fn resolve(&self, from: &SecretFrom) -> Result<Secret>;
    /// The sources (never the values) for which a stand-in was made so far, sorted: in the sandbox alone.
    fn stand_ins(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A source with fixed values: what a test or a generated sandbox secret needs.
#[derive(Debug, Default)]
pub struct FixedSecrets {
    /// By the source's displayed text.
    pub values: BTreeMap<String, Secret>,
}

#[async_trait]
impl SecretSource for FixedSecrets {
    async fn resolve(&self, from: &SecretFrom) -> Result<Secret> {
        if let SecretFrom::Value(text) = from {
            return Ok(Secret::new(text.clone()));
        }
        self.values
            .get(&from.to_string())
            .cloned()
            .ok_or_else(|| super::Error::fatal(format!("{from} has no value")).remedy(format!("provide {from}")))
    }
}

//! Secrets that the sandbox makes up where the operator's machine has none.

use crate::world::{Result, Secret, SecretFrom, SecretSource};
use async_trait::async_trait;
use sha2::{Digest, Sha256};

/// Answers every source with a value made from the seed and the source's words: the same in every process of a sandbox.
#[derive(Debug, Clone)]
pub struct GeneratedSecrets {
    /// Another seed gives other values.
    pub seed: u64,
}

#[async_trait]
impl SecretSource for GeneratedSecrets {
    async fn resolve(&self, from: &SecretFrom) -> Result<Secret> {
        if let SecretFrom::Value(text) = from {
            return Ok(Secret::new(text.clone()));
        }
        let hash = Sha256::digest(format!("sandbox secret {} {from}", self.seed));
        Ok(Secret::new(hex::encode(hash)))
    }
}

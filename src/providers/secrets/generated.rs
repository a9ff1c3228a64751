//! Stand-ins for secrets that a sandbox has no use for.

use crate::world::{Result, Secret, SecretFrom, SecretSource};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// For the sandbox alone: what cannot be resolved is generated, and it is remembered for which sources that happened.
///
/// A value is made from the sandbox's seed and the source, so that a resumed run, and a second process, make the same one.
/// Nobody is prompted: a sandbox has no right to a person's secrets.
pub struct Generated {
    inner: Arc<dyn SecretSource>,
    seed: String,
    made: Mutex<BTreeSet<String>>,
}

impl Generated {
    /// Wraps a source. The seed is the sandbox's uid.
    pub fn new(inner: Arc<dyn SecretSource>, seed: impl Into<String>) -> Self {
        Self { inner, seed: seed.into(), made: Mutex::default() }
    }
}

#[async_trait]
impl SecretSource for Generated {
    async fn resolve(&self, from: &SecretFrom) -> Result<Secret> {
        if !matches!(from, SecretFrom::Prompt(_)) {
            if let Ok(secret) = self.inner.resolve(from).await {
                return Ok(secret);
            }
        }
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(from.to_string());
        let digest =
            Sha256::new().chain_update(&self.seed).chain_update([0]).chain_update(format!("{from:?}")).finalize();
        Ok(Secret::new(format!("sandbox-{}", hex::encode(digest))))
    }
    fn stand_ins(&self) -> Vec<String> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secrets;
    use super::*;

    fn generated(seed: &str) -> Generated {
        let environment = [("HAVE".to_owned(), Secret::new("real"))];
        Generated::new(Arc::new(Secrets::new(environment.into(), ".")), seed)
    }

    #[tokio::test]
    async fn only_what_is_missing_is_generated_the_same_each_time_and_told_by_name() {
        let source = generated("one");
        assert_eq!(source.resolve(&SecretFrom::Env("HAVE".into())).await.unwrap().expose(), b"real");
        assert!(source.stand_ins().is_empty());
        let missing = SecretFrom::Env("MISSING".into());
        let value = source.resolve(&missing).await.unwrap();
        source.resolve(&SecretFrom::Prompt("Database password".into())).await.unwrap();
        assert_eq!(source.stand_ins(), ["environment variable MISSING", "prompt \"Database password\""]);
        assert_eq!(generated("one").resolve(&missing).await.unwrap().expose(), value.expose());
        assert_ne!(generated("two").resolve(&missing).await.unwrap().expose(), value.expose());
    }
}

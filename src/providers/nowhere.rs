//! No DNS at all: what a run has that points no name at anything. Whoever asks is told so; nothing leaves the machine.

use crate::world::{Batch, Dns, Error, Permit, Record, Result, Zone};
use async_trait::async_trait;

/// Knows no zone.
pub struct NoDns;

fn nothing<T>() -> Result<T> {
    Err(Error::fatal("this run points no name at anything").remedy("this is a bug in relight; nothing was sent"))
}

#[async_trait]
impl Dns for NoDns {
    async fn prove_token(&self) -> Result<()> {
        nothing()
    }
    async fn prove_writable(&self, _zone: &Zone) -> Result<()> {
        nothing()
    }
    async fn zone(&self, _name: &str) -> Result<Option<Zone>> {
        nothing()
    }
    async fn ssl_mode(&self, _zone: &Zone) -> Result<Option<String>> {
        nothing()
    }
    async fn records(&self, _zone: &Zone, _names: &[String]) -> Result<Vec<Record>> {
        nothing()
    }
    async fn change(&self, _permit: &Permit, _zone: &Zone, _batch: &Batch) -> Result<()> {
        nothing()
    }
}

//! The sandbox's operator: an SSH key and known hosts in the sandbox's own directory. A cluster that was made by hand lets them in;
//! nothing of the person's own `~/.ssh` is read or written for a sandbox.

use crate::providers::OsRandom;
use crate::world::{public_key, Random, RunKeys, Secret};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The private key. Its public half lies beside it, for `ssh_authorized_keys`.
const KEY: &str = "id_ed25519";

/// Where the operator of a cluster's sandbox keeps key and known hosts.
pub fn directory(state: &Path, cluster: &str) -> PathBuf {
    super::card::path(state, cluster).with_file_name("operator")
}

/// The operator's public key; a pair is made where there is none. It outlives the sandbox.
pub fn key(directory: &Path) -> std::io::Result<String> {
    let path = directory.join(KEY);
    let unusable = |error: crate::world::Error| Error::new(ErrorKind::InvalidData, error.what);
    match std::fs::read(&path) {
        Ok(bytes) => return public_key(&Secret::new(bytes)).map_err(unusable),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut seed = [0; 32];
    OsRandom.fill(&mut seed);
    let pair = RunKeys::ed25519(seed, "relight sandbox operator").map_err(unusable)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    std::fs::write(path.with_extension("pub"), format!("{} relight-sandbox-operator\n", pair.public))?;
    // The private half last, and whole or not at all: it says that there is a pair.
    let part = path.with_extension("part");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(pair.private_openssh.expose())?;
    file.sync_all()?;
    std::fs::rename(&part, &path)?;
    Ok(pair.public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_pair_is_made_once_and_is_its_owners_alone() {
        let state = tempfile::tempdir().unwrap();
        let place = directory(state.path(), "c");
        let first = key(&place).unwrap();
        assert_eq!(key(&place).unwrap(), first);
        assert!(std::fs::read_to_string(place.join("id_ed25519.pub")).unwrap().starts_with(&first));
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(place.clone()), mode(place.join(KEY))), (0o700, 0o600));
    }
}

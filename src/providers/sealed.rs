//! What a finished run keeps is encrypted to the operator.
//!
//! While a run is unfinished its secrets lie as they are (0600), because `resume` must work at any instant and without anybody's
//! identity. Once its journal says that it has succeeded nobody resumes it any more, and everything below `secrets/` becomes
//! `<name>.age`. All of them are written before the first plain one goes, so that whatever kills this leaves each secret readable
//! one way or the other, and doing it again finishes it.

use super::age_file;
use crate::world::{Error, Files, Result, Secret};
use std::io;

/// Where a run keeps its secrets.
const DIRECTORY: &str = "secrets";
/// How an encrypted file's name ends.
pub const SEALED: &str = ".age";
/// How the name begins of a whole write that a kill cut short.
const TORN: &str = ".new-";

/// Encrypts every secret that a run keeps to these recipients, and removes the plain files (they are unlinked, not shredded).
/// Returns how many; none where there are no recipients. Safe to repeat, and beside another process that does the same. Only for
/// runs that have succeeded. Errors are `Fatal` and leave every secret readable.
pub async fn seal(files: &dyn Files, recipients: &[String]) -> Result<usize> {
    if recipients.is_empty() {
        return Ok(0);
    }
    let all = files.list(DIRECTORY).await.map_err(|e| failed(files, DIRECTORY, &e))?;
    let plain: Vec<String> =
        all.into_iter().filter(|name| !name.ends_with(SEALED)).map(|name| format!("{DIRECTORY}/{name}")).collect();
    let mut sealed = 0;
    for path in plain.iter().filter(|path| !path.contains(TORN)) {
        // Another process may have come first.
        let Some(bytes) = files.read(path).await.map_err(|e| failed(files, path, &e))? else { continue };
        let armored = age_file::encrypt(recipients, &Secret::new(bytes))?;
        files.write(&format!("{path}{SEALED}"), &armored).await.map_err(|e| failed(files, path, &e))?;
        sealed += 1;
    }
    for path in &plain {
        files.remove(path).await.map_err(|e| failed(files, path, &e))?;
    }
    Ok(sealed)
}

fn failed(files: &dyn Files, path: &str, error: &io::Error) -> Error {
    Error::fatal(format!("{}/{path} cannot be encrypted to `recipients`: {error}", files.place()))
        .remedy("make room, or the state directory writable; `relight resume` then encrypts what is left")
}

//! The SHA-256 of this very binary: what a run, and the proof of a rehearsal, say that they were made with.
//!
//! To digest it takes several times as long as all else that `relight status` does. So the digest is remembered in the state
//! directory, together with what tells this file from every other and changes with each write to it, as git's index does
//! (<https://git-scm.com/docs/index-format>): device, inode, length, and the times of the last change of content and inode.

use crate::world::sha256_hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How much of the binary is in memory at once.
const PIECE: usize = 64 * 1024;
/// Where the digest is remembered, in the state directory.
const REMEMBERED: &str = "binary.json";

/// A digest, and what it is of.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// [`identity`] of the file.
    identity: String,
    sha256: String,
}

/// The digest, remembered in this state directory where there is one. `None` where the binary cannot be read.
///
/// The binary is found by the kernel's link where there is one: that still leads to the running binary when a newer one has
/// taken its name.
pub fn digest(state: &Path) -> Option<String> {
    let file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?)).ok()?;
    of(file, &state.join(REMEMBERED))
}

fn of(file: File, remembered: &Path) -> Option<String> {
    let identity = identity(&file.metadata().ok()?);
    let known = std::fs::read(remembered).ok().and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    if let Some(known) = known.filter(|known| known.identity == identity) {
        return Some(known.sha256);
    }
    let sha256 = read(file)?;
    remember(remembered, &Remembered { identity, sha256: sha256.clone() });
    Some(sha256)
}

fn identity(file: &Metadata) -> String {
    let (changed, renamed) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
    sha256_hex(format!("{} {} {} {changed:?} {renamed:?}", file.dev(), file.ino(), file.len()).as_bytes())
}

fn read(mut file: File) -> Option<String> {
    let (mut sum, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(hex::encode(sum.finalize())),
            length => sum.update(piece.get(..length)?),
        }
    }
}

/// Best effort: where it cannot be written, the binary is read again the next time. Another relight may do the same at once, so
/// each writes a file of its own and renames it.
fn remember(place: &Path, known: &Remembered) {
    let aside = place.with_extension(format!("{}.new", std::process::id()));
    let Ok(bytes) = serde_json::to_vec(known) else { return };
    let written = std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, place));
    if written.is_err() {
        // Nothing reads it under this name.
        let _ = std::fs::remove_file(&aside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_has_changed_is_digested_anew_and_one_that_has_not_is_not() {
        let home = tempfile::tempdir().unwrap();
        let (binary, remembered) = (home.path().join("relight"), home.path().join(REMEMBERED));
        let digest = || of(File::open(&binary).unwrap(), &remembered).unwrap();
        std::fs::write(&binary, "one").unwrap();
        assert_eq!(digest(), sha256_hex(b"one"));
        // What is remembered is what is told: nothing else shows that the file was not read.
        let mut known: Remembered = serde_json::from_slice(&std::fs::read(&remembered).unwrap()).unwrap();
        known.sha256 = "remembered".to_owned();
        remember(&remembered, &known);
        assert_eq!(digest(), "remembered");
        // A build writes another file and gives it the name: same length, and it may be the same second.
        std::fs::write(home.path().join("new"), "two").unwrap();
        std::fs::rename(home.path().join("new"), &binary).unwrap();
        assert_eq!(digest(), sha256_hex(b"two"));
    }

    #[test]
    fn where_nothing_can_be_remembered_the_digest_is_told_all_the_same() {
        let home = tempfile::tempdir().unwrap();
        let binary = home.path().join("relight");
        std::fs::write(&binary, "one").unwrap();
        let nowhere = home.path().join("none").join(REMEMBERED);
        assert_eq!(of(File::open(&binary).unwrap(), &nowhere), Some(sha256_hex(b"one")));
        assert!(!home.path().join("none").exists());
    }
}

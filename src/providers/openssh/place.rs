//! The private directory of one process: control sockets, and the run's key for as long as a connection is being made.

use crate::world::{Error, Result};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A control socket's whole path must stay under 104 bytes (macOS; Linux: 108). Of them the connection's directory takes 8,
/// the crate's in it 22, and the socket with the random end that OpenSSH gives it at first 24.
const LONGEST: usize = 48;

/// Makes the place: `relight-<pid>.<random>`, 0700, where the path is short enough. What killed processes left is removed.
pub(super) fn make() -> Result<TempDir> {
    let mut wanted: Vec<PathBuf> = std::env::var_os("XDG_RUNTIME_DIR").into_iter().map(PathBuf::from).collect();
    wanted.push(std::env::temp_dir());
    wanted.push(PathBuf::from("/tmp"));
    let prefix = format!("relight-{}.", std::process::id());
    let mut last = String::from("every temporary directory has too long a path");
    for parent in wanted {
        if parent.as_os_str().len() + 1 + prefix.len() + 6 > LONGEST || !parent.is_absolute() {
            continue;
        }
        match tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent) {
            Ok(place) => {
                sweep(&parent, place.path());
                return Ok(place);
            }
            Err(error) => last = format!("{}: {error}", parent.display()),
        }
    }
    Err(Error::fatal(format!("no place for SSH's control sockets: {last}")).remedy("make /tmp writable, or set TMPDIR"))
}

/// Removes the places of processes that no longer live and belonged to the owner of `own`: a killed one may have left the
/// run's key.
fn sweep(parent: &Path, own: &Path) {
    let (Ok(entries), Ok(own)) = (std::fs::read_dir(parent), std::fs::metadata(own).map(|meta| meta.uid())) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix("relight-")?.split_once('.')?.0.parse::<i32>().ok());
        let Some(pid) = pid.filter(|pid| *pid > 0) else { continue };
        let ours = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == own);
        if ours && kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH) {
            if let Err(error) = std::fs::remove_dir_all(entry.path()) {
                tracing::debug!(place = %entry.path().display(), %error, "a killed process's place stays");
            }
        }
    }
}

/// A new 0700 directory.
pub(super) fn directory(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// A new 0600 file with these bytes.
pub(super) fn file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_a_living_one_s_place_stays() {
        let parent = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let gone = parent.path().join(format!("relight-{dead}.abcdef"));
        let stays = [format!("relight-{}.abcdef", std::process::id()), "relight-x.abcdef".into(), "other".into()];
        directory(&gone).unwrap();
        file(&gone.join("key"), b"k").unwrap();
        for name in &stays {
            directory(&parent.path().join(name)).unwrap();
        }
        sweep(parent.path(), parent.path());
        assert!(!gone.exists());
        assert!(stays.iter().all(|name| parent.path().join(name).exists()));
    }
}

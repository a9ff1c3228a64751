//! One mutating run at a time: a lock that the kernel gives up when its holder dies.

use crate::world::{Error, Result};
use fs4::fs_std::FileExt;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The name of the lock's file in the directory that it is for.
pub const LOCK: &str = "lock";
/// The code of the error that says that another relight holds the lock.
pub const STATE_LOCKED: &str = "state_locked";

/// Who holds a lock; written into the lock file for the one who comes second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The run it works on.
    pub run: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// The lock, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of a directory (making it 0700 where needed) without waiting. Blocks on the file system, briefly.
    ///
    /// Errors: `Refused` with code [`STATE_LOCKED`], naming the holder; `Fatal` where the directory cannot be used.
    pub fn take(directory: &Path, holder: &Holder) -> Result<Self> {
        Self::take_file(&directory.join(LOCK), holder)
    }

    /// The same with a lock file of this path.
    pub fn take_file(path: &Path, holder: &Holder) -> Result<Self> {
        let unusable = |e: std::io::Error| {
            Error::fatal(format!("{}: {e}", path.display()))
                .remedy("make the state directory writable, or name another")
        };
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
        }
        // Not truncated on opening: what is in it may be another's name.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(unusable)?;
        if !file.try_lock_exclusive().map_err(unusable)? {
            return Err(held(&mut file, path));
        }
        let text = serde_json::to_vec(holder).map_err(|e| unusable(e.into()))?;
        file.set_len(0).and_then(|()| file.write_all(&text)).and_then(|()| file.sync_all()).map_err(unusable)?;
        Ok(Self { file })
    }

    /// Whether a process holds the lock of a directory.
    pub fn is_held(directory: &Path) -> bool {
        matches!(Self::held_by(&directory.join(LOCK)), Held::By(_) | Held::ByOneUnnamed)
    }

    /// Who holds the lock file of this path. The lock itself is tried only where the process that is named in it lives:
    /// whoever merely looks must not be in the way of one that begins.
    pub fn held_by(path: &Path) -> Held {
        let Ok(mut file) = File::open(path) else { return Held::ByNobody };
        let mut text = String::new();
        let read = file.read_to_string(&mut text);
        let holder: Option<Holder> = read.ok().and_then(|_| serde_json::from_str(&text).ok());
        let may = holder.as_ref().is_none_or(|holder| lives(holder.pid));
        match (may && matches!(FileExt::try_lock_shared(&file), Ok(false)), holder) {
            (false, _) => Held::ByNobody,
            (true, Some(holder)) => Held::By(holder),
            (true, None) => Held::ByOneUnnamed,
        }
    }
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nobody.
    ByNobody,
    /// A process that has written its name.
    By(Holder),
    /// A process that has not written its name yet.
    ByOneUnnamed,
}

fn lives(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // Somebody else's process cannot be signalled, but it lives.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH)
}

impl Drop for Lock {
    /// Unlocked by name, not only by closing: a child that is just being started holds a copy of the file until it becomes
    /// another program.
    fn drop(&mut self) {
        let _ = FileExt::unlock(&self.file);
    }
}

fn held(file: &mut File, path: &Path) -> Error {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let holder: Option<Holder> = read.ok().and_then(|_| serde_json::from_str(&text).ok());
    let who = holder.map_or_else(
        || "another relight".to_owned(),
        |h| format!("relight with process id {} (run {}, since {})", h.pid, h.run, h.since),
    );
    Error::refused(format!("{} is held by {who}", path.display()))
        .remedy("wait for it to end, or end it with Ctrl-C; the lock goes with its process")
        .code(STATE_LOCKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(run: &str) -> Holder {
        Holder { pid: 4711, run: run.into(), since: "2026-11-24T01:00:00Z".into() }
    }

    #[test]
    fn the_second_is_told_who_is_first_and_may_come_in_afterwards() {
        let place = tempfile::tempdir().unwrap();
        let cluster = place.path().join("real/demo");
        let first = Lock::take(&cluster, &holder("aaaa")).unwrap();
        let refused = Lock::take(&cluster, &holder("bbbb")).unwrap_err();
        assert!(refused.is(STATE_LOCKED) && !refused.remedy.is_empty());
        assert!(refused.what.contains("4711") && refused.what.contains("aaaa"), "{}", refused.what);
        drop(first);
        let _second = Lock::take(&cluster, &holder("bbbb")).unwrap();
        assert!(Lock::take(&cluster, &holder("cccc")).unwrap_err().what.contains("bbbb"));
    }

    #[test]
    fn one_who_only_looks_sees_a_living_holder_and_is_in_nobodys_way() {
        let place = tempfile::tempdir().unwrap();
        assert!(!Lock::is_held(place.path()), "nobody was ever here");
        let own = Holder { pid: std::process::id(), ..holder("aaaa") };
        let first = Lock::take(place.path(), &own).unwrap();
        assert!(Lock::is_held(place.path()));
        drop(first);
        assert!(!Lock::is_held(place.path()));
        let _second = Lock::take(place.path(), &own).unwrap();
        assert!(Lock::is_held(place.path()), "looking took nothing and changed nothing");
    }

    #[test]
    fn a_lock_file_with_nonsense_in_it_still_locks() {
        let place = tempfile::tempdir().unwrap();
        let _first = Lock::take(place.path(), &holder("aaaa")).unwrap();
        std::fs::write(place.path().join("lock"), "nonsense").unwrap();
        assert!(Lock::take(place.path(), &holder("bbbb")).unwrap_err().is(STATE_LOCKED));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Lock::take(&file.join("below"), &holder("a")).unwrap_err();
        assert!(error.what.contains("below") && !error.is(STATE_LOCKED));
    }
}

//! The run's own files: journal, secrets, snapshots of what was. All paths are relative to the run's directory.

use async_trait::async_trait;
use std::io;

/// Durable files. The in-memory form of a test forgets what was not synced when it is killed.
///
/// Errors are the operating system's, so that a full disk reads as one; whoever writes the journal stops every effect on the
/// first of them.
#[async_trait]
pub trait Files: Send + Sync {
    /// Appends bytes to a file, creating it 0600 where needed. Not yet durable.
    async fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything appended to the file so far durable (fsync; and of the directory, when the file is new).
    async fn sync(&self, path: &str) -> io::Result<()>;
    /// The whole file, `None` where it does not exist.
    async fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// Cuts a file to this length, durably.
    async fn cut(&self, path: &str, length: u64) -> io::Result<()>;
    /// Writes a whole file atomically and durably, 0600: temporary file, fsync, rename, fsync of the directory.
    async fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// The names of the files in a directory of the run, sorted; none where it does not exist.
    async fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Removes a file, durably; done where there is none.
    async fn remove(&self, path: &str) -> io::Result<()>;
    /// The directory, for messages: `state/real/honeydue/abc...`.
    fn place(&self) -> String;
}

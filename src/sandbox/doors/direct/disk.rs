//! Files in memory that forget what was not synced.

use super::Tripwire;
use crate::world::Files;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What a crash leaves of bytes that were appended and not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the machine lost power.
    Nothing,
    /// The first half: a torn write.
    Half,
    /// Everything: only the process died.
    All,
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<u8>,
}

impl File {
    fn whole(&self) -> Vec<u8> {
        [self.durable.as_slice(), self.pending.as_slice()].concat()
    }
}

#[derive(Debug, Default)]
struct DiskState {
    files: BTreeMap<String, File>,
    syncs: u64,
    full_from: Option<u64>,
}

/// The disk of the operator's machine: outlives every process. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<DiskState>>);

impl Disk {
    fn with<T>(&self, act: impl FnOnce(&mut DiskState) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// What the disk holds after a crash.
    pub fn crash(&self, keep: Keep) {
        self.with(|disk| {
            for file in disk.files.values_mut() {
                let kept = match keep {
                    Keep::Nothing => 0,
                    Keep::Half => file.pending.len() / 2,
                    Keep::All => file.pending.len(),
                };
                let pending = std::mem::take(&mut file.pending);
                file.durable.extend(pending.into_iter().take(kept));
            }
            // A file that was never synced has no entry in its directory.
            if keep == Keep::Nothing {
                disk.files.retain(|_, f| !f.durable.is_empty());
            }
        });
    }
    /// From the nth sync on, counted from 1 and from the disk's beginning, every sync and write fails: the disk is full.
    pub fn full_from_sync(&self, n: Option<u64>) {
        self.with(|disk| disk.full_from = n);
    }
    /// How many syncs and whole writes there were.
    pub fn syncs(&self) -> u64 {
        self.with(|disk| disk.syncs)
    }
    /// A file's content as a process sees it.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.with(|disk| disk.files.get(path).map(File::whole))
    }
    /// All paths.
    pub fn paths(&self) -> Vec<String> {
        self.with(|disk| disk.files.keys().cloned().collect())
    }
    /// Everything on it is gone.
    pub fn lose(&self) {
        self.with(|disk| disk.files.clear());
    }
    /// Puts a file there, durably.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let file = File { durable: bytes.to_vec(), pending: Vec::new() };
        self.with(|disk| disk.files.insert(path.to_owned(), file));
    }
    fn append(&self, path: &str, bytes: &[u8]) {
        self.with(|disk| disk.files.entry(path.to_owned()).or_default().pending.extend_from_slice(bytes));
    }
    fn counted(&self, act: impl FnOnce(&mut DiskState)) -> io::Result<()> {
        self.with(|disk| {
            disk.syncs += 1;
            if disk.full_from.is_some_and(|n| disk.syncs >= n) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            act(disk);
            Ok(())
        })
    }
}

/// One process's sight of the disk.
#[derive(Debug, Clone)]
pub struct DirectFiles {
    disk: Disk,
    wire: Tripwire,
}

impl DirectFiles {
    /// The disk, for a process with this tripwire.
    pub fn new(disk: &Disk, wire: &Tripwire) -> Self {
        Self { disk: disk.clone(), wire: wire.clone() }
    }
}

#[async_trait]
impl Files for DirectFiles {
    async fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.wire.point(&format!("before append to {path}")).await;
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        self.wire.point_or(&format!("in the middle of append to {path}"), || self.disk.append(path, half)).await;
        self.disk.append(path, bytes);
        self.wire.point(&format!("after append to {path}")).await;
        Ok(())
    }
    async fn sync(&self, path: &str) -> io::Result<()> {
        self.wire.point(&format!("before sync of {path}")).await;
        self.disk.counted(|disk| {
            if let Some(file) = disk.files.get_mut(path) {
                let pending = std::mem::take(&mut file.pending);
                file.durable.extend(pending);
            }
        })?;
        self.wire.point(&format!("after sync of {path}")).await;
        Ok(())
    }
    async fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.wire.alive().await;
        Ok(self.disk.read(path))
    }
    async fn cut(&self, path: &str, length: u64) -> io::Result<()> {
        self.wire.point(&format!("before cut of {path}")).await;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.disk.counted(|disk| {
            if let Some(file) = disk.files.get_mut(path) {
                let mut whole = file.whole();
                whole.truncate(length);
                *file = File { durable: whole, pending: Vec::new() };
            }
        })?;
        self.wire.point(&format!("after cut of {path}")).await;
        Ok(())
    }
    async fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.wire.point(&format!("before write of {path}")).await;
        let file = File { durable: bytes.to_vec(), pending: Vec::new() };
        self.disk.counted(|disk| {
            disk.files.insert(path.to_owned(), file);
        })?;
        self.wire.point(&format!("after write of {path}")).await;
        Ok(())
    }
    async fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.wire.alive().await;
        let below = format!("{directory}/");
        let names = self.disk.paths().into_iter().filter_map(|path| path.strip_prefix(&below).map(str::to_owned));
        Ok(names.filter(|name| !name.contains('/')).collect())
    }
    async fn remove(&self, path: &str) -> io::Result<()> {
        self.wire.point(&format!("before remove of {path}")).await;
        self.disk.counted(|disk| {
            disk.files.remove(path);
        })?;
        self.wire.point(&format!("after remove of {path}")).await;
        Ok(())
    }
    fn place(&self) -> String {
        "memory".to_owned()
    }
}

//! The journal: one line a record, chained by digests, durable before it is acted upon.
//!
//! Format of a line: `{"seq","prev","at","event"}`; `prev` is the SHA-256 of the previous line's bytes without its newline, 64
//! zeros in the first. A record counts only with its newline. What a crash left behind the last whole record is cut; any
//! earlier break is somebody's edit or a broken disk, and stops us.

use super::event::{Event, Listener, Told};
use crate::world::{millis, Clock, Files};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, RwLock, RwLockWriteGuard};

/// The journal's file in the run's directory.
pub const JOURNAL: &str = "journal.jsonl";

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// From 0, without gaps.
    pub seq: u64,
    /// Digest of the line before.
    pub prev: String,
    /// Milliseconds since the epoch in the run's clock.
    pub at: u64,
    /// What happened.
    pub event: Event,
}

/// Why a journal cannot be read or written.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Broken {
    /// A write or fsync failed: nothing may be done any more.
    #[error("the journal {place} cannot be written: {why}")]
    Write {
        /// The run's directory.
        place: String,
        /// The operating system's words.
        why: String,
    },
    /// Its file no longer has its name: somebody removed or replaced it while the run wrote to it. Nothing may be done any more.
    #[error("the journal {place} is gone: it was removed or replaced while the run wrote to it ({why})")]
    Gone {
        /// The run's directory.
        place: String,
        /// The operating system's words.
        why: String,
    },
    /// Another of the run's files could not be written: what would be done with it may be lost as well.
    #[error("{why}")]
    Beside {
        /// Which file, and the operating system's words.
        why: String,
    },
    /// A line before the last one is not what was written.
    #[error("the journal {place} is broken at line {line}: {why}")]
    Line {
        /// The run's directory.
        place: String,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be read.
    #[error("the journal {place} cannot be read: {why}")]
    Read {
        /// The run's directory.
        place: String,
        /// The operating system's words.
        why: String,
    },
}

/// What reading a journal found.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// All whole records.
    pub records: Vec<Record>,
    /// Length of their lines in bytes.
    pub length: u64,
    /// Bytes behind them that a crash left.
    pub torn: u64,
    /// Digest of the last line.
    pub head: String,
}

/// Reads a journal's bytes. `place` is for messages.
pub fn read(bytes: &[u8], place: &str) -> Result<Reading, Broken> {
    let mut reading = Reading { records: Vec::new(), length: 0, torn: 0, head: "0".repeat(64) };
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let (line, after) = rest.split_at(end);
        let after = after.get(1..).unwrap_or_default();
        match parse(line, &reading) {
            Ok(record) => {
                reading.head = hex::encode(Sha256::digest(line));
                reading.length += line.len() as u64 + 1;
                reading.records.push(record);
            }
            // A crash leaves a torn line at the end, and nothing else: a whole record that does not follow is no crash's work.
            Err(Unfit { torn: true, .. }) if !after.contains(&b'\n') => break,
            Err(Unfit { why, .. }) => {
                let line = reading.records.len() + 1;
                return Err(Broken::Line { place: place.to_owned(), line, why });
            }
        }
        rest = after;
    }
    reading.torn = bytes.len() as u64 - reading.length;
    Ok(reading)
}

/// Why a line is not the next record.
struct Unfit {
    /// It may be half of one.
    torn: bool,
    why: String,
}

fn parse(line: &[u8], before: &Reading) -> Result<Record, Unfit> {
    let broken = |why: String| Unfit { torn: false, why };
    let record: Record =
        serde_json::from_slice(line).map_err(|e| Unfit { torn: true, why: format!("it is no record ({e})") })?;
    let seq = before.records.len() as u64;
    if record.seq != seq {
        return Err(broken(format!("its number is {} instead of {seq}", record.seq)));
    }
    if record.prev != before.head {
        return Err(broken("it does not follow from the line before".to_owned()));
    }
    Ok(record)
}

struct Tail {
    next: u64,
    head: String,
}

/// An open journal. Shared by all steps of a run.
pub struct Journal {
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    listener: Arc<dyn Listener>,
    run: String,
    tail: Mutex<Tail>,
    written: AtomicU64,
    synced: Mutex<u64>,
    /// Held for reading by each append while it lasts.
    busy: RwLock<()>,
    broken: OnceLock<Broken>,
}

impl Journal {
    /// Opens the journal of a run for writing, and cuts what a crash left behind the last whole record. Returns what it holds.
    pub async fn open(
        run: &str,
        files: Arc<dyn Files>,
        clock: Arc<dyn Clock>,
        listener: Arc<dyn Listener>,
    ) -> Result<(Self, Reading), Broken> {
        let place = files.place();
        let bytes = files.read(JOURNAL).await.map_err(|e| Broken::Read { place: place.clone(), why: e.to_string() })?;
        let reading = read(&bytes.unwrap_or_default(), &place)?;
        if reading.torn > 0 {
            let cut = files.cut(JOURNAL, reading.length).await;
            cut.map_err(|e| Broken::Write { place, why: e.to_string() })?;
        }
        let next = reading.records.len() as u64;
        let journal = Self {
            files,
            clock,
            listener,
            run: run.to_owned(),
            tail: Mutex::new(Tail { next, head: reading.head.clone() }),
            written: AtomicU64::new(next),
            synced: Mutex::new(next),
            busy: RwLock::new(()),
            broken: OnceLock::new(),
        };
        Ok((journal, reading))
    }

    /// Writes an event and returns once it is on disk. Concurrent events share one fsync. After the first failure every call
    /// fails: nothing may be done that is not written. Must not be dropped half-way but under [`Journal::quiet`].
    pub async fn append(&self, event: Event) -> Result<u64, Broken> {
        let _busy = self.busy.read().await;
        let (seq, at) = self.write(&event).await?;
        self.sync(seq).await?;
        self.listener.told(&Told::Durable { run: self.run.clone(), seq, at, event });
        Ok(seq)
    }

    /// Returns when nobody is in the middle of an append, and keeps everybody out of one until the value is dropped: whoever drops
    /// something that may be appending (a step out of time) does it under this. A line whose write nobody waited for would be
    /// on disk, and the next one would not follow from it.
    pub async fn quiet(&self) -> RwLockWriteGuard<'_, ()> {
        self.busy.write().await
    }

    async fn write(&self, event: &Event) -> Result<(u64, u64), Broken> {
        let mut tail = self.tail.lock().await;
        self.whole()?;
        let at = millis(self.clock.now());
        let record = Record { seq: tail.next, prev: tail.head.clone(), at, event: event.clone() };
        let mut line = serde_json::to_vec(&record).map_err(|e| self.fail(e.to_string()))?;
        let head = hex::encode(Sha256::digest(&line));
        line.push(b'\n');
        self.files.append(JOURNAL, &line).await.map_err(|e| self.fail(e.to_string()))?;
        tail.head = head;
        tail.next += 1;
        self.written.store(tail.next, Ordering::SeqCst);
        Ok((record.seq, at))
    }

    async fn sync(&self, seq: u64) -> Result<(), Broken> {
        let mut synced = self.synced.lock().await;
        self.whole()?;
        if *synced > seq {
            return Ok(());
        }
        let covers = self.written.load(Ordering::SeqCst);
        self.files.sync(JOURNAL).await.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => self.gone(e.to_string()),
            _ => self.fail(e.to_string()),
        })?;
        *synced = covers;
        Ok(())
    }

    fn fail(&self, why: String) -> Broken {
        self.broken.get_or_init(|| Broken::Write { place: self.files.place(), why }).clone()
    }

    fn gone(&self, why: String) -> Broken {
        self.broken.get_or_init(|| Broken::Gone { place: self.files.place(), why }).clone()
    }

    /// From now on every append fails: another of the run's files could not be written.
    pub fn give_up(&self, why: &str) -> Broken {
        self.broken.get_or_init(|| Broken::Beside { why: why.to_owned() }).clone()
    }

    fn whole(&self) -> Result<(), Broken> {
        self.broken.get().map_or(Ok(()), |b| Err(b.clone()))
    }

    /// Why it can no longer be written, where that is so.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.get()
    }

    /// Tells what need not be durable.
    pub fn progress(&self, step: &str, text: &str) {
        self.listener.told(&Told::Progress { step: step.to_owned(), text: text.to_owned() });
    }
}

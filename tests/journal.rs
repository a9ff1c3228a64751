//! Promise: no effect without a durable intent. What the journal keeps survives a crash; what it cannot keep stops everything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

use relight::engine::{read_journal, Broken, Event, Journal, Listener, Told, JOURNAL};
use relight::world::{Clock, Files};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Memory that can fill up, and that counts its syncs.
#[derive(Default)]
struct Memory {
    bytes: Mutex<Vec<u8>>,
    syncs: AtomicUsize,
    full_after: Option<usize>,
    sync_fails: bool,
}

#[async_trait::async_trait]
impl Files for Memory {
    async fn append(&self, _path: &str, bytes: &[u8]) -> io::Result<()> {
        {
            let mut all = self.bytes.lock().unwrap();
            if self.full_after.is_some_and(|limit| all.len() + bytes.len() > limit) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            all.extend_from_slice(bytes);
        }
        // A thread has written it; whoever waits is told a little later.
        tokio::task::yield_now().await;
        Ok(())
    }
    async fn sync(&self, _path: &str) -> io::Result<()> {
        if self.sync_fails {
            return Err(io::Error::other("input/output error"));
        }
        // An fsync takes far longer than a write into the page cache.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    async fn read(&self, _path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(self.bytes.lock().unwrap().clone()))
    }
    async fn cut(&self, _path: &str, length: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().truncate(usize::try_from(length).unwrap());
        Ok(())
    }
    async fn write(&self, path: &str, _bytes: &[u8]) -> io::Result<()> {
        panic!("the journal is never written as a whole: {path}")
    }
    async fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        panic!("the journal lists nothing: {directory}")
    }
    async fn remove(&self, path: &str) -> io::Result<()> {
        panic!("the journal is never removed: {path}")
    }
    fn place(&self) -> String {
        "memory".to_owned()
    }
}

struct Still;
#[async_trait::async_trait]
impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::from_secs(1_700_000_000)
    }
    async fn sleep(&self, _time: Duration) {}
}

#[derive(Default)]
struct Heard(Mutex<Vec<u64>>);
impl Listener for Heard {
    fn told(&self, told: &Told) {
        if let Told::Durable { seq, .. } = told {
            self.0.lock().unwrap().push(*seq);
        }
    }
}

fn event(n: usize) -> Event {
    Event::StepStarted { step: format!("step-{n}") }
}

async fn open(files: &Arc<Memory>) -> Result<(Journal, u64), Broken> {
    let (journal, reading) = Journal::open("run", files.clone(), Arc::new(Still), Arc::new(Heard::default())).await?;
    Ok((journal, reading.torn))
}

async fn written(count: usize) -> Arc<Memory> {
    let files = Arc::new(Memory::default());
    let (journal, _) = open(&files).await.unwrap();
    for n in 0..count {
        assert_eq!(journal.append(event(n)).await.unwrap(), n as u64);
    }
    files
}

#[tokio::test]
async fn records_are_read_back_as_they_were_written() {
    let files = written(5).await;
    let reading = read_journal(&files.bytes.lock().unwrap(), "x").unwrap();
    assert_eq!(reading.records.len(), 5);
    assert_eq!(reading.records[3].event, event(3));
    assert_eq!(reading.records[0].prev, "0".repeat(64));
    assert_eq!(reading.torn, 0);
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
    let whole = written(3).await.bytes.lock().unwrap().clone();
    let second = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).nth(1).unwrap();
    for length in second..whole.len() {
        let files = Arc::new(Memory::default());
        files.bytes.lock().unwrap().extend_from_slice(&whole[..length]);
        let (journal, torn) = open(&files).await.unwrap();
        assert_eq!(torn, (length - second) as u64);
        assert_eq!(journal.append(event(9)).await.unwrap(), 2);
        let reading = read_journal(&files.bytes.lock().unwrap(), "x").unwrap();
        assert_eq!((reading.records.len(), reading.torn), (3, 0));
    }
}

#[tokio::test]
async fn a_change_of_any_earlier_line_is_a_hard_stop_that_names_the_line() {
    let whole = String::from_utf8(written(4).await.bytes.lock().unwrap().clone()).unwrap();
    for line in 0..3 {
        let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
        lines[line] = lines[line].replace(&format!("step-{line}"), "step-x");
        let text = lines.join("\n") + "\n";
        let broken = read_journal(text.as_bytes(), "x").unwrap_err();
        assert!(matches!(&broken, Broken::Line { line: found, .. } if *found == line + 2), "{broken}");
    }
    let mut lines: Vec<&str> = whole.lines().collect();
    lines.remove(1);
    let broken = read_journal((lines.join("\n") + "\n").as_bytes(), "x").unwrap_err();
    assert!(broken.to_string().contains("line 2"), "{broken}");
}

#[tokio::test]
async fn after_a_full_disk_nothing_more_is_written() {
    let files = Arc::new(Memory { full_after: Some(400), ..Memory::default() });
    let (journal, _) = open(&files).await.unwrap();
    let mut failed = None;
    for n in 0..20 {
        if let Err(broken) = journal.append(event(n)).await {
            failed = Some((n, broken));
            break;
        }
    }
    let (n, broken) = failed.expect("the fault did not fire");
    assert!(n > 0 && matches!(broken, Broken::Write { .. }));
    let length = files.bytes.lock().unwrap().len();
    assert!(journal.append(Event::StepStarted { step: String::new() }).await.is_err());
    assert_eq!(files.bytes.lock().unwrap().len(), length);
    assert!(journal.broken().is_some());
}

#[tokio::test]
async fn a_failed_fsync_is_never_told_as_written() {
    let files = Arc::new(Memory { sync_fails: true, ..Memory::default() });
    let heard = Arc::new(Heard::default());
    let (journal, _) = Journal::open("run", files, Arc::new(Still), heard.clone()).await.unwrap();
    assert!(matches!(journal.append(event(0)).await, Err(Broken::Write { .. })));
    assert!(heard.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn concurrent_records_share_an_fsync_and_none_is_told_before_it() {
    let files = Arc::new(Memory::default());
    let heard = Arc::new(Heard::default());
    let (journal, _) = Journal::open("run", files.clone(), Arc::new(Still), heard.clone()).await.unwrap();
    let all = futures::future::join_all((0..32).map(|n| journal.append(event(n)))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(heard.0.lock().unwrap().len(), 32);
    let syncs = files.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 16, "{syncs} fsyncs for 32 records");
    let bytes = files.read(JOURNAL).await.unwrap().unwrap();
    assert_eq!(read_journal(&bytes, "x").unwrap().records.len(), 32);
}

#[test]
fn a_record_of_a_newer_version_is_kept_as_unknown() {
    let line = format!(
        r#"{{"seq":0,"prev":"{}","at":1,"event":{{"event":"from_the_future","with":["fields"]}}}}"#,
        "0".repeat(64)
    );
    let reading = read_journal((line + "\n").as_bytes(), "x").unwrap();
    assert_eq!(reading.records[0].event, Event::Unknown);
}

#[tokio::test]
async fn a_step_that_runs_out_of_time_in_the_middle_of_a_write_leaves_a_journal_that_goes_on() {
    let mut kept = Vec::new();
    for polls in 0..6 {
        let files = written(1).await;
        let (journal, _) = open(&files).await.unwrap();
        {
            let mut writing = std::pin::pin!(journal.append(event(1)));
            let mut ended = false;
            for _ in 0..polls {
                ended = ended || futures::poll!(&mut writing).is_ready();
            }
            // As the engine does it: what is to be dropped goes on until nobody is in the middle of a write.
            tokio::select! {
                biased;
                _quiet = journal.quiet() => {}
                _ = &mut writing, if !ended => {}
            }
        }
        journal.append(event(2)).await.unwrap();
        let bytes = files.bytes.lock().unwrap().clone();
        kept.push(read_journal(&bytes, "memory").unwrap().records.len());
    }
    assert!(kept.contains(&2) && kept.contains(&3), "dropped before its write, and after: {kept:?}");
}

/// A first record, and a process that took the run up, as the first release wrote them.
const OLD: [&str; 2] = [
    r#"{"seq":0,"prev":"0000000000000000000000000000000000000000000000000000000000000000","at":1700000000000,"event":{"event":"run_started","format":1,"version":"0.1.0","run":"abcdefghijkl","world":"real","world_uid":"w1","mode":"live","cluster":"demo","playbook":"rebuild","playbook_digest":"d0","plan":[{"id":"preflight","text":"look","needs":[],"expected_seconds":3.0,"inputs":"d1"}],"settings":{"cluster":"demo"},"forecast_seconds":3.0}}"#,
    r#"{"seq":1,"prev":"PREV","at":1700000001000,"event":{"event":"run_resumed","version":"0.1.0","finished":0,"unknown":["preflight"]}}"#,
];

#[test]
fn a_journal_from_before_digests_is_still_read() {
    let head = relight::world::sha256_hex(OLD[0].as_bytes());
    let text = format!("{}\n{}\n", OLD[0], OLD[1].replace("PREV", &head));
    let records = read_journal(text.as_bytes(), "old").unwrap().records;
    let Event::RunStarted(first) = &records[0].event else { panic!("{:?}", records[0]) };
    assert_eq!((first.run.as_str(), first.digests.len(), first.left_out.len()), ("abcdefghijkl", 0, 0));
    let Event::RunResumed { unknown, digests, .. } = &records[1].event else { panic!("{:?}", records[1]) };
    assert_eq!((unknown.len(), digests.len()), (1, 0));
}

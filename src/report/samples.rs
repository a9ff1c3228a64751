//! Events of a small run, for the tests of this room.

use crate::engine::{Cost, Event, Found, Listener, Outcome, RunFinished, RunStarted, StepRecord, Told};
use indicatif::TermLike;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

pub(super) const HEADER: &str = "sandbox · project demo (0 servers) · zone example.org";

pub(super) fn record(id: &str, expected_seconds: f64, needs: &[&str]) -> StepRecord {
    StepRecord {
        id: id.to_owned(),
        text: format!("do what {id} does"),
        needs: needs.iter().map(|n| (*n).to_owned()).collect(),
        expected_seconds,
        inputs: "d1".to_owned(),
    }
}

pub(super) fn started(plan: Vec<StepRecord>, forecast_seconds: f64) -> Event {
    Event::RunStarted(Box::new(RunStarted {
        format: 1,
        version: "0.1.0".to_owned(),
        run: "abcdefghijkl".to_owned(),
        world: "sandbox".to_owned(),
        world_uid: "w1".to_owned(),
        mode: "live".to_owned(),
        cluster: "demo".to_owned(),
        playbook: "rebuild".to_owned(),
        playbook_digest: "d0".to_owned(),
        plan,
        settings: serde_json::json!({"cluster": "demo"}),
        forecast_seconds,
        wall_at: 0,
        digests: BTreeMap::new(),
        left_out: Vec::new(),
        reconstructed: None,
    }))
}

pub(super) fn begin(step: &str) -> Event {
    Event::StepStarted { step: step.to_owned() }
}

pub(super) fn end(step: &str, outcome: Outcome, text: &str) -> Event {
    Event::StepFinished { step: step.to_owned(), outcome, facts: BTreeMap::new(), text: text.to_owned() }
}

pub(super) fn retry(step: &str, attempt: u32, class: &str, error: &str) -> Event {
    Event::StepRetry { step: step.to_owned(), attempt, class: class.to_owned(), error: error.to_owned(), wait_ms: 2500 }
}

pub(super) fn finished(outcome: &str, steps: usize, done: usize, warnings: usize) -> Event {
    let good = outcome == "succeeded";
    Event::RunFinished(RunFinished {
        over: good,
        outcome: outcome.to_owned(),
        steps,
        done,
        warnings,
        journal: "state/sandbox/demo/abcdefghijkl/journal.jsonl".to_owned(),
        first_answer_seconds: good.then_some(95.0),
        recovery_seconds: good.then_some(130.5),
        cost: good.then(|| Cost {
            currency: "EUR".to_owned(),
            servers: 2,
            monthly_net: 13.98,
            monthly_gross: 16.636_2,
            fenced: 1,
            fenced_monthly_net: 6.99,
            fenced_monthly_gross: 8.318_1,
        }),
    })
}

pub(super) fn plan() -> Vec<StepRecord> {
    vec![
        record("preflight", 5.0, &[]),
        record("server[node-1]", 30.0, &["preflight"]),
        record("server[node-2]", 30.0, &["preflight"]),
        record("dns", 10.0, &["server[node-1]", "server[node-2]"]),
        record("late", 20.0, &["dns"]),
    ]
}

/// A run with a retry, an unknown outcome that was found done, a question, and a warning; a moment every few seconds.
pub(super) fn good_run() -> Vec<(u64, Event)> {
    let start = 1_700_000_000_000;
    let intent = |step: &str, attempt| Event::Intent {
        step: step.to_owned(),
        attempt,
        target: format!("new server demo-{step}"),
        what: "create a server".to_owned(),
    };
    let pending = |text: &str| Event::StepChecked {
        step: "server[node-1]".to_owned(),
        found: Found::Pending,
        text: text.to_owned(),
    };
    let asked = "All A records of example.org will be changed. Go on?".to_owned();
    let events = [
        (0, started(plan(), 65.0)),
        (10, begin("preflight")),
        (4_010, end("preflight", Outcome::Already, "")),
        (4_020, begin("server[node-1]")),
        (4_021, begin("server[node-2]")),
        (4_100, intent("server[node-1]", 1)),
        (4_101, intent("server[node-2]", 1)),
        (5_000, pending("the server is starting")),
        (9_000, retry("server[node-2]", 1, "unknown", "the reply was lost\x1b[31m\nafter 5 s")),
        (34_020, end("server[node-1]", Outcome::Done, "")),
        (61_000, end("server[node-2]", Outcome::Adopted, "")),
        (61_010, begin("dns")),
        (61_011, Event::GateAsked { step: "dns".to_owned(), text: asked.clone(), evidence: false }),
        (65_000, Event::GateAnswered { step: "dns".to_owned(), text: asked, yes: true }),
        (95_000, end("dns", Outcome::Done, "")),
        (95_010, begin("late")),
        (130_500, end("late", Outcome::Warning, "no package mirror answers")),
        (130_510, finished("succeeded", 5, 4, 1)),
    ];
    events.into_iter().map(|(after, event)| (start + after, event)).collect()
}

/// A rehearsal with a question of four seconds that succeeded and left nothing.
pub(super) fn rehearsal(world: &str) -> Vec<(u64, Event)> {
    let start = 1_700_000_000_000;
    let mut steps = plan();
    steps.retain(|s| s.id != "dns");
    steps.push(record("residue", 2.0, &["late"]));
    let mut first = started(steps, 57.0);
    if let Event::RunStarted(first) = &mut first {
        (first.world, first.mode, first.playbook) = (world.to_owned(), "rehearsal".to_owned(), "rehearse".to_owned());
        let digests =
            [("binary", "b1"), ("k3s", "v1.34.6+k3s1"), ("manifest manifests/api.yaml", "m1"), ("script a.sh", "s1")];
        first.digests = digests.map(|(name, digest)| (name.to_owned(), digest.to_owned())).into();
        first.left_out = vec!["fence".to_owned(), "dns[node-1]".to_owned(), "dns[node-2]".to_owned()];
        first.settings = serde_json::json!({ "dns": { "hosts": [] }, "spare": { "differs": [
            "secret app/app DATABASE_URL: another value, from environment variable OTHER",
            "secret app/registry: production's value (shared-readonly)",
            "workload worker: held at zero",
        ]}});
    }
    let events = [
        (0, first),
        (10, begin("preflight")),
        (4_010, end("preflight", Outcome::Already, "")),
        (4_020, begin("server[node-1]")),
        (4_021, begin("server[node-2]")),
        (9_000, retry("server[node-2]", 1, "transient", "busy")),
        (20_000, Event::GateAsked { step: "late".to_owned(), text: "Go on?".to_owned(), evidence: false }),
        (24_000, Event::GateAnswered { step: "late".to_owned(), text: "Go on?".to_owned(), yes: true }),
        (34_020, end("server[node-1]", Outcome::Done, "")),
        (61_000, end("server[node-2]", Outcome::Done, "")),
        (95_010, begin("late")),
        (130_500, end("late", Outcome::Done, "")),
        (300_000, begin("residue")),
        (301_000, end("residue", Outcome::Done, "")),
        (301_010, finished("succeeded", 5, 5, 0)),
    ];
    events.into_iter().map(|(after, event)| (start + after, event)).collect()
}

pub(super) fn as_told(events: &[(u64, Event)]) -> Vec<Told> {
    let told = |(seq, (at, event)): (usize, &(u64, Event))| Told::Durable {
        run: "abcdefghijkl".to_owned(),
        seq: seq as u64,
        at: *at,
        event: event.clone(),
    };
    events.iter().enumerate().map(told).collect()
}

pub(super) fn pairs(events: &[(u64, Event)]) -> impl Iterator<Item = (u64, &Event)> {
    events.iter().map(|(at, event)| (*at, event))
}

pub(super) fn tell(listener: &dyn Listener, events: &[(u64, Event)]) {
    for told in as_told(events) {
        listener.told(&told);
    }
}

/// Something to write into and to read afterwards.
#[derive(Clone, Default)]
pub(super) struct Paper(pub(super) Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A terminal of 24 lines that keeps what was written and how many lines were on it at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Terminal(Arc<Mutex<Screen>>);

#[derive(Debug, Default)]
struct Screen {
    written: String,
    since_flush: usize,
    most: usize,
}

impl Terminal {
    fn add(&self, text: &str) {
        let mut screen = self.0.lock().unwrap();
        screen.written.push_str(text);
        screen.since_flush += usize::from(!text.trim().is_empty());
    }
    /// The most lines of one picture.
    pub(super) fn most(&self) -> usize {
        self.0.lock().unwrap().most
    }
    pub(super) fn text(&self) -> String {
        self.0.lock().unwrap().written.clone()
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        100
    }
    fn height(&self) -> u16 {
        24
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, s: &str) -> io::Result<()> {
        self.add(&format!("{s}\n"));
        Ok(())
    }
    fn write_str(&self, s: &str) -> io::Result<()> {
        self.add(s);
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        let mut screen = self.0.lock().unwrap();
        screen.most = screen.most.max(screen.since_flush);
        screen.since_flush = 0;
        Ok(())
    }
}

//! One event a line, for programs.

use super::words::rfc3339;
use crate::engine::{Event, Listener, Told};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The version of the lines' form.
const VERSION: u32 = 1;

/// Writes `{"v":1,"run":...,"seq":...,"at":...,"event":...}` lines: the durable events as in the journal, `at` as RFC 3339, and
/// `progress` with `step` and `text` but without `seq` and `at`. The first line lists all steps, `run_finished` is the last.
pub struct Json<W: Write + Send> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    run: Option<String>,
    ended: bool,
    failed: Option<io::ErrorKind>,
}

impl<W: Write + Send> Json<W> {
    /// Writes to this, a line at a time, each flushed.
    pub fn new(out: W) -> Self {
        Self { state: Mutex::new(State { out, run: None, ended: false, failed: None }) }
    }
    /// Why writing ended before its time: whoever read is gone, or the disk is full. The run itself goes on.
    pub fn failed(&self) -> Option<io::ErrorKind> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed
    }
}

impl<W: Write + Send> Listener for Json<W> {
    fn told(&self, told: &Told) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended || state.failed.is_some() {
            return;
        }
        let line = match told {
            Told::Durable { run, seq, at, event } => {
                state.run = Some(run.clone());
                state.ended = matches!(event, Event::RunFinished(_));
                durable(run, *seq, *at, event)
            }
            Told::Progress { step, text } => {
                let Some(run) = &state.run else { return };
                progress(run, step, text)
            }
        };
        if let Err(error) = state.write(&line) {
            state.failed = Some(error.kind());
        }
    }
}

impl<W: Write> State<W> {
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.out.write_all(&bytes)?;
        self.out.flush()
    }
}

/// A JSON object with its fields in this order.
struct Line(Vec<(String, Value)>);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

fn durable(run: &str, seq: u64, at: u64, event: &Event) -> Line {
    let fields = match serde_json::to_value(event) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let head = [("v", VERSION.into()), ("run", run.into()), ("seq", seq.into()), ("at", rfc3339(at).into())];
    let mut line: Vec<(String, Value)> = head.map(|(k, v)| (k.to_owned(), v)).into();
    let mut rest: Vec<(String, Value)> =
        fields.into_iter().filter(|(k, _)| !line.iter().any(|(t, _)| t == k)).collect();
    rest.sort_by_key(|(k, _)| ["event", "step"].iter().position(|first| first == k).unwrap_or(usize::MAX));
    line.extend(rest);
    Line(line)
}

fn progress(run: &str, step: &str, text: &str) -> Line {
    let fields: [(&str, Value); 5] = [
        ("v", VERSION.into()),
        ("run", run.into()),
        ("event", "progress".into()),
        ("step", step.into()),
        ("text", text.into()),
    ];
    Line(fields.map(|(k, v)| (k.to_owned(), v)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{as_told, finished, good_run, tell, Paper};

    fn written(told: &[Told]) -> Vec<Value> {
        let paper = Paper::default();
        let json = Json::new(paper.clone());
        for t in told {
            json.told(t);
        }
        paper.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_first_line_lists_all_steps_and_the_last_is_run_finished() {
        let lines = written(&as_told(&good_run()));
        assert_eq!(lines.len(), good_run().len(), "one line an event");
        assert_eq!(lines[0]["event"], "run_started");
        assert_eq!(lines[0]["plan"].as_array().unwrap().len(), 5);
        assert_eq!(lines[0]["at"], "2023-11-14T22:13:20.000Z");
        let last = lines.last().unwrap();
        assert_eq!((&last["event"], &last["outcome"]), (&"run_finished".into(), &"succeeded".into()));
        assert_eq!(last["first_answer_seconds"], 95.0);
        for (seq, line) in lines.iter().enumerate() {
            assert_eq!((line["v"].as_u64(), line["seq"].as_u64()), (Some(1), Some(seq as u64)));
            assert_eq!(line["run"], "abcdefghijkl");
        }
    }

    #[test]
    fn each_line_begins_alike_and_names_no_field_twice() {
        let paper = Paper::default();
        let json = Json::new(paper.clone());
        tell(&json, &good_run());
        for line in paper.text().lines() {
            assert!(line.starts_with("{\"v\":1,\"run\":\"abcdefghijkl\",\"seq\":"), "{line}");
            assert_eq!(line.matches("\"run\":").count(), 1, "{line}");
            assert_eq!(line.matches("\"event\":").count(), 1, "{line}");
        }
        insta::assert_snapshot!(paper.text().lines().nth(7).unwrap(), @r#"{"v":1,"run":"abcdefghijkl","seq":7,"at":"2023-11-14T22:13:25.000Z","event":"step_checked","step":"server[node-1]","found":"pending","text":"the server is starting"}"#);
    }

    #[test]
    fn progress_has_no_seq_and_comes_only_while_the_run_lasts() {
        let progress = Told::Progress { step: "a".to_owned(), text: "half\nway".to_owned() };
        let run = as_told(&[good_run()[0].clone(), (1, finished("failed", 5, 0, 0))]);
        let told = [progress.clone(), run[0].clone(), progress.clone(), run[1].clone(), progress];
        let lines = written(&told);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(
            lines[1],
            serde_json::json!({"v": 1, "run": "abcdefghijkl", "event": "progress", "step": "a", "text": "half\nway"})
        );
        assert_eq!(lines[2]["event"], "run_finished");
    }

    #[test]
    fn a_reader_that_is_gone_is_remembered_and_written_to_no_more() {
        struct Gone(usize);
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                assert_eq!(self.0, 1, "written to after it failed");
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let json = Json::new(Gone(0));
        assert_eq!(json.failed(), None);
        tell(&json, &good_run());
        assert_eq!(json.failed(), Some(io::ErrorKind::BrokenPipe));
    }
}

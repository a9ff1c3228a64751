//! The programs as a real bash runs them: without root, in a temporary directory, with stand-ins for systemd's two programs.

use super::program::{self, End};
use crate::world::{Ended, Script, Secret};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const SYSTEMD_RUN: &str = include_str!("../../../tests/ssh/systemd-run.sh");
const SYSTEMCTL: &str = include_str!("../../../tests/ssh/systemctl.sh");

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL)] {
            let path = dir.path().join("bin").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::fs::write(dir.path().join("boot_id"), "one\n").unwrap();
        Self { dir }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn run(&self, program: &[u8]) -> End {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut child = Command::new("bash")
            .arg("-s")
            .env("PATH", path)
            .env("FAKE", self.dir.path())
            .env("RELIGHT_BASE", self.path("run"))
            .env("RELIGHT_BOOT_ID", self.path("boot_id"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Half a program may end before all of it was written.
        let _ = child.stdin.take().unwrap().write_all(program);
        let output = child.wait_with_output().unwrap();
        program::read_end(&output.stdout, &output.stderr)
    }
    fn look(&self, body: &str, input: &[(&str, &str)]) -> End {
        self.run(program::look(&script(body, input)).unwrap().expose())
    }
    fn start(&self, body: &str, unit: &str, call: &str) -> End {
        self.run(program::start(&script(body, &[("TOKEN", "canary-77")]), unit, call).unwrap().expose())
    }
    fn started(&self) -> usize {
        std::fs::read_to_string(self.path("started")).unwrap_or_default().lines().count()
    }
    fn left(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path("run")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
    /// The process of a unit, once it is known.
    fn process(&self, unit: &str) -> u32 {
        loop {
            let known = std::fs::read_to_string(self.path(unit)).ok().and_then(|text| text.trim().parse().ok());
            match known {
                Some(pid) => return pid,
                None => std::thread::yield_now(),
            }
        }
    }
    fn wait_for_line(&self, name: &str, line: &str) {
        while !std::fs::read_to_string(self.path(name)).unwrap_or_default().lines().any(|l| l == line) {
            std::thread::yield_now();
        }
    }
    fn wait_for(&self, name: &str) {
        while !self.path(name).exists() {
            std::thread::yield_now();
        }
    }
}

fn script(body: &str, input: &[(&str, &str)]) -> Script {
    Script {
        name: "try.sh".into(),
        body: format!("#!/usr/bin/env bash\nset -euo pipefail\n. \"$RELIGHT_INPUT\"\n{body}\n").into(),
        verb: "check".into(),
        input: input.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect(),
    }
}

fn ended(end: End) -> Ended {
    match end {
        End::Exit(ended) => ended,
        other => panic!("{other:?}"),
    }
}

/// Lets a started script wait for a file of the machine.
fn until(machine: &Machine, name: &str) -> String {
    format!("until [ -e '{}' ]; do sleep 0.02; done", machine.path(name).display())
}

#[test]
fn a_look_runs_the_script_with_its_input_and_leaves_nothing() {
    let machine = Machine::new();
    let odd = "it's \"two\nlines\" $HOME `x` \\ äöü ";
    let body =
        r#"printf '%s|%s|%s' "$ODD" "$1" "$(stat -c %a "$RELIGHT_INPUT")"; cat; printf 'for people\n' >&2; exit 10"#;
    let seen = ended(machine.look(body, &[("ODD", odd)]));
    assert_eq!((seen.exit, seen.stdout, seen.stderr), (10, format!("{odd}|check|600"), "for people\n".into()));
    assert_eq!(machine.left(), Vec::<String>::new());
}

#[test]
fn exit_codes_that_mean_something_else_to_ssh_become_100_and_it_is_said() {
    let machine = Machine::new();
    for (code, told) in [(0, 0), (1, 1), (100, 100), (101, 100), (127, 100), (255, 100)] {
        let seen = ended(machine.look(&format!("exit {code}"), &[]));
        assert_eq!(seen.exit, told);
        assert_eq!(seen.stderr.contains(&format!("ended with {code}")), code != told, "{}", seen.stderr);
    }
    assert_eq!(ended(machine.look("kill -9 $$", &[])).exit, 100);
}

#[test]
fn half_a_program_does_nothing() {
    let machine = Machine::new();
    let body = format!("touch '{}'", machine.path("touched").display());
    let looking = program::look(&script(&body, &[("A", "b")])).unwrap();
    let starting = program::start(&script(&body, &[("A", "b")]), "relight-a-1", "call").unwrap();
    for whole in [looking.expose(), starting.expose()] {
        let sparse = (0..whole.len() - 120).step_by(331);
        for cut in sparse.chain(whole.len() - 120..whole.len() - 1) {
            assert!(!matches!(machine.run(&whole[..cut]), End::Exit(_) | End::Running), "{cut}");
        }
    }
    assert!(!machine.path("touched").exists() && machine.left().is_empty() && machine.started() == 0);
    ended(machine.run(looking.expose()));
    assert!(machine.path("touched").exists());
}

#[test]
fn a_script_that_is_not_the_announced_one_does_not_run() {
    let machine = Machine::new();
    let body = format!("touch '{}'", machine.path("touched").display());
    let text = String::from_utf8(program::look(&script(&body, &[])).unwrap().expose().to_vec()).unwrap();
    let digest = text.lines().last().unwrap().split([' ', ';']).find(|word| word.len() == 64).unwrap();
    let forged = text.replace(digest, &"0".repeat(64));
    assert!(matches!(machine.run(forged.as_bytes()), End::Trouble(why) if why.contains("did not arrive whole")));
    assert!(!machine.path("touched").exists());
}

#[test]
fn a_started_unit_ends_with_its_output_and_every_later_start_begins_anew() {
    let machine = Machine::new();
    let body = format!("echo state=ok; echo said >&2; exit \"$(cat '{}')\"", machine.path("code").display());
    for (code, call, started) in [("11", "a", 1), ("0", "b", 2), ("5", "c", 3)] {
        std::fs::write(machine.path("code"), code).unwrap();
        let seen = ended(machine.start(&body, "relight-late.node-1-0123", call));
        let wanted = code.parse().unwrap();
        assert_eq!((seen.exit, seen.stdout.as_str(), seen.stderr.as_str()), (wanted, "state=ok\n", "said\n"));
        assert_eq!(machine.started(), started);
    }
    let dir = machine.path("run/late.node-1-0123");
    assert!(dir.join("exit").exists() && !dir.join("input").exists() && !dir.join("input.new").exists());
    let arguments = std::fs::read_to_string(machine.path("started")).unwrap();
    assert!(arguments.contains("--unit=relight-late.node-1-0123.service") && !arguments.contains("canary"));
    let everything = Command::new("grep").args(["-r", "canary-77"]).arg(machine.path("run")).output().unwrap();
    assert!(everything.stdout.is_empty(), "a secret stays on the node");
    let mode = std::fs::metadata(&dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_second_start_joins_and_a_wait_reads_the_same_end() {
    let machine = Machine::new();
    let body = format!("echo x; {}; exit 9", until(&machine, "go"));
    std::thread::scope(|scope| {
        let one = scope.spawn(|| machine.start(&body, "relight-a-1", "one"));
        machine.wait_for("relight-a-1.service");
        let two = scope.spawn(|| machine.start(&body, "relight-a-1", "two"));
        // What the second joins, both may read: it says so on disk before it waits.
        machine.wait_for_line("run/a-1/calls", "two");
        let text = String::from_utf8(program::wait("relight-a-1", "one").expose().to_vec()).unwrap();
        assert_eq!(machine.run(text.replace(" 20; exit", " 0; exit").as_bytes()), End::Running);
        std::fs::write(machine.path("go"), "").unwrap();
        let again = |call| machine.run(program::wait("relight-a-1", call).expose());
        for end in [one.join().unwrap(), two.join().unwrap(), again("one"), again("two")] {
            let seen = ended(end);
            assert_eq!((seen.exit, seen.stdout.as_str()), (9, "x\n"));
        }
        assert_eq!((again("three"), machine.started()), (End::Absent, 1));
    });
}

#[test]
fn an_older_end_is_not_the_end_of_a_start_that_never_arrived() {
    for exit in [0, 3] {
        let machine = Machine::new();
        assert_eq!(machine.run(program::wait("relight-a-1", "x").expose()), End::Absent);
        assert_eq!(ended(machine.start(&format!("exit {exit}"), "relight-a-1", "old")).exit, exit);
        assert_eq!(machine.run(program::wait("relight-a-1", "new").expose()), End::Absent);
        assert_eq!(ended(machine.run(program::wait("relight-a-1", "old").expose())).exit, exit);
    }
}

#[test]
fn the_same_call_is_not_obeyed_twice() {
    let machine = Machine::new();
    for _ in 0..2 {
        assert_eq!(ended(machine.start("exit 0", "relight-a-1", "one")).exit, 0);
        assert_eq!(machine.started(), 1);
    }
}

#[test]
fn a_unit_that_was_killed_or_outlived_by_the_node_is_lost_and_starts_anew() {
    let machine = Machine::new();
    let group = |machine: &Machine| format!("-{}", machine.process("relight-a-1.service"));
    for (how, started) in [("kill", 1), ("boot", 2)] {
        let body = format!("touch '{}.{how}'; {}", machine.path("begun").display(), until(&machine, "never"));
        std::thread::scope(|scope| {
            let run = scope.spawn(|| machine.start(&body, "relight-a-1", how));
            machine.wait_for(&format!("begun.{how}"));
            assert_eq!(machine.started(), started);
            if how == "kill" {
                // The whole group, as systemd does it.
                assert!(Command::new("kill").args(["-9", "--", &group(&machine)]).status().unwrap().success());
            } else {
                std::fs::write(machine.path("boot_id"), "two\n").unwrap();
            }
            assert_eq!(run.join().unwrap(), End::Lost);
        });
        assert_eq!(machine.run(program::wait("relight-a-1", how).expose()), End::Lost);
    }
    assert!(Command::new("kill").args(["-9", "--", &group(&machine)]).status().unwrap().success());
}

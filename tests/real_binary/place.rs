//! A directory of its own for the real binary, and nothing of it left when the test ends, however it ends.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest that any command of the binary may take here.
const DEADLINE: Duration = Duration::from_secs(240);
/// Pause between two looks at something that is not an event.
pub const LOOK: Duration = Duration::from_millis(5);

/// A copy of the example cluster, its state, and its temporary files.
pub struct Place {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// A running relight, and where its words go.
pub struct Running {
    child: Child,
    name: String,
    directory: PathBuf,
}

/// How a relight ended, and what it said.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new(variables: &[(String, String)]) -> Self {
        // Short: OpenSSH's sockets lie below it, and their paths are limited to about 100 bytes.
        let directory = tempfile::Builder::new().prefix("rl").tempdir_in("/tmp").unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let config = std::fs::read_to_string(here.join("relight.yaml")).unwrap();
        // Twenty seconds of good health are nothing that a test has to wait for.
        assert!(config.contains("stable_for: 20s"), "the example has changed");
        std::fs::write(directory.path().join("relight.yaml"), config.replace("stable_for: 20s", "stable_for: 1s"))
            .unwrap();
        for part in ["manifests", "t"] {
            std::fs::create_dir(directory.path().join(part)).unwrap();
        }
        for entry in std::fs::read_dir(here.join("manifests")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), directory.path().join("manifests").join(entry.file_name())).unwrap();
        }
        Self { directory, variables: variables.to_vec() }
    }
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
    pub fn start(&self, name: &str, arguments: &[&str]) -> Running {
        self.spawn(name, Command::new(env!("CARGO_BIN_EXE_relight")), arguments)
    }
    /// The same where no file can grow beyond so many bytes: a full disk, without root.
    pub fn cramped(&self, name: &str, bytes: u64, arguments: &[&str]) -> Ended {
        let mut shell = Command::new("sh");
        // In blocks of 512 bytes. Without the signal a write fails as it does on a full disk.
        shell.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh"]).arg((bytes / 512).to_string());
        shell.arg(env!("CARGO_BIN_EXE_relight"));
        self.spawn(name, shell, arguments).end()
    }
    fn spawn(&self, name: &str, mut command: Command, arguments: &[&str]) -> Running {
        let file = |end: &str| std::fs::File::create(self.path().join(format!("{name}.{end}"))).unwrap();
        // The whole path is in the command line of the sandbox too: that is how the last sweep finds it.
        command.arg("--config").arg(self.path().join("relight.yaml")).arg("--state").arg(self.path().join("state"));
        command.args(["--profile", "instant"]).args(arguments).current_dir(self.path());
        for other in ["HCLOUD_ENDPOINT", "CLOUDFLARE_BASE_URL", "HCLOUD_TOKEN", "CLOUDFLARE_API_TOKEN", "RUST_LOG"] {
            command.env_remove(other);
        }
        command.env("TMPDIR", self.path().join("t")).envs(self.variables.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        Running { child: command.spawn().unwrap(), name: name.to_owned(), directory: self.path().to_owned() }
    }
    pub fn run(&self, name: &str, arguments: &[&str]) -> Ended {
        self.start(name, arguments).end()
    }
    /// What a command says as JSON; it must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run("json", arguments);
        assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }
    /// The last run's last event, `None` where there is no run.
    pub fn last_event(&self) -> Option<Value> {
        self.json(&["status", "--json"])["events"].as_array().map(|events| events.last().unwrap()["event"].clone())
    }
    /// The card of the running sandbox.
    pub fn card(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path().join("state/sandbox/honeydue/sandbox.json")).unwrap())
            .unwrap()
    }
    /// Tells the running sandbox something through its control door.
    pub fn control(&self, path: &str, body: &Value) -> Value {
        let card = self.card();
        let (base, token) = (card["control"].as_str().unwrap(), card["control_token"].as_str().unwrap());
        let request = reqwest::Client::builder().no_proxy().build().unwrap().post(format!("{base}{path}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reply = runtime.block_on(async {
            request.bearer_auth(token).json(body).send().await.unwrap().error_for_status().unwrap().json().await
        });
        reply.unwrap()
    }
    /// The sandboxes of this place that live.
    pub fn sandboxes(&self) -> Vec<u32> {
        let here = self.path().display().to_string();
        let serves = |line: &str| line.contains(&here) && line.contains("\0serve\0");
        processes().into_iter().filter(|(_, line)| serves(line)).map(|(pid, _)| pid).collect()
    }
    /// Three new nodes and three old ones, no more; each host's records on exactly the three new ones.
    pub fn is_as_wanted(&self) {
        let world = self.json(&["sandbox", "status", "--json"])["world"].clone();
        let lines = |list: &str| -> Vec<String> {
            let mut lines: Vec<String> =
                world[list].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()).collect();
            lines.sort();
            lines
        };
        // Another cluster's server may stand in the same project.
        let servers: Vec<String> = lines("servers").into_iter().filter(|s| !s.starts_with("honeydue-node-9")).collect();
        assert_eq!(servers.len(), 6, "{servers:#?}");
        let mut wanted = Vec::new();
        for node in ["honeydue-node-1", "honeydue-node-2", "honeydue-node-3"] {
            let of = |word: &str, name: &str| {
                let found: Vec<_> = servers.iter().filter(|s| s.starts_with(name) && s.contains(word)).collect();
                assert_eq!(found.len(), 1, "{name} {word}: {servers:#?}");
                found[0].split(' ').nth(2).unwrap().to_owned()
            };
            of(" off ", &format!("{node}-old-"));
            let address = of(" running ", &format!("{node} "));
            for host in ["myhoneydue.com", "api.myhoneydue.com", "admin.myhoneydue.com"] {
                wanted.push(format!("{host} A {address} proxied"));
            }
        }
        wanted.sort();
        let records: Vec<String> =
            lines("records").into_iter().filter(|r| !r.starts_with(super::judged::MAIL)).collect();
        assert_eq!(records, wanted);
    }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
    /// Waits until stdout has this text; false where the process ended without it.
    pub fn said(&mut self, text: &str) -> bool {
        self.wrote("out", text)
    }
    /// The same for stderr.
    pub fn complained(&mut self, text: &str) -> bool {
        self.wrote("err", text)
    }
    fn wrote(&mut self, to: &str, text: &str) -> bool {
        let begun = Instant::now();
        loop {
            let ended = self.ended();
            if std::fs::read_to_string(self.file(to)).unwrap().contains(text) {
                return true;
            }
            if ended {
                return false;
            }
            assert!(begun.elapsed() < DEADLINE, "{}: {text:?} was never said", self.name);
            std::thread::sleep(LOOK);
        }
    }
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        kill(self.pid(), signal);
    }
    pub fn end(mut self) -> Ended {
        let begun = Instant::now();
        while !self.ended() {
            let late = begun.elapsed() > DEADLINE;
            assert!(!late, "{} does not end: {}", self.name, std::fs::read_to_string(self.file("err")).unwrap());
            std::thread::sleep(LOOK);
        }
        let status = self.child.wait().unwrap();
        let read = |end: &str| std::fs::read_to_string(self.file(end)).unwrap();
        Ended { status, stdout: read("out"), stderr: read("err") }
    }
    fn file(&self, end: &str) -> PathBuf {
        self.directory.join(format!("{}.{end}", self.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(pid: u32, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    // One that has ended meanwhile needs no signal.
    let _ = nix::sys::signal::kill(pid, signal);
}

/// Processes now, with their command lines. Empty where there is no /proc.
pub fn processes() -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str().and_then(|n| n.parse().ok()));
    let line =
        |pid: u32| Some((pid, String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?).into()));
    pids.filter_map(line).collect()
}

impl Drop for Place {
    fn drop(&mut self) {
        let card = self.path().join("state/sandbox/honeydue/sandbox.json");
        let pid = std::fs::read(card).ok().and_then(|card| serde_json::from_slice::<Value>(&card).ok());
        if let Some(pid) = pid.and_then(|card| u32::try_from(card["pid"].as_u64()?).ok()) {
            kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        // A sandbox that has no card yet, and ssh's masters: all name this directory.
        let here = self.path().display().to_string();
        for (pid, _) in processes().into_iter().filter(|(pid, line)| *pid != std::process::id() && line.contains(&here))
        {
            kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// Waits for something that is no event.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        std::thread::sleep(LOOK);
    }
}

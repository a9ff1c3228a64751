//! A node for the tests: the SSH door with a backend that keeps what it was asked.

use async_trait::async_trait;
use relight::providers::{OpenSsh, Operator};
use relight::sandbox::doors::ssh::{Dropped, LoginRefused, SshBackend, SshDoor, SshLogin, UnitState, Work};
use relight::world::{Addresses, Clock, Ended, Host, Identity, KeyPair, Random, RunKeys, Script, Secret};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{watch, Notify};

/// What the door knows: `echo.sh` tells what it was told, `slow.sh` waits until the test ends it.
pub fn script(name: &str, verb: &str, input: &[(&str, &str)]) -> Script {
    Script {
        name: name.into(),
        body: body(name).unwrap(),
        verb: verb.into(),
        input: input.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect(),
    }
}

fn body(name: &str) -> Option<Arc<str>> {
    matches!(name, "echo.sh" | "slow.sh").then(|| format!("#!/usr/bin/env bash\n# {name}\nexit 0\n").into())
}

pub fn key(seed: u8) -> KeyPair {
    RunKeys::ed25519([seed; 32], "test").unwrap()
}

/// The key that lets `deploy` in.
pub const USER_KEY: u8 = 1;

#[derive(Default)]
pub struct Asked {
    pub looks: Vec<Work>,
    pub starts: Vec<(String, Work)>,
    pub units: BTreeMap<String, UnitState>,
    /// The calls that started or joined each unit: they alone are told its end.
    calls: BTreeMap<String, Vec<String>>,
}

impl Asked {
    /// How many calls started or joined the last unit of this name.
    pub fn joined(&self, unit: &str) -> usize {
        self.calls.iter().rev().find(|(name, _)| name.starts_with(unit)).map_or(0, |(_, calls)| calls.len())
    }
}

pub struct Backend {
    pub asked: Mutex<Asked>,
    pub host_key: Mutex<Option<Secret>>,
    pub forwards: Mutex<BTreeMap<u16, SocketAddr>>,
    /// Set: the next start breaks the connection, after it was obeyed (true) or before (false).
    pub break_start: Mutex<Option<bool>>,
    pub hold_looks: AtomicBool,
    pub looking: AtomicU32,
    pub most_looking: AtomicU32,
    /// Connections that came in: each asks for the host key.
    pub connections: AtomicU32,
    cut: Notify,
    changed: watch::Sender<u64>,
}

impl Backend {
    pub fn cut_connections(&self) {
        self.cut.notify_waiters();
    }
    pub fn change(&self) {
        self.changed.send_modify(|n| *n += 1);
    }
    pub fn finish(&self, unit: &str, exit: i32, stdout: &str) {
        let unit = self.asked.lock().unwrap().starts.iter().rev().find(|(u, _)| u.starts_with(unit)).unwrap().0.clone();
        self.set(&unit, UnitState::Ended(Ended { exit, stdout: stdout.into(), stderr: String::new() }));
    }
    pub fn set(&self, unit: &str, state: UnitState) {
        self.asked.lock().unwrap().units.insert(unit.into(), state);
        self.change();
    }
    pub fn starts(&self) -> usize {
        self.asked.lock().unwrap().starts.len()
    }
    /// Waits until something was asked of the node.
    pub async fn until(&self, mut seen: impl FnMut(&Asked) -> bool) {
        let mut changes = self.changed.subscribe();
        while !seen(&self.asked.lock().unwrap()) {
            changes.changed().await.unwrap();
        }
    }
}

/// What the door holds: the backend by reference, so that the test can look at it too.
struct Shared(Arc<Backend>);

impl SshBackend for Shared {
    fn host_key(&self) -> Option<Secret> {
        self.0.connections.fetch_add(1, Ordering::SeqCst);
        self.0.host_key.lock().unwrap().clone()
    }
    fn login(&self, user: &str, offered: &str) -> Result<Arc<dyn SshLogin>, LoginRefused> {
        if user == "deploy" && offered == key(USER_KEY).public {
            return Ok(self.0.clone());
        }
        Err(LoginRefused::Key)
    }
    fn forward(&self, port: u16) -> Option<SocketAddr> {
        self.0.forwards.lock().unwrap().get(&port).copied()
    }
}

#[async_trait]
impl SshLogin for Backend {
    async fn look(&self, work: &Work) -> Result<Ended, Dropped> {
        let now = self.looking.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_looking.fetch_max(now, Ordering::SeqCst);
        self.asked.lock().unwrap().looks.push(work.clone());
        self.change();
        let mut changes = self.changed.subscribe();
        while self.hold_looks.load(Ordering::SeqCst) {
            changes.changed().await.unwrap();
        }
        self.looking.fetch_sub(1, Ordering::SeqCst);
        let text = |key: &str| work.input.get(key).and_then(Secret::expose_str).unwrap_or_default().to_owned();
        Ok(Ended { exit: text("EXIT").parse().unwrap_or(0), stdout: text("OUT"), stderr: text("ERR") })
    }
    fn start(&self, unit: &str, call: &str, work: &Work) -> Result<(), Dropped> {
        let broken = self.break_start.lock().unwrap().take();
        if broken != Some(false) {
            let mut asked = self.asked.lock().unwrap();
            if asked.units.get(unit) != Some(&UnitState::Running) {
                asked.starts.push((unit.into(), work.clone()));
                asked.units.insert(unit.into(), UnitState::Running);
                asked.calls.remove(unit);
            }
            asked.calls.entry(unit.into()).or_default().push(call.into());
        }
        self.change();
        broken.map_or(Ok(()), |_| Err(Dropped))
    }
    fn unit(&self, unit: &str, call: &str) -> Result<UnitState, Dropped> {
        let asked = self.asked.lock().unwrap();
        let joined = asked.calls.get(unit).is_some_and(|calls| calls.iter().any(|c| c == call));
        let told = asked.units.get(unit).filter(|state| joined || !matches!(state, UnitState::Ended(_)));
        Ok(told.cloned().unwrap_or(UnitState::Absent))
    }
    async fn settled(&self, unit: &str) {
        self.until(|asked| asked.units.get(unit) != Some(&UnitState::Running)).await;
    }
    async fn dropped(&self) {
        self.cut.notified().await;
    }
}

pub struct Node {
    pub backend: Arc<Backend>,
    pub address: IpAddr,
    pub door: Option<SshDoor>,
}

impl Node {
    /// A node on a loopback address of its own, serving the host key of this seed.
    pub async fn boot(host_key: u8) -> Self {
        let backend = Arc::new(Backend {
            asked: Mutex::default(),
            host_key: Mutex::new(Some(key(host_key).private_openssh)),
            forwards: Mutex::default(),
            break_start: Mutex::default(),
            hold_looks: AtomicBool::new(false),
            looking: AtomicU32::new(0),
            most_looking: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            cut: Notify::new(),
            changed: watch::Sender::new(0),
        });
        loop {
            let address = free_address();
            let at = Addresses::sandbox().reach(address, 22);
            match SshDoor::open(at, Arc::new(Shared(backend.clone())), Arc::new(body)).await {
                Ok(door) => return Self { backend, address, door: Some(door) },
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse),
            }
        }
    }

    /// Opens the door again where it was.
    pub async fn reopen(&mut self, at: SocketAddr) {
        self.door = Some(SshDoor::open(at, Arc::new(Shared(self.backend.clone())), Arc::new(body)).await.unwrap());
    }

    pub fn host(&self, accepted: &[u8]) -> Host {
        Host {
            address: self.address,
            user: "deploy".into(),
            host_keys: accepted.iter().map(|seed| key(*seed).public).collect(),
            identity: Identity::Key(key(USER_KEY).private_openssh),
        }
    }
}

/// A loopback address that nobody in this process had, and most probably nobody in another one.
pub fn free_address() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next =
        std::process::id().wrapping_mul(977).wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst)) % (200 * 200 * 200);
    let byte = |shift: u32| u8::try_from(next / shift % 200 + 20).unwrap();
    Ipv4Addr::new(127, byte(40_000), byte(200), byte(1)).into()
}

/// The same for a whole /24.
pub fn free_network() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = std::process::id().wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst)) % (30 * 200);
    Ipv4Addr::new(127, u8::try_from(next / 200 + 221).unwrap(), u8::try_from(next % 200 + 20).unwrap(), 0)
}

/// Wall time, with pauses a hundred times shorter.
pub struct Hasty;

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Duration {
        std::time::UNIX_EPOCH.elapsed().unwrap()
    }
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time / 100).await;
    }
}

#[derive(Default)]
pub struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let next = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        bytes.iter_mut().zip(next.iter().cycle()).for_each(|(to, from)| *to = *from);
    }
}

pub fn provider() -> OpenSsh {
    provider_of(Operator::Sandbox { directory: "/nowhere".into() })
}

/// The same for another operator.
pub fn provider_of(operator: Operator) -> OpenSsh {
    OpenSsh::new(Addresses::sandbox(), operator, Arc::new(Hasty), Arc::new(Counting::default())).unwrap()
}

//! The SSH door's questions, put to the model.

use super::{Dropped, LoginRefused, SshBackend, SshLogin, UnitState, Work};
use crate::sandbox::model::{self, lock, Caller, Connection, Job, Model, NodeError, Shared};
use crate::world::{Clock, Ended, Secret};
use async_trait::async_trait;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Where a port of a node's own 127.0.0.1 is really served, by the node's public address.
pub type ForwardTable = Arc<dyn Fn(Ipv4Addr, u16) -> Option<SocketAddr> + Send + Sync>;

/// How often an open connection looks whether its node still has power. Wall time.
const LOOK_OUT: Duration = Duration::from_millis(100);

/// The node at one public address.
#[derive(Clone)]
pub struct ModelNode {
    model: Shared,
    clock: Arc<dyn Clock>,
    address: Ipv4Addr,
    forwards: ForwardTable,
}

impl ModelNode {
    /// The node that has this public address, now or later.
    pub fn new(model: Shared, clock: Arc<dyn Clock>, address: Ipv4Addr, forwards: ForwardTable) -> Self {
        Self { model, clock, address, forwards }
    }
    fn ask<T>(&self, question: impl FnOnce(&mut Model, Duration) -> T) -> T {
        let now = self.clock.now();
        question(&mut lock(&self.model), now)
    }
}

impl SshBackend for ModelNode {
    fn host_key(&self) -> Option<Secret> {
        self.ask(|model, now| model.host_key(now, self.address)).ok().map(|key| Secret::new(key.private))
    }
    fn login(&self, user: &str, key: &str) -> Result<Arc<dyn SshLogin>, LoginRefused> {
        match self.ask(|model, now| model.connect(now, self.address, user, key)) {
            Ok(connection) => Ok(Arc::new(Login { node: self.clone(), connection })),
            Err(NodeError::KeyRejected) => Err(LoginRefused::Key),
            Err(_) => Err(LoginRefused::Dropped),
        }
    }
    fn forward(&self, port: u16) -> Option<SocketAddr> {
        (self.forwards)(self.address, port)
    }
}

struct Login {
    node: ModelNode,
    connection: Connection,
}

impl Login {
    fn state(&self, unit: &str, call: &str) -> Result<model::UnitState, NodeError> {
        self.node.ask(|model, now| model.script_result(now, &self.connection, unit, call))
    }
}

fn job(work: &Work, unit: &str, call: &str) -> Job {
    let text = |value: &Secret| String::from_utf8_lossy(value.expose()).into_owned();
    Job {
        script: work.script.clone(),
        verb: work.verb.clone(),
        input: work.input.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        unit: unit.to_owned(),
        call: call.to_owned(),
    }
}

#[async_trait]
impl SshLogin for Login {
    async fn look(&self, work: &Work) -> Result<Ended, Dropped> {
        let time = self.node.ask(|model, _| model.latency.ssh);
        self.node.clock.sleep(time).await;
        self.node.ask(|model, now| model.look(now, &self.connection, &job(work, "", ""))).map_err(|_| Dropped)
    }

    fn start(&self, unit: &str, call: &str, work: &Work) -> Result<(), Dropped> {
        let job = job(work, unit, call);
        let started = self.node.ask(|model, now| model.run_script(now, &Caller::default(), &self.connection, &job));
        started.map(drop).map_err(|_| Dropped)
    }

    fn unit(&self, unit: &str, call: &str) -> Result<UnitState, Dropped> {
        Ok(match self.state(unit, call).map_err(|_| Dropped)? {
            model::UnitState::Running { .. } => UnitState::Running,
            model::UnitState::Unknown => UnitState::Absent,
            model::UnitState::Ended(ended) => UnitState::Ended(ended),
        })
    }

    async fn settled(&self, unit: &str) {
        while let Ok(model::UnitState::Running { ends }) = self.state(unit, "") {
            // What else happens until then may move the end, so that it is asked again.
            let left = ends.saturating_sub(self.node.clock.now());
            self.node.clock.sleep(left.max(Duration::from_millis(1))).await;
        }
    }

    async fn dropped(&self) {
        let mut ticks = tokio::time::interval(LOOK_OUT);
        // The model answers for any unit, even none, whether the connection still stands.
        while self.state("", "").is_ok() {
            ticks.tick().await;
        }
    }
}

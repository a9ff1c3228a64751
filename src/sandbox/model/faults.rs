//! Faults planned for the outside. Each counts how often it fired, so that a test can insist that it did.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Applied, and the reply never arrives.
    LostReply,
    /// The connection is reset before anything is applied.
    ResetBefore,
    /// 429 with this wait.
    TooMany(Duration),
    /// A 5xx reply.
    ServerError {
        /// HTTP status: 500, 502, 503, 504.
        status: u16,
        /// Whether the call had its effect all the same.
        applied: bool,
    },
    /// 412 `resource_unavailable`, whatever the stock says.
    SoldOut,
    /// 422 `invalid_input`: this type is not sold there, whatever the list says.
    NotSoldThere,
    /// 403 `resource_limit_exceeded`.
    Quota,
    /// 423 `locked`.
    Locked,
    /// The action that is started never ends.
    HungAction,
    /// The action that is started ends with this error code, without its effect.
    ActionError(String),
    /// What is created is absent from lists for this long.
    ListLag(Duration),
    /// The connection drops while the script runs; the script goes on.
    SshDrop,
    /// The node reboots in the middle of the script, which has had no effect.
    Reboot,
    /// The script ends at once with this exit code and without effect.
    Exit(i32),
    /// Nobody answers.
    Down,
    /// sshd shows another host key than the node's: cloud-init has not put it in place yet, or it is another machine.
    StrangeKey,
}

/// Where in a call a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Before,
    After,
    Action,
    Listing,
    Script,
}

impl FaultKind {
    fn stage(&self) -> Stage {
        match self {
            Self::LostReply | Self::ServerError { applied: true, .. } => Stage::After,
            Self::HungAction | Self::ActionError(_) => Stage::Action,
            Self::ListLag(_) => Stage::Listing,
            Self::SshDrop | Self::Reboot | Self::Exit(_) => Stage::Script,
            _ => Stage::Before,
        }
    }
}

/// Which calls a fault concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// The operation; a `*` at its end stands for any rest. `cloud.server.{create,get,update,delete,poweroff,poweron,protect}`,
    /// `cloud.servers.list`, `cloud.{ssh_key,network,firewall,placement_group}.{create,get,update,delete}` and `...s.list`,
    /// `cloud.primary_ips.list`, `cloud.primary_ip.{get,update,unassign,delete}`,
    /// `cloud.firewall.{set_rules,attach,detach}`, `cloud.action.get`, `cloud.offer.list`; `dns.{verify,zones.list,ssl.get}`,
    /// `dns.records.list`, `dns.batch`; `node.{connect,host_key}`, `node.<script>.<verb>`, `node.http`, `edge.get`, `release.get`; `kube.{read,write}`.
    pub op: String,
    /// A part of the target's text: a name, an address, `cx33/nbg1`. Empty: any.
    pub target: String,
    /// How many matching calls pass first.
    pub skip: u32,
}

impl Matcher {
    /// Every call of this operation.
    pub fn op(op: impl Into<String>) -> Self {
        Self { op: op.into(), ..Self::default() }
    }
    /// Only at targets whose text contains this.
    #[must_use]
    pub fn at(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }
    /// From the nth matching call on, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u32) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }
    fn matches(&self, op: &str, target: &str) -> bool {
        let named = match self.op.strip_suffix('*') {
            Some(start) => op.starts_with(start),
            None => op == self.op,
        };
        named && target.contains(&self.target)
    }
}

/// How often a fault fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// This often.
    Times(u32),
    /// Until it is withdrawn.
    Always,
}

/// One planned fault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which calls.
    pub on: Matcher,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How often.
    pub times: Times,
}

impl Fault {
    /// A fault that fires once.
    pub fn once(on: Matcher, kind: FaultKind) -> Self {
        Self { on, kind, times: Times::Times(1) }
    }
    /// A fault that fires always.
    pub fn always(on: Matcher, kind: FaultKind) -> Self {
        Self { on, kind, times: Times::Always }
    }
}

/// Names a planned fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FaultId(usize);

#[derive(Debug, Clone)]
struct Planned {
    fault: Fault,
    seen: u32,
    fired: u32,
    withdrawn: bool,
}

/// All planned faults.
#[derive(Debug, Clone, Default)]
pub struct Faults(Vec<Planned>);

impl Faults {
    /// Plans a fault.
    pub fn plan(&mut self, fault: Fault) -> FaultId {
        self.0.push(Planned { fault, seen: 0, fired: 0, withdrawn: false });
        FaultId(self.0.len() - 1)
    }
    /// How often it fired.
    pub fn fired(&self, id: FaultId) -> u32 {
        self.0.get(id.0).map_or(0, |p| p.fired)
    }
    /// It fires no more.
    pub fn withdraw(&mut self, id: FaultId) {
        if let Some(planned) = self.0.get_mut(id.0) {
            planned.withdrawn = true;
        }
    }
    /// Planned faults that never fired.
    pub fn silent(&self) -> Vec<Fault> {
        self.0.iter().filter(|p| p.fired == 0).map(|p| p.fault.clone()).collect()
    }
    /// The first fault that is due for this call; its count goes up.
    pub(super) fn take(&mut self, stage: Stage, op: &str, target: &str) -> Option<FaultKind> {
        let mut found = None;
        for planned in &mut self.0 {
            let of_stage = planned.fault.kind.stage() == stage;
            if planned.withdrawn || !of_stage || !planned.fault.on.matches(op, target) {
                continue;
            }
            planned.seen += 1;
            let left = match planned.fault.times {
                Times::Times(n) => planned.fired < n,
                Times::Always => true,
            };
            if found.is_none() && left && planned.seen > planned.fault.on.skip {
                planned.fired += 1;
                found = Some(planned.fault.kind.clone());
            }
        }
        found
    }
}

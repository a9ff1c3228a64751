//! The model of the outside: a deterministic state machine that knows the time only by being told.
//!
//! Cloud calls go through one gate (`cloud.rs`: token, rate limit, faults, ledger); nodes are reached through [`Model::connect`]
//! and run scripts as units; DNS changes are one transaction; K3s is what scripts start. [`Ledger`] remembers every attempted
//! effect, [`Faults`] plans what goes wrong, [`Latency`] says how long things take.

mod actions;
mod addresses;
mod answer;
mod attach;
mod cloud;
mod create;
mod dns;
mod edge;
mod etcd;
mod expiry;
mod faults;
mod firewalls;
mod foreign;
mod hand_made;
mod inventory;
mod k3s;
mod k3s_change;
mod latency;
mod ledger;
mod machine;
mod offer;
mod power;
mod primary_ips;
mod random;
mod reach;
mod records;
mod scripts;
mod selector;
mod servers;
mod start;
mod state;
mod strangers;
mod things;
mod units;
mod userdata;
mod words;
mod workloads;

pub use actions::{ActionStatus, CloudAction};
pub use addresses::AddressPool;
pub use answer::{Answer, ApiError, Budget, Caller, Failure};
pub use cloud::{Limits, TokenMay};
pub use create::{CreatedServer, ServerOrder, USER_DATA_LIMIT};
pub use dns::{DnsBatch, DnsBatchDone, DnsToken, DnsZone, BATCH_LIMIT};
pub use edge::Visit;
pub use faults::{Fault, FaultId, FaultKind, Faults, Matcher, Times};
pub use k3s::ApiState;
pub use latency::Latency;
pub use ledger::{Entry, Ledger, LedgerOutcome, Stranger};
pub use machine::{HostKey, MachineView};
pub use offer::{gross, Location, Offer, OfferedImage, OfferedType, Sale, IPV4_HOURLY, IPV4_MONTHLY};
pub use power::Power;
pub use primary_ips::PrimaryIp;
pub use random::Seeded;
pub use reach::Reach;
pub use records::{DnsRecord, RecordChange};
pub use selector::Selector;
pub use servers::{status_word, CloudServer, Filter, PrivateAddress, PublicAddress};
pub use start::{Loss, Start};
pub use state::{lock, KubeconfigIssuer, Model, Shared};
pub use things::{CloudThing, Subnet, ThingState};
pub use units::{Connection, Job, NodeError, UnitState};
pub use userdata::CloudConfig;
pub use workloads::{ClusterView, NodeView, Reaches, Workloads};

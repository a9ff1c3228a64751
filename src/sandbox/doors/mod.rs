//! The doors: each translates one protocol to the model, and decides nothing.

mod broken;
mod cloudflare;
pub mod direct;
mod edge;
mod hetzner;
mod serve;
mod ssh;
mod ssh_fleet;
mod ssh_model;
mod ssh_program;
mod ssh_visit;

pub use cloudflare::CloudflareDoor;
pub use edge::{edge, node_http};
pub use hetzner::{HetznerDoor, Shape};
pub use serve::{serve, serve_tls};
pub use ssh::{Dropped, LoginRefused, ScriptLookup, SshBackend, SshDoor, SshLogin, UnitState};
pub use ssh_fleet::SshFleet;
pub use ssh_model::{ForwardTable, ModelNode};
pub use ssh_program::Work;
//! The doors into the sandbox: each translates from and to the model, and decides nothing.
mod direct_cluster;
mod kubernetes;
mod kubernetes_tls;
pub use direct_cluster::DirectCluster;
pub use kubernetes::{kubernetes, Api, KubernetesBackend};
pub use kubernetes_tls::{serve_kubernetes, KubernetesTls};
pub mod ssh;

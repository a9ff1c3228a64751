//! The doors: each translates one protocol to the model, and decides nothing.

mod broken;
mod cloudflare;
pub mod direct;
mod direct_cluster;
mod edge;
mod hetzner;
mod kubernetes;
mod kubernetes_tls;
mod serve;
pub mod ssh;

pub use cloudflare::CloudflareDoor;
pub use direct_cluster::DirectCluster;
pub use edge::{edge, node_http};
pub use hetzner::{HetznerDoor, Shape};
pub use kubernetes::{kubernetes, Api, KubernetesBackend};
pub use kubernetes_tls::{serve_kubernetes, KubernetesTls};
pub use serve::{serve, serve_tls};

//! The doors into the sandbox: each translates from and to the model, and decides nothing.

pub mod direct;
mod direct_cluster;
mod kubernetes;
mod kubernetes_tls;

pub use direct_cluster::DirectCluster;
pub use kubernetes::{kubernetes, Api, KubernetesBackend};
pub use kubernetes_tls::{serve_kubernetes, KubernetesTls};

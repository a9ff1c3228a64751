//! Real implementations of the world's traits, one file or folder each.

mod kube_api;

pub use kube_api::KubeApi;

//! Controllers: what follows from the objects as time passes. Each is a pass over the store that looks at what is, does the next
//! thing, and sets an alarm for what is not due yet; passes are repeated until nothing changes.

mod advance;
mod budgets;
mod claims;
mod daemonsets;
mod deployments;
mod endpoints;
mod jobs;
mod k3s;
mod kubelet;
mod namespaces;
mod nodes;
mod pod_status;
mod replicasets;
mod scheduling;
mod serving;
mod statefulsets;
mod traefik;

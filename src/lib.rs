//! relight brings a K3s cluster back: one command, resumable at any instant.
//!
//! A tour of the house, in the order in which a run passes through it:
//!
//! 1. [`cli`] reads the command line, takes the secrets out of the environment and prompts; it alone knows every room.
//! 2. [`config`] turns `relight.yaml` and the manifests into validated settings, with every mistake at its place.
//! 3. [`playbook`] turns `steps/*.yaml` into a plan: a DAG of steps.
//! 4. [`engine`] runs the plan: intent before effect, a chained journal, retries, gates, and the guard, which alone gives leave
//!    to touch anything.
//! 5. [`actions`] are what steps do: a look, and an apply that is safe to repeat.
//! 6. [`world`] is what the outside is to all of them: traits and plain data.
//! 7. [`providers`] are the outside in life: Hetzner, Cloudflare, OpenSSH, Kubernetes, HTTP, files, clock.
//! 8. [`sandbox`] is the outside emulated: one model, with doors that the providers, and other people's clients, talk to.
//! 9. [`report`] draws what the engine tells.

pub mod actions;
pub mod cli;
pub mod config;
pub mod engine;
pub mod playbook;
pub mod providers;
pub mod report;
pub mod sandbox;
pub mod world;

#[cfg(test)]
#[path = "../tests/both_doors/kubernetes.rs"]
mod kubernetes_contract;

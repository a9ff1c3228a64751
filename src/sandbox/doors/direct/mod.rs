//! The direct door: the world's traits on the model, under tokio's virtual time. A whole rebuild takes milliseconds, and a
//! test may kill it at any point ([`Tripwire`]) and start the next process on the same outside and the same disk.

mod clock;
mod cloud;
mod cluster;
#[cfg(test)]
mod cluster_tests;
mod disk;
mod dns;
mod entry;
mod http;
mod person;
mod sandbox;
mod secrets;
mod shell;
#[cfg(test)]
mod tests;
mod tripwire;

pub use clock::{DirectClock, SeededRandom};
pub use disk::{DirectFiles, Disk, Keep};
pub use person::ScriptedPerson;
pub use sandbox::{Outside, Sandbox};
pub use secrets::GeneratedSecrets;
pub use tripwire::Tripwire;

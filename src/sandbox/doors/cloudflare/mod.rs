//! The Cloudflare door: the model's zones as Cloudflare's API, for relight's provider and anyone's official client.

mod call;
mod filter;
mod order;
mod records;
mod zones;

pub use call::CloudflareDoor;

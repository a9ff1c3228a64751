//! Secret values on the operator's machine.
//!
//! No error here holds a value, nor a byte of what a program printed: a program that fails may print the very thing it was
//! asked for. Every source is asked once, and the answer is kept in memory.

mod command;
mod generated;
mod source;

pub use generated::Generated;
pub use source::Secrets;

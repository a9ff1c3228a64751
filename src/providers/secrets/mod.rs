//! Secret values on the operator's machine.
//!
//! No error here holds a value. Of a program that fails the last words on its standard error are shown, because nothing else
//! says why; never what it printed as the value, and no part of those words that is in the value or in the settings it was given. Every source is asked once, and the answer is kept in memory.

mod answered;
mod command;
mod generated;
mod source;

pub use answered::Answered;
pub use generated::Generated;
pub use source::Secrets;

//! Words to stdout. Whoever reads them may be gone (`relight status | head -1`): that is no reason to end with a trace.

use std::io::{ErrorKind, Write};

/// Writes the text to stdout.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = written.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(e) }) {
        eprintln!("stdout cannot be written: {error}");
    }
}

/// Writes a line to stdout, as `println!` does.
macro_rules! say {
    ($($arguments:tt)*) => {
        $crate::cli::say::out(&(format!($($arguments)*) + "\n"))
    };
}
pub(super) use say;

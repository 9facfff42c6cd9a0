//! Standard output of a command, which may be a pipe that its reader has closed.

use std::io::{ErrorKind, Write, stdout};

use super::Failure;

/// Whoever reads the output has seen enough. The command ends, and there is nothing to complain of.
#[derive(Debug, thiserror::Error)]
#[error("the output was closed by its reader")]
pub struct Closed;

pub fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        written => Ok(written?),
    }
}

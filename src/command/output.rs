//! Standard output of a command, which may be a pipe that its reader has closed.

use std::io::{ErrorKind, Write, stdout};

use super::Failure;

/// Whoever reads the output has seen enough. The command ends, and there is nothing to complain of.
#[derive(Debug, thiserror::Error)]
#[error("the output was closed by its reader")]
pub struct Closed;

/// Writes what was asked for, and ends the command where nobody reads on.
pub fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        written => Ok(written?),
    }
}

/// Says what is done or found where the exit code says it too: that is worth as much without a reader.
pub fn tell(text: &str) -> Result<(), Failure> {
    match write(text) {
        Err(failure) if failure.is::<Closed>() => Ok(()),
        told => told,
    }
}

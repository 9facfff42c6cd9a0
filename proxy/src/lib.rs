//! The data plane: knows the caller, decides, forwards, meters, reports.

pub mod server;
pub mod upstream;

pub mod journal;

pub mod backoff;
pub mod control;
pub mod report;
pub mod snapshot;

#[cfg(test)]
mod test_admin;
#[cfg(test)]
mod test_certificates;

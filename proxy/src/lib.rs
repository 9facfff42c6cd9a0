//! The data plane: knows the caller, decides, forwards, meters, reports.

pub mod server;

#[cfg(test)]
mod test_certificates;

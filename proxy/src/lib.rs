//! The data plane: knows the caller, decides, forwards, meters, reports.

//! The control plane: catalog, ledger, and what owners and gateways ask of them.

pub mod store;

//! The catalog as a file: read, held against the present one, carried out and written down.
//!
//! A client of the admin API. It knows the API's rules from the control plane's own readers, so that
//! a file is refused before anything is changed; it holds no rules of its own and no database.

pub mod yaml;

pub mod file;
pub mod mistake;
mod normal;

pub mod api;
mod difference;
pub mod present;
pub mod steps;

pub mod carry_out;
pub mod export;
pub mod openapi;
pub mod schema;
mod write;

//! Settings, from one YAML file and the environment.
//!
//! This crate owns every setting: its name, type, default, bounds and the reason for them. It must
//! not know how a setting is put to use. All mistakes are found in one go, each with its line and
//! column or the variable it stands in.

pub mod settings;
pub mod value;

pub mod mistake;
mod reference;
mod rules;
mod section;
mod sources;
mod tree;

pub use mistake::{Mistake, Mistakes, Place};
pub use reference::reference;
pub use rules::Role;
pub use settings::Settings;
pub use sources::LoadError;
pub use value::{ByteSize, LogFilter, Moment, PostgresUrl, RedisUrl, StoreUrl};

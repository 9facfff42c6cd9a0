//! Who changed what, when, and from what to what. Written in the transaction of the change itself,
//! so neither is ever there without the other. It never holds a secret.

pub mod chain;

use serde::Serialize;
use tollgate_common::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    pub at: Timestamp,
    /// The id of the token that was used.
    pub actor: String,
    pub actor_name: String,
    pub request_id: String,
    /// What was done, such as `plan.update`.
    pub action: String,
    pub resource: String,
    pub resource_id: String,
    /// JSON of what it was; None before a creation.
    pub before: Option<String>,
    /// JSON of what it became; None after a deletion.
    pub after: Option<String>,
}

/// What was done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Create,
    Update,
    Delete,
    Cancel,
    Revoke,
    Rotate,
    Replay,
    Repair,
}

impl Deed {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Cancel => "cancel",
            Self::Revoke => "revoke",
            Self::Rotate => "rotate",
            Self::Replay => "replay",
            Self::Repair => "repair",
        }
    }
}

/// The state of a resource as the audit keeps it.
pub fn state<T: Serialize>(resource: &T) -> String {
    serde_json::to_string(resource).expect("the catalog holds nothing that JSON cannot write")
}

//! A destination as owners set it up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_common::ids::DestinationId;
use tollgate_common::meter::Meter;
use tollgate_common::time::{Timestamp, rfc3339};
use utoipa::ToSchema;

use super::kind::Kind;
use crate::ledger::window::Window;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Registration {
    pub id: DestinationId,
    /// Also the name under which consumers have their ids there.
    pub name: String,
    pub kind: Kind,
    /// What the kind wants to know, without secrets.
    pub settings: BTreeMap<String, Value>,
    /// What is sent.
    pub meters: Vec<Meter>,
    /// What is summed up before it is sent.
    #[serde(serialize_with = "window_word")]
    pub window: Window,
    /// Usage of earlier minutes is not sent.
    #[serde(with = "rfc3339")]
    pub starts_at: Timestamp,
    pub status: Status,
    /// Why it was paused, when nobody did it.
    pub pause_reason: Option<String>,
    /// Whether there is a secret, which is kept apart.
    pub has_secret: bool,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    /// Usage is kept, and nothing is sent.
    Paused,
}

fn window_word<S: serde::Serializer>(window: &Window, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(window.label())
}

//! Who calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::ConsumerId;
use crate::time::{Timestamp, rfc3339};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    pub id: ConsumerId,
    pub name: String,
    pub email: Option<String>,
    /// Destination name to the customer's id there.
    pub external_ids: BTreeMap<String, String>,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}

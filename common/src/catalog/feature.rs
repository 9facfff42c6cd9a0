//! What a product gives to whoever has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{FeatureId, ProductId};
use crate::time::{Timestamp, rfc3339};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub id: FeatureId,
    /// Unique, in the letters that it was given in.
    pub name: String,
    pub title: String,
    /// Products that give it, by id, as clients named them: one may be of a product to come.
    pub product_ids: Vec<String>,
    pub metadata: BTreeMap<String, serde_json::Value>,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}

impl Feature {
    pub fn is_of(&self, product: ProductId) -> bool {
        let product = product.to_string();
        self.product_ids.contains(&product)
    }
}

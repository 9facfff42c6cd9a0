//! What a client says of a feature.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::products::fields::METADATA_BYTES_MAX;
use crate::frontier::message::Message;
use crate::frontier::products::body::{NAME, TITLE};
use crate::frontier::violation::{Violation, at_least, at_most, bounded};
use crate::json::{DEPTH_MAX, is_too_deep};
use crate::problem::Problem;

const NAME_LENGTH_MIN: usize = 3;

/// A bound of ours on the products of a feature, which stand in its row.
const PRODUCTS_MAX: usize = 1_000;

#[derive(Clone, Debug, Default)]
pub struct FeatureBody {
    pub id: String,
    pub name: String,
    pub title: String,
    pub product_ids: Vec<String>,
    pub metadata: BTreeMap<String, Value>,
}

impl FeatureBody {
    pub fn read(message: &mut Message) -> Result<Self, Problem> {
        message.skip_times()?;
        Ok(Self {
            id: message.text("id")?,
            name: message.text("name")?,
            title: message.text("title")?,
            product_ids: message.texts("product_ids")?,
            metadata: message.object("metadata")?,
        })
    }

    /// The rules of `FeatureRequestBody`.
    pub fn check(&self) -> Result<(), Violation> {
        at_least("FeatureRequestBody.Name", NAME_LENGTH_MIN, &self.name)?;
        self.check_bounds("FeatureRequestBody")
    }

    /// Inside a product it is known by its id or its name.
    pub fn check_nested(&self) -> Result<(), Violation> {
        if self.id.is_empty() {
            at_least("Feature.Name", 1, &self.name)?;
        }
        self.check_bounds("Feature")
    }

    fn check_bounds(&self, message: &str) -> Result<(), Violation> {
        let field = |name: &str| format!("{message}.{name}");
        bounded(&field("Name"), &self.name, NAME)?;
        bounded(&field("Title"), &self.title, TITLE)?;
        at_most(&field("ProductIds"), PRODUCTS_MAX, self.product_ids.len())?;
        for (position, id) in self.product_ids.iter().enumerate() {
            bounded(&field(&format!("ProductIds[{position}]")), id, NAME)?;
        }
        check_metadata(&field("Metadata"), &self.metadata)
    }
}

/// Bounds of ours on metadata.
pub fn check_metadata(field: &str, metadata: &BTreeMap<String, Value>) -> Result<(), Violation> {
    if is_too_deep(metadata.values()) {
        return Err(Violation::new(field, format!("value must have at most {DEPTH_MAX} levels")));
    }
    let text = serde_json::to_string(metadata).expect("JSON is written as JSON");
    if text.len() <= METADATA_BYTES_MAX {
        return Ok(());
    }
    Err(Violation::new(field, format!("value must be at most {METADATA_BYTES_MAX} bytes of JSON")))
}

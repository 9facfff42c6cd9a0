//! Changes to features. Gateways are told nothing.

use std::collections::BTreeMap;

use tollgate_common::catalog::Feature;
use tollgate_common::ids::{FeatureId, ProductId};

use super::Change;
use crate::audit::Deed;
use crate::problem::{Code, Problem};

#[derive(Clone, Debug, PartialEq)]
pub struct FeatureFields {
    pub name: String,
    pub title: String,
    pub product_ids: Vec<String>,
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl Change {
    /// Makes a feature, under an id of the caller's choice if there is one.
    pub async fn create_feature(
        &mut self,
        id: Option<FeatureId>,
        fields: FeatureFields,
    ) -> Result<Feature, Problem> {
        if let Some(id) = id
            && self.catalog.feature(id).await?.is_some()
        {
            return Err(Problem::new(Code::NameTaken, "another feature has this id"));
        }
        let feature = Feature {
            id: id.unwrap_or_else(|| FeatureId(self.fresh_id())),
            name: fields.name,
            title: fields.title,
            product_ids: fields.product_ids,
            metadata: fields.metadata,
            created_at: self.now,
            updated_at: self.now,
        };
        self.save_feature(None, &feature).await?;
        Ok(feature)
    }

    pub async fn update_feature(
        &mut self,
        before: &Feature,
        fields: FeatureFields,
    ) -> Result<Feature, Problem> {
        let feature = Feature {
            id: before.id,
            name: fields.name,
            title: fields.title,
            product_ids: fields.product_ids,
            metadata: fields.metadata,
            created_at: before.created_at,
            updated_at: self.now,
        };
        self.save_feature(Some(before), &feature).await?;
        Ok(feature)
    }

    /// Takes a feature from a product; other products keep it.
    pub async fn unlink_feature(
        &mut self,
        before: &Feature,
        product: ProductId,
    ) -> Result<(), Problem> {
        let mut feature = Feature { updated_at: self.now, ..before.clone() };
        let product = product.to_string();
        feature.product_ids.retain(|id| *id != product);
        self.save_feature(Some(before), &feature).await
    }

    async fn save_feature(
        &mut self,
        before: Option<&Feature>,
        feature: &Feature,
    ) -> Result<(), Problem> {
        let namesake = self.catalog.feature_named(&feature.name).await?;
        if namesake.is_some_and(|namesake| namesake.id != feature.id) {
            let detail = format!("another feature is named \"{}\"", feature.name);
            return Err(Problem::new(Code::NameTaken, detail).at_field("name"));
        }
        self.catalog.save_feature(feature).await?;
        let deed = if before.is_some() { Deed::Update } else { Deed::Create };
        self.audit(deed, "feature", feature.id, before, Some(feature));
        Ok(())
    }
}

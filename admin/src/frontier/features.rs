//! Features: how they look to a client of Frontier.

pub mod body;
pub mod create;
pub mod get;
pub mod link;
pub mod list;
pub mod update;

use serde::Serialize;
use tollgate_common::catalog::Feature;
use tollgate_common::ids::FeatureId;

use super::Metadata;
use super::products::body::NAME;
use crate::problem::{Code, Problem};
use crate::store::CatalogRead;

#[derive(Serialize)]
pub struct FeatureView {
    id: FeatureId,
    name: String,
    product_ids: Vec<String>,
    title: String,
    metadata: Metadata,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
pub struct OneFeature {
    pub feature: FeatureView,
}

pub fn view(feature: &Feature) -> FeatureView {
    FeatureView {
        id: feature.id,
        name: feature.name.clone(),
        product_ids: feature.product_ids.clone(),
        title: feature.title.clone(),
        metadata: feature.metadata.clone(),
        created_at: feature.created_at.to_string(),
        updated_at: feature.updated_at.to_string(),
    }
}

/// A feature by its id or its name, in exactly its letters.
pub async fn find(
    catalog: &mut dyn CatalogRead,
    id_or_name: &str,
) -> Result<Option<Feature>, Problem> {
    if let Ok(id) = id_or_name.parse::<FeatureId>()
        && let Some(feature) = catalog.feature(id).await?
    {
        return Ok(Some(feature));
    }
    if NAME.check(id_or_name).is_err() {
        return Ok(None);
    }
    Ok(catalog.feature_named(id_or_name).await?)
}

pub async fn found(catalog: &mut dyn CatalogRead, id_or_name: &str) -> Result<Feature, Problem> {
    let feature = find(catalog, id_or_name).await?;
    feature.ok_or_else(|| Problem::new(Code::NotFound, "feature not found"))
}

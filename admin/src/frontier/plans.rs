//! Plans as Frontier has them: products that are sold together for an interval. The catalog calls
//! them bundles, since a plan of this house is the terms of one product.

pub mod body;
pub mod create;
pub mod get;
pub mod list;
pub mod save;
pub mod update;

use serde::Serialize;
use tollgate_common::catalog::{Bundle, Product};
use tollgate_common::ids::BundleId;
use tollgate_common::price::Interval;

use super::products::ProductView;
use super::products::shelf::Shelf;
use super::{Metadata, every, int64};
use crate::problem::Problem;
use crate::store::CatalogRead;

#[derive(Serialize)]
pub struct PlanView {
    id: BundleId,
    name: String,
    title: String,
    description: String,
    products: Vec<ProductView>,
    interval: Interval,
    #[serde(serialize_with = "int64")]
    on_start_credits: i64,
    #[serde(serialize_with = "int64")]
    trial_days: i64,
    metadata: Metadata,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
pub struct OnePlan {
    pub plan: PlanView,
}

/// All that is shown with plans.
pub struct Shelves {
    products: Vec<Product>,
    shelf: Shelf,
}

impl Shelves {
    pub async fn read(catalog: &mut dyn CatalogRead) -> Result<Self, Problem> {
        let products = every::products(catalog).await?;
        Ok(Self { products, shelf: Shelf::of_all(catalog).await? })
    }

    pub fn show(&self, bundle: &Bundle) -> PlanView {
        let id = bundle.id.to_string();
        let is_in = |product: &&Product| self.shelf.terms(product.id).plan_ids.contains(&id);
        let products = self.products.iter().filter(is_in);
        PlanView {
            id: bundle.id,
            name: bundle.name.clone(),
            title: bundle.title.clone(),
            description: bundle.description.clone(),
            products: products.map(|product| self.shelf.show(product)).collect(),
            interval: bundle.interval,
            on_start_credits: bundle.on_start_credits,
            trial_days: bundle.trial_days,
            metadata: bundle.metadata.clone(),
            created_at: bundle.created_at.to_string(),
            updated_at: bundle.updated_at.to_string(),
        }
    }
}

//! All that is shown with products: offers, features, limits.

use std::collections::BTreeMap;

use tollgate_common::catalog::offer::Terms;
use tollgate_common::catalog::{Feature, Offer, Plan, Product};
use tollgate_common::ids::ProductId;

use super::save::LIMITS_PLAN;
use super::{Beside, ProductView};
use crate::frontier::{every, features};
use crate::problem::Problem;
use crate::store::CatalogRead;

#[derive(Debug, Default)]
pub struct Shelf {
    offers: BTreeMap<ProductId, Offer>,
    features: Vec<Feature>,
    limits: BTreeMap<ProductId, Plan>,
    unsaid: Terms,
}

impl Shelf {
    pub async fn of_one(
        catalog: &mut dyn CatalogRead,
        product: ProductId,
    ) -> Result<Self, Problem> {
        let offer = catalog.offer(product).await?;
        let limits = catalog.plan_named(product, LIMITS_PLAN).await?;
        Ok(Self {
            offers: offer.into_iter().map(|offer| (product, offer)).collect(),
            features: every::features(catalog).await?,
            limits: limits.into_iter().map(|plan| (product, plan)).collect(),
            unsaid: Terms::default(),
        })
    }

    pub async fn of_all(catalog: &mut dyn CatalogRead) -> Result<Self, Problem> {
        let offers = every::offers(catalog).await?;
        let mut plans = every::plans(catalog).await?;
        plans.retain(|plan| plan.name == LIMITS_PLAN);
        Ok(Self {
            offers: offers.into_iter().map(|offer| (offer.product_id, offer)).collect(),
            features: every::features(catalog).await?,
            limits: plans.into_iter().map(|plan| (plan.product_id, plan)).collect(),
            unsaid: Terms::default(),
        })
    }

    pub fn terms(&self, product: ProductId) -> &Terms {
        self.offers.get(&product).map_or(&self.unsaid, |offer| &offer.terms)
    }

    pub fn show(&self, product: &Product) -> ProductView {
        let offer = self.offers.get(&product.id);
        let features = self.features.iter().filter(|feature| feature.is_of(product.id));
        let beside = Beside {
            alias: offer.and_then(|offer| offer.alias.as_deref()),
            terms: self.terms(product.id),
            features: features.map(features::view).collect(),
            limits: self.limits.get(&product.id),
        };
        super::view(product, beside)
    }
}

//! Changes to how products are offered. Gateways are told nothing: they know products and plans.

use tollgate_common::catalog::Offer;
use tollgate_common::ids::{FeatureId, ProductId};

use super::Change;
use crate::audit::Deed;
use crate::problem::{Code, Problem};
use crate::store::catalog::Page;

/// How many features are taken from the store at once.
const BATCH: u32 = 500;

impl Change {
    pub async fn save_offer(&mut self, offer: &Offer) -> Result<(), Problem> {
        let before = self.catalog.offer(offer.product_id).await?;
        if before.as_ref() == Some(offer) {
            return Ok(());
        }
        if let Some(alias) = &offer.alias {
            let namesake = self.catalog.offer_aliased(alias).await?;
            if namesake.is_some_and(|namesake| namesake.product_id != offer.product_id) {
                let detail = format!("another product is offered as \"{alias}\"");
                return Err(Problem::new(Code::NameTaken, detail).at_field("name"));
            }
        }
        self.catalog.save_offer(offer).await?;
        let deed = if before.is_some() { Deed::Update } else { Deed::Create };
        self.audit(deed, "offer", offer.product_id, before.as_ref(), Some(offer));
        Ok(())
    }

    /// For a product that goes: what it was called is free again, and no feature names it.
    pub(super) async fn withdraw_offer(&mut self, product: ProductId) -> Result<(), Problem> {
        if let Some(offer) = self.catalog.offer(product).await? {
            self.catalog.delete_offer(product).await?;
            self.audit(Deed::Delete, "offer", product, Some(&offer), None);
        }
        let mut after: Option<FeatureId> = None;
        loop {
            let features = self.catalog.features(Page { after, limit: BATCH }).await?;
            let Some(last) = features.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for feature in features.iter().filter(|feature| feature.is_of(product)) {
                self.unlink_feature(feature, product).await?;
            }
        }
    }
}

//! Changes to bundles. Gateways are told nothing.

use std::collections::BTreeMap;

use tollgate_common::catalog::Bundle;
use tollgate_common::ids::BundleId;
use tollgate_common::price::Interval;

use super::Change;
use crate::audit::Deed;
use crate::problem::Problem;

#[derive(Clone, Debug, PartialEq)]
pub struct BundleFields {
    pub name: String,
    pub title: String,
    pub description: String,
    pub interval: Interval,
    pub on_start_credits: i64,
    pub trial_days: i64,
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl Change {
    /// Makes the bundle of this name, or makes the one that is there so.
    pub async fn save_bundle(&mut self, fields: BundleFields) -> Result<Bundle, Problem> {
        let before = self.catalog.bundle_named(&fields.name).await?;
        let bundle = Bundle {
            id: before.as_ref().map_or_else(|| BundleId(self.fresh_id()), |before| before.id),
            name: fields.name,
            title: fields.title,
            description: fields.description,
            interval: fields.interval,
            on_start_credits: fields.on_start_credits,
            trial_days: fields.trial_days,
            metadata: fields.metadata,
            created_at: before.as_ref().map_or(self.now, |before| before.created_at),
            updated_at: self.now,
        };
        self.catalog.save_bundle(&bundle).await?;
        let deed = if before.is_some() { Deed::Update } else { Deed::Create };
        self.audit(deed, "bundle", bundle.id, before.as_ref(), Some(&bundle));
        Ok(bundle)
    }
}

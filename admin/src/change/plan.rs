//! Changes to plans.

use tollgate_common::catalog::{
    BillingMode, OutageMode, PeriodKind, Plan, QuotaMode, SubscriptionStatus,
};
use tollgate_common::ids::{PlanId, ProductId};
use tollgate_common::outcome::OutcomeSet;
use tollgate_common::price::Price;
use tollgate_common::snapshot::{Entry, PlanRules};

use super::Change;
use crate::audit::Deed;
use crate::problem::{Code, Problem};
use crate::store::catalog::{Page, SubscriptionFilter};

/// What an owner sets.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanFields {
    pub name: String,
    pub billing_mode: BillingMode,
    pub price_label: String,
    pub monthly_quota: Option<u64>,
    pub rate_limit: Option<u32>,
    pub burst: Option<u32>,
    pub quota_mode: QuotaMode,
    pub period: PeriodKind,
    pub time_zone: String,
    pub counted_outcomes: OutcomeSet,
    pub billed_outcomes: OutcomeSet,
    pub outage_mode: OutageMode,
    pub prices: Vec<Price>,
}

impl PlanFields {
    fn into_plan(
        self,
        id: PlanId,
        product_id: ProductId,
        change: &Change,
        before: Option<&Plan>,
    ) -> Plan {
        Plan {
            id,
            product_id,
            name: self.name,
            billing_mode: self.billing_mode,
            price_label: self.price_label,
            monthly_quota: self.monthly_quota,
            rate_limit: self.rate_limit,
            burst: self.burst,
            quota_mode: self.quota_mode,
            period: self.period,
            time_zone: self.time_zone,
            counted_outcomes: self.counted_outcomes,
            billed_outcomes: self.billed_outcomes,
            outage_mode: self.outage_mode,
            prices: self.prices,
            created_at: before.map_or(change.now, |before| before.created_at),
            updated_at: change.now,
        }
    }
}

impl Change {
    pub async fn create_plan(
        &mut self,
        product: ProductId,
        fields: PlanFields,
    ) -> Result<Plan, Problem> {
        let plan = fields.into_plan(PlanId(self.fresh_id()), product, self, None);
        self.save_plan(None, &plan).await?;
        Ok(plan)
    }

    pub async fn update_plan(
        &mut self,
        before: &Plan,
        fields: PlanFields,
    ) -> Result<Plan, Problem> {
        let plan = fields.into_plan(before.id, before.product_id, self, Some(before));
        self.keep_terms(before).await?;
        self.save_plan(Some(before), &plan).await?;
        Ok(plan)
    }

    async fn save_plan(&mut self, before: Option<&Plan>, plan: &Plan) -> Result<(), Problem> {
        let namesake = self.catalog.plan_named(plan.product_id, &plan.name).await?;
        if namesake.is_some_and(|namesake| namesake.id != plan.id) {
            let detail = format!("another plan of the product is named \"{}\"", plan.name);
            return Err(Problem::new(Code::NameTaken, detail).at_field("name"));
        }
        self.catalog.save_plan(plan).await?;
        self.tell(Entry::Plan(PlanRules::from(plan)));
        let deed = if before.is_some() { Deed::Update } else { Deed::Create };
        self.audit(deed, "plan", plan.id, before, Some(plan));
        Ok(())
    }

    pub async fn delete_plan(&mut self, plan: &Plan) -> Result<(), Problem> {
        let live = SubscriptionFilter {
            plan: Some(plan.id),
            status: Some(SubscriptionStatus::Active),
            ..Default::default()
        };
        let page = Page { after: None, limit: 1 };
        if !self.catalog.subscriptions(live, page).await?.is_empty() {
            let detail = "move its subscriptions to another plan or cancel them first";
            return Err(Problem::new(Code::PlanInUse, detail));
        }
        self.remove_plan(plan).await
    }

    pub(super) async fn remove_plan(&mut self, plan: &Plan) -> Result<(), Problem> {
        self.keep_terms(plan).await?;
        self.catalog.delete_plan(plan.id, self.now).await?;
        self.tell(Entry::PlanRemoved(plan.id));
        self.audit(Deed::Delete, "plan", plan.id, Some(plan), None);
        Ok(())
    }

    /// Keeps what is about to be changed, since invoices of the past are made from it. A clock that
    /// was set back does not make it end before it began; what began by one that was far ahead began
    /// before now.
    async fn keep_terms(&mut self, plan: &Plan) -> Result<(), Problem> {
        let until = self.not_before(plan.updated_at);
        Ok(self.catalog.keep_terms(plan, until).await?)
    }
}

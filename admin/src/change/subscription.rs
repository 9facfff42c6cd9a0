//! Changes to subscriptions.

use std::collections::HashMap;
use std::slice;

use tollgate_common::catalog::{
    Consumer, Key, Plan, ProductStatus, Subscription, SubscriptionStatus,
};
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::snapshot::{Entry, SubscriptionRules};

use super::{Change, NewKey};
use crate::audit::Deed;
use crate::problem::{Code, Problem};

impl Change {
    /// Subscribes a consumer to a plan and makes the first key.
    pub async fn subscribe(
        &mut self,
        consumer: &Consumer,
        plan: &Plan,
    ) -> Result<(Subscription, NewKey), Problem> {
        let product = self.catalog.product(plan.product_id).await?;
        let product = product.ok_or_else(|| Problem::not_found("product"))?;
        if product.status == ProductStatus::Draft {
            let detail = "a draft takes no new subscriptions; make the product active first";
            return Err(Problem::new(Code::ProductDraft, detail));
        }
        let subscription = Subscription {
            id: SubscriptionId(self.fresh_id()),
            consumer_id: consumer.id,
            product_id: product.id,
            plan_id: plan.id,
            status: SubscriptionStatus::Active,
            started_at: self.now,
            canceled_at: None,
            created_at: self.now,
            updated_at: self.now,
        };
        self.catalog.save_subscription(&subscription).await?;
        self.tell(Entry::Subscription(SubscriptionRules::from(&subscription)));
        self.audit(Deed::Create, "subscription", subscription.id, None, Some(&subscription));
        let key = self.create_key(&subscription, None).await?;
        Ok((subscription, key))
    }

    /// Moves a subscription to another plan of its product. What was used stays used.
    pub async fn move_subscription(
        &mut self,
        before: &Subscription,
        plan: PlanId,
    ) -> Result<Subscription, Problem> {
        self.require_live(before)?;
        let plan = self.catalog.plan(plan).await?;
        let Some(plan) = plan.filter(|plan| plan.product_id == before.product_id) else {
            return Err(Problem::field("plan_id", "there is no such plan of the same product"));
        };
        if plan.id == before.plan_id {
            return Ok(before.clone());
        }
        let subscription =
            Subscription { plan_id: plan.id, updated_at: self.now, ..before.clone() };
        // A clock that was set back does not make the plan before last a longer one.
        let last = self.catalog.plans_left(before.id).await?.last().map(|(until, _)| *until);
        let until = self.not_before(last.unwrap_or(before.started_at));
        self.catalog.keep_plan_left(before.id, before.plan_id, until).await?;
        self.catalog.save_subscription(&subscription).await?;
        self.tell(Entry::Subscription(SubscriptionRules::from(&subscription)));
        self.audit(
            Deed::Update,
            "subscription",
            subscription.id,
            Some(before),
            Some(&subscription),
        );
        Ok(subscription)
    }

    /// Ends a subscription and revokes its keys.
    pub async fn cancel_subscription(
        &mut self,
        before: &Subscription,
    ) -> Result<Subscription, Problem> {
        self.require_live(before)?;
        let canceled = self.cancel_all(slice::from_ref(before)).await?;
        Ok(canceled.into_iter().next().expect("of one subscription there is one that is canceled"))
    }

    /// Ends subscriptions that are live and revokes their keys, in as many statements as for one.
    pub(super) async fn cancel_all(
        &mut self,
        live: &[Subscription],
    ) -> Result<Vec<Subscription>, Problem> {
        let ids: Vec<_> = live.iter().map(|subscription| subscription.id).collect();
        let in_force = self.catalog.keys_in_force_of(&ids, self.now).await?;
        let mut keys: HashMap<SubscriptionId, Vec<Key>> = HashMap::new();
        for key in in_force {
            keys.entry(key.subscription_id).or_default().push(key);
        }
        let (mut revoked, mut canceled) = (Vec::new(), Vec::new());
        for before in live {
            for key in keys.remove(&before.id).unwrap_or_default() {
                revoked.push(self.revoked(&key));
            }
            canceled.push(self.canceled(before));
        }
        self.catalog.save_keys(&revoked).await?;
        self.catalog.save_subscriptions(&canceled).await?;
        Ok(canceled)
    }

    /// A subscription that ends now, once it is saved.
    fn canceled(&mut self, before: &Subscription) -> Subscription {
        let subscription = Subscription {
            status: SubscriptionStatus::Canceled,
            canceled_at: Some(self.now),
            updated_at: self.now,
            ..before.clone()
        };
        self.tell(Entry::SubscriptionRemoved(subscription.id));
        self.audit(
            Deed::Cancel,
            "subscription",
            subscription.id,
            Some(before),
            Some(&subscription),
        );
        subscription
    }

    pub(super) fn require_live(&self, subscription: &Subscription) -> Result<(), Problem> {
        match subscription.status {
            SubscriptionStatus::Active => Ok(()),
            SubscriptionStatus::Canceled => {
                let detail = "a canceled subscription stays as it is; subscribe anew";
                Err(Problem::new(Code::SubscriptionCanceled, detail))
            }
        }
    }
}

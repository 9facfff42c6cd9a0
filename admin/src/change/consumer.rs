//! Changes to consumers. Gateways are told nothing: they know subscriptions.

use std::collections::BTreeMap;

use tollgate_common::catalog::{Consumer, SubscriptionStatus};
use tollgate_common::ids::ConsumerId;

use super::Change;
use crate::audit::Deed;
use crate::problem::{Code, Problem};
use crate::sending::registration::Registration;
use crate::store::catalog::{Page, SubscriptionFilter};

/// What an owner sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerFields {
    pub name: String,
    pub email: Option<String>,
    pub external_ids: BTreeMap<String, String>,
}

impl Change {
    pub async fn create_consumer(&mut self, fields: ConsumerFields) -> Result<Consumer, Problem> {
        let consumer = Consumer {
            id: ConsumerId(self.fresh_id()),
            name: fields.name,
            email: fields.email,
            external_ids: fields.external_ids,
            created_at: self.now,
            updated_at: self.now,
        };
        self.catalog.save_consumer(&consumer).await?;
        self.audit(Deed::Create, "consumer", consumer.id, None, Some(&consumer));
        Ok(consumer)
    }

    pub async fn update_consumer(
        &mut self,
        before: &Consumer,
        fields: ConsumerFields,
    ) -> Result<Consumer, Problem> {
        let consumer = Consumer {
            name: fields.name,
            email: fields.email,
            external_ids: fields.external_ids,
            updated_at: self.now,
            ..before.clone()
        };
        self.catalog.save_consumer(&consumer).await?;
        self.audit(Deed::Update, "consumer", consumer.id, Some(before), Some(&consumer));
        Ok(consumer)
    }

    pub async fn delete_consumer(&mut self, consumer: &Consumer) -> Result<(), Problem> {
        let live = SubscriptionFilter {
            consumer: Some(consumer.id),
            status: Some(SubscriptionStatus::Active),
            ..Default::default()
        };
        let page = Page { after: None, limit: 1 };
        if !self.catalog.subscriptions(live, page).await?.is_empty() {
            return Err(Problem::new(Code::ConsumerInUse, "cancel its subscriptions first"));
        }
        self.refuse_unbilled(consumer).await?;
        self.catalog.delete_consumer(consumer.id, self.now).await?;
        self.audit(Deed::Delete, "consumer", consumer.id, Some(consumer), None);
        Ok(())
    }

    /// What somebody has used is billed by an id that nobody can give once the consumer is gone.
    async fn refuse_unbilled(&mut self, consumer: &Consumer) -> Result<(), Problem> {
        for id in self.catalog.awaiting_usage(consumer.id).await? {
            let destination = self.catalog.destination(id).await?;
            let lacks_id = |known: &Registration| {
                known.kind.requires_external_id()
                    && !consumer.external_ids.contains_key(&known.name)
            };
            if let Some(destination) = destination.filter(lacks_id) {
                let name = destination.name;
                let detail = format!(
                    "it has no external id \"{name}\", and usage is to be sent there by it"
                );
                return Err(Problem::new(Code::UsageHeld, detail));
            }
        }
        Ok(())
    }
}

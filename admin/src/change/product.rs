//! Changes to products.

use std::collections::BTreeMap;

use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::catalog::{Product, ProductStatus, SubscriptionStatus};
use tollgate_common::ids::ProductId;
use tollgate_common::route::Route;
use tollgate_common::snapshot::{Entry, ProductRules};

use super::Change;
use crate::audit::Deed;
use crate::problem::{Code, Problem};
use crate::store::catalog::{Page, SubscriptionFilter};

/// What an owner sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductFields {
    pub name: String,
    pub title: String,
    pub description: String,
    pub gateway_endpoint: Option<String>,
    pub status: ProductStatus,
    pub hosts: Vec<String>,
    pub routes: Vec<Route>,
    pub upstream: UpstreamSettings,
    pub key_query_parameter: Option<String>,
    pub body_bytes_max: Option<u64>,
    pub metadata: BTreeMap<String, serde_json::Value>,
}

/// How many subscriptions or plans of a deleted product are taken from the store at once.
const BATCH: u32 = 500;

impl ProductFields {
    fn into_product(self, id: ProductId, change: &Change, before: Option<&Product>) -> Product {
        Product {
            id,
            name: self.name,
            title: self.title,
            description: self.description,
            gateway_endpoint: self.gateway_endpoint,
            status: self.status,
            hosts: self.hosts,
            routes: self.routes,
            upstream: self.upstream,
            key_query_parameter: self.key_query_parameter,
            body_bytes_max: self.body_bytes_max,
            metadata: self.metadata,
            created_at: before.map_or(change.now, |before| before.created_at),
            updated_at: change.now,
        }
    }
}

impl Change {
    pub async fn create_product(&mut self, fields: ProductFields) -> Result<Product, Problem> {
        let product = fields.into_product(ProductId(self.fresh_id()), self, None);
        self.save_product(None, &product).await?;
        Ok(product)
    }

    pub async fn update_product(
        &mut self,
        before: &Product,
        fields: ProductFields,
    ) -> Result<Product, Problem> {
        let product = fields.into_product(before.id, self, Some(before));
        self.save_product(Some(before), &product).await?;
        Ok(product)
    }

    async fn save_product(
        &mut self,
        before: Option<&Product>,
        product: &Product,
    ) -> Result<(), Problem> {
        let namesake = self.catalog.product_named(&product.name).await?;
        if namesake.is_some_and(|namesake| namesake.id != product.id) {
            let detail = format!("another product is named \"{}\"", product.name);
            return Err(Problem::new(Code::NameTaken, detail).at_field("name"));
        }
        for (position, host) in product.hosts.iter().enumerate() {
            let owner = self.catalog.product_with_host(host).await?;
            if owner.is_some_and(|owner| owner != product.id) {
                let detail = format!("{host} leads to another product");
                let field = format!("hosts[{position}]");
                return Err(Problem::new(Code::HostTaken, detail).at_field(&field));
            }
        }
        self.catalog.save_product(product).await?;
        self.tell(Entry::Product(ProductRules::from(product)));
        let deed = if before.is_some() { Deed::Update } else { Deed::Create };
        self.audit(deed, "product", product.id, before, Some(product));
        Ok(())
    }

    /// Ends all that hangs on it: its keys are revoked, its subscriptions canceled, its plans gone.
    /// What was used stays in the ledger.
    pub async fn delete_product(&mut self, product: &Product) -> Result<(), Problem> {
        let live = SubscriptionFilter {
            product: Some(product.id),
            status: Some(SubscriptionStatus::Active),
            ..Default::default()
        };
        let mut after = None;
        loop {
            let page = Page { after, limit: BATCH };
            let subscriptions = self.catalog.subscriptions(live, page).await?;
            let Some(last) = subscriptions.last() else {
                break;
            };
            after = Some(last.id);
            self.cancel_all(&subscriptions).await?;
        }
        loop {
            let page = Page { after: None, limit: BATCH };
            let plans = self.catalog.plans(Some(product.id), page).await?;
            if plans.is_empty() {
                break;
            }
            for plan in &plans {
                self.remove_plan(plan).await?;
            }
        }
        self.withdraw_offer(product.id).await?;
        self.catalog.delete_product(product.id, self.now).await?;
        self.tell(Entry::ProductRemoved(product.id));
        self.audit(Deed::Delete, "product", product.id, Some(product), None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use tollgate_common::catalog::Subscription;
    use tollgate_common::ids::SubscriptionId;
    use tollgate_common::snapshot::wire::{self, Frame};
    use tollgate_common::time::Timestamp;

    use super::*;
    use crate::access::Caller;
    use crate::audit::chain::ChainHash;
    use crate::change::Door;
    use crate::fresh::SystemClock;
    use crate::ledger::tests::Kind;
    use crate::store::catalog::CommitRecord;
    use crate::store::tests::{consumer, key, plan, product, subscription};
    use crate::store::{CatalogStore, SqlCatalog};

    #[rstest]
    #[tokio::test]
    async fn of_a_product_with_many_subscriptions_each_ends_after_its_keys_and_that_is_told(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqlCatalog::open(kind.open(&directory).await).await.unwrap());
        let many = (1..=u128::from(2 * BATCH + 3)).map(|n| Subscription {
            id: SubscriptionId::from_bytes(n.to_be_bytes()),
            ..subscription(1, &plan(1, 1))
        });
        let many: Vec<Subscription> = many.collect();
        let keys: Vec<_> = many.iter().map(|of| key(&of.id.to_string(), of.id, 3)).collect();
        let mut catalog = store.write().await.unwrap();
        catalog.save_product(&product(1)).await.unwrap();
        catalog.save_plan(&plan(1, 1)).await.unwrap();
        catalog.save_consumer(&consumer(1)).await.unwrap();
        catalog.save_subscriptions(&many).await.unwrap();
        catalog.save_keys(&keys).await.unwrap();
        let made =
            CommitRecord { revision: 1, at: Timestamp(5), frames: Vec::new(), audit: Vec::new() };
        catalog.commit(made).await.unwrap();
        let door = Door::open(store.clone(), Arc::new(SystemClock::default())).await.unwrap();

        let mut change = door.begin(&Caller::on_the_machine(), "r").await.unwrap();
        change.delete_product(&product(1)).await.unwrap();
        let revision = change.commit().await.unwrap();

        let mut catalog = store.read().await.unwrap();
        let ended = many.iter().zip(&keys);
        let ended = ended.flat_map(|(of, key)| {
            [Entry::KeyRemoved(key.digest), Entry::SubscriptionRemoved(of.id)]
        });
        let with_product =
            [Entry::PlanRemoved(plan(1, 1).id), Entry::ProductRemoved(product(1).id)];
        let told = catalog.frames(revision, 0, u32::MAX).await.unwrap();
        let told = told.iter().map(|frame| match wire::decode(frame).unwrap() {
            Some((Frame::Entry(entry), _)) => entry,
            other => panic!("{other:?}"),
        });
        assert!(told.eq(ended.chain(with_product)));
        let page = Page { after: None, limit: u32::MAX };
        let audit = catalog.audit_from_start(page).await.unwrap();
        assert_eq!(audit.len(), 2 * many.len() + 2);
        assert_eq!(audit[0].record.resource_id, keys[0].id.to_string());
        let mut hash = ChainHash::START;
        for link in &audit {
            hash = hash.next(link.place, &link.record);
            assert_eq!(link.hash, Some(hash));
        }
        let last = many[many.len() - 1].id;
        let canceled = catalog.subscription(last).await.unwrap().unwrap();
        assert_eq!(canceled.status, SubscriptionStatus::Canceled);
        let ids: Vec<_> = many.iter().map(|of| of.id).collect();
        assert_eq!(catalog.keys_in_force_of(&ids, Timestamp(5)).await.unwrap(), []);
    }
}

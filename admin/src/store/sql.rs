//! The catalog in SQL.

mod audit;
mod bundle;
pub(crate) mod consumer;
pub(crate) mod destination;
mod feature;
mod history;
mod key;
mod left;
mod offer;
mod packed;
pub(crate) mod plan;
mod product;
pub(crate) mod repair;
pub(crate) mod subscription;
mod token;

pub use history::REVISIONS;

use async_trait::async_trait;
use secrecy::SecretString;
use tollgate_common::catalog::{
    Bundle, Consumer, Feature, Key, KeyDigest, Offer, Plan, Product, Subscription,
};
use tollgate_common::ids::{
    BundleId, ConsumerId, DestinationId, FeatureId, KeyId, PlanId, ProductId, SubscriptionId,
    TokenId,
};
use tollgate_common::snapshot::{KeyRules, Revision, SubscriptionRules, wire};
use tollgate_common::time::Timestamp;

use super::catalog::{
    AuditLink, AuditPlace, CatalogRead, CatalogStore, CatalogWrite, CommitRecord,
    CommittedRevision, KeptAnswer, Page, ProductFilter, SubscriptionFilter,
};
use super::{Database, Part, StoreError, Transaction};
use crate::access::Token;
use crate::reconcile::figures::Slot;
use crate::reconcile::order::{Decided, RepairOrder};
use crate::sending::order::Order;
use crate::sending::registration::Registration;

type Result<T> = std::result::Result<T, StoreError>;

#[derive(Clone, Debug)]
pub struct SqlCatalog {
    database: Database,
}

impl SqlCatalog {
    pub async fn open(database: Database) -> Result<Self> {
        let mut transaction = database.write(Part::Catalog).await?;
        history::adopt_format(&mut transaction, wire::FORMAT).await?;
        transaction.commit().await?;
        Ok(Self { database })
    }
}

#[async_trait]
impl CatalogStore for SqlCatalog {
    async fn read(&self) -> Result<Box<dyn CatalogRead>> {
        Ok(Box::new(View(self.database.read().await?)))
    }

    async fn write(&self) -> Result<Box<dyn CatalogWrite>> {
        Ok(Box::new(View(self.database.write(Part::Catalog).await?)))
    }

    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u64> {
        let mut transaction = self.database.write(Part::Catalog).await?;
        let forgotten = history::forget_answers(&mut transaction, before, limit).await?;
        transaction.commit().await?;
        Ok(forgotten)
    }
}

/// A transaction, seen as the catalog at one state.
struct View(Transaction);

#[async_trait]
impl CatalogRead for View {
    async fn product(&mut self, id: ProductId) -> Result<Option<Product>> {
        product::find(&mut self.0, id).await
    }

    async fn product_named(&mut self, name: &str) -> Result<Option<Product>> {
        product::find_named(&mut self.0, name).await
    }

    async fn product_with_host(&mut self, host: &str) -> Result<Option<ProductId>> {
        product::find_with_host(&mut self.0, host).await
    }

    async fn products(
        &mut self,
        filter: &ProductFilter,
        page: Page<ProductId>,
    ) -> Result<Vec<Product>> {
        product::list(&mut self.0, filter, page).await
    }

    async fn plan(&mut self, id: PlanId) -> Result<Option<Plan>> {
        plan::find(&mut self.0, id).await
    }

    async fn plan_named(&mut self, product: ProductId, name: &str) -> Result<Option<Plan>> {
        plan::find_named(&mut self.0, product, name).await
    }

    async fn plans(&mut self, product: Option<ProductId>, page: Page<PlanId>) -> Result<Vec<Plan>> {
        plan::list(&mut self.0, product, page).await
    }

    async fn plan_before(&mut self, id: PlanId, moment: Timestamp) -> Result<Option<Plan>> {
        plan::find_before(&mut self.0, id, moment).await
    }

    async fn offer(&mut self, product: ProductId) -> Result<Option<Offer>> {
        offer::find(&mut self.0, product).await
    }

    async fn offer_aliased(&mut self, alias: &str) -> Result<Option<Offer>> {
        offer::find_aliased(&mut self.0, alias).await
    }

    async fn offers(&mut self, page: Page<ProductId>) -> Result<Vec<Offer>> {
        offer::list(&mut self.0, page).await
    }

    async fn feature(&mut self, id: FeatureId) -> Result<Option<Feature>> {
        feature::find(&mut self.0, id).await
    }

    async fn feature_named(&mut self, name: &str) -> Result<Option<Feature>> {
        feature::find_named(&mut self.0, name).await
    }

    async fn features(&mut self, page: Page<FeatureId>) -> Result<Vec<Feature>> {
        feature::list(&mut self.0, page).await
    }

    async fn bundle(&mut self, id: BundleId) -> Result<Option<Bundle>> {
        bundle::find(&mut self.0, id).await
    }

    async fn bundle_named(&mut self, name: &str) -> Result<Option<Bundle>> {
        bundle::find_named(&mut self.0, name).await
    }

    async fn bundles(&mut self, page: Page<BundleId>) -> Result<Vec<Bundle>> {
        bundle::list(&mut self.0, page).await
    }

    async fn consumer(&mut self, id: ConsumerId) -> Result<Option<Consumer>> {
        consumer::find(&mut self.0, id).await
    }

    async fn consumers(
        &mut self,
        text: Option<&str>,
        page: Page<ConsumerId>,
    ) -> Result<Vec<Consumer>> {
        consumer::list(&mut self.0, text, page).await
    }

    async fn is_known_at(&mut self, destination: &str) -> Result<bool> {
        consumer::is_known_at(&mut self.0, destination).await
    }

    async fn awaiting_usage(&mut self, consumer: ConsumerId) -> Result<Vec<DestinationId>> {
        consumer::awaiting_usage(&mut self.0, consumer).await
    }

    async fn subscription(&mut self, id: SubscriptionId) -> Result<Option<Subscription>> {
        subscription::find(&mut self.0, id).await
    }

    async fn subscriptions(
        &mut self,
        filter: SubscriptionFilter,
        page: Page<SubscriptionId>,
    ) -> Result<Vec<Subscription>> {
        subscription::list(&mut self.0, filter, page).await
    }

    async fn subscriptions_in_force(
        &mut self,
        page: Page<SubscriptionId>,
    ) -> Result<Vec<SubscriptionRules>> {
        subscription::list_in_force(&mut self.0, page).await
    }

    async fn plans_left(&mut self, id: SubscriptionId) -> Result<Vec<(Timestamp, PlanId)>> {
        subscription::plans_left(&mut self.0, id).await
    }

    async fn key(&mut self, id: KeyId) -> Result<Option<Key>> {
        key::find(&mut self.0, id).await
    }

    async fn keys(
        &mut self,
        subscription: SubscriptionId,
        page: Page<(Timestamp, KeyId)>,
    ) -> Result<Vec<Key>> {
        key::list(&mut self.0, subscription, page).await
    }

    async fn keys_in_force_of(
        &mut self,
        subscriptions: &[SubscriptionId],
        now: Timestamp,
    ) -> Result<Vec<Key>> {
        key::list_in_force_of(&mut self.0, subscriptions, now).await
    }

    async fn keys_in_force(
        &mut self,
        now: Timestamp,
        page: Page<KeyId>,
    ) -> Result<Vec<(KeyId, KeyRules)>> {
        key::list_in_force(&mut self.0, now, page).await
    }

    async fn token(&mut self, id: TokenId) -> Result<Option<Token>> {
        token::find(&mut self.0, id).await
    }

    async fn token_with_digest(&mut self, digest: KeyDigest) -> Result<Option<Token>> {
        token::find_with_digest(&mut self.0, digest).await
    }

    async fn tokens(&mut self, page: Page<TokenId>) -> Result<Vec<Token>> {
        token::list(&mut self.0, page).await
    }

    async fn destination(&mut self, id: DestinationId) -> Result<Option<Registration>> {
        destination::find(&mut self.0, id).await
    }

    async fn destination_named(&mut self, name: &str) -> Result<Option<Registration>> {
        destination::find_named(&mut self.0, name).await
    }

    async fn destinations(&mut self, page: Page<DestinationId>) -> Result<Vec<Registration>> {
        destination::list(&mut self.0, page).await
    }

    async fn destination_secret(&mut self, id: DestinationId) -> Result<Option<SecretString>> {
        destination::secret(&mut self.0, id).await
    }

    async fn orders(&mut self, destination: DestinationId) -> Result<Vec<Order>> {
        let orders = destination::orders(&mut self.0, destination).await?;
        Ok(orders.into_iter().map(|(_, order)| order).collect())
    }

    async fn repairs(&mut self, destination: DestinationId) -> Result<Vec<RepairOrder>> {
        repair::list(&mut self.0, destination).await
    }

    async fn decided(&mut self, destination: DestinationId, slot: Slot) -> Result<Decided> {
        repair::decided(&mut self.0, destination, slot).await
    }

    async fn audit(&mut self, page: Page<AuditPlace>) -> Result<Vec<AuditLink>> {
        audit::list(&mut self.0, page).await
    }

    async fn audit_from_start(&mut self, page: Page<AuditPlace>) -> Result<Vec<AuditLink>> {
        audit::list_from_start(&mut self.0, page).await
    }

    async fn kept_answer(&mut self, actor: &str, key: &str) -> Result<Option<KeptAnswer>> {
        history::kept_answer(&mut self.0, actor, key).await
    }

    async fn revision(&mut self) -> Result<Revision> {
        history::revision(&mut self.0).await
    }

    async fn is_known(&mut self, revision: Revision) -> Result<bool> {
        history::is_known(&mut self.0, revision).await
    }

    async fn revisions_after(
        &mut self,
        revision: Revision,
        limit: u32,
    ) -> Result<Vec<CommittedRevision>> {
        history::revisions_after(&mut self.0, revision, limit).await
    }

    async fn frames(&mut self, revision: Revision, first: u64, limit: u32) -> Result<Vec<Vec<u8>>> {
        history::frames(&mut self.0, revision, first, limit).await
    }
}

#[async_trait]
impl CatalogWrite for View {
    async fn save_product(&mut self, product: &Product) -> Result<()> {
        product::save(&mut self.0, product).await
    }

    async fn delete_product(&mut self, id: ProductId, at: Timestamp) -> Result<()> {
        product::delete(&mut self.0, id, at).await
    }

    async fn save_plan(&mut self, plan: &Plan) -> Result<()> {
        plan::save(&mut self.0, plan).await
    }

    async fn delete_plan(&mut self, id: PlanId, at: Timestamp) -> Result<()> {
        plan::delete(&mut self.0, id, at).await
    }

    async fn keep_terms(&mut self, plan: &Plan, until: Timestamp) -> Result<()> {
        plan::keep_terms(&mut self.0, plan, until).await
    }

    async fn save_offer(&mut self, offer: &Offer) -> Result<()> {
        offer::save(&mut self.0, offer).await
    }

    async fn delete_offer(&mut self, product: ProductId) -> Result<()> {
        offer::delete(&mut self.0, product).await
    }

    async fn save_feature(&mut self, feature: &Feature) -> Result<()> {
        feature::save(&mut self.0, feature).await
    }

    async fn save_bundle(&mut self, bundle: &Bundle) -> Result<()> {
        bundle::save(&mut self.0, bundle).await
    }

    async fn save_consumer(&mut self, consumer: &Consumer) -> Result<()> {
        consumer::save(&mut self.0, consumer).await
    }

    async fn delete_consumer(&mut self, id: ConsumerId, at: Timestamp) -> Result<()> {
        consumer::delete(&mut self.0, id, at).await
    }

    async fn save_subscriptions(&mut self, subscriptions: &[Subscription]) -> Result<()> {
        subscription::save(&mut self.0, subscriptions).await
    }

    async fn keep_plan_left(
        &mut self,
        id: SubscriptionId,
        plan: PlanId,
        until: Timestamp,
    ) -> Result<()> {
        subscription::keep_plan_left(&mut self.0, id, plan, until).await
    }

    async fn save_keys(&mut self, keys: &[Key]) -> Result<()> {
        key::save(&mut self.0, keys).await
    }

    async fn save_token(&mut self, token: &Token) -> Result<()> {
        token::save(&mut self.0, token).await
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<()> {
        token::delete(&mut self.0, id).await
    }

    async fn save_destination(&mut self, registration: &Registration) -> Result<()> {
        destination::save(&mut self.0, registration).await
    }

    async fn save_destination_secret(
        &mut self,
        id: DestinationId,
        secret: &SecretString,
    ) -> Result<()> {
        destination::save_secret(&mut self.0, id, secret).await
    }

    async fn delete_destination(&mut self, id: DestinationId, at: Timestamp) -> Result<()> {
        destination::delete(&mut self.0, id, at).await
    }

    async fn order(&mut self, destination: DestinationId, order: &Order) -> Result<()> {
        destination::order(&mut self.0, destination, order).await
    }

    async fn repair(&mut self, destination: DestinationId, order: &RepairOrder) -> Result<()> {
        repair::insert(&mut self.0, destination, order).await
    }

    async fn keep_answer(&mut self, actor: &str, key: &str, answer: &KeptAnswer) -> Result<()> {
        history::keep_answer(&mut self.0, actor, key, answer).await
    }

    async fn commit(mut self: Box<Self>, record: CommitRecord) -> Result<()> {
        history::append(&mut self.0, &record).await?;
        self.0.commit().await
    }
}
